"""Brightness, area and box of things of which only the centre is known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smartscope.recognition.heads.measure import local_background, measure_around

ROWS, COLUMNS = np.indices((128, 128))


def frame(
    things: list[tuple[float, float, float]], light: float, ground: float, seed: int
) -> np.ndarray:
    rng = np.random.default_rng(seed)
    mean = np.full(ROWS.shape, ground)
    for row, column, radius in things:
        mean[(ROWS - row) ** 2 + (COLUMNS - column) ** 2 <= radius**2] = ground + light
    return rng.poisson(mean).astype(np.uint16) + np.uint16(100)


@pytest.mark.parametrize("radius", [6, 8, 9, 10])
def test_area_box_and_brightness_are_those_of_the_thing(radius: int) -> None:
    image = frame([(60, 70, radius)], 400, 50, 0)
    measured = measure_around(image, [(60, 70)], 9.2)
    assert measured.intensity[0] == pytest.approx(400, rel=0.1)
    assert measured.area_px[0] == pytest.approx(np.pi * radius**2, rel=0.25)
    middle = (measured.boxes_px[0, :2] + measured.boxes_px[0, 2:] - 1) / 2
    np.testing.assert_allclose(middle, (60, 70), atol=1)


def test_brightness_does_not_depend_on_the_noise() -> None:
    """At a tenth of the light the same thing has a tenth of the brightness."""
    things = [(30 + 34 * i, 30 + 34 * j, 9) for i in range(3) for j in range(3)]
    centers = np.array(things)[:, :2]
    bright, dim = (
        np.mean(
            [
                measure_around(
                    frame(things, s * 200, s * 50, seed), centers, 9.2
                ).intensity.mean()
                for seed in range(20)
            ]
        )
        for s in (1.0, 0.1)
    )
    assert dim / bright == pytest.approx(0.1, rel=0.08)


def test_a_neighbour_is_no_background() -> None:
    lone = frame([(64, 54, 7)], 300, 40, 1)
    pair = frame([(64, 54, 7), (64, 74, 7)], 300, 40, 1)
    alone, beside = (
        measure_around(f, [(64, 54)], 9.2).intensity[0] for f in (lone, pair)
    )
    assert beside == pytest.approx(alone, rel=0.1)


@given(
    st.lists(st.tuples(st.floats(-3, 131), st.floats(-3, 131)), max_size=30),
    st.floats(0.5, 20),
)
def test_anything_anywhere_can_be_measured(
    centers: list[tuple[float, float]], radius: float
) -> None:
    image = frame([(64, 64, 9)], 300, 40, 2)
    measured = measure_around(image, np.reshape(centers, (-1, 2)), radius)
    n = len(centers)
    assert measured.area_px.shape == measured.intensity.shape == (n,)
    assert measured.boxes_px.shape == (n, 4)
    assert np.isfinite(measured.intensity).all()
    assert (measured.area_px >= 1).all()


def test_each_is_measured_as_if_it_were_alone() -> None:
    image = frame([(40, 40, 8), (80, 90, 9)], 300, 40, 3)
    both = measure_around(image, [(40, 40), (80, 90)], 9.2)
    second = measure_around(image, [(80, 90)], 9.2)
    assert both.intensity[1] == second.intensity[0]
    np.testing.assert_array_equal(both.boxes_px[1], second.boxes_px[0])


def test_background_of_a_flat_frame_is_the_frame() -> None:
    flat = np.full((50, 60), 123, np.uint16)
    got = local_background(flat, [(0, 0), (25, 30), (49, 59)], np.array([5.0, 9, 30]))
    np.testing.assert_array_equal(got, 123)
