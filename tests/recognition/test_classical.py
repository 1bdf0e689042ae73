"""Detectors without a net find what is there, and in an empty frame nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter
from scipy.spatial.distance import cdist
from useq import MDAEvent

from smartscope.acquisition import Frame, FrameState
from smartscope.errors import Refused
from smartscope.inference import DetectSettings
from smartscope.recognition import Detector, load_detector

WORDS = ["otsu", "adaptive", "log", "watershed", "frame_difference"]
STILL = WORDS[:4]
NUCLEI = Path(__file__).parents[3] / "shared" / "data" / "detect"


def detector(word: str, **keys: Any) -> Detector:
    return load_detector(DetectSettings.model_validate({"model": word, **keys}))


def frame(
    pixels: npt.NDArray[np.uint16], i: int = 0, exposure_ms: float = 10.0
) -> Frame:
    state = FrameState(0.0, 0.0, 0.0, exposure_ms, "FITC", 0.65)
    return Frame(pixels, MDAEvent(), i, 60.0 * i, 0.0, "p0", state)


def nuclei(
    centers: npt.NDArray[np.float64], seed: int, level: float = 200.0
) -> npt.NDArray[np.uint16]:
    """Draw discs of 9 pixels radius (6 µm) on a background of 100, with shot noise."""
    rows, columns = np.mgrid[:256, :256]
    image = np.zeros((256, 256))
    for row, column in centers:
        image[(rows - row) ** 2 + (columns - column) ** 2 < 81] = level
    rng = np.random.default_rng(seed)
    photons = rng.poisson(gaussian_filter(image, 1.5) + 20)
    return (photons + rng.normal(100, 3, image.shape)).clip(0).astype(np.uint16)


def apart(seed: int, n: int = 12) -> npt.NDArray[np.float64]:
    rng = np.random.default_rng(seed)
    centers: list[Any] = []
    while len(centers) < n:
        center = rng.uniform(16, 240, 2)
        if all(np.hypot(*(center - c)) > 28 for c in centers):
            centers.append(center)
    return np.array(centers)


def matched(found: npt.NDArray[Any], true: npt.NDArray[Any], within: float) -> int:
    if not len(found):
        return 0
    far = cdist(found, true)
    return int((far.min(axis=0) < within).sum())


@pytest.mark.parametrize("word", STILL)
def test_nuclei_that_lie_apart_are_found_each_once(word: str) -> None:
    for seed in range(3):
        true = apart(seed)
        found = detector(word, min_area_um2=20).detect(frame(nuclei(true, seed)))
        assert len(found) == len(true)
        assert matched(found.centers_px, true, 2.0) == len(true)
        assert found.labels is not None
        assert set(np.unique(found.labels)) == set(range(len(true) + 1))
        assert 0.5 <= found.score.min() <= found.score.max() <= 1


@pytest.mark.parametrize("word", ["otsu", "watershed"])
def test_touching_ones_are_parted_where_they_may_be(word: str) -> None:
    pair = np.array([[100.0, 100.0], [100.0, 117.0], [200.0, 60.0]])
    found = detector(word, min_distance_um=8, min_area_um2=20).detect(
        frame(nuclei(pair, 1))
    )
    assert len(found) == 3
    assert matched(found.centers_px, pair, 3.0) == 3


@pytest.mark.parametrize("word", WORDS)
@given(
    seed=st.integers(0, 2**32 - 1),
    photons=st.sampled_from([0.0, 1.0, 30.0, 1000.0]),
    shape=st.sampled_from([(128, 96), (40, 70), (256, 256)]),
)
@settings(max_examples=25)
def test_an_empty_frame_stays_empty(
    word: str, seed: int, photons: float, shape: tuple[int, int]
) -> None:
    rng = np.random.default_rng(seed)
    own = detector(word)
    for i in range(2):
        counts = rng.poisson(photons, shape) + rng.normal(100, 2, shape)
        assert len(own.detect(frame(counts.clip(0).astype(np.uint16), i))) == 0


@pytest.mark.parametrize("word", WORDS)
def test_a_frame_of_one_value_is_empty(word: str) -> None:
    for value in (0, 100, 65535):
        flat = np.full((64, 64), value, np.uint16)
        assert len(detector(word).detect(frame(flat))) == 0


def test_the_difference_finds_what_has_come_and_what_has_gone() -> None:
    before, after = apart(0, 8), apart(0, 8).copy()
    after[3] = [20.0, 20.0] if np.hypot(*(before - 20).T).min() > 20 else [236.0, 20.0]
    own = detector("frame_difference", min_area_um2=20)
    assert len(own.detect(frame(nuclei(before, 1), 0))) == 0
    assert len(own.detect(frame(nuclei(before, 2), 1))) == 0
    found = own.detect(frame(nuclei(after, 3), 2))
    changed = np.stack([before[3], after[3]])
    assert len(found) == 2
    assert matched(found.centers_px, changed, 3.0) == 2


def test_a_longer_exposure_is_no_difference() -> None:
    own = detector("frame_difference", options={"least_contrast": 8.0})
    true = apart(2, 6)

    def image(exposure_ms: float, seed: int) -> npt.NDArray[np.uint16]:
        # no offset: counts that are all light
        rows, columns = np.mgrid[:256, :256]
        clean = np.full((256, 256), 5.0)
        for row, column in true:
            clean[(rows - row) ** 2 + (columns - column) ** 2 < 81] = 20
        rng = np.random.default_rng(seed)
        return rng.poisson(clean * exposure_ms).astype(np.uint16)

    own.detect(frame(image(10, 1), 0, 10))
    assert len(own.detect(frame(image(20, 2), 1, 20))) == 0


def test_unknown_options_and_a_denoiser_are_refused() -> None:
    with pytest.raises(Refused, match="Did you mean 'smooth_um'"):
        detector("otsu", options={"smoth_um": 1})
    with pytest.raises(Refused, match="least_contrast"):
        detector("log", options={"least_contrast": -1})
    from smartscope.inference import DenoiseSettings

    with pytest.raises(Refused, match="looks at raw frames"):
        load_detector(DetectSettings(model="otsu"), DenoiseSettings(model="gaussian"))


@pytest.mark.skipif(not NUCLEI.is_dir(), reason="the folder of shared data is absent")
def test_real_nuclei_are_mostly_found() -> None:
    from tifffile import imread

    image = imread(NUCLEI / "stardist_dsb512_image.tif")
    labels = imread(NUCLEI / "stardist_dsb512_labels.tif")
    pixels = np.asarray(image).squeeze().astype(np.uint16)
    found = detector("watershed", min_distance_um=7, min_area_um2=20).detect(
        frame(pixels)
    )
    true = len(np.unique(labels)) - 1
    assert 0.7 * true < len(found) < 1.3 * true
