"""Statistics of a series, through the pipeline: fused, in parts, and restored."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from smartscope.errors import AnalysisFailed
from smartscope.inference import (
    Corrections,
    DenoiseSettings,
    DetectSettings,
    Pipeline,
    Planes,
)
from smartscope.inference.fused import FusedPipeline
from smartscope.inference.graph import GraphTail

ZERO_MEAN: dict[str, Any] = {
    "id": "zero_mean_unit_variance",
    "kwargs": {"axes": ["y", "x"]},
}
RANGE: dict[str, Any] = {
    "id": "scale_range",
    "kwargs": {"axes": ["y", "x"], "min_percentile": 2.0, "max_percentile": 99.0},
}


def write(folder: Path, channels: int, steps: Sequence[Any], name: str = "net") -> str:
    """Write a net that gives the sum of its channels."""
    tail = GraphTail(18)
    image = tail.input("in", [1, channels, "y", "x"])  # type: ignore[list-item]
    total = tail.node(
        "ReduceSum", [image, tail.constant(np.array([1], np.int64))], keepdims=1
    )
    tail.output(total, "out", "float32", [1, 1, None, None])
    path = folder / f"{name}.onnx"
    path.write_bytes(tail.serialized())
    card = {"normalisation": [dict(s) for s in steps], "step": 4}
    path.with_suffix(".yaml").write_text(yaml.safe_dump(card), encoding="utf-8")
    return str(path)


def frames(
    seed: int, count: int, channels: int, shape: tuple[int, int] = (18, 23)
) -> list[Planes]:
    rng = np.random.default_rng(seed)
    made = []
    for i in range(count):
        pixels = rng.poisson(100 * (1 + i), (channels, *shape)).astype(np.uint16)
        pixels[:, 4:9, 5:9] *= 3
        made.append(Planes(tuple(pixels), tuple(f"ch{c}" for c in range(channels))))
    return made


def load(model: str, over: Any, *, denoise: str | None = None, **more: Any) -> Pipeline:
    return Pipeline.load(
        DetectSettings(
            model=model, head="components", device="cpu", normalisation=over
        ),
        DenoiseSettings(model=denoise, device="cpu") if denoise else None,
        threads=1,
        **more,
    )


@settings(max_examples=20, deadline=None)
@given(
    st.sampled_from([ZERO_MEAN, RANGE]),
    st.sampled_from(["series", "running"]),
    st.integers(1, 2),
    st.booleans(),
    st.booleans(),
    st.integers(0, 2**32 - 1),
)
def test_fused_and_parts_agree_frame_after_frame(
    tmp_path_factory: pytest.TempPathFactory,
    step: Any,
    over: str,
    channels: int,
    corrected: bool,
    restored: bool,
    seed: int,
) -> None:
    folder = tmp_path_factory.mktemp("series")
    model = write(folder, channels, [step])
    denoise = write(folder, 1, [], "same") if restored else None
    fields = None
    if corrected:
        flat = np.random.default_rng(seed).uniform(0.5, 1.5, (18, 23))
        fields = Corrections(np.full((18, 23), 7, np.float32), {"": np.float32(flat)})
    settings_ = {"over": over, "frames": 2}
    fused, parts = (
        load(model, settings_, denoise=denoise, corrections=fields, fuse=fuse)
        for fuse in (True, False)
    )
    for planes in frames(seed, 4, channels):
        seen, expected = fused.run(planes), parts.run(planes)
        assert seen.map is not None
        assert expected.map is not None
        np.testing.assert_allclose(seen.map, expected.map, rtol=1e-4, atol=1e-4)
        assert json.loads(json.dumps(fused.state())) == fused.state()
    for role, told in parts.state().items():
        for key, value in told.items():
            assert fused.state()[role][key] == pytest.approx(value, rel=1e-5)


def test_a_series_is_frozen_after_its_frames(tmp_path: Path) -> None:
    pipeline = load(write(tmp_path, 1, [ZERO_MEAN]), {"over": "series", "frames": 2})
    first, second, third, fourth = frames(0, 4, 1)
    pipeline.run(first)
    pipeline.run(second)
    both = np.stack([*first.pixels, *second.pixels]).astype(float)
    frozen = pipeline.state()
    for planes in (third, fourth):
        got = pipeline.run(planes).map
        assert got is not None
        expected = (planes.pixels[0] - both.mean()) / (both.std() + 1e-6)
        np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-4)
    assert pipeline.unfused == ""
    assert pipeline.state() == frozen
    assert (
        "series, over the first 2 frames" in pipeline.facts["detect"]["normalisation"]
    )
    assert any("series" in notice for notice in pipeline.notices)


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 4), st.sampled_from(["series", "running"]), st.integers(0, 999))
def test_a_restored_state_goes_on_as_if_nothing_had_happened(
    tmp_path_factory: pytest.TempPathFactory, killed_after: int, over: str, seed: int
) -> None:
    model = write(tmp_path_factory.mktemp("state"), 2, [RANGE])
    settings_ = {"over": over, "frames": 3}
    whole, first, second = (load(model, settings_) for _ in range(3))
    for i, planes in enumerate(frames(seed, 6, 2)):
        if i == killed_after:
            second.warm_up(frames(5, 1, 2)[0])
            second.restore(json.loads(json.dumps(first.state())))
        expected = whole.run(planes).map
        got = (first if i < killed_after else second).run(planes).map
        np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("restored", [False, True])
def test_warming_up_teaches_nothing(tmp_path: Path, restored: bool) -> None:
    model = write(tmp_path, 1, [ZERO_MEAN])
    denoise = write(tmp_path, 1, [], "same") if restored else None
    pipeline = load(model, {"over": "series", "frames": 1}, denoise=denoise)
    (frame,) = frames(3, 1, 1)
    pipeline.warm_up(Planes((np.zeros_like(frame.pixels[0]),), frame.channels))
    assert pipeline.state() == load(model, "series").state()
    # what the first frame will need is there, and no more
    needed = [m._session is not None for m in pipeline.models.values()]
    assert all(needed) if restored else not any(needed)
    got = pipeline.run(frame).map
    assert got is not None
    assert abs(got.mean()) < 1e-4
    # what was learned of the first is applied to the second, now as one graph
    again = pipeline.run(Planes((frame.pixels[0] * 2,), frame.channels))
    assert again.map is not None
    assert again.map.mean() > 1
    assert set(again.timings_ms) == {"prepare", "detect"}


def test_fixed_values_hold_from_the_first_frame(tmp_path: Path) -> None:
    model = write(tmp_path, 1, [ZERO_MEAN])
    pipeline = load(model, {"over": "fixed", "values": [50.0, 10.0]})
    image = np.full((8, 8), 70, np.uint16)
    got = pipeline.run(image).map
    assert got is not None
    np.testing.assert_allclose(got, 2.0, rtol=1e-5)
    assert pipeline.facts["detect"]["normalisation"].startswith("fixed")
    frame = load(model, None)
    assert frame.facts["detect"]["normalisation"].startswith("each frame for itself")
    assert frame.state() == {}
    # the one thing to know: the card says no pixel size
    (notice,) = frame.notices
    assert notice.endswith("made: frames go in as they are.")


def test_a_frame_that_fails_in_the_graph_is_counted_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: Any) -> NoReturn:
        raise AnalysisFailed("planted")

    pipeline = load(write(tmp_path, 1, [ZERO_MEAN]), {"over": "series", "frames": 5})
    monkeypatch.setattr(FusedPipeline, "run", fails)
    with pytest.raises(AnalysisFailed, match="planted"):
        pipeline.run(frames(0, 1, 1)[0])
    assert pipeline.state()["detect"]["ch0"]["frames"] == 1
