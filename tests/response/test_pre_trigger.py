"""The wish for a baseline: once a frame, never stale, one outcome."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError
from useq import MDAEvent, MDASequence

from smartscope.acquisition import Frame, FrameState, Limits, VirtualClock
from smartscope.loop.approval import ApprovalDesk
from smartscope.recognition import Detections, Occurrence
from smartscope.response import (
    Arbiter,
    Decision,
    KeepFrames,
    Observation,
    Outcome,
    Planner,
    PolicyPanel,
    PreTriggerSettings,
    load_policy,
    parse_action,
)
from smartscope.settings import ApproveSettings
from smartscope.telemetry import Telemetry


def hit(name: str, onset_s: float, number: int = 0) -> Occurrence:
    return Occurrence(
        occurrence_id=f"7.{number}",
        name=name,
        kind="split",
        place="p2",
        x_um=1.0,
        y_um=2.0,
        onset_s=onset_s,
        seen_s=70.0,
        confidence=0.9,
        track_ids=(1, 2),
        frame_ids=(7,),
    )


def seen(*hits: Occurrence) -> Observation:
    frame = Frame(
        np.zeros((4, 4), np.uint16),
        MDAEvent(),
        7,
        70.0,
        0.0,
        "p2",
        FrameState(0.0, 0.0, 0.0, 5.0, "green", 0.65),
    )
    return Observation(frame, Detections.empty(), {}, hits)


def test_one_wish_for_all_hits_of_a_frame_from_the_first_onset_on() -> None:
    policy = load_policy(PreTriggerSettings(on=("division",), before=4, after=2))
    assert policy.decide(seen(hit("mitosis", 60.0))) == []
    wishes = policy.decide(
        seen(hit("division", 60.0), hit("division", 50.0), hit("mitosis", 10.0))
    )
    assert wishes == [KeepFrames(place="p2", before=4, after=2, onset_s=50.0)]
    assert parse_action(wishes[0].model_dump(mode="json")) == wishes[0]


@pytest.mark.parametrize("key", ["before", "after"])
def test_a_length_is_not_negative(key: str) -> None:
    with pytest.raises(ValidationError, match=key):
        PreTriggerSettings.model_validate({"on": "division", key: -1})


def test_of_two_lengths_both_are_granted_and_of_equal_ones_one() -> None:
    settings: list[Any] = [
        PreTriggerSettings(on=("division",), name="long", before=9),
        PreTriggerSettings(on=("division",), name="short", before=2),
        PreTriggerSettings(on=("division",), name="again", before=2),
    ]
    panel = PolicyPanel(tuple(settings))
    observation = seen(hit("division", 60.0))
    decisions = Arbiter(Limits()).decide(observation, panel.ask(observation).wishes)
    assert {d.policy: d.verdict for d in decisions} == {
        "long": "granted",
        "short": "granted",
        "again": "superseded",
    }
    assert all(d.occurrence_ids == ("7.0",) for d in decisions)
    (withheld, *_) = Arbiter(Limits(), shadow=True).decide(
        observation, panel.ask(observation).wishes
    )
    assert (withheld.verdict, withheld.granted) == ("shadowed", None)


def decision(action: KeepFrames) -> Decision:
    return Decision(
        decision_id="7/0",
        frame_id=7,
        time_s=-1e6,
        handed_over_s=0.0,
        policy="pre_trigger",
        priority=0,
        wish=action,
        granted=action,
        verdict="granted",
        reason="within all limits",
    )


@pytest.mark.parametrize("how", ["done", "refused", "failed"])
def test_the_planner_says_what_became_of_it_however_old_it_is(how: Any) -> None:
    told: list[Outcome] = []
    asked: list[tuple[int, KeepFrames]] = []

    def keep(frame_id: int, action: KeepFrames) -> tuple[Any, str]:
        asked.append((frame_id, action))
        return how, "as the store says"

    planner = Planner(
        MDASequence(),
        VirtualClock(),
        outcome=told.append,
        telemetry=Telemetry(),
        keep=keep,
    )
    action = KeepFrames(place="p2", before=4, after=2)
    planner.act(decision(action))
    planner.finish()
    assert asked == [(7, action)]
    (outcome,) = told
    assert (outcome.status, outcome.reason) == (how, "as the store says")


def test_nobody_is_asked_whether_frames_may_be_kept() -> None:
    desk = ApprovalDesk(ApproveSettings(), asked=print, answered=print)
    keep = decision(KeepFrames(place="p2", before=4, after=2))
    assert not desk.wants(keep)


def test_without_a_store_it_is_refused() -> None:
    told: list[Outcome] = []
    planner = Planner(
        MDASequence(), VirtualClock(), outcome=told.append, telemetry=Telemetry()
    )
    planner.act(decision(KeepFrames(place="p2", before=4, after=2)))
    assert [o.status for o in told] == ["refused"]
