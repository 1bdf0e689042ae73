"""One decision for every wish; nothing granted leaves limits or accounts."""

from __future__ import annotations

import json
import math
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from useq import MDAEvent

from smartscope.acquisition import Frame, FrameState, Limits
from smartscope.recognition import Detections, Occurrence, Track
from smartscope.response import (
    Action,
    Arbiter,
    Burst,
    BurstSettings,
    Decision,
    MoveStage,
    Observation,
    Outcome,
    OutcomeStatus,
    OwnPolicySettings,
    SetExposure,
    SetInterval,
    Wish,
)

PIXELS = np.zeros((100, 100), np.uint16)  # 100 × 100 µm


def observed(
    i: int = 0,
    *,
    place: str = "p0",
    account: float = 0.0,
    tracks: tuple[Track, ...] = (),
    hits: tuple[Occurrence, ...] = (),
) -> Observation:
    state = FrameState(0.0, 0.0, 0.0, 10.0, "FITC", 1.0)
    frame = Frame(
        PIXELS, MDAEvent(), i, 60.0 * i, 1.5, place, state, light_ms_percent=account
    )
    return Observation(frame, Detections.empty(), {t.track_id: t for t in tracks}, hits)


def track(track_id: int, light: float, x_um: float = 0.0) -> Track:
    return Track(
        track_id, "p0", x_um, 0.0, 0.0, 0.0, 5, 0, 1.0, 1.0, light_ms_percent=light
    )


def wish(
    action: Action,
    policy: str = "a",
    rank: tuple[int, int] = (0, 0),
    *,
    priority: int = 0,
    cool_down_s: float = 0.0,
) -> Wish:
    own = OwnPolicySettings(
        policy="m:C", priority=priority, cool_down_s=cool_down_s, max_age_ms=None
    )
    return Wish(policy, own, action, rank)


def burst(frames: int = 10, exposure_ms: float = 10.0, **more: object) -> Burst:
    given = {"place": "p0", "x_um": 0.0, "y_um": 0.0, **more}
    return Burst.model_validate({**given, "frames": frames, "exposure_ms": exposure_ms})


def move(x_um: float = 5.0, y_um: float = 0.0, place: str = "p0") -> MoveStage:
    return MoveStage(place=place, x_um=x_um, y_um=y_um)


def exposure(ms: float, channel: str = "FITC") -> SetExposure:
    return SetExposure(place="p0", exposure_ms=ms, channel=channel)


def outcome(decision: Decision, status: OutcomeStatus, time_s: float = 0.0) -> Outcome:
    return Outcome(
        decision_id=decision.decision_id, status=status, reason="x", time_s=time_s
    )


def verdicts(decisions: list[Decision]) -> list[str]:
    return [d.verdict for d in decisions]


# conflicts -------------------------------------------------------------------


def test_the_stronger_wish_wins_and_the_other_names_it() -> None:
    one, other = Arbiter(Limits()).decide(
        observed(),
        [wish(move(1), "weak", (0, 0)), wish(move(2), "strong", (1, 0), priority=5)],
    )
    assert (one.policy, one.verdict) == ("strong", "granted")
    assert (other.policy, other.verdict, other.granted) == ("weak", "superseded", None)
    assert "strong" in other.reason
    assert one.decision_id in other.reason


@pytest.mark.parametrize(
    ("one", "other", "conflict"),
    [
        (move(1), move(2), True),
        (move(1), burst(), False),
        (burst(3), burst(4), True),
        (exposure(5), exposure(6), True),
        (exposure(5), exposure(6, "DAPI"), False),
        (
            SetInterval(place="p0", interval_s=1),
            SetInterval(place="p9", interval_s=2),
            True,
        ),
    ],
)
def test_what_two_wishes_cannot_both_have(
    one: Action, other: Action, conflict: bool
) -> None:
    decisions = Arbiter(Limits()).decide(
        observed(), [wish(one, "a"), wish(other, "b", (1, 0))]
    )
    assert verdicts(decisions) == ["granted", "superseded" if conflict else "granted"]


