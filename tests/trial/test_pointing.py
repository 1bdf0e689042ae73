"""Finds against points: what is right, what is found twice, and where to cut."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smartscope.acquisition import Frame
from smartscope.pairs import Pointed
from smartscope.recognition import Detections
from smartscope.recognition.heads.measure import measure_around
from smartscope.recognition.placed import placed
from smartscope.trial import Finds, finds, lowest_threshold


class Told:
    """Finds what it is told to: rows of frame, row, column, score."""

    def __init__(self, rows: Sequence[tuple[float, ...]]) -> None:
        self.rows = np.array(rows, np.float32).reshape(-1, 4)

    def detect(self, frame: Frame, /) -> Detections:
        here = self.rows[self.rows[:, 0] == frame.frame_id]
        centers = here[:, 1:3]
        measured = measure_around(frame.pixels, centers, 2.0)
        return placed(frame, centers, here[:, 3], measured)


def movie(
    points: Sequence[tuple[float, ...]], frames: int = 1, slack: int = 0
) -> Pointed:
    pixels = np.zeros((frames, 64, 64), np.uint16)
    at = np.array(points, np.float64).reshape(-1, 3)
    return Pointed("m", pixels, at, tuple(range(frames)), slack)


def test_each_point_is_found_once_and_the_best_find_comes_first() -> None:
    image = movie([(0, 10, 10), (0, 30, 30), (0, 50, 50)])
    told = [(0, 11, 10, 0.9), (0, 10, 9, 0.8), (0, 33, 34, 0.7), (0, 40, 5, 0.6)]
    found = finds(Told(told), [image], 5.0)
    figures = found.at(0.5)
    assert (figures["tp"], figures["fp"], figures["fn"]) == (2, 2, 1)
    assert figures["precision"] == 0.5
    assert figures["recall"] == pytest.approx(2 / 3, abs=1e-4)
    assert figures["f1"] == pytest.approx(4 / 7, abs=1e-4)
    assert figures["error_px"] == pytest.approx(np.sqrt((1 + 25) / 2), abs=1e-3)
    strict = found.at(0.75)
    assert (strict["tp"], strict["fp"], strict["fn"]) == (1, 1, 2)


def test_an_event_may_come_a_frame_late_and_is_told_once() -> None:
    truth = [(3, 20, 20)]
    told = [(2, 20, 20, 0.6), (3, 21, 20, 0.9), (4, 20, 21, 0.7)]
    figures = finds(Told(told), [movie(truth, 8, slack=1)], 4.0).at(0.5)
    assert (figures["tp"], figures["fp"], figures["fn"]) == (1, 0, 0)
    after = finds(Told(told[2:]), [movie(truth, 8, slack=1)], 4.0)
    assert after.late.tolist() == [1]
    late = finds(Told([(5, 20, 20, 0.9)]), [movie(truth, 8, slack=1)], 4.0).at(0.5)
    assert (late["tp"], late["fp"], late["fn"]) == (0, 1, 1)
    # another one elsewhere in the same frame is another one
    two = finds(Told([*told, (3, 40, 20, 0.8)]), [movie(truth, 8, slack=1)], 4.0)
    assert two.at(0.5)["fp"] == 1


def test_the_best_threshold_parts_right_from_wrong() -> None:
    score = np.array([0.9, 0.8, 0.7, 0.4, 0.3])
    right = np.array([True, True, True, False, False])
    found = Finds(score, right, np.where(right, 1.0, np.nan), 0 * score, 3)
    assert 0.4 <= found.best_threshold < 0.7
    assert found.at(found.best_threshold)["f1"] == 1
    nothing = Finds.joined([finds(Told([]), [movie([])], 3.0)])
    assert nothing.at(0.5)["f1"] == 1
    assert nothing.at(0.5)["error_px"] is None


def found(scores: Sequence[float], true: Sequence[bool], truths: int) -> Finds:
    nothing = np.full(len(scores), np.nan)
    return Finds(np.array(scores), np.array(true, bool), nothing, nothing, truths)


def test_of_events_the_lowest_threshold_not_told_apart_is_taken() -> None:
    """One movie of ten has its event at a low score; what is false scores lower."""
    each = [found([0.9], [True], 1) for _ in range(9)]
    each.append(found([0.52, 0.32], [True, False], 1))
    assert Finds.joined(each).best_threshold == 0.45
    assert lowest_threshold(each) == 0.35
    # at 0.6 that one is lost, below it three are false
    false = [*each, *(found([0.6], [False], 0) for _ in range(3))]
    assert Finds.joined(false).best_threshold == 0.75
    assert lowest_threshold(false) == 0.6


@given(st.lists(st.tuples(st.floats(0.06, 0.99), st.booleans()), max_size=8))
def test_the_lowest_threshold_is_not_above_the_best(
    told: list[tuple[float, bool]],
) -> None:
    each = [found([score], [true], 1) for score, true in told]
    each.append(found([], [], 1))
    best = Finds.joined(each).best_threshold
    assert lowest_threshold(each) <= best
