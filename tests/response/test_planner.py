"""Planner: every event once, every granted decision one outcome, changes where due."""

from __future__ import annotations

import threading
from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from useq import MDAEvent, MDASequence

from smartscope.acquisition import EventTag, SequencedEvent, VirtualClock, parts
from smartscope.response import (
    Burst,
    Decision,
    MoveStage,
    Outcome,
    Planner,
    SetExposure,
    SetInterval,
)
from smartscope.telemetry import Telemetry


def merge(events: Any) -> Any:
    """All that is asked for in one sequence, as a camera that can everything."""
    several = tuple(events)
    if len(several) == 1:
        yield several[0]
    elif several:
        first = several[0]
        yield SequencedEvent(
            events=several,
            x_pos=first.x_pos,
            y_pos=first.y_pos,
            exposure=first.exposure,
            channel=first.channel,
        )


class Stand:
    """A planner with a clock, and a runner that is moved by hand."""

    def __init__(self, sequence: MDASequence, **more: Any) -> None:
        self.clock = VirtualClock()
        self.outcomes: list[Outcome] = []
        self.telemetry = Telemetry()
        self.taken: list[MDAEvent] = []
        self.planner = Planner(
            sequence,
            self.clock,
            outcome=self.outcomes.append,
            telemetry=self.telemetry,
            **more,
        )
        self._ids = 0

    def decide(self, action: Any, **more: Any) -> str:
        self._ids += 1
        fields = {"time_s": self.clock.now_s(), "priority": 0, **more}
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

    def next(self) -> MDAEvent | None:
        return next(self.planner.queue, None)

    def run(self, event: MDAEvent, take: int | None = None) -> None:
        """Execute an event as the engine does; of a sequence only the first frames."""
        several = parts(event)
        n = len(several) if take is None else min(take, len(several))
        self.taken += several[:n]
        if n < len(several):
            self.planner.interrupted(several[n:])
        self.planner.done(event, n)

    def run_all(self) -> None:
        while (event := self.next()) is not None:
            self.run(event)

    def said(self) -> dict[str, str]:
        return {o.decision_id: o.status for o in self.outcomes}


def survey(loops: int = 3, interval: float = 10.0, places: int = 1) -> MDASequence:
    return MDASequence(
        axis_order="tpgcz",
        time_plan={"interval": interval, "loops": loops},
        stage_positions=[(100 * i, 0) for i in range(places)],
        channels=[{"config": "DAPI", "exposure": 20}],
    )


def burst(frames: int = 4, place: str = "p0", **more: Any) -> Burst:
    return Burst(place=place, x_um=7, y_um=8, frames=frames, exposure_ms=5, **more)


def test_the_survey_comes_when_it_is_due_with_tags_and_no_start_times() -> None:
    stand = Stand(survey(3, 10.0, 2))
    times = []
    while (event := stand.next()) is not None:
        times.append(stand.clock.now_s())
        stand.run(event)
    assert times == [0, 0, 10, 10, 20, 20]
    tags = [EventTag.of(e) for e in stand.taken]
    assert [(t.image, t.index) for t in tags[:3]] == [
        ("survey_p0", (0, 0, 0)),
        ("survey_p1", (0, 0, 0)),
        ("survey_p0", (1, 0, 0)),
    ]
    assert all(e.min_start_time is None for e in stand.taken)


def test_an_urgent_burst_in_a_wait_is_handed_out_at_once() -> None:
    class Waits(VirtualClock):
        """Nobody jumps: the runner waits until it is woken."""

        waiting = threading.Semaphore(0)

        def wait(self, changed: threading.Condition, until_s: float | None) -> None:
            self.waiting.release()
            changed.wait()

    stand = Stand(survey(2, 3.0))
    clock = Waits()
    stand.clock = stand.planner._clock = stand.planner.queue._clock = clock
    first = stand.next()
    assert first is not None
    stand.run(first)
    out: list[MDAEvent | None] = []
    thread = threading.Thread(target=lambda: out.append(stand.next()))
    thread.start()
    clock.waiting.acquire()
    clock.sleep(0.1)
    stand.decide(burst(1))
    thread.join()
    assert out[0] is not None
    assert EventTag.of(out[0]).origin == "burst"
    assert clock.now_s() == 0.1


# ---------------------------------------------------------------- changes