def test_a_refused_wish_holds_nothing_back() -> None:
    arbiter = Arbiter(Limits(max_step_um=10))
    decisions = arbiter.decide(
        observed(), [wish(move(11), "far", priority=9), wish(move(9), "near", (1, 0))]
    )
    assert verdicts(decisions) == ["refused", "granted"]


# limits ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("limits", "wished", "granted"),
    [
        (Limits(x_um=(-3, 3)), move(5), move(3)),
        (Limits(y_um=(1, 3)), move(5, 0), move(5, 1)),
        (Limits(exposure_ms=(1, 8)), exposure(9), exposure(8)),
        (Limits(exposure_ms=(1, 8), burst_frames=4), burst(9, 9), burst(4, 8)),
        (Limits(light_ms_percent=5500), burst(10), burst(5)),
    ],
)
def test_wishes_are_clipped_and_told(
    limits: Limits, wished: Action, granted: Action
) -> None:
    (decision,) = Arbiter(limits).decide(observed(), [wish(wished)])
    assert (decision.verdict, decision.granted) == ("clipped", granted)
    assert decision.wish == wished
    assert "limits." in decision.reason


@pytest.mark.parametrize(
    ("limits", "wished", "why"),
    [
        (Limits(max_step_um=4), move(5), "max_step_um"),
        (Limits(x_um=(-3, 3)), move(54), "outside a field"),
        (Limits(), move(math.nan), "finite"),
        (Limits(), exposure(math.inf), "finite"),
        (Limits(), move(place="p7"), "no frame of a place 'p7'"),
        (Limits(light_ms_percent=2500), burst(10), "2 frames fit"),
        (Limits(light_ms_percent=1500), exposure(20), "not one frame"),
    ],
)
def test_what_cannot_be_clipped_is_refused(
    limits: Limits, wished: Action, why: str
) -> None:
    (decision,) = Arbiter(limits).decide(observed(), [wish(wished)])
    assert (decision.verdict, decision.granted) == ("refused", None)
    assert why in decision.reason


# cool-down -------------------------------------------------------------------


def test_a_policy_cools_down_at_each_place_for_itself() -> None:
    arbiter = Arbiter(Limits())

    def ask(i: int, place: str = "p0", policy: str = "a") -> str:
        asked = wish(move(1, place=place), policy, cool_down_s=100)
        return arbiter.decide(observed(i, place=place), [asked])[0].verdict

    assert [ask(0), ask(1), ask(1, "p1"), ask(1, policy="b")] == [
        "granted",
        "refused",
        "granted",
        "granted",
    ]
    assert ask(2) == "granted"  # 120 s after the first, whatever was refused between


def test_wishes_of_one_frame_are_one_reaction() -> None:
    pair = [
        wish(move(), cool_down_s=100),
        wish(burst(), rank=(0, 1), cool_down_s=100),
    ]
    arbiter = Arbiter(Limits())
    assert verdicts(arbiter.decide(observed(0), pair)) == ["granted", "granted"]
    assert verdicts(arbiter.decide(observed(1), pair)) == ["refused", "refused"]


@pytest.mark.parametrize(
    ("status", "then"),
    [
        ("stale", "granted"),
        ("refused", "granted"),
        ("failed", "refused"),
        ("done", "refused"),
    ],
)
def test_what_came_to_nothing_frees_cool_down_and_light(
    status: OutcomeStatus, then: str
) -> None:
    for asked, limits in (
        (wish(burst(10), cool_down_s=1000), Limits()),
        (wish(burst(10)), Limits(light_ms_percent=12_000)),
    ):
        arbiter = Arbiter(limits)
        (decision,) = arbiter.decide(observed(0), [asked])
        arbiter.take(outcome(decision, status, 90.0))
        # taken before the outcome: its account cannot hold the burst yet
        assert verdicts(arbiter.decide(observed(1), [asked])) == [then]


# light -----------------------------------------------------------------------


