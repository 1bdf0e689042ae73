"""Hills on points: the search that reads them finds the points again."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smartscope.inference.heads.peaks import find_candidates
from smartscope.recognition.heads.peaks import decode_peaks
from smartscope.training.heat_targets import heat_target

place = st.floats(8, 40, allow_nan=False)


@given(place, place, st.sampled_from([1, 2]), st.floats(1.0, 3.0))
def test_the_top_of_a_hill_is_its_point(
    y: float, x: float, grid: int, spread_px: float
) -> None:
    target = heat_target(np.array([[y, x]]), (48, 56), grid, spread_px * grid)
    assert target.shape == (48 // grid, 56 // grid)
    stride = float(grid)
    centers, score = decode_peaks(find_candidates(target, 0.3), (stride, stride), 0.1)
    assert len(centers) == 1
    assert np.abs(centers[0] - (y, x)).max() < 0.12 * grid
    assert 0.5 < score[0] <= 1


def test_where_hills_meet_the_higher_one_counts() -> None:
    one, other = np.array([[20.0, 20.0]]), np.array([[20.0, 24.0]])
    both = heat_target(np.concatenate([one, other]), (40, 40), 1, 2.0)
    each = [heat_target(points, (40, 40), 1, 2.0) for points in (one, other)]
    np.testing.assert_array_equal(both, np.maximum(*each))
    assert both.max() == 1


def test_a_point_outside_shows_its_flank_and_none_shows_nothing() -> None:
    target = heat_target(np.array([[-2.0, 10.0]]), (24, 32), 1, 2.0)
    assert target[0, 10] == pytest.approx(np.exp(-0.5))
    assert target.argmax() == 10
    far = np.array([[-200.0, 10.0], [10.0, 4000.0]])
    assert not heat_target(far, (24, 32), 1, 2.0).any()
    assert not heat_target(np.zeros((0, 2)), (24, 32), 2, 2.0).any()
