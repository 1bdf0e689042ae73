"""Frames of another pixel size: brought to the model's and mapped back."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from smartscope.errors import Refused
from smartscope.inference import (
    DenoiseSettings,
    DetectSettings,
    Pipeline,
    Planes,
    map_to_frame,
)
from smartscope.inference.graph import GraphTail
from smartscope.inference.resampling import append_resampling, resample, resampled_shape

MakeOnnx = Callable[..., Path]


@settings(max_examples=60, deadline=None)
@given(
    st.tuples(st.integers(1, 60), st.integers(1, 60)),
    st.floats(0.05, 6),
    st.integers(1, 3),
    st.integers(0, 2**32 - 1),
)
def test_numpy_and_the_runtime_resample_alike(
    shape: tuple[int, int], ratio: float, planes: int, seed: int
) -> None:
    wanted = (max(1, round(shape[0] * ratio)), max(1, round(shape[1] * ratio)))
    images = np.random.default_rng(seed).integers(0, 60_000, (1, planes, *shape))
    images = images.astype(np.float32)
    tail = GraphTail(18)
    name = tail.input("in", images.shape)
    tail.output(
        append_resampling(tail, name, planes, shape, wanted),
        "out",
        "float32",
        [None] * 4,
    )
    session = ort.InferenceSession(
        tail.serialized(), providers=["CPUExecutionProvider"]
    )
    (got,) = session.run(None, {"in": images})[0]
    for image, other in zip(images[0], got, strict=True):
        np.testing.assert_allclose(other, resample(image, wanted), atol=2)


@given(
    st.tuples(st.integers(1, 90), st.integers(1, 90)),
    st.tuples(st.integers(1, 90), st.integers(1, 90)),
)
def test_what_is_even_stays_even(
    shape: tuple[int, int], wanted: tuple[int, int]
) -> None:
    made = resample(np.full(shape, 1234, np.uint16), wanted)
    assert made.shape == wanted
    assert made.dtype == np.float32
    np.testing.assert_allclose(made, 1234, rtol=1e-5)


@settings(max_examples=60)
@given(st.floats(0.2, 4), st.floats(20, 60), st.floats(20, 60))
def test_a_spot_lies_where_it_lay(ratio: float, row: float, column: float) -> None:
    rows, columns = np.indices((80, 80))
    image = np.exp(-((rows - row) ** 2 + (columns - column) ** 2) / 50)
    shape = (round(80 * ratio), round(80 * ratio))
    made = resample(image, shape)
    where = np.array(
        [[(made * i).sum() / made.sum() for i in np.indices(shape, dtype=float)]]
    )
    back = map_to_frame(where, (80 / shape[0], 80 / shape[1]))
    np.testing.assert_allclose(back, [[row, column]], atol=0.1)


def test_near_pixel_sizes_are_left_as_they_are() -> None:
    assert resampled_shape((100, 200), 0.7, 0.65, "m") == (100, 200)
    assert resampled_shape((100, 200), 0.6, 0.65, "m") == (100, 200)
    assert resampled_shape((100, 200), None, 0.65, "m") == (100, 200)
    assert resampled_shape((100, 200), 0.65, None, "m") == (100, 200)
    assert resampled_shape((100, 200), 1.3, 0.65, "m") == (200, 400)
    assert resampled_shape((100, 200), 0.325, 0.65, "m") == (50, 100)
    with pytest.raises(Refused, match=r"made for 0.65 µm per pixel.*have 65"):
        resampled_shape((100, 200), 65, 0.65, "m")


def with_card(path: Path, **card: object) -> str:
    path.with_suffix(".yaml").write_text(yaml.safe_dump(card), encoding="utf-8")
    return str(path)


@settings(max_examples=30, deadline=None)
@given(
    st.tuples(st.integers(2, 50), st.integers(2, 50)),
    st.sampled_from([0.2, 0.4, 0.65, 1.3, 2.0]),
    st.sampled_from([0.25, 0.65, 1.0]),
    st.sampled_from([np.uint8, np.uint16, np.float32]),
    st.integers(0, 2**32 - 1),
)
def test_fused_and_parts_agree_on_frames_of_any_pixel_size(
    tmp_path_factory: pytest.TempPathFactory,
    shape: tuple[int, int],
    pixel_um: float,
    restored_um: float,
    dtype: type,
    seed: int,
) -> None:
    make = tmp_path_factory.getbasetemp()
    nets = {}
    for name, size in (("first", restored_um), ("second", 0.65)):
        path = make / f"{name}_{size}.onnx"
        if not path.exists():
            tail = GraphTail(16)  # older than Resize with antialias
            image = tail.input("in", [1, 1, "y", "x"])  # type: ignore[list-item]
            pooled = tail.node(
                "AveragePool", [image], kernel_shape=[3, 3], pads=[1, 1, 1, 1]
            )
            tail.output(pooled, "out", "float32", [1, 1, None, None])
            path.write_bytes(tail.serialized())
            with_card(path, pixel_size_um=size, step=4)
        nets[name] = str(path)
    top = 256 if dtype is np.uint8 else 5000
    image = np.random.default_rng(seed).integers(0, top, shape).astype(dtype)
    given_ = Planes((image,), ("FITC",), pixel_um)
    got, expected = (
        Pipeline.load(
            DetectSettings(model=nets["second"], head="components", device="cpu"),
            DenoiseSettings(model=nets["first"], device="cpu", store=True),
            threads=1,
            fuse=fuse,
        ).run(given_)
        for fuse in (True, False)
    )
    assert got.scale == expected.scale
    assert got.stride == expected.stride
    for name in ("restored", "map"):
        seen, other = getattr(got, name), getattr(expected, name)
        np.testing.assert_allclose(seen, other, rtol=1e-4, atol=1e-4 * top)
    assert got.restored is not None
    assert got.restored.shape == shape
    assert got.map is not None
    for i in range(2):
        assert got.map.shape[i] * got.stride[i] == pytest.approx(shape[i])


def test_a_thing_is_found_at_the_same_place_at_any_pixel_size() -> None:
    places = []
    for size, pixel_um in ((320, 0.65), (160, 1.3), (640, 0.325), (284, 0.73234)):
        rows, columns = (np.indices((size, size)) + 0.5) * pixel_um
        image = 100 + 400 * np.exp(-((rows - 90) ** 2 + (columns - 120) ** 2) / 30)
        pixels = np.random.default_rng(1).poisson(image).astype(np.uint16)
        pipeline = Pipeline.load(DetectSettings(model="dog", device="cpu"))
        inferred = pipeline.run(Planes((pixels,), ("FITC",), pixel_um))
        assert pipeline.unfused == ""
        assert inferred.candidates is not None
        assert len(inferred.candidates) == 1
        found = map_to_frame(inferred.candidates.positions, inferred.stride)
        places.append((found[0] + 0.5) * pixel_um)
        told = " ".join(pipeline.notices)
        assert (f": {pixel_um:g} → 0.65 µm" in told) == (inferred.scale != (1.0, 1.0))
    np.testing.assert_allclose(places, [[90, 120]] * 4, atol=1.3)


def test_resample_false_leaves_frames_as_they_are() -> None:
    settings_ = DetectSettings(model="dog", device="cpu", resample=False)
    pipeline = Pipeline.load(settings_)
    pipeline.check((64, 64), 65)
    image = np.ones((64, 64), np.uint16)
    assert pipeline.run(Planes((image,), ("",), 1.3)).scale == (1.0, 1.0)
    with pytest.raises(Refused, match="another objective"):
        Pipeline.load(DetectSettings(model="dog", device="cpu")).check((64, 64), 65)
