"""Outlines as numbers: what a star net is asked for."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smartscope.training.augment import drawn_patch
from smartscope.training.labelled import part_of
from smartscope.training.star_targets import star_targets


def disc(rows: int, columns: int, y: float, x: float, radius: float) -> np.ndarray:
    ys, xs = np.indices((rows, columns))
    return (np.hypot(ys - y, xs - x) <= radius).astype(np.int32)


@given(
    st.integers(30, 50), st.integers(30, 50), st.floats(4, 20), st.sampled_from([8, 32])
)
def test_from_the_middle_of_a_disc_all_rays_are_as_long_as_its_radius(
    y: int, x: int, radius: float, rays: int
) -> None:
    y, x = 2 * (y // 2), 2 * (x // 2)
    targets = star_targets(disc(90, 84, y, x, radius), rays, 2)
    lengths = targets.lengths[:, y // 2, x // 2]
    assert lengths.shape == (rays,)
    assert np.abs(lengths - radius).max() <= 1.5
    assert targets.known[:, y // 2, x // 2].all()
    assert targets.probability.max() == 1
    peak = np.unravel_index(targets.probability.argmax(), targets.probability.shape)
    assert np.hypot(2 * peak[0] - y, 2 * peak[1] - x) <= 3


def test_rays_point_from_columns_toward_rows_and_end_at_another_thing() -> None:
    labels = np.zeros((40, 40), np.int32)
    labels[10:30, 4:20] = 1
    labels[10:30, 20:36] = 2
    lengths = star_targets(labels, 4, 2).lengths[:, 10, 8]  # row 20, column 16
    # right to the other thing, down, left, up
    assert lengths.tolist() == [3.5, 9.5, 12.5, 10.5]


def test_a_ray_that_leaves_the_image_is_not_known() -> None:
    targets = star_targets(disc(40, 40, 20, 2, 10), 4, 2)
    assert targets.known[:, 10, 1].tolist() == [True, True, False, True]


def test_an_image_without_things_and_one_that_is_a_thing() -> None:
    nothing = star_targets(np.zeros((16, 16), np.int32), 8, 2)
    assert not nothing.probability.any()
    assert not nothing.lengths.any()
    everything = star_targets(np.ones((16, 16), np.int32), 8, 2)
    assert (everything.probability == 1).all()
    assert not everything.known.any()


@given(st.integers(4, 20), st.integers(4, 20), st.integers(2, 5), st.integers(2, 5))
def test_the_smallest_thing_on_the_grid_has_a_likely_point(
    y: int, x: int, height: int, width: int
) -> None:
    labels = np.zeros((32, 32), np.int32)
    labels[y : y + height, x : x + width] = 3
    probability = star_targets(labels, 8, 2).probability
    # one of any two neighbouring rows, and of columns, is on the grid
    assert probability.max() == 1
    assert not probability[labels[::2, ::2] == 0].any()


@given(st.integers(0, 10_000))
def test_a_patch_shows_things_that_are_whole_and_numbered_apart(seed: int) -> None:
    labels = disc(60, 50, 20, 15, 8) + 2 * disc(60, 50, 42, 34, 9)
    image = (labels > 0).astype(np.float32)
    rng = np.random.default_rng(seed)
    patch, own = drawn_patch(rng, image, labels, 96, 17.0)
    assert patch.shape == own.shape == (96, 96)
    assert patch.dtype == np.float32
    inside = patch[own > 0].mean() if own.any() else 1.0
    outside = patch[own == 0].mean()
    assert inside - outside > 0.3
    for number in np.unique(own[own > 0]):
        rows, columns = np.nonzero(own == number)
        # a thing and its mirror image do not bear one number, unless they touch
        assert np.ptp(rows) <= 2 * 18 * 1.7
        assert np.ptp(columns) <= 2 * 18 * 1.7


@given(st.text(min_size=1, max_size=20), st.integers(0, 5))
def test_the_part_of_an_image_hangs_on_its_name_alone(name: str, seed: int) -> None:
    assert part_of(name, seed, (0.1, 0.2)) == part_of(name, seed, (0.1, 0.2))
    assert part_of(name, seed, (0.0, 1.0)) == "test"
    assert part_of(name, seed, (0.0, 0.0)) == "train"


def test_the_parts_are_as_large_as_asked_for() -> None:
    parts = [part_of(f"image {i}", 3, (0.1, 0.2)) for i in range(4000)]
    assert parts.count("test") == pytest.approx(800, abs=90)
    assert parts.count("validation") == pytest.approx(400, abs=70)
