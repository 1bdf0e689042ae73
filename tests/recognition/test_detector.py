"""Detectors as experiments name them: models, and classes of one's own."""

from __future__ import annotations

import sys
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from useq import MDAEvent

from smartscope.acquisition import Frame, FrameState
from smartscope.errors import AnalysisFailed, Refused
from smartscope.inference import DenoiseSettings, DetectSettings
from smartscope.recognition import (
    Detections,
    Detector,
    ModelDetector,
    detections_at,
    load_detector,
)

SHARED = Path(__file__).parents[3] / "shared" / "data"
UNET = SHARED / "models" / "unet2d_nuclei_broad"
needs_shared = pytest.mark.skipif(not UNET.is_dir(), reason="shared data are not there")


def make_frame(pixels: npt.NDArray[Any], pixel_size_um: float = 0.65) -> Frame:
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
            pixel_size_um=pixel_size_um,
            orientation=((0.0, -1.0), (1.0, 0.0)),
        ),
    )


def nuclei(
    centers: list[tuple[int, int]], shape: tuple[int, int] = (256, 300)
) -> npt.NDArray[np.uint16]:
    rng = np.random.default_rng(5)
    rows, columns = np.indices(shape)
    mean = np.full(shape, 20.0)
    for row, column in centers:
        mean[(rows - row) ** 2 + (columns - column) ** 2 <= 81] += 60
    return (100 + 1.5 * rng.poisson(mean)).astype(np.uint16)


CENTERS = [(40, 50), (120, 200), (200, 90), (230, 280)]


@pytest.mark.parametrize(
    "denoise", [None, DenoiseSettings(model="gaussian", store=True)]
)
def test_nuclei_are_found_where_they_are(denoise: DenoiseSettings | None) -> None:
    detector = load_detector(DetectSettings(model="dog"), denoise)
    assert isinstance(detector, ModelDetector)
    assert isinstance(detector, Detector)
    frame = make_frame(nuclei(CENTERS))
    detector.warm_up(frame)
    found = detector.detect(frame)
    assert found.class_names == ("nucleus",)
    order = np.argsort(found.centers_px[:, 0])
    np.testing.assert_allclose(found.centers_px[order], CENTERS, atol=1.0)
    # turned by the frame's orientation, about its centre
    expected = [
        (1000 - 0.65 * (r - 127.5), -500 + 0.65 * (c - 149.5)) for r, c in CENTERS
    ]
    np.testing.assert_allclose(found.centers_um[order], expected, atol=1.0)
    np.testing.assert_allclose(found.intensity, 90, rtol=0.12)
    np.testing.assert_allclose(found.area_px, np.pi * 81, rtol=0.2)
    assert ((found.score > 0.5) & (found.score <= 1)).all()
    assert set(detector.timings_ms) == {"prepare", "detect", "head"}
    assert (detector.restored is None) == (denoise is None)
    if detector.restored is not None:
        assert detector.restored.shape == frame.pixels.shape
        assert detector.restored.dtype == np.float32


@pytest.mark.parametrize(
    "edge", [(0, 100), (255, 120), (130, 0), (140, 299), (255, 299)]
)
@pytest.mark.parametrize("size", [(256, 300), (255, 299)])
def test_a_nucleus_cut_by_the_edge_is_found_within_the_frame(
    edge: tuple[int, int], size: tuple[int, int]
) -> None:
    pixels = nuclei([edge])[: size[0], : size[1]]
    found = load_detector(DetectSettings(model="dog")).detect(make_frame(pixels))
    assert len(found) == 1
    assert (found.centers_px >= 0).all()
    assert (found.centers_px <= np.array(size) - 1).all()
    assert np.abs(found.centers_px[0] - edge).max() < 5


def test_an_empty_frame_has_no_detections() -> None:
    found = load_detector(DetectSettings(model="dog")).detect(make_frame(nuclei([])))
    assert len(found) == 0
    assert found.to_record()["centers_px"] == []


