"""What is bleached between the frames, and what the camera gives without light."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from smartscope.pairs.bleaching import (
    Bleaching,
    Looked,
    camera_offset,
    look_at,
    measure_bleaching,
)


def scene(seed: int, size: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    image = np.zeros((size, size))
    for at in rng.integers(6, size - 6, (40, 2)):
        image[tuple(at)] += 400
    return np.asarray(gaussian_filter(image, 1.8) + 4)


PLAN = ["low", "low", "high", "low", "low"]


def places(
    rate: float, *, stray: float = 1.0, plan: list[str] = PLAN, n: int = 5
) -> dict[str, list[Looked]]:
    rng = np.random.default_rng(7)
    light = {"low": 500.0, "high": 20_000.0}
    told = {}
    for p in range(n):
        photons, dose, frames = scene(p, 128), 0.0, []
        for role in plan:
            middle = dose + light[role] / 2
            bright = light[role] / 500 * math.exp(-rate * middle)
            bright *= stray if role == "high" else 1.0
            counts = 0.5 * rng.poisson(photons * bright) + 100
            frames.append((role, counts, middle))
            dose += light[role]
        bases = [f for r, f, _ in frames if r == "high"] or [f for _, f, _ in frames]
        reference = np.mean(bases, axis=0)
        told[f"p{p}"] = [
            look_at(f, reference, high=r == "high", light=light[r], dose=d)
            for r, f, d in frames
        ]
    return told


@pytest.mark.parametrize("stray", [1.0, 1.1])
def test_the_rate_is_found_whatever_the_high_frames_say(stray: float) -> None:
    rate = 5e-6
    told = measure_bleaching(places(rate, stray=stray))
    assert told.known
    assert abs(told.measured - rate) < 4 * told.error
    assert told.error < 0.25 * rate
    assert told.rate == told.measured
    assert told.left(20_000) == pytest.approx(math.exp(-0.1), rel=0.05)
    assert told.linearity == pytest.approx(stray, rel=0.04)
    assert "Bleaching takes" in told.says()


def test_where_nothing_fades_nothing_is_corrected() -> None:
    told = measure_bleaching(places(0.0))
    assert told.rate == 0
    assert told.left(1e6) == 1
    assert "No bleaching" in told.says()


def test_one_frame_of_a_kind_cannot_tell() -> None:
    told = measure_bleaching(places(5e-6, plan=["low", "high"]))
    assert not told.known
    assert told.rate == 0
    assert "not known" in told.says()


def test_a_series_of_one_exposure_tells() -> None:
    rate = 1e-4
    told = measure_bleaching(places(rate, plan=["low"] * 8))
    assert told.measured == pytest.approx(rate, rel=0.3)


def test_the_offset_is_found() -> None:
    assert camera_offset(places(5e-6)) == pytest.approx(100, abs=0.5)
    assert camera_offset(places(0.0, plan=["low"] * 3)) is None


def test_empty_fields_and_no_places() -> None:
    nothing = measure_bleaching({})
    assert isinstance(nothing, Bleaching)
    assert not nothing.known
    flat = look_at(
        np.full((64, 64), 100), np.full((64, 64), 120), high=False, light=1, dose=1
    )
    assert not measure_bleaching({"p0": [flat]}).known