def test_granted_light_counts_until_a_later_frame_carries_it() -> None:
    arbiter = Arbiter(Limits(light_ms_percent=30_000))
    (first,) = arbiter.decide(observed(0, account=1000), [wish(burst(20))])
    assert first.verdict == "granted"
    (second,) = arbiter.decide(observed(1, account=2000), [wish(burst(20))])
    assert second.granted == burst(8)
    arbiter.take(outcome(first, "done", 61.0))
    arbiter.take(outcome(second, "stale", 61.0))
    # 20 frames are in this account and no longer owed
    (third,) = arbiter.decide(observed(2, account=23_000), [wish(burst(20))])
    assert third.granted == burst(7)


def test_a_followed_cell_does_not_get_a_fresh_account_by_moving() -> None:
    limits = Limits(track_light_ms_percent=10_000)
    old, young = track(3, light=5000), track(4, light=0, x_um=500)
    seen = observed(account=0, tracks=(old, young))
    (decision,) = Arbiter(limits).decide(seen, [wish(burst(10, track_id=3))])
    assert decision.granted == burst(5, track_id=3)
    assert "track 3" in decision.reason
    # it is lit by the burst on another one in the same field just as well
    (decision,) = Arbiter(limits).decide(seen, [wish(burst(10, x_um=30.0))])
    assert decision.granted == burst(5, x_um=30.0)
    (decision,) = Arbiter(limits).decide(seen, [wish(burst(10, x_um=500.0))])
    assert decision.verdict == "granted"


# shadow, records -------------------------------------------------------------


def test_in_shadow_nothing_is_granted_and_the_reason_tells_what_would_be() -> None:
    arbiter = Arbiter(Limits(burst_frames=5), shadow=True)
    decisions = arbiter.decide(
        observed(),
        [
            wish(burst(9), cool_down_s=90),
            wish(burst(3), "b", (1, 0)),
            wish(move(), "c"),
        ],
    )
    by_policy = {d.policy: d for d in decisions}
    assert by_policy["a"].verdict == "shadowed"
    assert "9 to 5 frames" in by_policy["a"].reason
    assert by_policy["b"].verdict == "superseded"
    assert by_policy["c"].verdict == "shadowed"
    assert all(d.granted is None for d in decisions)
    again = arbiter.decide(observed(1), [wish(burst(9), cool_down_s=90)])
    assert verdicts(again) == ["refused"]


def hit(number: int, name: str, *tracks: int) -> Occurrence:
    return Occurrence(
        occurrence_id=f"0.{number}",
        name=name,
        kind="appear",
        place="p0",
        x_um=0,
        y_um=0,
        onset_s=0,
        seen_s=0,
        confidence=1,
        track_ids=tracks,
    )


def test_a_decision_names_the_hits_it_answers() -> None:
    seen = observed(hits=(hit(0, "a", 1), hit(1, "b", 2), hit(2, "a", 3)))
    on_a = BurstSettings(on=("a",))
    decisions = Arbiter(Limits(), max_age_ms=77, model_sha256="s").decide(
        seen,
        [
            Wish("burst", on_a, burst(track_id=3), (0, 0)),
            Wish("on a", on_a, SetInterval(place="p0", interval_s=1), (1, 0)),
            wish(move(), "own", (2, 0)),
        ],
    )
    assert [d.occurrence_ids for d in decisions] == [
        ("0.2",),
        ("0.0", "0.2"),
        ("0.0", "0.1", "0.2"),
    ]
    assert {(d.max_age_ms, d.model_sha256) for d in decisions} == {(77, "s")}


def test_it_goes_on_from_a_seed() -> None:
    limits = Limits(light_ms_percent=30_000)
    asked = wish(burst(20), cool_down_s=100)
    arbiter = Arbiter(limits)
    (decision,) = arbiter.decide(observed(0, account=1000), [asked])
    fresh = Arbiter(limits)
    fresh.seed([decision], [], {"p0": 1000.0})
    for each in (arbiter, fresh):
        (again,) = each.decide(observed(1, account=1000), [asked])
        assert "cool-down" in again.reason
        (again,) = each.decide(observed(2, account=1000), [asked])
        assert again.granted == burst(9)


