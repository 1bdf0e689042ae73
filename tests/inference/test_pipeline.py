"""Frames through the models: fitting, order, failures, determinism."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smartscope.errors import AnalysisFailed, Refused
from smartscope.inference import (
    DenoiseSettings,
    DetectSettings,
    Pipeline,
    map_to_frame,
)
from smartscope.inference.padding import Padding
from smartscope.inference.tensor import Axis, TensorSpec

MakeOnnx = Callable[..., Path]


def spec(size: int | None, minimum: int, step: int, stride: float = 1.0) -> TensorSpec:
    return TensorSpec(
        "t",
        tuple(Axis(a, size, minimum, step, stride=stride) for a in "yx"),
    )


@given(
    st.tuples(st.integers(1, 70), st.integers(1, 70)),
    st.one_of(
        st.just((64, 1, 1)),
        st.tuples(st.none(), st.integers(1, 40), st.sampled_from([1, 2, 4, 16])),
    ),
)
def test_padding_then_cropping_changes_nothing(
    shape: tuple[int, int], rule: tuple[int | None, int, int]
) -> None:
    given_, got = spec(*rule), spec(None, 1, 1)
    if rule[0] is not None and max(shape) > rule[0]:
        with pytest.raises(Refused, match="larger than the fixed size"):
            Padding.plan(shape, given_, got, "m")
        return
    plan = Padding.plan(shape, given_, got, "m")
    image = np.arange(shape[0] * shape[1]).reshape(shape)
    padded = plan.pad(image)
    assert padded.shape == plan.padded_shape
    for length, axis in zip(padded.shape, given_.axes, strict=True):
        assert length == axis.padded(length)
    np.testing.assert_array_equal(plan.crop(padded), image)
    # mirrored: nothing is in it that was not in the image
    assert set(padded.ravel()) == set(image.ravel())


@given(st.tuples(st.integers(1, 60), st.integers(1, 60)), st.sampled_from([1, 2, 4, 8]))
def test_points_of_a_strided_map_lie_in_the_frame_where_they_were(
    shape: tuple[int, int], stride: int
) -> None:
    plan = Padding.plan(shape, spec(None, 64, 16), spec(None, 1, 1, stride), "m")
    rows = np.arange(plan.padded_shape[0], dtype=float) - plan.before[0]
    columns = np.arange(plan.padded_shape[1], dtype=float) - plan.before[1]
    # a model whose output tells where the middle of each of its pixels lies
    row_map, column_map = (
        plan.crop(m.reshape(m.shape[0] // stride, stride, -1, stride).mean(axis=(1, 3)))
        for m in np.meshgrid(rows, columns, indexing="ij")
    )
    assert row_map.shape == plan.map_shape
    points = np.argwhere(np.ones(plan.map_shape))
    mapped = map_to_frame(points, plan.stride)
    np.testing.assert_allclose(mapped[:, 0], row_map.ravel(), atol=1e-4)
    np.testing.assert_allclose(mapped[:, 1], column_map.ravel(), atol=1e-4)


def test_small_frames_are_mirrored_into_a_fixed_size_and_cropped(
    make_onnx: MakeOnnx,
) -> None:
    path = make_onnx("fixed.onnx", shape=(1, 1, 64, 64), ops=["Sigmoid"])
    pipeline = Pipeline.load(DetectSettings(model=str(path), device="cpu"))
    image = np.arange(19 * 21, dtype=np.uint16).reshape(19, 21) % 7
    inferred = pipeline.run(image)
    assert inferred.map is not None
    np.testing.assert_allclose(
        inferred.map, 1 / (1 + np.exp(-image.astype(float))), atol=1e-6
    )


def test_larger_frames_than_a_fixed_size_are_refused_where_tiles_would_lie(
    make_onnx: MakeOnnx,
) -> None:
    # the norm of a row is another one in every tile
    path = make_onnx(
        "fixed.onnx", shape=(1, 1, 64, 64), ops=["LpNormalization", "Sigmoid"]
    )
    pipeline = Pipeline.load(
        DetectSettings(model=str(path), head="components", device="cpu")
    )
    with pytest.raises(Refused, match=r"takes images of 64 pixels along x.*have 80"):
        pipeline.check((64, 80))
    with pytest.raises(Refused, match="rows, columns"):
        pipeline.run(np.zeros((3, 64, 64), np.uint16))


def test_counts_are_not_cut_off_to_fit(make_onnx: MakeOnnx) -> None:
    from onnx import TensorProto

    path = make_onnx("bytes.onnx", dtype=TensorProto.UINT8)
    settings = DetectSettings(model=str(path), head="components", device="cpu")
    pipeline = Pipeline.load(settings)
    assert pipeline.run(np.ones((8, 8), np.uint8)).map is not None
    with pytest.raises(Refused, match="takes uint8 images and gets uint16"):
        pipeline.run(np.ones((8, 8), np.uint16))


@pytest.mark.parametrize("head", ["peaks", "components"])
def test_a_model_that_gives_nan_fails(make_onnx: MakeOnnx, head: str) -> None:
    path = make_onnx("nan.onnx", ops=[("Mul", np.float32(0)), ("Div", np.float32(0))])
    settings = DetectSettings(model=str(path), head=head, device="cpu")
    with pytest.raises(AnalysisFailed, match="nan gave values that are not finite"):
        Pipeline.load(settings).run(np.ones((16, 16), np.uint16))


def test_a_denoiser_that_gives_nan_fails_before_detection(make_onnx: MakeOnnx) -> None:
    path = make_onnx("nan.onnx", ops=[("Mul", np.float32(0)), ("Div", np.float32(0))])
    pipeline = Pipeline.load(
        DetectSettings(model="dog", device="cpu"),
        DenoiseSettings(model=str(path), device="cpu"),
    )
    with pytest.raises(AnalysisFailed, match="The model nan gave"):
        pipeline.run(np.ones((64, 64), np.uint16))


def test_detection_sees_the_restored_image(make_onnx: MakeOnnx) -> None:
    restore = make_onnx("times.onnx", ops=[("Mul", np.float32(3))])
    detect = make_onnx("plus.onnx", ops=[("Add", np.float32(1))])
    pipeline = Pipeline.load(
        DetectSettings(model=str(detect), head="components", device="cpu"),
        DenoiseSettings(model=str(restore), device="cpu", store=True),
    )
    inferred = pipeline.run(np.full((8, 8), 2, np.uint16))
    assert inferred.restored is not None
    assert inferred.map is not None
    assert (inferred.restored == 6).all()
    assert inferred.restored.dtype == np.float32
    assert (inferred.map == 7).all()
    assert set(inferred.timings_ms) == {"prepare", "detect"}


def test_the_restored_image_stays_in_the_graph_if_nobody_keeps_it() -> None:
    for fuse in (True, False):
        pipeline = Pipeline.load(
            DetectSettings(model="dog", device="cpu"),
            DenoiseSettings(model="gaussian", device="cpu"),
            fuse=fuse,
        )
        assert pipeline.run(np.ones((64, 64), np.uint16)).restored is None


def test_the_same_frame_gives_the_same_answer() -> None:
    image = np.random.default_rng(1).poisson(40, (200, 180)).astype(np.uint16)
    image[60:75, 80:95] += 200
    pipeline = Pipeline.load(
        DetectSettings(model="dog", device="cpu"),
        DenoiseSettings(model="gaussian", device="cpu"),
    )
    first, second = pipeline.run(image), pipeline.run(image)
    assert first.candidates is not None
    assert second.candidates is not None
    assert len(first.candidates) > 0
    np.testing.assert_array_equal(
        first.candidates.positions, second.candidates.positions
    )
    np.testing.assert_array_equal(first.candidates.crosses, second.candidates.crosses)


@pytest.mark.parametrize("shape", [(512, 512), (190, 211), (65, 130)])
def test_fused_and_unfused_agree(shape: tuple[int, int]) -> None:
    image = np.random.default_rng(2).poisson(50, shape).astype(np.uint16)
    rows, columns = np.indices(shape)
    for row, column in ((20, 30), (40, 100), (shape[0] - 3, shape[1] - 4)):
        image[(rows - row) ** 2 + (columns - column) ** 2 < 70] += 300
    settings = DetectSettings(model="dog", device="cpu")
    fused = Pipeline.load(settings).run(image).candidates
    unfused = Pipeline.load(settings, fuse=False).run(image).candidates
    assert fused is not None
    assert unfused is not None
    assert len(fused) == 3
    np.testing.assert_array_equal(fused.positions, unfused.positions)
    np.testing.assert_allclose(fused.crosses, unfused.crosses, atol=1e-6)
