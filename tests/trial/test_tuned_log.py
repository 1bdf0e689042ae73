"""The filter for spots that is tuned on the truths: as good as such a filter can be."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter

from smartscope.pairs import Pointed
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


@pytest.mark.parametrize("sigma", [1.2, 2.5, 5.0])
def test_it_takes_the_width_of_the_spots_and_finds_them_all(sigma: float) -> None:
    images = [spots(sigma, seed) for seed in range(3)]
    tuned = tuned_log(images, WITHIN_PX)
    for one in tuned.found:
        assert one.at(-np.inf)["f1"] == 1
        assert one.at(-np.inf)["error_px"] < 0.5 * sigma
    assert 0.3 * sigma < tuned.sigma_px < 2.5 * sigma


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 1000), st.floats(8.0, 60.0))
def test_no_other_threshold_finds_more(seed: int, photons: float) -> None:
    """Of what stands above the threshold none is taken away to any gain."""
    images = [spots(2.0, seed + k, photons=photons) for k in range(2)]
    tuned = tuned_log(images, WITHIN_PX)
    found = [one.at(-np.inf) for one in tuned.found]
    tp, fp, fn = (sum(one[name] for one in found) for name in ("tp", "fp", "fn"))
    best = 2 * tp / (2 * tp + fp + fn)
    for threshold in np.concatenate([one.score for one in tuned.found]):
        fewer = [one.at(float(threshold)) for one in tuned.found]
        tp, fp, fn = (sum(one[name] for one in fewer) for name in ("tp", "fp", "fn"))
        assert 2 * tp / (2 * tp + fp + fn) <= best + 1e-9


def test_an_image_without_points_or_light_has_none() -> None:
    dark = Pointed("dark", np.zeros((1, 64, 64), np.uint16), np.empty((0, 3)), (0,))
    (found,) = tuned_log([dark], WITHIN_PX).found
    assert found.truths == 0
    with_some = tuned_log([dark, spots(2.0)], WITHIN_PX)
    assert [one.at(-np.inf)["f1"] for one in with_some.found] == [1, 1]
