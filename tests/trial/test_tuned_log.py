"""The filter for spots that is tuned on the truths: as good as such a filter can be."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter, gaussian_laplace, maximum_filter

from smartscope.pairs import Pointed
from smartscope.trial.pairing import Finds, paired
from smartscope.trial.tuned_log import tuned_log

WITHIN_PX = 4.0


def spots(
    sigma: float, seed: int = 0, number: int = 8, photons: float = 200.0
) -> Pointed:
    """Draw spots on a lattice, each with so many photons in its brightest pixel."""
    rng = np.random.default_rng(seed)
    light = np.zeros((160, 160))
    lattice = rng.permutation([(r, c) for r in range(4) for c in range(4)])[:number]
    at = 22 + 38 * lattice + rng.integers(-3, 4, (number, 2))
    light[tuple(at.T)] = photons
    light = gaussian_filter(light, sigma) * 2 * np.pi * sigma**2
    image = rng.poisson(30 + light).astype(np.uint16)
    points = np.column_stack([np.zeros(number), at]).astype(np.float64)
    return Pointed(f"{seed}", image[None], points, (0,))


def counted(each: Sequence[Finds], threshold: float = -np.inf) -> float:
    """Return the F1 of several images together."""
    found = [one.at(threshold) for one in each]
    tp, fp, fn = (sum(one[name] for one in found) for name in ("tp", "fp", "fn"))
    return float(2 * tp / (2 * tp + fp + fn)) if tp + fp + fn else 1.0


@pytest.mark.parametrize("sigma", [1.2, 2.5, 5.0])
def test_it_takes_the_width_of_the_spots_and_finds_them_all(sigma: float) -> None:
    images = [spots(sigma, seed) for seed in range(3)]
    tuned = tuned_log(images, WITHIN_PX)
    for one in tuned.found:
        assert one.at(-np.inf)["f1"] == 1
        assert one.at(-np.inf)["error_px"] < 0.5 * sigma
    assert 0.7 * sigma < tuned.sigma_px < 2.2 * sigma


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 1000), st.floats(5.0, 40.0))
def test_no_other_width_or_threshold_finds_more(seed: int, photons: float) -> None:
    images = [spots(2.0, seed + k, photons=photons) for k in range(2)]
    best = counted(tuned_log(images, WITHIN_PX).found)
    for sigma in (0.9, 1.5, 2.3, 3.5):
        each = []
        for image in images:
            answer = -gaussian_laplace(image.frames[0].astype(np.float64), sigma)
            middle = np.median(answer)
            answer = (answer - middle) / np.median(np.abs(answer - middle))
            lattice = maximum_filter(answer, 5) == answer
            at = np.argwhere(lattice & (answer > 0))
            found = np.column_stack([np.zeros(len(at)), at, answer[tuple(at.T)]])
            each.append(paired(found, image, WITHIN_PX))
        for threshold in np.linspace(2, 40, 20):
            # its peaks are told apart a little otherwise
            assert counted(each, threshold) <= best + 0.15


def test_spots_on_a_ground_cut_to_0_are_found_beside_others() -> None:
    """Most of such an image is 0, and so is a median over all of it."""
    noisy = spots(2.0, 1)
    cut = spots(2.0, 2)
    frames = np.maximum(cut.frames.astype(int) - 60, 0).astype(np.uint16)
    images = [noisy, Pointed("cut", frames, cut.points, (0,))]
    assert np.median(frames) == 0
    assert counted(tuned_log(images, WITHIN_PX).found) == 1


def test_where_nothing_is_nothing_is_found() -> None:
    dark = Pointed("dark", np.zeros((1, 64, 64), np.uint16), np.empty((0, 3)), (0,))
    noise = spots(2.0).frames
    empty = Pointed("empty", noise[:, :20, :20], np.empty((0, 3)), (0,))
    for one in (dark, empty):
        (found,) = tuned_log([one], WITHIN_PX).found
        assert found.at(-np.inf)["f1"] == 1
    with_some = tuned_log([dark, spots(2.0)], WITHIN_PX)
    assert [one.at(-np.inf)["f1"] for one in with_some.found] == [1, 1]


def test_each_width_is_told() -> None:
    told: list[str] = []
    tuned_log([spots(2.0)], WITHIN_PX, told.append)
    assert len(told) > 5
    assert told[0] == "a filter of 0.7 px"