def test_a_move_applies_from_the_next_visit_to_its_place_on() -> None:
    stand = Stand(survey(3, 10.0, 2))
    for _ in range(2):
        event = stand.next()
        assert event is not None
        stand.run(event)
    decision = stand.decide(MoveStage(place="p1", x_um=130, y_um=4))
    assert not stand.outcomes
    stand.run_all()
    where = [(EventTag.of(e).place, e.x_pos, e.y_pos) for e in stand.taken]
    assert where == [
        ("p0", 0, 0),
        ("p1", 100, 0),
        ("p0", 0, 0),
        ("p1", 130, 4),
        ("p0", 0, 0),
        ("p1", 130, 4),
    ]
    assert [(o.decision_id, o.status, o.time_s) for o in stand.outcomes] == [
        (decision, "done", 10)
    ]


def test_an_exposure_applies_to_its_channel_only() -> None:
    sequence = MDASequence(
        axis_order="tpcz",
        time_plan={"interval": 10, "loops": 2},
        channels=[
            {"config": "DAPI", "exposure": 20},
            {"config": "FITC", "exposure": 30},
        ],
    )
    stand = Stand(sequence)
    decision = stand.decide(SetExposure(place="p0", channel="FITC", exposure_ms=77))
    stand.run_all()
    assert [e.exposure for e in stand.taken] == [20, 77, 20, 77]
    assert stand.said() == {decision: "done"}


def test_an_exposure_applies_where_the_survey_names_no_channel() -> None:
    stand = Stand(MDASequence(time_plan={"interval": 1, "loops": 2}))
    decision = stand.decide(SetExposure(place="p0", channel="FITC", exposure_ms=77))
    stand.run_all()
    assert [e.exposure for e in stand.taken] == [77, 77]
    assert stand.said() == {decision: "done"}


def test_a_newer_change_replaces_one_that_waits() -> None:
    stand = Stand(survey(2))
    older = stand.decide(MoveStage(place="p0", x_um=1, y_um=1))
    other = stand.decide(SetExposure(place="p0", channel="DAPI", exposure_ms=9))
    newer = stand.decide(MoveStage(place="p0", x_um=2, y_um=2))
    stand.run_all()
    assert [(e.x_pos, e.exposure) for e in stand.taken] == [(2, 9)] * 2
    assert stand.said() == {older: "stale", other: "done", newer: "done"}
    assert len(stand.outcomes) == 3


def test_a_change_that_comes_as_the_runner_takes_the_event_waits_for_the_next() -> None:
    """The event was built without the change: it must not count as applied."""
    stand = Stand(survey(2))
    queue = stand.planner.queue
    withdraw = queue.withdraw
    decisions = []

    def late(ticket: int) -> bool:
        # what withdraw says when the runner has popped the event already
        return False

    admitted = stand.planner._taken

    def taken() -> bool:
        queue.withdraw = late  # type: ignore[method-assign]
        decisions.append(stand.decide(MoveStage(place="p0", x_um=5, y_um=5)))
        queue.withdraw = withdraw  # type: ignore[method-assign]
        stand.planner._taken = admitted  # type: ignore[method-assign]
        return admitted()

    stand.planner._taken = taken  # type: ignore[method-assign]
    event = stand.next()
    assert event is not None
    assert event.x_pos == 0
    assert not stand.outcomes
    assert stand.planner.yields()  # a sequence would end now, to be planned anew
    stand.run(event)
    stand.run_all()
    assert [e.x_pos for e in stand.taken] == [0, 5]
    assert stand.said() == {decisions[0]: "done"}


def test_a_running_sequence_of_the_place_ends_and_its_rest_gets_the_change() -> None:
    stand = Stand(survey(10, 0.0), merge=merge)
    event = stand.next()
    assert event is not None
    assert len(parts(event)) == 10
    assert not stand.planner.yields()
    stand.decide(MoveStage(place="p1", x_um=5, y_um=5))
    assert not stand.planner.yields()  # not about this place
    stand.decide(MoveStage(place="p0", x_um=5, y_um=5))
    assert stand.planner.yields()
    stand.run(event, take=4)
    stand.run_all()
    assert [e.x_pos for e in stand.taken] == [0] * 4 + [5] * 6
    assert [EventTag.of(e).index[0] for e in stand.taken] == list(range(10))
    counts = stand.telemetry.counts()
    assert counts["sequences_interrupted"] == 1
    assert counts["events_requeued"] == 6


