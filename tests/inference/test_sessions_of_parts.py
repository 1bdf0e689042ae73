"""Weights are held once: the sessions of the parts are there when parts run."""

from __future__ import annotations

import numpy as np

from smartscope.inference import DenoiseSettings, DetectSettings, Pipeline, Planes


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
