"""Where a sweep is sharpest, and when it tells nothing."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter

from smartscope.acquisition import sharpness
from smartscope.acquisition.sharpest import (
    NoPeak,
    Plane,
    coarse_peak_um,
    measure_sharpness,
    peak,
    sweep_um,
)


def image(blur: float, seed: int = 0, level: float = 1.0) -> np.ndarray:
    rng = np.random.default_rng(5)
    points = np.zeros((128, 128))
    points[rng.integers(8, 120, 40), rng.integers(8, 120, 40)] = 4000 * level
    smooth = gaussian_filter(points, blur) + 100
    return np.random.default_rng(seed).poisson(smooth).astype(np.uint16)


def test_sharper_is_more_and_the_light_does_not_matter() -> None:
    values = [sharpness(image(blur)) for blur in (1.0, 1.5, 2.0, 3.0, 4.0)]
    assert values == sorted(values, reverse=True)
    assert sharpness(image(2.0, level=3)) == pytest.approx(values[2], rel=0.05)


def test_nothing_but_noise_has_no_sharpness_and_errors_are_as_said() -> None:
    flat = [np.random.default_rng(i).poisson(np.full((128, 128), 100)) for i in (1, 2)]
    assert all(math.isnan(sharpness(noise)) for noise in flat)
    several = [measure_sharpness(image(3.0, seed)) for seed in range(40)]
    spread = np.std([one.value for one in several])
    assert spread == pytest.approx(np.mean([one.error for one in several]), rel=0.8)


@given(
    middle=st.floats(-100, 100),
    reach=st.floats(1, 30),
    step=st.floats(0.2, 1),
    low=st.floats(-120, 0),
    high=st.floats(0, 120),
)
def test_a_sweep_rises_and_never_leaves_range_or_limits(
    middle: float, reach: float, step: float, low: float, high: float
) -> None:
    planes = sweep_um(middle, reach, step, (low, high))
    assert planes == sorted(planes)
    assert all(low <= z <= high for z in planes)
    assert all(abs(z - middle) <= reach + 1e-6 for z in planes)
    assert middle in sweep_um(middle, reach, step)


@settings(max_examples=40)
@given(at=st.floats(-1.9, 1.9), curve=st.floats(0.001, 0.1))
def test_the_top_of_a_parabola_is_found_exactly(at: float, curve: float) -> None:
    planes = [
        Plane(z, 0.5 - curve * (z - at) ** 2) for z in sweep_um(0.0, 2.0, 2.0 / 3)
    ]
    top = peak(planes)
    assert top.z_um == pytest.approx(at, abs=1e-6)
    assert top.sharpness == pytest.approx(0.5, abs=1e-6)


@pytest.mark.parametrize(
    ("values", "said", "at"),
    [
        ([0.1, 0.2, 0.3, 0.4, 0.5], "upper end, z 2.00", 2.0),
        ([0.5, 0.4, 0.3, 0.2, 0.1], "lower end, z -2.00", -2.0),
        ([0.3, 0.3, 0.301, 0.3, 0.3], "too little contrast", None),
        ([math.nan] * 5, "too little contrast", None),
        ([0.1, 0.5], "only 2 planes", None),
    ],
)
def test_a_sweep_without_a_peak_says_why(
    values: list[float], said: str, at: float | None
) -> None:
    planes = [Plane(float(i - 2), value) for i, value in enumerate(values)]
    with pytest.raises(NoPeak, match=said) as told:
        coarse_peak_um(planes)
    assert told.value.z_um == at


def test_what_changes_by_its_noise_only_has_no_peak() -> None:
    values = [0.02, 0.05, 0.09, 0.04, 0.03]
    planes = [Plane(float(i), v, error=0.03) for i, v in enumerate(values)]
    with pytest.raises(NoPeak, match="too little contrast"):
        coarse_peak_um(planes)
    assert coarse_peak_um([Plane(p.z_um, p.sharpness, 0.005) for p in planes]) == 2


def test_a_fine_sweep_without_a_top_says_so() -> None:
    valley = [Plane(float(z), 0.1 + 0.01 * z * z) for z in range(-2, 3)]
    with pytest.raises(NoPeak, match="no peak about"):
        peak(valley)
    slope = [Plane(float(z), 0.5 + 0.1 * z - 0.001 * z * z) for z in range(-2, 3)]
    with pytest.raises(NoPeak, match="no peak between"):
        peak(slope)