def test_a_new_interval_holds_from_the_waiting_round_on() -> None:
    stand = Stand(survey(2, 100.0))
    first = stand.next()
    assert first is not None
    stand.run(first)
    assert stand.planner._refill()  # the next one waits for 100 s
    decision = stand.decide(SetInterval(place="p0", interval_s=40))
    assert stand.said() == {decision: "done"}
    times = []
    while (event := stand.next()) is not None:
        times.append(stand.clock.now_s())
        stand.run(event)
    assert times == [40, 100]


def test_an_interval_without_rounds_is_refused() -> None:
    stand = Stand(MDASequence(channels=["DAPI"]))
    decision = stand.decide(SetInterval(place="p0", interval_s=40))
    assert stand.said() == {decision: "refused"}


def test_falling_back_undoes_every_change_and_tells_those_that_wait() -> None:
    stand = Stand(survey(3, 10.0))
    stand.run(stand.next() or MDAEvent())
    done = stand.decide(SetInterval(place="p0", interval_s=2))
    waits = stand.decide(MoveStage(place="p0", x_um=5, y_um=5))
    stand.planner.fall_back()
    times = []
    while (event := stand.next()) is not None:
        times.append((stand.clock.now_s(), event.x_pos))
        stand.run(event)
    assert times == [(10, 0), (20, 0)]
    assert stand.said() == {done: "done", waits: "stale"}


# ---------------------------------------------------------------- bursts


@pytest.mark.parametrize("merged", [True, False])
def test_a_burst_runs_before_the_survey_and_tells_its_frames(merged: bool) -> None:
    stand = Stand(survey(2, 0.0), **({"merge": merge} if merged else {}))
    decision = stand.decide(burst(5, channel="FITC"))
    stand.run_all()
    tags = [EventTag.of(e) for e in stand.taken]
    assert [t.origin for t in tags] == ["burst"] * 5 + ["survey"] * 2
    assert [t.index[0] for t in tags[:5]] == list(range(5))
    assert {t.image for t in tags[:5]} == {"burst_0001"}
    taken = stand.taken[0]
    assert (taken.x_pos, taken.y_pos, taken.exposure) == (7, 8, 5)
    assert [(o.decision_id, o.status, o.frames) for o in stand.outcomes] == [
        (decision, "done", 5)
    ]
    assert stand.telemetry.latencies()["act"]["n"] == 1


def test_a_burst_with_an_interval_is_spread_and_higher_priority_goes_first() -> None:
    stand = Stand(survey(1))
    stand.decide(burst(3, interval_s=2.0))
    stand.decide(burst(1), priority=5)
    seen = []
    while (event := stand.next()) is not None:
        seen.append((stand.clock.now_s(), EventTag.of(event).image))
        stand.run(event)
    assert seen == [
        (0, "burst_0002"),
        (0, "burst_0001"),
        (0, "survey_p0"),
        (2, "burst_0001"),
        (4, "burst_0001"),
    ]


@pytest.mark.parametrize("interval_s", [0.0, 2.0])
def test_a_stale_burst_is_dropped_whole(interval_s: float) -> None:
    stand = Stand(survey(1), max_age_ms=1000)
    decision = stand.decide(burst(3, interval_s=interval_s))
    fresh = stand.decide(burst(2, interval_s=interval_s), max_age_ms=9000)
    stand.clock.sleep(1.5)
    stand.run_all()
    assert [EventTag.of(e).decision_id for e in stand.taken].count(decision) == 0
    assert stand.said() == {decision: "stale", fresh: "done"}


def test_of_a_burst_refused_by_the_engine_nothing_more_is_taken() -> None:
    stand = Stand(survey(1))
    decision = stand.decide(burst(3))
    event = stand.next()
    assert event is not None
    stand.planner.refused(event, "outside the limits")
    stand.run_all()
    assert [EventTag.of(e).origin for e in stand.taken] == ["survey"]
    assert stand.said() == {decision: "refused"}


def test_an_interrupted_burst_goes_on_where_it_was_ended() -> None:
    stand = Stand(survey(1), merge=merge)
    decision = stand.decide(burst(6))
    for take in (2, 0, 3, None):
        event = stand.next()
        assert event is not None
        stand.run(event, take)
    stand.run_all()
    tags = [EventTag.of(e) for e in stand.taken]
    assert [t.index[0] for t in tags if t.origin == "burst"] == list(range(6))
    assert [(o.decision_id, o.status, o.frames) for o in stand.outcomes] == [
        (decision, "done", 6)
    ]


# ---------------------------------------------------------------- the end


