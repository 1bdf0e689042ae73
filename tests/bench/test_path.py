"""The fewest moves that keep a cell in the middle, against brute force."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smartscope.bench.path import (
    fewest_moves,
    moves_without_foresight,
    smallest_circle,
)

coordinate = st.floats(-20, 20).map(lambda v: round(v, 2))
path = st.lists(st.tuples(coordinate, coordinate), min_size=1, max_size=9)


@given(path)
@settings(max_examples=150, deadline=None)
def test_the_smallest_circle_holds_all_and_none_is_smaller(
    spots: list[tuple[float, float]],
) -> None:
    centre, radius = smallest_circle(np.array(spots))
    assert max(math.dist(centre, p) for p in spots) <= radius + 1e-4
    # a circle is smallest if no step of its centre makes it smaller
    for angle in np.linspace(0, 2 * np.pi, 32):
        moved = (centre[0] + 0.01 * np.cos(angle), centre[1] + 0.01 * np.sin(angle))
        assert max(math.dist(moved, p) for p in spots) >= radius - 1e-4


@given(path, st.floats(1, 15))
@settings(max_examples=60, deadline=None)
def test_no_way_to_cut_the_path_needs_fewer_moves(
    spots: list[tuple[float, float]], band_um: float
) -> None:
    points = np.array(spots)

    def works(cuts: tuple[int, ...]) -> bool:
        ends = (0, *cuts, len(points))
        return all(
            smallest_circle(points[a:b])[1] <= band_um
            for a, b in itertools.pairwise(ends)
        )

    fewest = next(
        n
        for n in range(len(points))
        if any(map(works, itertools.combinations(range(1, len(points)), n)))
    )
    assert fewest_moves(points, band_um) == fewest
    assert moves_without_foresight(points, band_um) >= fewest


def test_a_straight_walk_needs_half_the_moves_if_it_is_known_beforehand() -> None:
    walk = np.stack([np.arange(0, 100, 0.5), np.zeros(200)], axis=1)
    assert fewest_moves(walk, 5.0) == 9
    assert moves_without_foresight(walk, 5.0) == pytest.approx(18, abs=1)