def test_the_same_frame_gives_identical_detections() -> None:
    frame = make_frame(nuclei(CENTERS))
    denoise = DenoiseSettings(model="gaussian")
    first, second = (load_detector(DetectSettings(model="dog"), denoise) for _ in "ab")
    a, b, c = first.detect(frame), first.detect(frame), second.detect(frame)
    for name in (
        "centers_px",
        "centers_um",
        "score",
        "boxes_px",
        "area_px",
        "intensity",
    ):
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name))
        np.testing.assert_array_equal(getattr(a, name), getattr(c, name))


def test_settings_override_the_card() -> None:
    frame = make_frame(nuclei(CENTERS))

    def count(**kwargs: Any) -> int:
        return len(load_detector(DetectSettings(model="dog", **kwargs)).detect(frame))

    assert count(threshold=0.99) == 0
    assert count(min_distance_um=200) == 1
    assert count(min_area_um2=np.pi * 81 * 0.65**2 * 2) == 0


def test_what_is_recorded_of_the_models() -> None:
    both = load_detector(
        DetectSettings(model="dog", device="cpu"),
        DenoiseSettings(model="gaussian", device="cpu"),
    )
    one = load_detector(DetectSettings(model="dog", device="cpu"))
    assert isinstance(both, ModelDetector)
    assert isinstance(one, ModelDetector)
    assert set(both.providers) == {"denoise", "detect"}
    for said in both.providers.values():
        assert (said["asked"], said["obtained"]) == ("cpu", "cpu")
        assert said["precision"] == "float32"
        assert said["normalisation"]
    assert (
        one.sha256 == one.models["detect"]["sha256"] == both.models["detect"]["sha256"]
    )
    assert len({one.sha256, both.sha256, both.models["denoise"]["sha256"]}) == 3
    assert both.notices == ()


class Brightest:
    """A detector of one's own: the brightest pixel, if it is bright enough."""

    def __init__(self, least: int = 0) -> None:
        self.least = least

    def detect(self, frame: Frame, /) -> Detections:
        at = np.unravel_index(frame.pixels.argmax(), frame.pixels.shape)
        found = [at] if frame.pixels[at] >= self.least else []
        return detections_at(frame, np.reshape(found, (-1, 2)), radius_px=3)


class Blind:
    """No detector: it cannot detect."""


@pytest.fixture
def own(monkeypatch: pytest.MonkeyPatch) -> str:
    """Make this module importable under a name of its own."""
    monkeypatch.setitem(sys.modules, "own_detectors", sys.modules[__name__])
    return "own_detectors"