# what always holds -----------------------------------------------------------

numbers = st.floats(-400, 400).map(lambda v: round(v, 3))
places = st.sampled_from(["p0", "p1"])
actions = st.one_of(
    st.builds(MoveStage, place=places, x_um=numbers, y_um=numbers),
    st.builds(
        Burst,
        place=places,
        track_id=st.integers(-1, 2),
        x_um=numbers,
        y_um=numbers,
        frames=st.integers(1, 300),
        exposure_ms=st.floats(0.01, 500),
    ),
    st.builds(
        SetExposure,
        place=places,
        exposure_ms=st.floats(0.01, 500),
        channel=st.sampled_from(["FITC", "DAPI"]),
    ),
    st.builds(SetInterval, place=places, interval_s=st.floats(0, 100)),
)
wishes = st.lists(
    st.tuples(
        actions, st.sampled_from("abc"), st.integers(0, 2), st.sampled_from([0.0, 90.0])
    ),
    max_size=8,
)
fates = st.sampled_from(["done", "stale", "refused", "failed", None])


@given(
    st.lists(st.tuples(places, wishes, fates), min_size=1, max_size=8),
    st.booleans(),
    st.randoms(use_true_random=False),
)
def test_limits_accounts_and_records_hold(
    rounds: list[
        tuple[str, list[tuple[Action, str, int, float]], OutcomeStatus | None]
    ],
    shadow: bool,
    shuffled: random.Random,
) -> None:
    limits = Limits(
        x_um=(-100, 150),
        y_um=(-200, 50),
        exposure_ms=(1, 100),
        burst_frames=50,
        max_step_um=120,
        light_ms_percent=400_000,
        track_light_ms_percent=300_000,
    )
    arbiter, twin = Arbiter(limits, shadow=shadow), Arbiter(limits, shadow=shadow)
    spent = {"p0": 0.0, "p1": 0.0}
    for i, (place, asked, fate) in enumerate(rounds):
        seen = observed(
            i,
            place=place,
            account=spent[place],
            tracks=tuple(track(k, spent[place]) for k in range(3)),
        )
        offered = [
            wish(a, policy, (ord(policy), n), priority=p, cool_down_s=c)
            for n, (a, policy, p, c) in enumerate(asked)
        ]
        decisions = arbiter.decide(seen, offered)
        mixed = shuffled.sample(offered, len(offered))
        assert twin.decide(seen, mixed) == decisions
        assert sorted(map(repr, (d.wish for d in decisions))) == sorted(
            map(repr, (w.action for w in offered))
        )
        assert len({d.decision_id for d in decisions}) == len(decisions)
        taken = set()
        for d in decisions:
            assert d.reason
            assert (d.granted is None) == (d.verdict not in ("granted", "clipped"))
            again = Decision.model_validate(json.loads(json.dumps(d.to_record())))
            assert again == d
            g = d.granted
            if g is None:
                continue
            assert not shadow
            slot = (g.kind, g.place, getattr(g, "channel", None) or "")
            assert slot not in taken
            taken.add(slot)
            if isinstance(g, MoveStage | Burst):
                assert -100 <= g.x_um <= 150
                assert -200 <= g.y_um <= 50
                if g.place == place:
                    assert math.hypot(g.x_um, g.y_um) <= 120
            if isinstance(g, Burst | SetExposure):
                assert 1 <= g.exposure_ms <= 100
            if isinstance(g, Burst):
                assert g.frames <= 50
                assert g.frames >= min(d.wish.frames, 3)  # type: ignore[union-attr]
                if fate in ("done", "failed", None):
                    spent[g.place] += g.frames * g.exposure_ms * 100
            if fate is not None:
                for each in (arbiter, twin):
                    each.take(outcome(d, fate, 60.0 * i + 1))
        # what has no outcome is spent here as well, so the bound is the hard one
        assert all(v <= 400_000 * (1 + 1e-9) for v in spent.values())
