"""Stimulation: whom it is about, what is lit, what it costs, what is withheld."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from useq import MDAEvent, MDASequence

from smartscope.acquisition import (
    EventTag,
    Frame,
    FrameState,
    Limits,
    SlmMap,
    VirtualClock,
)
from smartscope.recognition import Detections, Occurrence, Track
from smartscope.response import (
    Arbiter,
    Decision,
    Observation,
    Outcome,
    Planner,
    Spot,
    Stimulate,
    StimulateSettings,
    Wish,
    load_policy,
    parse_action,
)
from smartscope.telemetry import Telemetry

# things of a frame of 200 × 200 pixels of 0.5 µm, at (row, column)
AT = [(50, 50), (100, 150), (150, 60)]


def seen(
    frame_id: int = 0,
    *,
    hits: tuple[int, ...] = (),
    classes: tuple[int, ...] = (0, 1, 1),
    polygons: bool = False,
    time_s: float | None = None,
    light: float = 0.0,
    spent: tuple[float, ...] = (0.0, 0.0, 0.0),
) -> Observation:
    """Three things, each with a track of its own; hits are about tracks."""
    state = FrameState(100.0, 50.0, 0.0, 20.0, "FITC", 0.5)
    time_s = float(frame_id) if time_s is None else time_s
    frame = Frame(
        np.zeros((200, 200), np.uint16),
        MDAEvent(),
        frame_id,
        time_s,
        0.0,
        "p0",
        state,
        light_ms_percent=light,
    )
    px = np.array(AT, np.float32)
    um = state.stage_map.to_stage(px, (200, 200), (100.0, 50.0))
    boxes = np.column_stack([px - 5, px + 6]).astype(np.float32)
    outline = np.array([[-5, -5], [-5, 5], [5, 5], [5, -5]], np.float32)
    n = len(AT)
    detections = Detections(
        centers_px=px,
        centers_um=um,
        score=np.array([0.5, 0.9, 0.7], np.float32),
        class_id=np.array(classes, np.int32),
        boxes_px=boxes,
        area_px=np.full(n, 100, np.float32),
        intensity=np.array([10, 30, 20], np.float32),
        class_names=("calm", "round"),
        polygons=tuple(outline + p for p in px) if polygons else None,
    )
    tracks = {
        i: Track(
            track_id=i,
            place="p0",
            x_um=float(x),
            y_um=float(y),
            first_seen_s=0.0,
            last_seen_s=time_s,
            frames=5,
            missed=0,
            intensity=float(detections.intensity[i]),
            baseline=1.0,
            light_ms_percent=spent[i],
            detection=i,
        )
        for i, (x, y) in enumerate(um)
    }
    occurrences = tuple(
        Occurrence(
            occurrence_id=f"{frame_id}.{k}",
            name="hit",
            kind="brighten",
            place="p0",
            x_um=tracks[i].x_um,
            y_um=tracks[i].y_um,
            onset_s=time_s,
            seen_s=time_s,
            confidence=0.5 + 0.1 * i,
            track_ids=(i,),
        )
        for k, i in enumerate(hits)
    )
    return Observation(frame, detections, tracks, occurrences)


def settings(**keys: Any) -> StimulateSettings:
    given: dict[str, Any] = {"on": "hit", "channel": "Stimulation", "exposure_ms": 50}
    return StimulateSettings(**{**given, **keys})


def wishes(one: Observation, **keys: Any) -> list[Stimulate]:
    found = load_policy(settings(**keys)).decide(one)
    assert all(isinstance(wish, Stimulate) for wish in found)
    return found  # type: ignore[return-value]


# -------------------------------------------------------------------- the policy


def test_each_hit_is_lit_by_itself_and_the_stage_stays() -> None:
    surest, other = wishes(seen(hits=(0, 2)), radius_um=4)
    assert (surest.track_id, other.track_id) == (2, 0)
    assert (surest.x_um, surest.y_um) == (100, 50)
    (spot,) = other.targets
    # row 50, column 50 of 200 pixels of 0.5 µm about (100, 50)
    assert spot == Spot(track_id=0, outline_um=((75.25, 25.25),), grown_um=4)
    assert other.share == pytest.approx(math.pi * 16 / 100**2, rel=1e-3)
    assert parse_action(other.model_dump(mode="json")) == other


def test_an_outline_is_the_polygon_else_the_box() -> None:
    ((polygon,),) = (w.targets for w in wishes(seen(hits=(0,), polygons=True)))
    ((box,),) = (w.targets for w in wishes(seen(hits=(0,)), margin_um=2.5))
    assert polygon.outline_um[0] == (72.75, 22.75)
    assert polygon.outline_um[2] == (77.75, 27.75)
    assert polygon.grown_um == 1
    # a box of 11 pixels ends half a pixel beyond the centres of its last ones
    assert box.outline_um[0] == (72.5, 22.5)
    assert box.outline_um[2] == (78.0, 28.0)
    assert box.grown_um == 2.5
    assert box.area_um2 == pytest.approx(5.5**2 + 22 * 2.5 + math.pi * 2.5**2)


def test_all_things_of_a_class_or_all_but_the_hit() -> None:
    def ids(**keys: Any) -> list[list[int]]:
        found = wishes(seen(hits=(1,)), radius_um=3, **keys)
        return [[spot.track_id for spot in wish.targets] for wish in found]

    assert ids(target="all") == [[1, 2, 0]]
    assert ids(target="all", of_class="round") == [[1, 2]]
    assert ids(target="others") == [[2, 0]]
    assert ids(target="others", most=1) == [[2]]
    by_class = {"on": (), "choose": "class", "of_class": "calm"}
    assert ids(**by_class) == [[0]]
    assert ids(**{**by_class, "of_class": "round"}) == [[1], [2]]
    assert ids(**by_class, target="others") == [], "there is no other one"


def test_the_brightest_or_the_first_of_a_place() -> None:
    (one,) = wishes(seen(), on=(), choose="brightest")
    (first,) = wishes(seen(), on=(), choose="first")
    assert (one.track_id, first.track_id) == (1, 0)


def test_a_cell_is_left_alone_afterwards_and_a_stale_wish_does_not_count() -> None:
    policy: Any = load_policy(settings(again_after_s=100, radius_um=3))
    (wish,) = policy.decide(seen(0, hits=(1,)))
    decision = decided(wish, verdict="sham")
    policy.told(decision)
    assert policy.decide(seen(1, hits=(1,))) == []
    assert len(policy.decide(seen(1, hits=(0,)))) == 1
    assert len(policy.decide(seen(2, hits=(1,), time_s=101))) == 1
    stale = Outcome(decision_id="0/0", status="stale", reason="old", time_s=1)
    policy.told(stale.model_copy(update={"status": "refused", "frames": 1}))
    assert policy.decide(seen(1, hits=(1,))) == [], "it has had a part of its light"
    policy.told(stale)
    assert len(policy.decide(seen(1, hits=(1,)))) == 1
    policy.told(decided(wish, verdict="refused"))
    assert len(policy.decide(seen(1, hits=(1,)))) == 1


def test_what_is_not_seen_cannot_be_lit_and_is_told() -> None:
    one = seen(hits=(0,))
    gone = Observation(one.frame, Detections.empty(), {}, one.occurrences)
    policy: Any = load_policy(settings())
    assert policy.decide(gone) == []
    assert "radius_um needs none" in policy.remarks()[0]
    policy.decide(gone)
    assert policy.remarks() == [], "it is told once of each track"
    assert len(load_policy(settings(radius_um=3)).decide(gone)) == 1


@pytest.mark.parametrize(
    "keys",
    [
        {"on": ()},
        {"choose": "brightest"},
        {"on": (), "choose": "class"},
        {"exposure_ms": 0},
        {"pulses": 0},
        {"power_percent": 101},
        {"radius_um": math.inf},
    ],
)
def test_settings_that_mean_nothing_are_refused(keys: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        settings(**keys)


# -------------------------------------------------------------------- the arbiter


def decided(wish: Stimulate, verdict: Any = "granted", number: int = 0) -> Decision:
    return Decision(
        decision_id=f"0/{number}",
        frame_id=0,
        time_s=0.0,
        handed_over_s=0.0,
        policy="stimulate",
        priority=0,
        wish=wish,
        granted=wish if verdict == "granted" else None,
        verdict=verdict,
        reason="for the test",
    )


def judged(
    limits: Limits, one: Observation, arbiter: Arbiter | None = None, **keys: Any
) -> list[Decision]:
    own = settings(**{"radius_um": 4, **keys})
    found = load_policy(own).decide(one)
    asked = [Wish("stimulate", own, w, (0, i)) for i, w in enumerate(found)]
    return (arbiter or Arbiter(limits)).decide(one, asked)


def test_several_cells_of_a_frame_are_granted_each_for_itself() -> None:
    one = seen(hits=(0, 1, 2))
    assert [d.verdict for d in judged(Limits(), one)] == ["granted"] * 3
    assert [d.occurrence_ids for d in judged(Limits(), one)] == [
        ("0.2",),
        ("0.1",),
        ("0.0",),
    ]


def test_exposure_and_power_are_clipped_and_a_dose_is_never_cut() -> None:
    limits = Limits(exposure_ms=(1, 30), power_percent=(0, 40))
    (one,) = judged(limits, seen(hits=(0,)), power_percent=90)
    assert one.verdict == "clipped"
    assert isinstance(one.granted, Stimulate)
    assert (one.granted.exposure_ms, one.granted.power_percent) == (30, 40)
    (one,) = judged(Limits(burst_frames=3), seen(hits=(0,)), pulses=4)
    assert (one.verdict, one.reason) == (
        "refused",
        "4 pulses are more than limits.burst_frames = 3",
    )


def test_the_place_is_charged_by_share_and_the_track_in_full() -> None:
    one = seen(hits=(0,))
    # 50 ms × 100 %: 5000 for the cell, 25 for the place (π·16 of 10 000 µm²)
    assert judged(Limits(light_ms_percent=26), one)[0].verdict == "granted"
    (refused,) = judged(Limits(light_ms_percent=25), one)
    assert refused.verdict == "refused"
    assert "limits.light_ms_percent" in refused.reason
    cell = Limits(track_light_ms_percent=5000)
    assert judged(cell, one)[0].verdict == "granted"
    (refused,) = judged(cell, seen(hits=(0,), spent=(1.0, 0.0, 0.0)))
    assert "light: 0 pulses fit; track 0 has 1 + 0" in refused.reason
    # what a neighbour has had is no matter as long as its share fits
    assert judged(cell, seen(hits=(0,), spent=(0.0, 4000.0, 0)))[0].verdict == "granted"


def test_what_was_granted_to_a_track_is_owed_until_its_outcome() -> None:
    arbiter = Arbiter(Limits(track_light_ms_percent=8000))
    (first,) = judged(Limits(), seen(hits=(0,)), arbiter)
    (second,) = judged(Limits(), seen(1, hits=(0,)), arbiter)
    assert (first.verdict, second.verdict) == ("granted", "refused")
    stale = Outcome(
        decision_id=first.decision_id, status="stale", reason="old", time_s=1
    )
    arbiter.take(stale)
    assert judged(Limits(), seen(2, hits=(0,)), arbiter)[0].verdict == "granted"


def test_sham_withholds_its_share_and_the_same_again() -> None:
    def verdicts() -> list[str]:
        arbiter = Arbiter(Limits(), sham={"stimulate": 0.3}, seed=5)
        frames = [seen(i, hits=(0,)) for i in range(200)]
        return [judged(Limits(), frame, arbiter)[0].verdict for frame in frames]

    got = verdicts()
    assert got == verdicts()
    assert got.count("sham") == pytest.approx(60, abs=20)
    arbiter = Arbiter(Limits(), sham={"burst": 0.99}, seed=5)
    assert judged(Limits(), seen(hits=(0,)), arbiter)[0].verdict == "granted"


# -------------------------------------------------------------------- the planner

SLM = SlmMap(
    device="SLM",
    shape=(300, 300),
    affine=((1.0, 0.0, 50.0), (0.0, 1.0, 50.0)),
    intensity=200,
    pixel_size_um=0.5,
    stage_px=(99.5, 99.5),
)


def planned(
    action: Stimulate, slm: SlmMap | None = SLM
) -> tuple[list[MDAEvent], list[Outcome]]:
    outcomes: list[Outcome] = []
    clock = VirtualClock()
    planner = Planner(
        MDASequence(
            axis_order="tpc",
            time_plan={"interval": 10, "loops": 2},
            stage_positions=[(100, 50)],
            channels=[{"config": "FITC", "exposure": 20}],
        ),
        clock,
        outcome=outcomes.append,
        telemetry=Telemetry(),
        slm=slm,
    )
    events = [next(planner.queue)]
    planner.done(events[0], 1)
    planner.act(decided(action))
    for event in planner.queue:
        events.append(event)
        planner.done(event, 1)
    planner.finish()
    return events, outcomes


def wish_at(x_um: float, y_um: float, **keys: Any) -> Stimulate:
    given: dict[str, Any] = {
        "place": "p0",
        "track_id": 4,
        "x_um": 100.0,
        "y_um": 50.0,
        "targets": (Spot(track_id=4, outline_um=((x_um, y_um),), grown_um=3),),
        "share": 0.01,
        "channel": "Stimulation",
        "exposure_ms": 50,
    }
    return Stimulate(**{**given, **keys})


def test_the_pulses_go_before_the_survey_with_their_pattern() -> None:
    wish = wish_at(110.0, 50.0, pulses=2, interval_s=3, power_percent=30)
    events, (outcome,) = planned(wish)
    tags = [EventTag.of(e) for e in events]
    origins = [tag.origin for tag in tags]
    assert origins == ["survey", "stimulation", "stimulation", "survey"]
    for i, event in enumerate(events[1:3]):
        assert tags[i + 1] == EventTag(
            place="p0",
            origin="stimulation",
            decision_id="0/0",
            image="stimulation_0001",
            index=(i, 0, 0),
            power_percent=30,
            lit_share=0.01,
        )
        assert (event.x_pos, event.y_pos, event.exposure) == (100, 50, 50)
        assert event.channel is not None
        assert event.channel.config == "Stimulation"
        assert event.slm_image is not None
        assert event.slm_image.device == "SLM"
        rows, columns = np.nonzero(np.asarray(event.slm_image))
        assert (columns.mean(), rows.mean()) == pytest.approx((169.5, 149.5), abs=0.3)
        assert np.asarray(event.slm_image).max() == 200
    assert (outcome.status, outcome.reason) == ("done", "2 frames taken")


def test_a_target_outside_the_modulator_is_refused_in_words() -> None:
    events, (outcome,) = planned(wish_at(900.0, 50.0))
    assert [EventTag.of(e).origin for e in events] == ["survey", "survey"]
    assert outcome.status == "refused"
    assert outcome.reason == "the target lies outside the light modulator 'SLM'"
    _, (outcome,) = planned(wish_at(100.0, 50.0), slm=None)
    assert "names no light modulator" in outcome.reason


def test_some_targets_outside_are_told() -> None:
    near = wish_at(100.0, 50.0).targets
    far = wish_at(900.0, 50.0).targets
    _, (outcome,) = planned(wish_at(100.0, 50.0, targets=(*near, *far)))
    assert outcome.status == "done"
    assert "1 of 2 targets lie outside the light modulator" in outcome.reason


@given(
    st.lists(
        st.tuples(st.floats(-1e4, 1e4), st.floats(-1e4, 1e4)), min_size=1, max_size=8
    ),
    st.floats(0, 100),
)
def test_an_action_survives_its_record(
    outline: list[tuple[float, float]], grown: float
) -> None:
    spot = Spot(track_id=1, outline_um=tuple(outline), grown_um=grown)
    wish = wish_at(0.0, 0.0, targets=(spot,))
    assert parse_action(wish.model_dump(mode="json")) == wish
    assert spot.area_um2 >= 0
