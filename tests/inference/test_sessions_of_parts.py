"""Weights are held once: the sessions of the parts are there when parts run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import yaml

from smartscope.inference import DenoiseSettings, DetectSettings, Pipeline, Planes
from smartscope.inference.graph import GraphTail


def test_parts_are_let_go_when_the_graph_is_there() -> None:
    pipeline = Pipeline.load(
        DetectSettings(model="dog", device="cpu"),
        DenoiseSettings(model="gaussian", device="cpu"),
    )
    assert all(m._session is not None for m in pipeline.models.values())
    before = [(m.asked, m.obtained, m.notice) for m in pipeline.models.values()]
    image = np.random.default_rng(0).poisson(40, (96, 96)).astype(np.uint16)
    fused = pipeline.run(image)
    assert pipeline.unfused == ""
    assert all(m._session is None for m in pipeline.models.values())
    after = [(m.asked, m.obtained, m.notice) for m in pipeline.models.values()]
    assert before == after
    # they are made again where parts must run
    parts = pipeline._run_parts(Planes.of(image))
    assert all(m._session is not None for m in pipeline.models.values())
    assert fused.candidates is not None
    assert parts.candidates is not None
    np.testing.assert_array_equal(
        fused.candidates.positions, parts.candidates.positions
    )


def test_while_a_channel_learns_the_parts_stay_for_it(tmp_path: Path) -> None:
    model = tmp_path / "net.onnx"
    tail = GraphTail(18)
    image = tail.input("in", [1, 1, "y", "x"])  # type: ignore[list-item]
    tail.output(tail.node("Relu", [image]), "out", "float32", [1, 1, None, None])
    model.write_bytes(tail.serialized())
    card = {"head": "components", "normalisation": [{"id": "zero_mean_unit_variance"}]}
    model.with_suffix(".yaml").write_text(yaml.safe_dump(card), encoding="utf-8")
    over = {"over": "series", "frames": 2}
    pipeline = Pipeline.load(
        DetectSettings(model=str(model), device="cpu", normalisation=over),
        DenoiseSettings(model="gaussian", device="cpu"),
    )
    pixels = (np.random.default_rng(0).poisson(40, (32, 32)).astype(np.uint16),)

    def there(channel: str) -> bool:
        pipeline.run(Planes(pixels, (channel,)))
        return all(m._session is not None for m in pipeline.models.values())

    # the series of A is whole, then B begins, and A is looked at meanwhile
    assert [there(c) for c in "AAA"] == [True, True, False]
    assert [there(c) for c in "BABA"] == [True, True, True, False]
