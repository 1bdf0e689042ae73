"""What waits can be changed until it begins, and then not any more."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from useq import MDASequence

from smartscope.acquisition import EventTag, Limits, VirtualClock, parts
from smartscope.response import Burst, Decision, EditRefused, Outcome, Planner, Series
from smartscope.telemetry import Telemetry


class Stand:
    """A planner whose survey waits, so that what is asked for has its turn at once."""

    def __init__(self, limits: Limits | None = None) -> None:
        self.clock = VirtualClock()
        self.outcomes: list[Outcome] = []
        self.planner = Planner(
            MDASequence(time_plan={"interval": 1000, "loops": 2}),
            self.clock,
            outcome=self.outcomes.append,
            telemetry=Telemetry(),
            limits=limits,
        )
        self.taken: list[tuple[str, tuple[int, int, int], float | None]] = []

    def decide(self, number: int, action: Burst | Series) -> str:
        decision_id = f"{number}/0"
        self.planner.act(
            Decision(
                decision_id=decision_id,
                frame_id=number,
                time_s=self.clock.now_s(),
                handed_over_s=0.0,
                policy="test",
                priority=0,
                wish=action,
                granted=action,
                verdict="granted",
                reason="test",
            )
        )
        return decision_id

    def step(self) -> bool:
        event = next(self.planner.queue, None)
        if event is None:
            return False
        for part in parts(event):
            tag = EventTag.of(part)
            if tag.decision_id:
                self.taken.append((tag.decision_id, tag.index, part.exposure))
        self.planner.done(event, len(parts(event)))
        return True

    def run(self) -> None:
        while self.step():
            pass


def burst(**more: Any) -> Burst:
    fields = {"place": "p0", "x_um": 0, "y_um": 0, "frames": 4, "exposure_ms": 5}
    return Burst(**{**fields, **more})


@given(st.lists(st.integers(1, 6), min_size=1, max_size=4), st.integers(0, 6))
def test_the_last_change_before_it_begins_is_what_is_done(
    frames: list[int], taken: int
) -> None:
    stand = Stand()
    one = stand.decide(1, burst(interval_s=0.1))
    other = stand.decide(2, burst(frames=2))
    for n in frames:
        stand.planner.edit(one, {"frames": n, "exposure_ms": 10 + n})
    for _ in range(taken):
        stand.step()
    begun = any(decision_id == one for decision_id, _, _ in stand.taken)
    if begun:
        with pytest.raises(EditRefused, match=r"has begun|waits"):
            stand.planner.edit(one, {"frames": 1})
    stand.run()
    n = frames[-1]
    assert [t for t in stand.taken if t[0] == one] == [
        (one, (i, 0, 0), 10 + n) for i in range(n)
    ]
    assert [t[1] for t in stand.taken if t[0] == other] == [(0, 0, 0), (1, 0, 0)]
    told = {o.decision_id: (o.status, o.frames) for o in stand.outcomes}
    assert len(stand.outcomes) == 2
    assert told == {one: ("done", n), other: ("done", 2)}


def test_a_series_that_waits_can_be_changed_too() -> None:
    stand = Stand()
    asked = stand.decide(
        1,
        Series(place="p0", x_um=0, y_um=0, interval_s=5, visits=9, exposure_ms=5),
    )
    stand.planner.edit(asked, {"visits": 2, "z_planes": 1})
    stand.run()
    assert [index for _, index, _ in stand.taken] == [(0, 0, 0), (1, 0, 0)]


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"frame": 3}, "'frame' cannot be changed.*frames"),
        ({"frames": 200}, "200 frames are more than limits.burst_frames = 100"),
        ({"z_planes": 30}, "120 frames are more than"),
        ({"exposure_ms": 500}, "exposure_ms = 500 is outside"),
        ({"frames": "many"}, "frames: .*got 'many'"),
    ],
)
def test_limits_hold_for_a_person_too(changes: dict[str, Any], why: str) -> None:
    stand = Stand(Limits(burst_frames=100, exposure_ms=(1, 100)))
    asked = stand.decide(1, burst())
    with pytest.raises(EditRefused, match=why):
        stand.planner.edit(asked, changes)
    with pytest.raises(EditRefused, match="no decision 7/0 waits"):
        stand.planner.edit("7/0", {"frames": 1})
    stand.run()
    assert len(stand.taken) == 4
