"""What the built-in policies wish."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from math import nan
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError
from useq import MDAEvent

from smartscope.acquisition import Frame, FrameState
from smartscope.recognition import Detections, Occurrence, Track
from smartscope.response import (
    Action,
    AdaptExposureSettings,
    Burst,
    BurstSettings,
    Decision,
    FollowSettings,
    IntervalSettings,
    MoveStage,
    Observation,
    Outcome,
    SetExposure,
    SetInterval,
    load_policy,
)

EMPTY = np.zeros((100, 100), np.uint16)


def observed(
    i: int,
    *,
    tracks: Sequence[Track] = (),
    hits: Sequence[Occurrence] = (),
    at: tuple[float, float] = (0.0, 0.0),
    place: str = "p0",
    exposure_ms: float = 10.0,
    pixels: np.ndarray = EMPTY,
    intensity: Sequence[float] = (),
) -> Observation:
    state = FrameState(*at, 0.0, exposure_ms, "FITC", 1.0)
    frame = Frame(pixels, MDAEvent(), i, 60.0 * i, 0.0, place, state, bit_depth=12)
    n = len(intensity)
    found = Detections(
        centers_px=np.zeros((n, 2), np.float32),
        centers_um=np.zeros((n, 2)),
        score=np.ones(n, np.float32),
        class_id=np.zeros(n, np.int32),
        boxes_px=np.zeros((n, 4), np.float32),
        area_px=np.ones(n, np.float32),
        intensity=np.asarray(intensity, np.float32),
    )
    return Observation(frame, found, {t.track_id: t for t in tracks}, tuple(hits))


def track(
    track_id: int,
    x_um: float,
    seen: int,
    *,
    first: int = 0,
    parent: int = -1,
    intensity: float = 1.0,
    row: int = 0,
) -> Track:
    return Track(
        track_id=track_id,
        place="p0",
        x_um=x_um,
        y_um=0.0,
        first_seen_s=60.0 * first,
        last_seen_s=60.0 * seen,
        frames=5,
        missed=0,
        intensity=intensity,
        baseline=1.0,
        parent_id=parent,
        detection=row,
    )


def hit(name: str, *tracks: int, kind: str = "brighten", **more: Any) -> Occurrence:
    fields = {"x_um": 1.0, "y_um": 2.0, "confidence": 0.5, **more}
    return Occurrence(
        occurrence_id=f"0.{tracks}",
        name=name,
        kind=kind,
        place="p0",
        onset_s=0,
        seen_s=0,
        track_ids=tracks,
        **fields,
    )


# follow, choosing and searching ----------------------------------------------


@pytest.mark.parametrize(("choose", "expected"), [("brightest", 2), ("first", 1)])
def test_follow_may_choose_a_cell_without_a_hit(choose: str, expected: int) -> None:
    policy = load_policy(FollowSettings(choose=choose))
    cells = [track(1, 20, 0), track(2, -20, 0, intensity=3.0), track(3, 9, 0, row=-1)]
    (move,) = policy.decide(observed(0, tracks=cells))
    assert move.track_id == expected
    # it keeps to it, whatever becomes bright
    cells = [track(1, 20, 1, intensity=9.0), track(2, -20, 1), track(3, 9, 1)]
    (move,) = policy.decide(observed(1, tracks=cells))
    assert move.track_id == expected


def test_a_lost_cell_is_looked_for_about_where_it_was_and_taken_up_again() -> None:
    policy = following(lost_after=2, search=4)
    policy.decide(observed(0, tracks=[track(1, 20, 0)], hits=[hit("mitosis", 1)]))
    at = (20.0, 0.0)
    looked = []
    for i in range(1, 12):
        found = [track(7, 85, i, first=i)] if at == (90.0, 0.0) else []
        moves = policy.decide(observed(i, at=at, tracks=found))
        if not moves:
            assert i < 2, "it waits only until it is lost"
            continue
        (move,) = moves
        looked.append((move.x_um, move.y_um))
        at = looked[-1]
        if move.track_id == 7:
            break
    # where it was, then to the right by 0.7 of a field of 100 µm
    assert looked == [(20.0, 0.0), (90.0, 0.0), (85.0, 0.0)]
    remarks = policy.remarks()
    assert "looks at 4 fields" in " ".join(remarks)
    assert "goes on as 7" in remarks[-1]
    (move,) = policy.decide(observed(12, tracks=[track(7, 95, 12, first=9)], at=at))
    assert (move.track_id, move.x_um) == (7, 95)


def test_a_search_takes_no_cell_that_looks_otherwise() -> None:
    taken = []
    for intensity in (1.0, 1.8, 2.5, 0.4):
        policy = following(lost_after=2, search=1)
        policy.decide(observed(0, tracks=[track(1, 20, 0)], hits=[hit("mitosis", 1)]))
        at, ids = (20.0, 0.0), set()
        for i in range(1, 8):
            young = replace(track(7, 45, i, first=3), intensity=intensity, baseline=nan)
            new = [young] if i >= 3 else []
            for move in policy.decide(observed(i, at=at, tracks=new)):
                at = (move.x_um, move.y_um)
                ids.add(move.track_id)
        taken.append((intensity, 7 in ids))
    assert taken == [(1.0, True), (1.8, True), (2.5, False), (0.4, False)]


def test_a_search_that_finds_nothing_goes_back_and_says_so() -> None:
    policy = following(lost_after=2, search=8)
    policy.decide(observed(0, tracks=[track(1, 20, 0)], hits=[hit("mitosis", 1)]))
    at, looked = (20.0, 0.0), []
    for i in range(1, 30):
        # an old cell that stays about is not the one that was lost
        old = [track(2, 60, i, first=0)]
        for move in policy.decide(observed(i, at=at, tracks=old)):
            at = (move.x_um, move.y_um)
            looked.append(at)
    assert len(looked) == 10
    assert looked[0] == looked[-1] == (20.0, 0.0)
    assert len(set(looked)) == 9
    assert "not in 9 fields about it" in policy.remarks()[-1]


def test_follow_is_told_what_to_choose_in_one_way() -> None:
    for settings in ({}, {"on": ["a"], "choose": "first"}):
        with pytest.raises(ValidationError):
            FollowSettings(**settings)


# follow ----------------------------------------------------------------------


def following(**more: Any) -> Any:
    return load_policy(FollowSettings(on=("mitosis",), **more))


def test_follow_begins_with_a_hit_and_keeps_the_cell_in_the_middle() -> None:
    policy = following(dead_band_um=2.0)
    assert policy.decide(observed(0, tracks=[track(1, 20, 0)])) == []
    first = observed(1, tracks=[track(1, 20, 1)], hits=[hit("mitosis", 1)])
    assert policy.decide(first) == [MoveStage(place="p0", track_id=1, x_um=20, y_um=0)]
    assert "follows track 1" in policy.remarks()[0]
    assert policy.remarks() == []
    # the same target while the stage is on its way, none inside the dead band
    again = observed(2, tracks=[track(1, 20, 2)])
    assert policy.decide(again) == [MoveStage(place="p0", track_id=1, x_um=20, y_um=0)]
    assert policy.decide(observed(3, tracks=[track(1, 21.9, 3)], at=(20, 0))) == []
    assert policy.decide(observed(4, tracks=[track(1, 22.1, 4)], at=(20, 0)))


def test_follow_ignores_other_names_and_keeps_to_one_cell() -> None:
    policy = following()
    both = [track(1, 20, 0), track(2, -20, 0)]
    assert policy.decide(observed(0, tracks=both, hits=[hit("arrival", 2)])) == []
    (move,) = policy.decide(observed(0, tracks=both, hits=[hit("mitosis", 1)]))
    assert move.track_id == 1
    (move,) = policy.decide(observed(1, tracks=both, hits=[hit("mitosis", 2)]))
    assert move.track_id == 1


def test_follow_goes_on_with_the_brighter_daughter() -> None:
    policy = following()
    policy.decide(observed(0, tracks=[track(1, 20, 0)], hits=[hit("mitosis", 1)]))
    policy.remarks()
    daughters = [
        track(5, 16, 1, parent=1, intensity=2),
        track(6, 24, 1, parent=1, intensity=3),
    ]
    (move,) = policy.decide(observed(1, tracks=daughters))
    assert (move.track_id, move.x_um) == (6, 24)
    assert "brighter daughter 6" in policy.remarks()[0]


def test_follow_begun_by_a_split_takes_the_brighter_daughter() -> None:
    policy = following()
    seen = observed(
        0, tracks=[track(5, 16, 0)], hits=[hit("mitosis", 1, 5, 6, kind="split")]
    )
    assert policy.decide(seen)[0].track_id == 5


def test_follow_gives_up_and_says_so_then_takes_the_next_hit() -> None:
    policy = following(lost_after=3)
    policy.decide(observed(0, tracks=[track(1, 20, 0)], hits=[hit("mitosis", 1)]))
    policy.remarks()
    said = []
    for i in range(1, 4):
        assert policy.decide(observed(i, tracks=[track(1, 20, 0, row=-1)])) == []
        said += policy.remarks()
    assert len(said) == 1
    assert "gives up track 1" in said[0]
    assert policy.decide(observed(4, tracks=[track(1, 20, 4)])) == []
    other = observed(5, tracks=[track(2, 20, 5)], hits=[hit("mitosis", 2)])
    assert policy.decide(other)[0].track_id == 2


def test_follow_takes_up_the_cell_under_a_new_track_only_if_it_began_since() -> None:
    policy = following()
    neighbour = track(2, 28, 0)
    policy.decide(
        observed(0, tracks=[track(1, 20, 0), neighbour], hits=[hit("mitosis", 1)])
    )
    policy.remarks()
    assert policy.decide(observed(1, tracks=[track(2, 28, 1)])) == []
    (move,) = policy.decide(
        observed(2, tracks=[track(2, 21, 2), track(7, 25, 2, first=2)])
    )
    assert move.track_id == 7
    assert "takes up track 7" in policy.remarks()[0]


def decided(wish: Action, verdict: Any = "granted", time_s: float = 0.0) -> Decision:
    return Decision(
        decision_id=f"{time_s}/0",
        frame_id=0,
        time_s=time_s,
        handed_over_s=0,
        policy="x",
        priority=0,
        wish=wish,
        granted=wish if verdict == "granted" else None,
        verdict=verdict,
        reason="x",
    )


def test_follow_goes_on_after_a_restart() -> None:
    policy = following()
    policy.told(decided(MoveStage(place="p0", track_id=4, x_um=20, y_um=0)))
    (move,) = policy.decide(observed(1, tracks=[track(4, 30, 1)]))
    assert move.track_id == 4


# burst -----------------------------------------------------------------------


def test_burst_answers_each_hit_the_most_certain_first() -> None:
    policy = load_policy(BurstSettings(on=("division",), frames=7))
    hits = [
        hit("division", 1, 5, 6, kind="split", confidence=0.2),
        hit("division", 2, confidence=0.9),
        hit("arrival", 3),
    ]
    wishes = policy.decide(observed(0, hits=hits, exposure_ms=12.5))
    assert [w.track_id for w in wishes] == [2, 5]
    assert wishes[0] == Burst(
        place="p0",
        track_id=2,
        x_um=1,
        y_um=2,
        frames=7,
        exposure_ms=12.5,
        channel="FITC",
    )
    own = BurstSettings(on=("division",), exposure_ms=3, channel="DAPI", interval_s=2)
    (wish, _) = load_policy(own).decide(observed(0, hits=hits))
    assert isinstance(wish, Burst)
    assert (wish.exposure_ms, wish.channel, wish.interval_s) == (3, "DAPI", 2)


# adapt exposure --------------------------------------------------------------


def noisy(sd: float, level: float = 100.0) -> np.ndarray:
    ramp = np.linspace(0, 200, 200)  # a gradient is no noise
    image = level + ramp + np.random.default_rng(0).normal(0, sd, (200, 200))
    return np.rint(image).astype(np.uint16)


def adapted(seen: Observation, **more: Any) -> list[Action]:
    return list(load_policy(AdaptExposureSettings(**more)).decide(seen))


@pytest.mark.parametrize(
    ("signal", "wished"),
    [
        (50.0, 20.0),
        (75.0, 13.3),
        (25.0, 20.0),
        (100.0, None),
        (85.0, None),
        (400.0, 5.0),
    ],
)
def test_exposure_follows_the_signal_to_noise_ratio(
    signal: float, wished: float | None
) -> None:
    """Noise 10, target 10: wanted is a signal of 100; at most twofold at a time."""
    seen = observed(0, pixels=noisy(10), intensity=[signal, signal, 1e4])
    actions = adapted(seen)
    if wished is None:
        assert actions == []
    else:
        (action,) = actions
        assert isinstance(action, SetExposure)
        assert action.exposure_ms == pytest.approx(wished, rel=0.05)
        assert (action.place, action.channel) == ("p0", "FITC")


@pytest.mark.parametrize("noise", ["read", "shot"])
def test_exposure_settles_where_either_noise_rules(noise: str) -> None:
    exposure_ms, history = 5.0, []
    for _ in range(12):
        signal = 4.0 * exposure_ms
        sd = 4.0 if noise == "read" else 0.8 * math.sqrt(exposure_ms * 5)
        seen = observed(
            0, pixels=noisy(sd), intensity=[signal], exposure_ms=exposure_ms
        )
        for action in adapted(seen, dead_band=0.1):
            assert isinstance(action, SetExposure)
            exposure_ms = action.exposure_ms
        history.append(signal / sd)
    assert history[-1] == pytest.approx(10.0, rel=0.12)
    assert all(b >= a * 0.95 for a, b in pairwise(history))


def test_saturation_caps_a_raise_and_lowers_what_is_too_bright() -> None:
    # full scale of 12 bit: 4095; brightest here about 100 + 200 of gradient
    bright = noisy(1, level=2800)
    (action,) = adapted(observed(0, pixels=bright, intensity=[5.0]), saturation=0.9)
    assert isinstance(action, SetExposure)
    assert action.exposure_ms == pytest.approx(10 * 0.9 * 4095 / 3000, rel=0.02)
    (action,) = adapted(observed(0, pixels=bright), saturation=0.5)
    assert isinstance(action, SetExposure)
    assert action.exposure_ms == pytest.approx(10 * 0.5 * 4095 / 3000, rel=0.02)
    full = np.full((200, 200), 4095, np.uint16)
    (action,) = adapted(observed(0, pixels=full), max_change=1.6)
    assert isinstance(action, SetExposure)
    assert action.exposure_ms == 6.25


def test_exposure_is_left_alone_without_things_and_brought_into_its_range() -> None:
    assert adapted(observed(0, pixels=noisy(10))) == []
    assert adapted(observed(0, pixels=noisy(10), intensity=[-5.0], exposure_ms=0)) == []
    seen = observed(0, pixels=noisy(10), intensity=[100.0], exposure_ms=4.9)
    (action,) = adapted(seen)
    assert isinstance(action, SetExposure)
    assert action.exposure_ms == 5.0


# interval --------------------------------------------------------------------


def test_interval_is_fast_after_a_hit_and_slow_when_calm_for_long_enough() -> None:
    policy: Any = load_policy(
        IntervalSettings(on=("mitosis",), slow_s=60, fast_s=5, stay_s=180)
    )
    wished = {}
    for i in range(12):
        hits = [hit("mitosis", 1)] if i in (2, 4) else [hit("arrival", 1)]
        place = f"p{i % 2}"
        for action in policy.decide(observed(i, hits=hits, place=place)):
            wished[i] = action.interval_s
            policy.told(decided(action, time_s=60.0 * i))
    assert wished == {2: 5, 7: 60}


def test_interval_with_two_thresholds_is_fast_until_every_place_is_calm() -> None:
    settings = IntervalSettings(
        on=("many",), calm=("few",), slow_s=60, fast_s=5, stay_s=120
    )
    policy: Any = load_policy(settings)
    happens = {1: ("many", "p0"), 2: ("many", "p1"), 6: ("few", "p0"), 9: ("few", "p1")}
    wished = {}
    for i in range(14):
        name, place = happens.get(i, ("", f"p{i % 2}"))
        hits = [hit(name, 1)] if name else []
        for action in policy.decide(observed(i, hits=hits, place=place)):
            wished[i] = action.interval_s
            policy.told(decided(action, time_s=60.0 * i))
    assert wished == {1: 5, 9: 60}
    # calm at once: the least stay holds
    policy = load_policy(settings)
    for i, name in enumerate(("many", "few", "", "")):
        hits = [hit(name, 1)] if name else []
        for action in policy.decide(observed(i, hits=hits)):
            policy.told(decided(action, time_s=60.0 * i))
            wished[i] = action.interval_s
    assert (wished[0], wished[2]) == (5, 60)
    # a process that was started again knows from the decision where it was not calm
    policy = load_policy(settings)
    policy.told(decided(SetInterval(place="p0", interval_s=5), time_s=0.0))
    assert policy.decide(observed(9)) == []
    assert policy.decide(observed(10, hits=[hit("few", 1)])) == [
        SetInterval(place="p0", interval_s=60)
    ]


def test_interval_wishes_again_until_it_is_let_through() -> None:
    policy: Any = load_policy(
        IntervalSettings(on=("mitosis",), slow_s=60, fast_s=5, stay_s=1000)
    )
    (action,) = policy.decide(observed(0, hits=[hit("mitosis", 1)]))
    policy.told(decided(action, "refused"))
    (action,) = policy.decide(observed(1))
    granted = decided(action, time_s=60.0)
    policy.told(granted)
    assert policy.decide(observed(2)) == []
    policy.told(
        Outcome(decision_id=granted.decision_id, status="stale", reason="x", time_s=1)
    )
    assert policy.decide(observed(3)) == [SetInterval(place="p0", interval_s=5)]
