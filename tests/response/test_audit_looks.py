"""Audit looks: drawn by the frame's id, apart from what the survey sees."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.stats import binomtest, kstest
from useq import MDAEvent, MDASequence

from smartscope.acquisition import EventTag, Frame, FrameState, VirtualClock
from smartscope.recognition import Detections
from smartscope.response import (
    AuditLook,
    AuditPolicySettings,
    Decision,
    Observation,
    Outcome,
    Planner,
    load_policy,
    parse_action,
)
from smartscope.telemetry import Telemetry


def looks(share: float = 0.2) -> Any:
    return load_policy(
        AuditPolicySettings(
            name="audit",
            share=share,
            frames=4,
            interval_s=5,
            spread_s=60,
            exposure_ms=None,
            seed=7,
        )
    )


def observed(i: int, origin: Any = "survey") -> Observation:
    state = FrameState(40.0, 50.0, 0.0, 10.0, "FITC", 1.0)
    pixels = np.zeros((8, 8), np.uint16)
    frame = Frame(pixels, MDAEvent(), i, 60.0 * i, 0.0, "p0", state, origin=origin)
    return Observation(frame, Detections.empty())


def test_the_stated_share_at_times_that_are_uniform_and_the_same_again() -> None:
    wishes = [w for i in range(3000) for w in looks().decide(observed(i))]
    assert wishes == [w for i in range(3000) for w in looks().decide(observed(i))]
    assert binomtest(len(wishes), 3000, 0.2).pvalue > 1e-4
    assert kstest([w.delay_s / 60 for w in wishes], "uniform").pvalue > 1e-4
    first = wishes[0]
    assert (first.x_um, first.y_um, first.exposure_ms) == (40.0, 50.0, 10.0)
    assert parse_action(first.model_dump(mode="json")) == first


def test_a_look_never_follows_from_a_look_or_a_burst() -> None:
    for origin in ("audit", "burst", "series"):
        assert not any(looks(0.999).decide(observed(i, origin)) for i in range(50))


def test_its_frames_are_due_when_drawn_and_carry_its_name() -> None:
    clock = VirtualClock()
    told: list[Outcome] = []
    planner = Planner(
        MDASequence(
            axis_order="tp",
            stage_positions=[(0, 0)],
            time_plan={"interval": 100, "loops": 2},
        ),
        clock,
        outcome=told.append,
        telemetry=Telemetry(),
        max_age_ms=1.0,
    )
    look = AuditLook(
        place="p0", x_um=1, y_um=2, frames=3, exposure_ms=5, interval_s=10, delay_s=30
    )
    decision = Decision(
        decision_id="0/0",
        frame_id=0,
        time_s=0,
        handed_over_s=0,
        policy="audit",
        priority=-1,
        wish=look,
        granted=look,
        verdict="granted",
        reason="within all limits",
    )
    planner.act(decision)
    taken = []
    for event in planner.queue:
        tag = EventTag.of(event)
        taken.append((tag.origin, tag.image, clock.now_s()))
        planner.done(event, 1)
    # long past its age limit, and not stale: it is about a field, not about a cell
    assert taken == [
        ("survey", "survey_p0", 0),
        ("audit", "audit_0001", 30),
        ("audit", "audit_0001", 40),
        ("audit", "audit_0001", 50),
        ("survey", "survey_p0", 100),
    ]
    assert [(o.status, o.frames) for o in told] == [("done", 3)]
