"""Each head from the experiment's settings to Detections, with small real models."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.measure import regionprops
from useq import MDAEvent

from smartscope.acquisition import Frame, FrameState
from smartscope.errors import AnalysisFailed, Refused
from smartscope.inference import DetectSettings, Pipeline
from smartscope.recognition import Detections, ModelDetector, load_detector

_SPEC = importlib.util.spec_from_file_location(
    "tiny_models", Path(__file__).parents[1] / "inference" / "tiny_models.py"
)
assert _SPEC is not None
assert _SPEC.loader is not None
tiny = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(tiny)


def frame_of(pixels: npt.NDArray[Any]) -> Frame:
    return Frame(
        pixels=pixels,
        event=MDAEvent(),
        frame_id=0,
        time_s=0.0,
        handed_over_s=0.0,
        place="p0",
        state=FrameState(
            x_um=1000.0,
            y_um=-500.0,
            z_um=0.0,
            exposure_ms=10.0,
            channel="",
            pixel_size_um=0.5,
            orientation=((0.0, -1.0), (1.0, 0.0)),
        ),
    )


def detect(model: Path, pixels: npt.NDArray[Any], **kwargs: Any) -> Detections:
    detector = load_detector(DetectSettings(model=str(model), device="cpu", **kwargs))
    first = detector.detect(frame_of(pixels))
    second = detector.detect(frame_of(pixels))
    assert first.to_record() == second.to_record()
    return first


def on_stage(center: npt.NDArray[Any], shape: tuple[int, int]) -> list[float]:
    """Where a pixel lies, turned by the orientation of `frame_of`."""
    row, column = center - (np.array(shape) - 1) / 2
    return [1000.0 - 0.5 * row, -500.0 + 0.5 * column]


def yolo8(rows: list[list[float]]) -> npt.NDArray[np.float32]:
    return np.array(rows, np.float32).T[None]


TWO = [[30, 20, 10, 8, 0.9, 0.1], [70, 50, 12, 16, 0.2, 0.8]]


def test_boxes(tmp_path: Path) -> None:
    model = tiny.write_saying(
        tmp_path / "yolo.onnx",
        [yolo8(TWO + [[31, 20, 10, 8, 0.7, 0.1], [5, 5, 4, 4, 0.3, 0.2]] * 3)],
        {"head": "boxes", "layout": "yolo8", "classes": ["round", "long"]},
    )
    pixels = np.full((80, 100), 100, np.uint16)
    pixels[16:24, 25:35] = 300
    found = detect(model, pixels)
    assert found.class_names == ("round", "long")
    assert found.class_id.tolist() == [0, 1]
    np.testing.assert_allclose(found.score, [0.9, 0.8])
    np.testing.assert_allclose(found.boxes_px, [[16, 25, 24, 35], [42, 64, 58, 76]])
    np.testing.assert_allclose(found.centers_px, [[19.5, 29.5], [49.5, 69.5]])
    np.testing.assert_allclose(found.area_px, [80, 192])
    np.testing.assert_allclose(found.intensity, [200, 0])
    np.testing.assert_allclose(
        found.centers_um[1], on_stage(np.array([49.5, 69.5]), (80, 100))
    )
    assert len(detect(model, pixels, threshold=0.85)) == 1
    assert len(detect(model, pixels, nms_overlap=0.99)) == 3
    assert len(detect(model, pixels, min_area_um2=30)) == 1
    assert "polygons" not in found.to_record()


def test_the_layouts_say_the_same_things(tmp_path: Path) -> None:
    rows = np.array(TWO * 4, np.float32)
    with_objectness = np.insert(rows, 4, 1.0, axis=1)
    half = rows[:, 2:4] / 2
    corners = np.concatenate(
        [rows[:, :2] - half, rows[:, :2] + half, [[0.9, 0], [0.8, 1]] * 4], axis=1
    ).astype(np.float32)[:2]
    shares = rows.copy()
    shares[:, :4] /= np.array([100, 80, 100, 80], np.float32)
    names = {"head": "boxes", "classes": ["round", "long"]}
    pixels = np.ones((80, 100), np.uint16)
    found = [
        detect(tiny.write_saying(tmp_path / f"{i}.onnx", [array], card), pixels)
        for i, (array, card) in enumerate(
            [
                (rows.T[None], names),
                (rows[None], names | {"layout": "yolo8_rows"}),
                (with_objectness[None], names | {"layout": "yolo5"}),
                (corners[None], names | {"layout": "nms_inside"}),
                (shares.T[None], names | {"box_units": "share"}),
            ]
        )
    ]
    for other in found[1:]:
        np.testing.assert_allclose(other.boxes_px, found[0].boxes_px, atol=1e-4)
        np.testing.assert_allclose(other.score, found[0].score, atol=1e-6)
        assert other.class_id.tolist() == found[0].class_id.tolist()


def test_boxes_of_a_padded_frame_lie_where_they_are_in_the_frame(
    tmp_path: Path,
) -> None:
    # 128 × 128 go in, so 80 × 100 have 24 rows and 14 columns before them
    inside = [14 + 30, 24 + 20, 10, 8, 0.9]
    cut, beyond = [14, 24 + 50, 12, 8, 0.8], [5, 5, 8, 8, 0.95]
    model = tiny.write_saying(
        tmp_path / "fixed.onnx",
        [yolo8([inside, cut, beyond] * 3)],
        {"head": "boxes"},
        size=(128, 128),
    )
    found = detect(model, np.ones((80, 100), np.uint16))
    np.testing.assert_allclose(found.boxes_px, [[16, 25, 24, 35], [46, 0, 54, 6]])
    assert found.class_names == ("object",)


@given(
    st.lists(
        st.tuples(st.integers(0, 3), st.integers(0, 4), st.floats(0.55, 0.99)),
        max_size=10,
        unique_by=lambda t: t[:2],
    )
)
@settings(max_examples=15)
def test_planted_boxes_come_back_once_each(
    tmp_path_factory: pytest.TempPathFactory, cells: list[tuple[int, int, float]]
) -> None:
    rows = [[12 + 20 * c, 12 + 20 * r, 14, 12, s] for r, c, s in cells]
    rows += [[x + 1, y - 1, w, h, s - 0.03] for x, y, w, h, s in rows]
    rows += [[50.0, 40, 10, 10, 0.01]] * 6
    folder = tmp_path_factory.mktemp("boxes")
    model = tiny.write_saying(folder / "m.onnx", [yolo8(rows)], {"head": "boxes"})
    found = detect(model, np.ones((90, 110), np.uint16))
    got = {(round(y), round(x)) for y, x in found.centers_px + 0.5}
    assert got == {(12 + 20 * r, 12 + 20 * c) for r, c, _ in cells}
    assert len(found) == len(cells)
    assert (np.diff(found.score) <= 0).all()


@pytest.mark.parametrize(("grid", "size"), [(1, (90, 110)), (2, (91, 111))])
def test_stars(tmp_path: Path, grid: int, size: tuple[int, int]) -> None:
    model = tiny.write_star_net(tmp_path / "star.onnx", 32, 8.0, grid)
    pixels = np.zeros(size, np.uint16)
    for (row, column), light in zip(
        [(20, 30), (60, 80), (22, 30)], (90, 80, 70), strict=True
    ):
        pixels[row, column] = light
    found = detect(model, pixels)
    np.testing.assert_allclose(found.score, [0.9, 0.8])
    np.testing.assert_allclose(found.centers_px, [[20, 30], [60, 80]], atol=0.6)
    np.testing.assert_allclose(found.area_px, np.pi * 64, rtol=0.05)
    assert found.polygons is not None
    assert found.labels is not None
    assert [p.shape for p in found.polygons] == [(32, 2)] * 2
    assert found.labels.shape == size
    assert np.bincount(found.labels.ravel())[1:].tolist() == found.area_px.tolist()
    record = found.to_record()
    assert np.shape(record["polygons"]) == (2, 32, 2)
    assert "labels" not in record
    assert len(detect(model, pixels, threshold=0.85)) == 1
    assert len(detect(model, pixels, nms_overlap=0.95)) == 3
    assert len(detect(model, np.zeros(size, np.uint16))) == 0


@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("swapped", [False, True])
def test_stars_in_two_outputs_as_nets_are_exported(
    tmp_path: Path, last: bool, swapped: bool
) -> None:
    probability = np.zeros((1, 1, 40, 50), np.float32)
    rays = np.full((1, 16, 40, 50), 6, np.float32)
    probability[0, 0, 15, 20], rays[0, :, 15, 20] = 0.9, 9
    said = [rays, probability] if swapped else [probability, rays]
    axes = "byxc" if last else "bcyx"
    if last:
        said = [np.ascontiguousarray(a.transpose(0, 2, 3, 1)) for a in said]
    card = {"head": "stardist", "grid": 2, "axes": "bcyx", "output_axes": axes}
    model = tiny.write_saying(tmp_path / "two.onnx", said, card, (80, 100))
    found = detect(model, np.ones((80, 100), np.uint16))
    assert len(found) == 1
    np.testing.assert_allclose(found.centers_px, [[30, 40]], atol=0.2)
    np.testing.assert_allclose(found.area_px, np.pi * 81, rtol=0.05)
    asked = DetectSettings(model=str(model), device="cpu")
    assert Pipeline.load(asked).detect.fused


def test_labels_are_measured_as_scikit_image_does(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    labels = np.zeros((1, 1, 60, 70), np.int32)
    for name, (row, column) in zip(
        (9, 2, 5, 4), [(5, 5), (30, 10), (8, 50), (40, 40)], strict=True
    ):
        tall, wide = rng.integers(5, 15, 2)
        labels[0, 0, row : row + tall, column : column + wide] = name
    labels[0, 0, 50:53, 60:64] = 9  # a second part of a thing
    model = tiny.write_saying(tmp_path / "l.onnx", [labels], size=(60, 70))
    pixels = np.full((60, 70), 50, np.uint16)
    found = detect(model, pixels)  # whole numbers: the head is clear without a card
    expected = regionprops(labels[0, 0])
    assert len(found) == len(expected) == 4
    np.testing.assert_allclose(
        found.centers_px, [r.centroid for r in expected], atol=1e-4
    )
    np.testing.assert_array_equal(found.area_px, [r.area for r in expected])
    np.testing.assert_array_equal(found.boxes_px, [r.bbox for r in expected])
    np.testing.assert_allclose(found.intensity, 0)
    assert (found.score == 1).all()
    assert found.labels is not None
    for i, region in enumerate(expected):
        np.testing.assert_array_equal(
            found.labels == i + 1, labels[0, 0] == region.label
        )
    few = detect(model, pixels, min_area_um2=found.area_px.max() * 0.25 - 0.1)
    assert few.labels is not None
    assert len(few) == 1
    assert few.labels.max() == 1
    assert (few.labels > 0).sum() == few.area_px[0]


def test_labels_of_another_pixel_size(tmp_path: Path) -> None:
    labels = np.zeros((1, 1, 20, 30), np.float32)
    labels[0, 0, 5:8, 10:14] = 3
    model = tiny.write_saying(
        tmp_path / "half.onnx", [labels], {"head": "labels", "stride": 2}, size=(40, 60)
    )
    found = detect(model, np.ones((40, 60), np.uint16))
    np.testing.assert_allclose(found.centers_px, [[12.5, 23.5]])
    np.testing.assert_array_equal(found.boxes_px, [[10, 20, 16, 28]])
    assert found.area_px.tolist() == [48]


def test_the_class_of_a_whole_field(tmp_path: Path) -> None:
    scores = np.array([[0.1, 0.7, 0.2]], np.float32)
    model = tiny.write_saying(
        tmp_path / "c.onnx", [scores], {"classes": ["empty", "some", "dense"]}
    )
    found = detect(model, np.full((40, 60), 7, np.uint16))
    assert found.class_names[found.class_id[0]] == "some"
    np.testing.assert_allclose(found.score, [0.7])
    np.testing.assert_array_equal(found.boxes_px, [[0, 0, 40, 60]])
    np.testing.assert_allclose(found.centers_px, [[19.5, 29.5]])
    np.testing.assert_allclose(found.centers_um, [[1000, -500]])
    assert found.intensity.tolist() == [7]
    assert len(detect(model, np.ones((40, 60), np.uint16), threshold=0.75)) == 0


def test_raw_numbers_of_a_classifier_need_a_softmax(tmp_path: Path) -> None:
    raw = np.array([[1.0, 4.0]], np.float32)
    card = {"head": "classes", "classes": ["a", "b"]}
    pixels = np.ones((20, 20), np.uint16)
    model = tiny.write_saying(tmp_path / "raw.onnx", [raw], card)
    with pytest.raises(AnalysisFailed, match="scores from 1 to 4"):
        detect(model, pixels)
    card["postprocessing"] = [{"id": "softmax", "kwargs": {"axis": "c"}}]
    model = tiny.write_saying(tmp_path / "soft.onnx", [raw], card)
    np.testing.assert_allclose(detect(model, pixels).score, [1 / (1 + np.exp(-3))])


def spots(light: list[tuple[int, int, int]]) -> npt.NDArray[np.uint16]:
    pixels = np.zeros((60, 70), np.uint16)
    for row, column, value in light:
        pixels[row, column] = value
    return pixels


def test_peaks_of_several_classes(tmp_path: Path) -> None:
    card = {"head": "peaks", "classes": ["dim", "bright"], "radius_um": 2.0}
    model = tiny.write_map_net(tmp_path / "two.onnx", 2, card)
    # 160 is nearer to the second class, and some of the first
    pixels = spots([(10, 10, 80), (30, 40, 160), (50, 20, 90)])
    found = detect(model, pixels, min_distance_um=2.0)
    assert found.class_names == ("dim", "bright")
    order = np.argsort(found.centers_px[:, 0])
    np.testing.assert_allclose(
        found.centers_px[order], [[10, 10], [30, 40], [50, 20]], atol=1e-4
    )
    assert found.class_id[order].tolist() == [0, 1, 0]
    np.testing.assert_allclose(found.score, [0.9, 0.8, 0.6], atol=1e-6)
    # where a thing is seen as both, the better class stays
    both = detect(model, pixels, min_distance_um=2.0, threshold=0.3)
    assert both.class_id.tolist() == found.class_id.tolist()


def test_offsets_say_where_a_peak_lies(tmp_path: Path) -> None:
    maps = np.zeros((1, 3, 60, 70), np.float32)
    maps[0, 0, 20, 30], maps[0, 0, 40, 50] = 0.9, 0.8
    maps[0, 1, 20, 30], maps[0, 2, 20, 30] = 0.25, -0.5
    model = tiny.write_saying(
        tmp_path / "o.onnx", [maps], {"head": "peaks", "offsets": [1, 2]}, (60, 70)
    )
    found = detect(model, np.ones((60, 70), np.uint16), min_distance_um=1.0)
    np.testing.assert_allclose(found.centers_px, [[20.25, 29.5], [40, 50]])


@pytest.mark.parametrize("head", ["boxes", "stardist", "labels", "classes", "peaks"])
def test_what_is_not_finite_fails(tmp_path: Path, head: str) -> None:
    shapes = {
        "boxes": (1, 6, 40),
        "stardist": (1, 9, 20, 20),
        "labels": (1, 1, 20, 20),
        "classes": (1, 1),
        "peaks": (1, 3, 20, 20),
    }
    said = np.zeros(shapes[head], np.float32)
    card: dict[str, Any] = {"head": head}
    if head == "peaks":
        card["offsets"] = [1, 2]
    size = (20, 20) if said.ndim == 4 else ("y", "x")
    model = tiny.write_saying(tmp_path / "nan.onnx", [said], card, size, broken=True)
    with pytest.raises(AnalysisFailed, match="not finite"):
        detect(model, np.ones((20, 20), np.uint16))


@pytest.mark.parametrize(
    ("shape", "card", "told"),
    [
        ((1, 300, 6), {"head": "boxes"}, "more than one way"),
        ((1, 7, 3), {"head": "boxes", "layout": "yolo8_rows"}, "yolo8_rows is"),
        ((1, 7, 400), {"head": "boxes", "classes": ["a", "b"]}, "more than one way"),
        ((1, 7, 400), {"head": "boxes", "layout": "nms_inside"}, "nms_inside is"),
        (
            (1, 7, 400),
            {"head": "boxes", "layout": "yolo8", "classes": ["a", "b"]},
            "3 classes, and 2 are named",
        ),
        ((1, 400), {"head": "peaks"}, "without y and x"),
        ((1, 4), {"head": "classes", "classes": ["a", "b"]}, "4 scores and names 2"),
        ((1, 2, 20, 20), {"head": "stardist"}, "outputs of 2 channels"),
        ((1, 33, 20, 20), {"head": "stardist", "n_rays": 64}, "32 rays and its card"),
        (
            (1, 3, 20, 20),
            {"head": "peaks", "classes": ["a", "b"]},
            "3 maps and names 2 classes",
        ),
        ((1, 3, 20, 20), {"head": "peaks", "offsets": [1, 7]}, "offsets from the"),
        ((1, 1, 20, 20), {"head": "labels", "classes": ["a", "b"]}, "one class"),
        ((1, 3, 20, 20), {"head": "labels"}, "labels are read from none"),
        ((1, 1, 20, 20), {"grid": 2, "stride": 4}, "say the same thing"),
        ((1, 1, 20, 20), {}, "Nothing says how"),
    ],
)
def test_what_cannot_be_read_is_refused_before_the_run(
    tmp_path: Path, shape: tuple[int, ...], card: dict[str, Any], told: str
) -> None:
    size = (20, 20) if len(shape) == 4 else ("y", "x")
    said = np.zeros(shape, np.float32)
    model = tiny.write_saying(tmp_path / "m.onnx", [said], card, size)
    with pytest.raises(Refused, match=told):
        load_detector(DetectSettings(model=str(model), device="cpu"))


def test_one_model_for_each_head_is_written(tmp_path: Path) -> None:
    tiny.write_all(tmp_path)
    pixels = np.zeros((64, 64), np.uint16)
    pixels[20, 30] = 90
    for name in ("stardist", "peaks", "components", "labels", "classes", "yolo8"):
        assert len(detect(tmp_path / f"{name}.onnx", pixels)) >= 1


@pytest.mark.parametrize(
    "name", ["yolo8", "classes", "labels", "stardist", "peaks", "components"]
)
@pytest.mark.parametrize("size", [(64, 64), (51, 64)])
def test_one_graph_and_its_parts_find_the_same(
    tmp_path: Path, name: str, size: tuple[int, int]
) -> None:
    if name == "labels" and size != (64, 64):
        pytest.skip("it says the labels of one size only")
    tiny.write_all(tmp_path)
    asked = DetectSettings(model=str(tmp_path / f"{name}.onnx"), device="cpu")
    pixels = np.zeros(size, np.uint16)
    pixels[20, 30], pixels[40, 12] = 90, 80
    whole, parts = (
        ModelDetector(Pipeline.load(asked, fuse=fuse), asked) for fuse in (True, False)
    )
    found = whole.detect(frame_of(pixels)).to_record()
    assert found == parts.detect(frame_of(pixels)).to_record()
    assert len(found["score"]) >= 1


def test_a_detector_says_when_there_was_more_than_is_kept(tmp_path: Path) -> None:
    model = tiny.write_map_net(tmp_path / "m.onnx", 1, {"head": "peaks"})
    detector = load_detector(DetectSettings(model=str(model), device="cpu"))
    assert isinstance(detector, ModelDetector)
    many = np.zeros((250, 250), np.uint16)
    many[2::5, 2::5] = 100
    few = many.copy()
    few[100:] = 0
    detector.detect(frame_of(many))
    (told,) = detector.remarks
    assert told.startswith("2048 peaks, the most that are kept")
    detector.detect(frame_of(few))
    assert detector.remarks == ()
