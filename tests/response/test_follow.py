"""Follow: who is followed, when the stage is moved, and in which plane the cell is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from useq import MDAEvent

from smartscope.acquisition import Frame, FrameState, Limits
from smartscope.recognition import Detections, Track
from smartscope.response import (
    FollowSettings,
    MoveStage,
    Observation,
    Target,
    load_policy,
)
from smartscope.response.within_limits import Refusal, within_limits
from smartscope.settings import Experiment

EMPTY = np.zeros((100, 100), np.uint16)


def seen(
    i: int,
    *cells: tuple[int, float, float],
    at: tuple[float, float] = (0.0, 0.0),
    place: str = "p0",
    z: int = 0,
    z_um: float = 0.0,
    pixels: np.ndarray = EMPTY,
) -> Observation:
    state = FrameState(*at, z_um, 10.0, "FITC", 1.0)
    event = MDAEvent(index={"t": i, "p": 0, "z": z})
    frame = Frame(pixels, event, i, 60.0 * i, 0.0, place, state)
    tracks = {
        n: Track(n, place, x, y, 0.0, 60.0 * i, 5, 0, 1.0, 1.0, detection=0)
        for n, x, y in cells
    }
    return Observation(frame, Detections.empty(), tracks)


def following(**settings: Any) -> Any:
    return load_policy(FollowSettings(**{"choose": "first", **settings}))


def points(moves: Sequence[Any]) -> list[tuple[float, float]]:
    return [(move.x_um, move.y_um) for move in moves]


# who ---------------------------------------------------------------------------


def test_a_random_cell_is_drawn_from_the_seed_by_place() -> None:
    cells = [(n, 5.0 * n, 0.0) for n in range(20)]

    def chosen(seed: int, place: str) -> int:
        (move,) = following(choose="random", seed=seed, dead_band_um=0).decide(
            seen(0, *cells, at=(-50.0, 0.0), place=place)
        )
        return int(move.track_id)

    drawn = {(seed, p): chosen(seed, p) for seed in range(6) for p in ("p0", "p1")}
    assert drawn == {key: chosen(*key) for key in drawn}
    assert len(set(drawn.values())) > 4
    assert any(drawn[s, "p0"] != drawn[s, "p1"] for s in range(6))


def test_the_experiments_seed_is_that_of_the_draw() -> None:
    content = {
        "survey": {"channels": ["FITC"]},
        "seed": 7,
        "response": [{"policy": "follow", "choose": "random"}],
    }
    (policy,) = Experiment.parse(content).policies
    assert policy.seed == 7


def test_the_cell_nearest_to_a_click_is_followed_until_another_click() -> None:
    policy = following(choose="click", within_um=15)
    assert policy.decide(seen(0, (1, 20, 0), (2, 40, 0))) == []
    policy.pointed(Target(place="p1", x_um=20, y_um=0))
    policy.pointed(Target(place="p0", x_um=33, y_um=2))
    (move,) = policy.decide(seen(1, (1, 20, 0), (2, 40, 0)))
    assert (move.track_id, move.x_um) == (2, 40)
    assert "follows track 2" in policy.remarks()[0]
    policy.pointed(Target(place="p0", x_um=19, y_um=0))
    (move,) = policy.decide(seen(2, (1, 20, 0), (2, 40, 0)))
    assert move.track_id == 1
    assert "instead of track 2" in policy.remarks()[0]


def test_a_click_beside_all_cells_is_told_and_changes_nothing() -> None:
    policy = following(choose="click", within_um=10)
    policy.pointed(Target(place="p0", x_um=0, y_um=0))
    assert policy.decide(seen(0, (1, 20, 0))) == []
    assert "no cell within 10 µm" in policy.remarks()[0]
    assert policy.decide(seen(1, (1, 1, 0))) == []
    assert policy.remarks() == []


def test_clicks_are_for_who_waits_for_them() -> None:
    policy = following(choose="first")
    policy.pointed(Target(place="p0", x_um=40, y_um=0))
    (move,) = policy.decide(seen(0, (1, 20, 0), (2, 40, 0)))
    assert move.track_id == 1


# when --------------------------------------------------------------------------


def test_a_move_that_takes_effect_late_is_not_made_twice() -> None:
    policy = following(dead_band_um=4)
    wished = []
    # the stage goes with the frame after the next one; the cell goes on meanwhile
    places = [(0.0, 0.0), (0.0, 0.0), (6.0, 0.0), (6.0, 0.0)]
    for i, at in enumerate(places):
        wished.append(points(policy.decide(seen(i, (1, 6.0 + i, 0.0), at=at))))
    assert wished == [[(6.0, 0.0)], [(6.0, 0.0)], [], []]


def test_a_cell_that_runs_away_from_the_point_that_is_wished_is_wished_anew() -> None:
    policy = following(dead_band_um=4)
    policy.decide(seen(0, (1, 6.0, 0.0)))
    assert points(policy.decide(seen(1, (1, 12.0, 0.0)))) == [(12.0, 0.0)]


def test_two_that_look_like_one_do_not_make_the_stage_jump() -> None:
    policy = following(dead_band_um=4, alike_um=10)
    assert policy.decide(seen(0, (1, 0.0, 0.0), (2, 40.0, 0.0))) == []
    assert policy.decide(seen(1, (1, 0.0, 0.0), (2, 9.0, 0.0))) == []
    # the other has vanished in it: 5 µm off is the middle of both, 10 µm is not
    assert policy.decide(seen(2, (1, 5.0, 0.0))) == []
    assert points(policy.decide(seen(3, (1, 10.0, 0.0)))) == [(10.0, 0.0)]


def test_a_lead_goes_ahead_of_the_cell_by_half_the_dead_band_at_most() -> None:
    for lead_s, ahead in ((60.0, 1.0), (6000.0, 2.0)):
        policy = following(dead_band_um=4, lead_s=lead_s)
        moves: list[Any] = []
        for i in range(6):
            moves += policy.decide(seen(i, (1, float(i), 0.0)))
        assert points(moves) == [(5.0 + ahead, 0.0)]


def test_smoothing_keeps_noise_of_detection_from_moving_the_stage() -> None:
    noise = np.random.default_rng(1).normal(0, 1.2, (200, 2))

    def moves(smooth: float) -> int:
        policy, at, n = following(dead_band_um=2, smooth=smooth), (0.0, 0.0), 0
        for i, (x, y) in enumerate(noise):
            for move in policy.decide(seen(i, (1, x, y), at=at)):
                at, n = (move.x_um, move.y_um), n + 1
        return n

    assert moves(0.8) * 5 < moves(0.0)


# in which plane ----------------------------------------------------------------


def stack(
    policy: Any, visit: int, middle_um: float, cell_um: float, *, bright: bool = False
) -> list[Any]:
    """Show the policy five planes 2 µm apart; return what it wishes."""
    dots = np.zeros((100, 100))
    dots[40:60:3, 40:60:3] = 20000
    wished: list[Any] = []
    rng = np.random.default_rng(visit)
    for z in range(5):
        z_um = middle_um + 2.0 * (z - 2)
        off = abs(z_um - cell_um)
        image = (
            gaussian_filter(dots, 1.0) / (1 + off)
            if bright
            else gaussian_filter(dots, 1.0 + 0.5 * off)
        )
        pixels = (image + rng.normal(100, 2, dots.shape)).astype(np.uint16)
        shown = seen(visit, (1, 0.0, 0.0), z=z, z_um=z_um, pixels=pixels)
        wished.append(policy.decide(shown))
    assert wished[:4] == [[]] * 4, "it decides after the last plane"
    return list(wished[4])


@pytest.mark.parametrize("by", ["sharpest", "brightest"])
def test_the_cells_plane_is_kept_in_the_middle_of_the_stack(by: str) -> None:
    policy = following(z={"planes": 5, "by": by, "dead_band_um": 0.6})
    bright = by == "brightest"
    (move,) = stack(policy, 0, 0.0, 2.0, bright=bright)
    assert move.z_um == pytest.approx(2.0, abs=0.4)
    assert move.z_span_um == 8.0
    # once there, and as long as it is off by less than the dead band, it rests
    assert stack(policy, 1, move.z_um, 2.0, bright=bright) == []
    (back,) = stack(policy, 2, move.z_um, 0.5, bright=bright)
    assert back.z_um == pytest.approx(0.5, abs=0.6)


def test_a_visit_that_lacks_a_plane_says_nothing() -> None:
    policy = following(z={"planes": 6})
    assert stack(policy, 0, 0.0, 2.0) == []


def test_all_planes_of_a_moved_stack_stay_within_the_limits() -> None:
    limits = Limits(z_um=(-10.0, 5.0))
    frame = seen(0).frame
    wish = MoveStage(place="p0", x_um=0, y_um=0, z_um=4.0, z_span_um=8.0)
    action, clips = within_limits(wish, frame, limits)
    assert action.z_um == 1.0
    assert "limits.z_um" in clips[0]
    with pytest.raises(Refusal, match="does not fit"):
        within_limits(wish.model_copy(update={"z_span_um": 16.0}), frame, limits)
