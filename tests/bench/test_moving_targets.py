"""What the benches of following and flashes count, where the answer is known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from useq import MDAEvent

from smartscope.acquisition import Frame, FrameState
from smartscope.bench.flash_score import FlashScore, _above
from smartscope.bench.follow_score import Episode, _scored, _Visit
from smartscope.bench.following import OneFrameLate, bench_following
from smartscope.recognition import Detections, Track
from smartscope.response import Observation

FAR = [300.0, 300.0]


def episode(
    followed: list[int | None],
    *,
    said: dict[int, str] | None = None,
    stage: list[float] | None = None,
) -> Episode:
    """Two cells meet at visit 10 and part; the track shows one of them, or none."""
    visits: Episode = []
    for i, cell in enumerate(followed):
        apart = abs(i - 10) * 4.0
        cells = np.array([[0.0, 0.0], [apart, 0.0], FAR])
        x = stage[i] if stage else 0.0
        remarks = [said[i]] if said and i in said else []
        off = None if cell is None else (0.0, 0.0)
        clear = cell if apart > 8 else None
        visits.append((_Visit(remarks, (x, 0.0), off, clear, False), cells))
    return visits


SWAPPED = [0] * 10 + [1] * 15


def test_a_swap_that_is_said_is_said() -> None:
    said = {8: "ambiguous: track 2 is 8.0 µm from track 1 and may be swapped with it"}
    score = _scored("x", episode(SWAPPED, said=said), 5.0)
    assert (score.swaps, score.unsaid, score.ambiguous) == (1, [], 1)


@pytest.mark.parametrize(
    "said",
    [
        {},
        {2: "gives up track 7: long before"},
        {8: "ambiguous: track 2", 16: "told apart from track 2: track 1 looks as it"},
    ],
)
def test_a_swap_that_is_not_said_or_taken_back_is_found(said: dict[int, str]) -> None:
    score = _scored("x", episode(SWAPPED, said=said), 5.0)
    assert score.swaps == 1
    assert len(score.unsaid) == 1


def test_a_cell_that_is_not_followed_any_more_must_be_said_to_be_lost() -> None:
    lost: list[int | None] = [0] * 5 + [None] * 10 + [0] * 5
    assert len(_scored("x", episode(lost), 5.0).unsaid) == 1
    said = {9: "gives up track 1: not found in 5 frames in a row"}
    score = _scored("x", episode(lost, said=said), 5.0)
    assert (score.unsaid, score.losses) == ([], 1)


def test_a_stage_that_goes_to_and_fro_under_a_resting_cell_oscillates() -> None:
    resting: list[int | None] = [0] * 20
    stage = [0.0, 0.0, *([6.0, 6.0, 0.0, 0.0] * 5)][:20]
    score = _scored("x", episode(resting, stage=stage), 5.0)
    assert score.moves == 8
    assert score.oscillations == 7
    assert score.fewest == score.without_foresight == 0


def test_a_wish_comes_one_frame_late() -> None:
    def seen(i: int, x_um: float) -> Observation:
        state = FrameState(0.0, 0.0, 0.0, 10.0, "FITC", 1.0)
        pixels = np.zeros((8, 8), np.uint16)
        frame = Frame(pixels, MDAEvent(), i, 60.0 * i, 0.0, "p0", state)
        cell = Track(1, "p0", x_um, 0.0, 0.0, 60.0 * i, 5, 0, 1.0, 1.0, detection=0)
        return Observation(frame, Detections.empty(), {1: cell})

    policy = OneFrameLate(choose="first", dead_band_um=2.0)
    assert policy.decide(seen(0, 9.0)) == []
    (move,) = policy.decide(seen(1, 10.0))
    assert move.x_um == 9.0


def test_a_short_night_is_run_and_scored() -> None:
    said: Any = bench_following(hours=0.1, seeds=(3,), speeds_um_per_min=(1.0,))
    assert said["cells_followed"] == 4
    assert said["visits"] == 24
    assert said["not_said"] == 0
    assert said["in_middle_fifth"] > 0.9


def test_the_time_above_a_threshold_is_that_of_the_profile() -> None:
    begin, end = _above(4.0, 5.0, 2.5)
    assert begin == pytest.approx(0.25, abs=0.02)
    # half of the peak is left after 0.5 s of rise and ln 2 / ln 20 of 4.5 s
    assert end == pytest.approx(0.5 + 4.5 * np.log(2) / np.log(20), abs=0.02)
    assert _above(1.2, 5.0, 1.5) == (0.0, 0.0)


def test_the_limit_is_what_was_looked_at_of_all() -> None:
    scores = [FlashScore(flashes=10, allowed=6, caught=6), FlashScore(10, 4, 3)]
    told = FlashScore.summary(scores)
    assert (told["limit"], told["caught_of_allowed"]) == (0.5, 0.9)
