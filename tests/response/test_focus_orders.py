"""When the focus is looked for, what its result changes, and what a failure decides."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from useq import MDAEvent, MDASequence

from smartscope.acquisition import (
    EventTag,
    Focused,
    Limits,
    VirtualClock,
    is_focus_event,
    parts,
    sequenced,
)
from smartscope.response import (
    Burst,
    Decision,
    FocusHow,
    FocusOrders,
    FocusSettings,
    MoveStage,
    Outcome,
    Planner,
    Refocus,
    Series,
)
from smartscope.telemetry import Telemetry

Plane = Callable[[float, float], float | None]


class Stand:
    """A planner, and a microscope whose plane lies where a function says."""

    def __init__(
        self,
        sequence: MDASequence,
        plane: Plane = lambda x, y: 0.0,
        focus: FocusSettings | None = None,
        **more: Any,
    ) -> None:
        self.clock = VirtualClock()
        self.plane = plane
        self.outcomes: list[Outcome] = []
        self.records: list[dict[str, Any]] = []
        self.taken: list[MDAEvent] = []
        self.looks: list[MDAEvent] = []
        given = {"active": True, "home_um": 0.0, **more}
        self.planner = Planner(
            sequence,
            self.clock,
            outcome=self.outcomes.append,
            telemetry=Telemetry(),
            focus=FocusOrders(focus, sequence, told=self.records.append, **given),
        )
        self._ids = 0

    def decide(self, action: Any, **more: Any) -> str:
        self._ids += 1
        fields: dict[str, Any] = {"time_s": self.clock.now_s(), "priority": 0, **more}
        self.planner.act(
            Decision(
                decision_id=f"{self._ids}/1",
                frame_id=self._ids,
                handed_over_s=0.0,
                policy="test",
                wish=action,
                granted=action,
                verdict="granted",
                reason="test",
                **fields,
            )
        )
        return f"{self._ids}/1"

    def step(self) -> MDAEvent | None:
        event = next(self.planner.queue, None)
        if event is None:
            return None
        if is_focus_event(event):
            self.looks.append(event)
            assert event.x_pos is not None
            assert event.y_pos is not None
            z_um = self.plane(event.x_pos, event.y_pos)
            why = "" if z_um is not None else "too little contrast"
            found = Focused(z_um, why, sharpness=(0.1, 0.2), frames=18)
            self.planner.focused(event, found)
        else:
            self.taken += parts(event)
            self.planner.done(event, len(parts(event)))
        return event

    def run(self, events: int = 10_000) -> None:
        while events and self.step() is not None:
            events -= 1

    def z_um(self, place: str, origin: str = "survey") -> list[float | None]:
        tags = [(EventTag.of(e), e.z_pos) for e in self.taken]
        return [z for tag, z in tags if (tag.place, tag.origin) == (place, origin)]

    def decided(self) -> list[tuple[str, str, str]]:
        return [(r["place"], r["status"], r["decided"]) for r in self.records]


def survey(loops: int = 4, places: Any = ((0, 0, 5), (100, 0, 5)), **more: Any) -> Any:
    return MDASequence(
        axis_order="tpgcz",
        time_plan={"interval": 10, "loops": loops},
        stage_positions=list(places),
        channels=[{"config": "FITC", "exposure": 20}],
        **more,
    )


def refocus(place: str = "p0", x: float = 0.0, **how: Any) -> Refocus:
    return Refocus(
        place=place, x_um=x, y_um=0, exposure_ms=10, channel="FITC", how=FocusHow(**how)
    )


def test_each_place_has_its_own_correction_from_its_first_round_on() -> None:
    stand = Stand(
        survey(5), lambda x, y: 6 + x / 100, FocusSettings(every={"rounds": 2})
    )
    stand.run()
    assert stand.z_um("p0") == [6] * 5
    assert stand.z_um("p1") == [7] * 5
    assert [EventTag.of(e).place for e in stand.looks] == ["p0", "p1"] * 3
    # each look begins where the one before it has found the plane
    assert [e.z_pos for e in stand.looks] == [5, 5, 6, 7, 6, 7]
    assert [EventTag.of(e).image for e in stand.looks][:2] == [
        "focus_0001",
        "focus_0002",
    ]
    assert {r["by"] for r in stand.records} == {"survey"}


def test_without_it_no_event_is_touched() -> None:
    sequence = survey()
    stand = Stand(sequence, active=False)
    stand.run()
    assert not stand.looks
    assert all("focus_um" not in e.metadata["smartscope"] for e in stand.taken)


def test_a_survey_without_z_goes_back_to_where_it_began() -> None:
    places = ({"x": 0, "y": 0}, {"x": 100, "y": 0})
    stand = Stand(
        survey(2, places),
        lambda x, y: 3.0 if x == 0 else None,
        FocusSettings(every="visit", on_failure="skip"),
        home_um=1.0,
    )
    stand.run()
    assert stand.z_um("p0") == [3, 3]
    assert stand.z_um("p1") == [1, 1]


def test_a_stack_moves_as_a_whole_and_is_focused_in_its_middle() -> None:
    sequence = survey(2, z_plan={"range": 4, "step": 2})
    stand = Stand(sequence, lambda x, y: 5.5, FocusSettings(every="visit"))
    stand.run()
    assert [e.z_pos for e in stand.looks[:2]] == [5, 5]
    assert stand.z_um("p0") == [3.5, 5.5, 7.5] * 2


def test_reactions_at_a_place_have_its_correction_too() -> None:
    stand = Stand(survey(8), lambda x, y: 6.5 if x < 50 else 4.0)
    stand.run(2)
    # decided before the focus is known: bursts wait behind the stronger refocus
    stand.decide(refocus(), priority=5)
    stand.decide(Burst(place="p0", x_um=3, y_um=0, frames=2, exposure_ms=5))
    stand.decide(
        Series(place="p0", x_um=3, y_um=0, interval_s=5, visits=3, exposure_ms=5)
    )
    stand.decide(Burst(place="p1", x_um=100, y_um=0, frames=1, exposure_ms=5))
    stand.run()
    assert stand.z_um("p0", "burst") == [6.5, 6.5]
    assert stand.z_um("p0", "series") == [6.5] * 3
    assert stand.z_um("p1", "burst") == [5]
    assert stand.z_um("p0")[1:] == [6.5] * 7
    told = {o.decision_id: (o.status, o.reason, o.frames) for o in stand.outcomes}
    assert told["1/1"] == (
        "done",
        "moved by +1.50 µm to z 6.50 µm, sharpness 0.1 to 0.2, 18 frames",
        18,
    )


def test_what_an_interrupted_burst_has_left_is_corrected_once() -> None:
    stand = Stand(survey(3), lambda x, y: 8.0, FocusSettings(every="visit"))
    stand.run(2)
    stand.decide(Burst(place="p0", x_um=0, y_um=0, frames=3, exposure_ms=5))
    event = next(stand.planner.queue)
    assert event.z_pos == 8
    stand.planner.interrupted(parts(event))
    stand.planner.done(event, 0)
    stand.run()
    assert stand.z_um("p0", "burst") == [8, 8, 8]


def test_a_move_in_z_decided_from_a_corrected_frame_is_meant_as_it_is() -> None:
    stand = Stand(survey(4), lambda x, y: 7.0, FocusSettings(every={"rounds": 9}))
    stand.run(4)
    stand.decide(MoveStage(place="p0", x_um=1, y_um=0, z_um=9.0))
    stand.run()
    assert stand.z_um("p0") == [7, 9, 9, 9]


LADDERS: list[tuple[dict[str, Any], list[str], float]] = [
    ({"on_failure": "skip"}, ["skip"], 5),
    ({"on_failure": ["retry", "skip"], "retries": 2}, ["retry", "retry", "skip"], 5),
    ({"on_failure": "retry"}, ["retry", "skip"], 5),
    ({"on_failure": ["neighbour", "skip"]}, ["neighbour"], 6),
    ({}, ["retry", "neighbour"], 6),
]


@pytest.mark.parametrize(("how", "steps", "z_um"), LADDERS)
def test_a_failure_is_a_decision_step_by_step(
    how: dict[str, Any], steps: list[str], z_um: float
) -> None:
    stand = Stand(survey(1), lambda x, y: 6.0 if x == 0 else None, FocusSettings(**how))
    stand.run()
    assert stand.decided() == [("p0", "done", "")] + [
        ("p1", "failed", step) for step in steps
    ]
    assert stand.z_um("p1") == [z_um]
    last = stand.records[-1]
    assert "too little contrast" in last["why"]
    if steps[-1] == "neighbour":
        assert last["told"] == "now as at p0, 100 µm away: +1.00 µm"


@pytest.mark.parametrize(("how", "steps", "z_um"), LADDERS)
def test_a_reaction_that_fails_says_what_was_decided(
    how: dict[str, Any], steps: list[str], z_um: float
) -> None:
    stand = Stand(survey(4), lambda x, y: 6.0 if x == 0 else None)
    stand.run(2)
    stand.decide(refocus())
    stand.run(1)
    failing = stand.decide(refocus("p1", 100, **how))
    stand.run()
    assert [r["decided"] for r in stand.records if r["by"] == failing] == steps
    (told,) = [o for o in stand.outcomes if o.decision_id == failing]
    assert told.status == "failed"
    assert told.frames == 18 * len(steps)
    assert told.reason.startswith("too little contrast")
    assert stand.z_um("p1")[-1] == z_um


def test_without_neighbours_the_z_of_before_is_kept_and_told() -> None:
    stand = Stand(survey(2), lambda x, y: None, FocusSettings(every="visit"))
    stand.run()
    assert stand.z_um("p0") == [5, 5]
    assert "no neighbour has been focused" in stand.records[1]["why"]
    assert stand.records[1]["decided"] == "skip"


@settings(max_examples=20)
@given(
    tilt=st.tuples(st.floats(-0.02, 0.02), st.floats(-0.02, 0.02)),
    level=st.floats(-3, 3),
)
def test_neighbours_that_span_a_plane_tell_where_it_is(
    tilt: tuple[float, float], level: float
) -> None:
    corners = [(0, 0, 5), (200, 0, 5), (0, 200, 5), (120, 130, 5)]
    plane = lambda x, y: 5 + level + tilt[0] * x + tilt[1] * y  # noqa: E731
    stand = Stand(
        survey(1, corners),
        lambda x, y: None if x == 120 else plane(x, y),
        FocusSettings(),
    )
    stand.run()
    assert stand.z_um("p3") == [pytest.approx(plane(120, 130), abs=1e-3)]
    assert "on the plane through p0, p1, p2" in stand.records[-1]["told"]


def test_no_correction_takes_the_survey_out_of_its_limits() -> None:
    stand = Stand(
        survey(2, z_plan={"range": 4, "step": 2}),
        lambda x, y: 9.0,
        FocusSettings(every="visit"),
        limits=Limits(z_um=(-10, 10)),
    )
    stand.run()
    assert stand.z_um("p0") == [3, 5, 7] * 2
    assert "would go to z 11.00 µm, out of limits.z_um" in stand.records[0]["why"]


def test_useqs_autofocus_plan_is_carried_out_by_the_device() -> None:
    sequence = survey(
        3,
        z_plan={"range": 4, "step": 2},
        autofocus_plan={"axes": ("t", "p"), "autofocus_motor_offset": 25},
    )
    stand = Stand(sequence, lambda x, y: 5.5 if x == 0 else None)
    stand.run()
    orders = [e.action.data for e in stand.looks]
    assert {o["method"] for o in orders} == {"hardware"}
    assert {o["device_offset_um"] for o in orders} == {25}
    assert {e.z_pos for e in stand.looks if e.x_pos == 100} == {5, 5.5}
    # once in each round at p0; at p1 again each time it fails
    assert stand.decided()[:3] == [
        ("p0", "done", ""),
        ("p1", "failed", "retry"),
        ("p1", "failed", "neighbour"),
    ]
    assert len(stand.looks) == 9
    assert stand.z_um("p0") == [3.5, 5.5, 7.5] * 3
    assert len(stand.z_um("p1")) == 9
    assert {r["by"] for r in stand.records} == {"autofocus_plan"}


def test_a_sequence_ends_before_the_focus_is_due(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stand = Stand(
        MDASequence(
            axis_order="tpc",
            time_plan={"interval": 0, "loops": 6},
            stage_positions=[(0, 0, 5)],
            channels=[{"config": "FITC", "exposure": 20}],
        ),
        lambda x, y: 6.0,
        FocusSettings(every={"rounds": 4}),
    )
    seen: list[int] = []

    def merged(events: Any) -> Any:
        several = list(events)
        seen.append(len(several))
        yield several[0]

    monkeypatch.setattr(stand.planner, "_merge", merged)
    stand.run()
    assert max(seen) == 4
    assert [e.z_pos for e in stand.taken] == [6] * 6
    assert len(stand.looks) == 2


def test_a_merged_sequence_is_corrected_in_every_part() -> None:
    from smartscope.microscope import open_microscope

    sequence = survey(1, [(0, 0, 5)], z_plan={"range": 4, "step": 2})
    stand = Stand(sequence, lambda x, y: 6.0, FocusSettings())
    stand.run()
    orders = stand.planner._focus
    with open_microscope("simulated", specimen={"time": "virtual"}) as scope:
        (merged,) = sequenced(
            scope.core,
            [EventTag(index=(0, 0, i)).on(e) for i, e in enumerate(sequence)],
        )
    moved = orders.corrected(merged)
    assert list(moved.z_sequence) == [4, 6, 8]
    assert [e.z_pos for e in parts(moved)] == [4, 6, 8]
    assert orders.corrected(moved) == moved


@pytest.mark.parametrize(
    "wrong",
    [
        {"step_um": 3, "range_um": 2},
        {"on_failure": ["skip", "retry"]},
        {"on_failure": ["retry", "retry"]},
        {"every": {"rounds": 0}},
        {"method": "guess"},
    ],
)
def test_settings_that_mean_nothing_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        FocusSettings(**wrong)
