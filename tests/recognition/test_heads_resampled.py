"""What a model says in its own pixels lies where it is in the frame.

The frames have 0.5 µm per pixel and the models were made for another size.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from useq import MDAEvent

from smartscope.acquisition import Frame, FrameState
from smartscope.inference import (
    BOX_CLASSES,
    BOX_SCORES,
    BOXES,
    STAR_POINTS,
    STAR_RAYS,
    STAR_SCORES,
    DetectSettings,
    Pipeline,
    map_to_frame,
)
from smartscope.recognition import Detections, ModelDetector
from smartscope.recognition.heads.boxes import decode_boxes
from smartscope.recognition.heads.labels import labels_in_frame
from smartscope.recognition.heads.stardist import decode_stardist

_SPEC = importlib.util.spec_from_file_location(
    "tiny_models", Path(__file__).parents[1] / "inference" / "tiny_models.py"
)
assert _SPEC is not None
assert _SPEC.loader is not None
tiny = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(tiny)

SHAPE = (80, 100)
PIXEL_UM = 0.5


def detect(model: Path, pixels: npt.NDArray[Any], **kwargs: Any) -> Detections:
    """Detect as one graph and as parts, which must agree."""
    state = FrameState(
        x_um=0.0,
        y_um=0.0,
        z_um=0.0,
        exposure_ms=10.0,
        channel="",
        pixel_size_um=PIXEL_UM,
    )
    frame = Frame(
        pixels=pixels,
        event=MDAEvent(),
        frame_id=0,
        time_s=0.0,
        handed_over_s=0.0,
        place="p0",
        state=state,
    )
    asked = DetectSettings(model=str(model), device="cpu", **kwargs)
    found = [
        ModelDetector(Pipeline.load(asked, fuse=fuse), asked).detect(frame)
        for fuse in (True, False)
    ]
    np.testing.assert_allclose(found[0].centers_px, found[1].centers_px, atol=1e-3)
    np.testing.assert_allclose(found[0].boxes_px, found[1].boxes_px, atol=1e-3)
    return found[0]


def card(head: str, ratio: float, **more: Any) -> dict[str, Any]:
    return {"head": head, "pixel_size_um": PIXEL_UM / ratio, **more}


def seen(ratio: float) -> tuple[int, int]:
    """Rows and columns of the frame as the model sees it."""
    return round(SHAPE[0] * ratio), round(SHAPE[1] * ratio)


RATIOS = pytest.mark.parametrize("ratio", [0.5, 2.0, 0.33])


@RATIOS
def test_boxes(tmp_path: Path, ratio: float) -> None:
    truth = np.array([[16, 25, 24, 35], [42, 64, 58, 76]], np.float32)
    scale = np.array(seen(ratio)) / SHAPE
    y0, x0, y1, x1 = (truth * np.tile(scale, 2)).T
    rows = np.stack(
        [(x0 + x1) / 2, (y0 + y1) / 2, x1 - x0, y1 - y0, [0.9, 0.8]], axis=1
    )
    said = np.tile(rows.T.astype(np.float32), (1, 1, 4))
    model = tiny.write_saying(tmp_path / "b.onnx", [said], card("boxes", ratio))
    pixels = np.full(SHAPE, 100, np.uint16)
    pixels[16:24, 25:35] = 300
    found = detect(model, pixels)
    np.testing.assert_allclose(found.boxes_px, truth, atol=1e-3)
    np.testing.assert_allclose(found.area_px, [80, 192], rtol=1e-4)
    np.testing.assert_allclose(found.centers_px, [[19.5, 29.5], [49.5, 69.5]])
    np.testing.assert_allclose(found.intensity, [200, 0], atol=1e-3)


@RATIOS
def test_stars(tmp_path: Path, ratio: float) -> None:
    shape = seen(ratio)
    said = np.zeros((1, 33, *shape), np.float32)
    at = tuple((np.array([40, 60]) * ratio).astype(int))
    said[0, 0, *at] = 0.9
    said[0, 1:, *at] = 12 * ratio
    model = tiny.write_saying(
        tmp_path / "s.onnx", [said], card("stardist", ratio), shape
    )
    found = detect(model, np.ones(SHAPE, np.uint16))
    expected = map_to_frame(np.array([at]), (SHAPE[0] / shape[0], SHAPE[1] / shape[1]))
    np.testing.assert_allclose(found.centers_px, expected, atol=0.1)
    np.testing.assert_allclose(found.area_px, [np.pi * 144], rtol=0.04)
    assert found.labels is not None
    assert found.labels.shape == SHAPE
    assert found.polygons is not None
    ends = np.hypot(*(found.polygons[0] - expected[0]).T)
    np.testing.assert_allclose(ends, 12, rtol=0.03)


@RATIOS
def test_labels(tmp_path: Path, ratio: float) -> None:
    truth = np.zeros(SHAPE, np.int32)
    truth[20:40, 30:60] = 7
    truth[50:70, 10:20] = 2
    shape = seen(ratio)
    at = [
        ((np.arange(n) + 0.5) * m / n).astype(int)
        for n, m in zip(shape, SHAPE, strict=True)
    ]
    said = truth[at[0][:, None], at[1]][None, None].astype(np.float32)
    model = tiny.write_saying(tmp_path / "l.onnx", [said], card("labels", ratio), shape)
    found = detect(model, np.ones(SHAPE, np.uint16))
    assert found.labels is not None
    assert found.labels.shape == SHAPE
    pixel = 0.01 if ratio in (0.5, 2.0) else 1 / ratio
    np.testing.assert_allclose(
        found.boxes_px, [[50, 10, 70, 20], [20, 30, 40, 60]], atol=pixel
    )
    np.testing.assert_allclose(
        found.centers_px, [[59.5, 14.5], [29.5, 44.5]], atol=pixel
    )
    if ratio in (0.5, 2.0):
        assert found.area_px.tolist() == [200, 600]
        np.testing.assert_array_equal(found.labels > 0, truth > 0)


@pytest.mark.parametrize("head", ["peaks", "components"])
@RATIOS
def test_maps(tmp_path: Path, head: str, ratio: float) -> None:
    # the net gives back what it sees: a Gaussian, wherever it lies
    rows, columns = np.indices(SHAPE)
    distance = (rows - 33) ** 2 + (columns - 61) ** 2
    pixels = np.rint(90 * np.exp(-distance / (2 * 8.0**2))).astype(np.uint16)
    model = tiny.write_map_net(
        tmp_path / "m.onnx", 1, card(head, ratio, radius_um=4.0, threshold=0.4)
    )
    found = detect(model, pixels)
    assert len(found) == 1
    np.testing.assert_allclose(found.centers_px, [[33, 61]], atol=0.4)
    if head == "components":
        area = np.pi * 2 * 64 * np.log(0.9 / 0.4)
        np.testing.assert_allclose(found.area_px, [area], rtol=0.08)
        sides = found.boxes_px[0, 2:] - found.boxes_px[0, :2]
        np.testing.assert_allclose(sides, 2 * np.sqrt(area / np.pi), atol=1 / ratio + 1)


@RATIOS
def test_peaks_of_classes(tmp_path: Path, ratio: float) -> None:
    shape = seen(ratio)
    said = np.zeros((1, 4, *shape), np.float32)
    at = [tuple((np.array(p) * ratio).astype(int)) for p in ((20, 30), (60, 80))]
    said[0, 0, *at[0]], said[0, 1, *at[1]] = 0.9, 0.8
    said[0, 2:, *at[0]] = 0.25
    model = tiny.write_saying(
        tmp_path / "c.onnx",
        [said],
        card("peaks", ratio, classes=["a", "b"], offsets=[2, 3]),
        shape,
    )
    found = detect(model, np.ones(SHAPE, np.uint16))
    scale = (SHAPE[0] / shape[0], SHAPE[1] / shape[1])
    expected = map_to_frame(np.add(at, [[0.25, 0.25], [0, 0]]), scale)
    np.testing.assert_allclose(found.centers_px, expected, atol=1e-3)
    assert found.class_id.tolist() == [0, 1]


FLOATS = st.floats(-50, 500, width=32)
SCALES = st.tuples(st.floats(0.1, 10), st.floats(0.1, 10))


@given(FLOATS, FLOATS, st.floats(1, 100), st.floats(1, 100), SCALES)
def test_the_middle_of_a_box_is_mapped_as_a_point(
    top: float, left: float, high: float, wide: float, scale: tuple[float, float]
) -> None:
    box = np.array([[top, left, top + high, left + wide]], np.float32)
    found = {
        BOXES: box,
        BOX_SCORES: np.array([0.9], np.float32),
        BOX_CLASSES: np.array([0]),
    }
    mapped, _, _ = decode_boxes(found, 1, scale)
    middle = (box[:, :2] + box[:, 2:]) / 2 - 0.5
    np.testing.assert_allclose(
        (mapped[:, :2] + mapped[:, 2:]) / 2 - 0.5,
        map_to_frame(middle, scale),
        atol=1e-2,
        rtol=1e-5,
    )
    np.testing.assert_allclose(
        mapped[:, 2:] - mapped[:, :2], [[high * scale[0], wide * scale[1]]], rtol=1e-2
    )


@given(st.integers(0, 60), st.integers(0, 60), st.integers(2, 20), SCALES)
def test_outlines_are_mapped_as_their_points(
    row: int, column: int, radius: int, scale: tuple[float, float]
) -> None:
    found = {
        STAR_POINTS: np.array([[row, column]], np.float32),
        STAR_SCORES: np.array([0.9], np.float32),
        STAR_RAYS: np.full((1, 8), radius, np.float32),
    }
    _, _, plain = decode_stardist(found, 0.4)
    points, _, mapped = decode_stardist(found, 0.4, scale)
    np.testing.assert_allclose(mapped, map_to_frame(plain, scale), rtol=1e-4, atol=1e-3)
    np.testing.assert_allclose(points[0], mapped[0].mean(axis=0), rtol=1e-4, atol=1e-2)


@given(
    st.tuples(st.integers(1, 12), st.integers(1, 12)),
    st.tuples(st.integers(1, 40), st.integers(1, 40)),
)
def test_a_label_of_the_frame_is_that_of_the_pixel_it_lies_in(
    size: tuple[int, int], shape: tuple[int, int]
) -> None:
    labels = np.arange(size[0] * size[1], dtype=np.int32).reshape(size)
    scale = (shape[0] / size[0], shape[1] / size[1])
    mapped = labels_in_frame(labels, shape, scale)
    assert mapped.shape == shape
    for row in range(shape[0]):
        for column in range(shape[1]):
            at = ((row + 0.5) / scale[0], (column + 0.5) / scale[1])
            near = np.abs(
                np.array(divmod(int(mapped[row, column]), size[1])) + 0.5 - at
            )
            assert (near <= 0.5 + 1e-9).all()
