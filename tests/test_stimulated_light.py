"""Tracks that were lit through a pattern have all of its light, after a restart too."""

from __future__ import annotations

from typing import Any

import pytest

from smartscope.reflex.seed import Seed
from smartscope.reflex.stimulated import StimulatedLight
from smartscope.response import Decision, Outcome, Spot, Stimulate


def decision(number: int, time_s: float = 10.0) -> Decision:
    spots = tuple(Spot(track_id=i, outline_um=((0.0, 0.0),)) for i in (3, 5))
    wish = Stimulate(
        place="p0",
        track_id=3,
        x_um=0.0,
        y_um=0.0,
        targets=(*spots, Spot(outline_um=((9.0, 9.0),))),
        share=0.1,
        channel="Stimulation",
        exposure_ms=20,
        pulses=4,
    )
    return Decision(
        decision_id=f"1/{number}",
        frame_id=1,
        time_s=time_s,
        handed_over_s=0.0,
        policy="stimulate",
        priority=0,
        wish=wish,
        granted=wish,
        verdict="granted",
        reason="for the test",
    )


def outcome(number: int, frames: int, time_s: float = 12.0) -> Outcome:
    return Outcome(
        decision_id=f"1/{number}",
        status="done",
        reason="taken",
        time_s=time_s,
        frames=frames,
    )


def test_it_is_what_the_account_of_the_place_does_not_tell() -> None:
    light = StimulatedLight()
    light.note([decision(0), decision(1)], power_percent=50)
    # 4 pulses of 20 ms at 50 %, less the tenth that all of the field is charged with
    assert list(light.take(outcome(0, 4))) == [(3, pytest.approx(3600)), (5, 3600)]
    assert list(light.take(outcome(0, 4))) == [], "once"
    # two cameras give two frames of each pulse; a broken-off one fewer
    assert next(light.take(outcome(1, 8)))[1] == pytest.approx(3600)
    light.note([decision(2)], power_percent=50)
    assert next(light.take(outcome(2, 1)))[1] == pytest.approx(900)
    light.note([decision(3)])
    assert list(light.take(outcome(3, 0))) == []


def track(last_seen_s: float) -> dict[str, Any]:
    return {
        "track_id": 3,
        "place": "p0",
        "x_um": 0.0,
        "y_um": 0.0,
        "first_seen_s": 0.0,
        "last_seen_s": last_seen_s,
        "frames": 3,
        "missed": 0,
        "intensity": 1.0,
        "baseline": 1.0,
    }


def test_after_a_restart_only_what_the_tracks_do_not_have_is_added() -> None:
    seed = Seed(
        tracks=(track(last_seen_s=12.5),),
        decisions=(decision(0), decision(1), decision(2)),
        # before the last frame that was analysed; after it; still under way
        outcomes=(outcome(0, 4, time_s=12.0), outcome(1, 4, time_s=13.0)),
    )
    light = StimulatedLight()
    added = list(light.resume(seed))
    assert added == [(3, pytest.approx(7200)), (5, pytest.approx(7200))]
    assert len(list(light.take(outcome(2, 4)))) == 2
