"""Shifts to a fraction of a pixel, and images that show too little for one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import fourier_shift, gaussian_filter

from smartscope.pairs import shift_between

shifts = st.floats(-3, 3)


def spots(seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    image = np.zeros((160, 160))
    for at in rng.integers(12, 148, (40, 2)):
        image[tuple(at)] += 500
    return gaussian_filter(image, 1.6)


@given(shifts, shifts)
@settings(max_examples=15)
def test_a_shift_of_a_fraction_of_a_pixel(rows: float, columns: float) -> None:
    rng = np.random.default_rng(1)
    image = spots()
    moved = np.fft.ifft2(fourier_shift(np.fft.fft2(image), (rows, columns))).real
    low = rng.poisson(np.maximum(moved, 0) * 0.5 + 2) + 100.0
    high = rng.poisson(image * 10 + 40) * 3.0 + 100
    told = shift_between(low, high)
    assert told.known
    assert (told.rows, told.columns) == pytest.approx((rows, columns), abs=0.1)
    back = shift_between(high, low)
    assert (back.rows, back.columns) == pytest.approx((-rows, -columns), abs=0.15)


def test_brightness_does_not_shift() -> None:
    told = shift_between(7 * spots() + 300, spots())
    assert told.px == 0
    assert told.known


@pytest.mark.parametrize("seed", range(4))
def test_noise_alone_tells_nothing(seed: int) -> None:
    rng = np.random.default_rng(seed)
    one, other = rng.normal(100, 5, (2, 256, 256))
    assert not shift_between(one, other).known
    assert not shift_between(one, np.zeros_like(one)).known