def test_at_the_end_each_decision_that_waits_is_told_once() -> None:
    stand = Stand(survey(3), merge=merge)
    begun = stand.decide(burst(4))
    event = stand.next()
    assert event is not None
    stand.run(event, take=1)
    waits = stand.decide(MoveStage(place="p9", x_um=0, y_um=0))
    queued = stand.decide(burst(2))
    stand.planner.finish()
    stand.planner.finish()
    late = stand.decide(burst(2))
    assert stand.said() == {
        begun: "failed",
        waits: "stale",
        queued: "stale",
        late: "stale",
    }
    assert len(stand.outcomes) == 4
    assert stand.next() is None


def test_a_decision_after_the_queue_has_closed_is_stale_and_no_error() -> None:
    stand = Stand(survey(1))
    stand.run_all()
    decision = stand.decide(burst(2))
    assert stand.said() == {decision: "stale"}


def test_the_run_waits_for_the_last_decisions() -> None:
    def settle() -> None:
        if not stand._ids:
            stand.decide(burst(2))

    stand = Stand(survey(1), settle=settle)
    stand.run_all()
    assert [EventTag.of(e).origin for e in stand.taken] == ["survey", "burst", "burst"]


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("run"), st.just(None)),
        st.tuples(st.just("run"), st.integers(0, 4)),
        st.tuples(st.just("refill"), st.none()),
        st.tuples(st.just("burst"), st.integers(1, 5)),
        st.tuples(st.just("move"), st.integers(0, 3)),
        st.tuples(st.just("exposure"), st.integers(0, 3)),
        st.tuples(st.just("later"), st.integers(0, 20)),
    ),
    max_size=40,
)


@settings(deadline=None)
@given(STEPS, st.booleans(), st.sampled_from([0.0, 5.0]), st.integers(1, 3))
def test_every_event_comes_once_and_every_decision_gets_one_outcome(
    steps: list[tuple[str, int | None]], merged: bool, interval: float, places: int
) -> None:
    sequence = survey(6, interval, places)
    stand = Stand(sequence, max_age_ms=9000, **({"merge": merge} if merged else {}))
    decisions: dict[str, Any] = {}
    for step, value in steps:
        n = value or 0
        if step == "run" and (event := stand.next()) is not None:
            stand.run(event, value)
        elif step == "refill":
            stand.planner._refill()
        elif step == "burst":
            decisions[stand.decide(burst(n))] = n
        elif step == "move":
            place = MoveStage(place=f"p{n}", x_um=n, y_um=n)
            decisions[stand.decide(place)] = None
        elif step == "exposure":
            change = SetExposure(place=f"p{n}", channel="DAPI", exposure_ms=n + 1)
            decisions[stand.decide(change)] = None
        elif step == "later":
            stand.clock.sleep(n)
    stand.run_all()
    stand.planner.finish()
    seen = [EventTag.of(e) for e in stand.taken]
    ours = [(t.index[0], t.place) for t in seen if t.origin == "survey"]
    assert ours == [(e.index["t"], f"p{e.index['p']}") for e in sequence]
    assert Counter(o.decision_id for o in stand.outcomes) == Counter(list(decisions))
    for outcome in stand.outcomes:
        frames = [t.index[0] for t in seen if t.decision_id == outcome.decision_id]
        assert frames == list(range(len(frames)))
        assert outcome.frames == len(frames)
        if outcome.status == "done" and decisions[outcome.decision_id]:
            assert len(frames) == decisions[outcome.decision_id]


def test_deciding_while_the_runner_runs_loses_nothing() -> None:
    """The analyst's thread decides as fast as it can while the runner takes events."""
    stand = Stand(survey(300, 0.0), max_age_ms=1e9)
    decided: list[str] = []
    running = True

    def analyst() -> None:
        for i in range(200):
            if not running:
                break
            action = (
                burst(1),
                MoveStage(place="p0", x_um=i, y_um=0),
                SetExposure(place="p0", channel="DAPI", exposure_ms=i + 1),
            )[i % 3]
            decided.append(stand.decide(action))

    thread = threading.Thread(target=analyst)
    thread.start()
    stand.run_all()
    running = False
    thread.join()
    stand.planner.finish()
    tags = [EventTag.of(e) for e in stand.taken]
    assert [t.index[0] for t in tags if t.origin == "survey"] == list(range(300))
    assert Counter(o.decision_id for o in stand.outcomes) == Counter(decided)