def test_a_detector_of_ones_own(own: str) -> None:
    pixels = np.zeros((40, 40), np.uint16)
    pixels[9:12, 19:22] = 500
    pixels[10, 20] = 501
    settings = DetectSettings(model=f"{own}:Brightest", options={"least": 400})
    found = load_detector(settings).detect(make_frame(pixels))
    assert found.centers_px.tolist() == [[10, 20]]
    assert found.score.tolist() == [1.0]
    assert len(load_detector(settings).detect(make_frame(pixels // 2))) == 0


def test_a_registered_detector(own: str, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = EntryPoint("bright", f"{own}:Brightest", "smartscope.detectors")
    monkeypatch.setattr(
        "smartscope.recognition.detector.entry_points", lambda group: [entry]
    )
    detector = load_detector(DetectSettings(model="bright"))
    assert isinstance(detector, Brightest)


BAD: dict[str, tuple[DetectSettings, DenoiseSettings | None, str]] = {
    "no such model": (DetectSettings(model="dgo"), None, "Did you mean 'dog'"),
    "no such module": (DetectSettings(model="nowhere_at_all:D"), None, "imported"),
    "no such class": (
        DetectSettings(model="own_detectors:Brigthest"),
        None,
        "Did you mean 'Brightest'",
    ),
    "no class": (DetectSettings(model="own_detectors:CENTERS"), None, "has no class"),
    "no detector": (DetectSettings(model="own_detectors:Blind"), None, "no method"),
    "wrong options": (
        DetectSettings(model="own_detectors:Brightest", options={"lest": 1}),
        None,
        "lest",
    ),
    "options for a model": (
        DetectSettings(model="dog", options={"sigma": 2}),
        None,
        "takes no options (sigma given)",
    ),
    "own and denoise": (
        DetectSettings(model="own_detectors:Brightest"),
        DenoiseSettings(model="gaussian"),
        "Remove 'denoise'",
    ),
    "detector as denoiser": (
        DetectSettings(model="dog"),
        DenoiseSettings(model="dog"),
        "another pixel size",
    ),
    "denoiser as detector": (DetectSettings(model="gaussian"), None, "Nothing says"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_detectors_are_refused(case: str, own: str) -> None:
    detect, denoise, words = BAD[case]
    with pytest.raises(Refused) as refused:
        load_detector(detect, denoise)
    assert words in str(refused.value)


def test_frames_that_are_no_images_are_refused_at_warm_up() -> None:
    detector = load_detector(DetectSettings(model="dog"))
    assert isinstance(detector, ModelDetector)
    with pytest.raises(Refused, match="rows, columns"):
        detector.warm_up(make_frame(np.zeros((3, 64, 64), np.uint16)))


@needs_shared
def test_published_model_finds_nuclei_in_frames_of_any_size() -> None:
    import tifffile

    detector = load_detector(DetectSettings(model=str(UNET), min_distance_um=5.0))
    assert isinstance(detector, ModelDetector)
    movie = tifffile.imread(SHARED / "timelapse" / "mitocheck_movie.tif")
    assert 15 <= len(detector.detect(make_frame(movie[0]))) <= 25
    image = tifffile.imread(SHARED / "detect" / "stardist_dsb512_image.tif")
    labels = tifffile.imread(SHARED / "detect" / "stardist_dsb512_labels.tif")
    found = detector.detect(make_frame(image))
    true = np.unique(labels)[1:]
    at = np.rint(found.centers_px).astype(int)
    hit = np.unique(labels[at[:, 0], at[:, 1]])
    assert len(np.intersect1d(hit, true)) / len(true) >= 0.85
    assert 0.85 <= len(found) / len(true) <= 1.15
    # larger ones are run in tiles: the same nuclei are found among the same ones again
    twice = np.concatenate([image, image[::-1], image], axis=0)
    many = detector.detect(make_frame(twice))
    assert 2.7 <= len(many) / len(found) <= 3.3


@needs_shared
def test_shipped_detector_finds_published_nuclei() -> None:
    import tifffile

    image = tifffile.imread(SHARED / "detect" / "stardist_dsb512_image.tif")
    labels = tifffile.imread(SHARED / "detect" / "stardist_dsb512_labels.tif")
    found = load_detector(DetectSettings(model="dog")).detect(make_frame(image))
    at = np.rint(found.centers_px).astype(int)
    hit = labels[at[:, 0], at[:, 1]]
    assert len(np.unique(hit[hit > 0])) / (len(np.unique(labels)) - 1) >= 0.8
    assert (hit > 0).mean() >= 0.9


def test_nan_from_a_model_fails_the_frame(tmp_path: Path) -> None:
    from onnx import TensorProto, helper, numpy_helper, save

    graph = helper.make_graph(
        [helper.make_node("Mul", ["a", "nan"], ["b"])],
        "nan",
        [helper.make_tensor_value_info("a", TensorProto.FLOAT, [1, 1, "y", "x"])],
        [helper.make_tensor_value_info("b", TensorProto.FLOAT, [1, 1, "y", "x"])],
        [numpy_helper.from_array(np.array(np.nan, np.float32), "nan")],
    )
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9
    )
    save(model, str(tmp_path / "nan.onnx"))
    settings = DetectSettings(model=str(tmp_path / "nan.onnx"), head="peaks")
    with pytest.raises(AnalysisFailed, match="not finite"):
        load_detector(settings).detect(make_frame(nuclei(CENTERS)))
