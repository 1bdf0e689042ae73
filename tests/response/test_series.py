"""Child series: between the survey's visits, on their cell, ended in time and told."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from useq import MDAEvent, MDASequence

from smartscope.acquisition import (
    EventTag,
    Frame,
    FrameState,
    Limits,
    VirtualClock,
    parts,
)
from smartscope.recognition import Detections, Occurrence, Track
from smartscope.response import (
    Action,
    Arbiter,
    Bookmark,
    Burst,
    Decision,
    EndSeries,
    EndSurvey,
    MoveSeries,
    Observation,
    Outcome,
    Pause,
    Planner,
    Series,
    SeriesSettings,
    Wish,
    load_policy,
)
from smartscope.telemetry import Telemetry


class Stand:
    """A planner whose events take time."""

    def __init__(
        self, rounds: int = 6, interval: float = 10.0, places: int = 1, **more: Any
    ) -> None:
        self.clock = VirtualClock()
        self.outcomes: list[Outcome] = []
        self.declared: list[tuple[str, Series]] = []
        self.taken: list[tuple[float, MDAEvent]] = []
        self.planner = Planner(
            MDASequence(
                axis_order="tpc",
                time_plan={"interval": interval, "loops": rounds},
                stage_positions=[(500 * i, 0) for i in range(places)],
                channels=[{"config": "DAPI", "exposure": 20}],
            ),
            self.clock,
            outcome=self.outcomes.append,
            telemetry=Telemetry(),
            declare=lambda series, image: self.declared.append((image, series)),
            **more,
        )
        self._ids = 0

    def decide(self, action: Any, priority: int = 0) -> str:
        self._ids += 1
        self.planner.act(
            Decision(
                decision_id=f"{self._ids}/0",
                frame_id=self._ids,
                time_s=self.clock.now_s(),
                handed_over_s=0.0,
                policy="test",
                priority=priority,
                wish=action,
                granted=action,
                verdict="granted",
                reason="test",
            )
        )
        return f"{self._ids}/0"

    def step(self, took_s: float = 0.1) -> MDAEvent | None:
        event = next(self.planner.queue, None)
        if event is not None:
            self.taken.append((self.clock.now_s(), event))
            self.clock.sleep(took_s)
            self.planner.done(event, len(parts(event)))
        return event

    def run(self, took_s: float = 0.1) -> None:
        while self.step(took_s) is not None:
            pass

    def of(self, origin: str) -> list[tuple[float, MDAEvent]]:
        return [(t, e) for t, e in self.taken if EventTag.of(e).origin == origin]

    def told(self) -> dict[str, Outcome]:
        assert len({o.decision_id for o in self.outcomes}) == len(self.outcomes)
        return {o.decision_id: o for o in self.outcomes}


def series(**more: Any) -> Series:
    fields = {
        "place": "p0",
        "x_um": 7.0,
        "y_um": 8.0,
        "interval_s": 3.0,
        "visits": 4,
        "exposure_ms": 5.0,
    }
    return Series(**{**fields, **more})


def test_a_series_comes_back_between_the_visits_of_the_survey() -> None:
    stand = Stand()
    stand.step()
    asked = stand.decide(series())
    stand.run()
    assert [round(t, 1) for t, _ in stand.of("survey")] == [0, 10, 20, 30, 40, 50]
    assert [round(t, 1) for t, _ in stand.of("series")] == [0.1, 3.1, 6.1, 9.1]
    outcome = stand.told()[asked]
    assert (outcome.status, outcome.frames) == ("done", 4)
    assert "4 visits" in outcome.reason


def test_a_visit_takes_every_channel_and_plane_into_one_image() -> None:
    stand = Stand()
    stand.step()
    stand.decide(series(channels=("DAPI", "FITC"), z_planes=3, z_step_um=0.5, visits=2))
    stand.run()
    tags = [EventTag.of(e) for _, e in stand.of("series")]
    assert [t.index for t in tags] == [
        (t, c, z) for t in range(2) for c in range(2) for z in range(3)
    ]
    ((image, declared),) = stand.declared
    assert {t.image for t in tags} == {image} == {"series_0001"}
    assert declared.frames_per_visit == 6


def test_two_series_run_beside_each_other_and_the_survey_is_not_starved() -> None:
    stand = Stand(places=2)
    stand.step()
    stand.decide(series(interval_s=1.0, visits=20))
    stand.decide(series(place="p1", x_um=507.0, interval_s=1.0, visits=20))
    stand.run()
    assert len(stand.of("survey")) == 12
    places = [EventTag.of(e).place for _, e in stand.of("series")]
    assert places.count("p0") == places.count("p1") == 20
    assert places[:6] == ["p0", "p1"] * 3


def test_it_moves_with_its_cell_and_ends_when_told() -> None:
    stand = Stand()
    stand.step()
    asked = stand.decide(series(visits=100))
    stand.step()
    moved = stand.decide(MoveSeries(place="p0", series=asked, x_um=20.0, y_um=9.0))
    for _ in range(4):
        stand.step()
    ended = stand.decide(EndSeries(place="p0", series=asked, why="its cell is lost"))
    stand.run()
    where = [(e.x_pos, e.y_pos) for _, e in stand.of("series")]
    # the second visit was in the queue when the cell moved
    assert where[:2] == [(7.0, 8.0)] * 2
    assert set(where[2:]) == {(20.0, 9.0)}
    assert len(where) < 8
    told = stand.told()
    assert told[asked].reason.startswith("its cell is lost: ")
    assert told[moved].status == told[ended].status == "done"
    late = stand.decide(EndSeries(place="p0", series=asked, why="again"))
    assert stand.told()[late].status in ("refused", "stale")


def test_visits_that_are_late_are_left_out_and_told() -> None:
    stand = Stand()
    stand.step()
    asked = stand.decide(series(interval_s=1.0, visits=10))
    stand.run(took_s=2.5)
    times = [t for t, _ in stand.of("series")]
    assert len(times) < 10
    outcome = stand.told()[asked]
    assert f"{10 - len(times)} left out as late" in outcome.reason


def test_a_burst_goes_before_a_series_of_lower_priority() -> None:
    stand = Stand()
    stand.step()
    stand.decide(series(), priority=1)
    stand.decide(Burst(place="p0", x_um=0, y_um=0, frames=3, exposure_ms=5), priority=3)
    stand.run()
    origins = [EventTag.of(e).origin for _, e in stand.taken]
    assert origins[:5] == ["survey", "burst", "burst", "burst", "series"]


def test_a_refused_visit_ends_it_and_says_what_was_taken() -> None:
    stand = Stand()
    stand.step()
    asked = stand.decide(series())
    stand.step()
    event = next(stand.planner.queue)
    stand.planner.refused(event, "outside the limits")
    outcome = stand.told()[asked]
    assert (outcome.status, outcome.frames) == ("failed", 1)
    stand.run()
    assert len(stand.of("series")) == 1


def test_a_pause_holds_the_survey_and_lets_the_series_go_on() -> None:
    stand = Stand(rounds=3)
    stand.step()
    stand.decide(series())
    stand.decide(Pause(place="p0", for_s=35.0))
    stand.run()
    survey = [round(t, 1) for t, _ in stand.of("survey")]
    assert survey[0] == 0
    assert all(t >= 35 for t in survey[1:])
    assert len(survey) == 3
    assert max(t for t, _ in stand.of("series")) < 10


def test_the_end_of_the_survey_leaves_what_was_granted_to_be_done() -> None:
    stand = Stand(rounds=50)
    stand.step()
    stand.decide(series())
    stand.decide(EndSurvey(place="p0", why="enough"))
    mark = stand.decide(Bookmark(place="p0", x_um=1, y_um=2, text="look here"))
    stand.run()
    assert len(stand.of("survey")) == 1
    assert len(stand.of("series")) == 4
    assert stand.told()[mark].status == "done"


@given(st.data())
def test_every_visit_is_taken_at_most_once_and_every_decision_told_once(
    data: st.DataObject,
) -> None:
    stand = Stand(rounds=8, places=2)
    stand.step()
    asked: list[str] = []
    for _ in range(data.draw(st.integers(1, 12))):
        what = data.draw(
            st.sampled_from(["series", "burst", "end", "move", "step", "pause"])
        )
        place = data.draw(st.sampled_from(["p0", "p1"]))
        match what:
            case "series":
                interval_s = data.draw(st.floats(0.2, 5.0))
                asked.append(
                    stand.decide(
                        series(place=place, interval_s=interval_s, z_planes=2),
                        priority=data.draw(st.integers(0, 2)),
                    )
                )
            case "burst":
                asked.append(
                    stand.decide(
                        Burst(place=place, x_um=0, y_um=0, frames=2, exposure_ms=1),
                        priority=data.draw(st.integers(0, 2)),
                    )
                )
            case "pause":
                asked.append(stand.decide(Pause(place=place, for_s=3.0)))
            case "step":
                stand.step(data.draw(st.floats(0.0, 3.0)))
            case _ if asked:
                target = data.draw(st.sampled_from(asked))
                action: Action = (
                    EndSeries(place=place, series=target, why="test")
                    if what == "end"
                    else MoveSeries(place=place, series=target, x_um=1, y_um=1)
                )
                asked.append(stand.decide(action))
    stand.run(data.draw(st.floats(0.0, 1.0)))
    stand.planner.finish()
    keys = [(EventTag.of(e).image, EventTag.of(e).index) for _, e in stand.taken]
    assert len(set(keys)) == len(keys)
    assert set(stand.told()) == set(asked)
    assert len(stand.of("survey")) == 16


def test_a_visit_that_has_waited_long_enough_goes_first() -> None:
    stand = Stand(rounds=6, longest_wait_s=4.0, max_age_ms=1e9)
    stand.step()
    for _ in range(30):
        stand.decide(
            Burst(place="p0", x_um=0, y_um=0, frames=3, exposure_ms=5), priority=5
        )
    stand.run(took_s=1.0)
    survey = [t for t, _ in stand.of("survey")]
    assert len(survey) == 6
    assert all(t - 10 * i <= 4.0 + 1.0 for i, t in enumerate(survey))
    assert len(stand.of("burst")) == 90


@given(
    longest_wait_s=st.floats(0.1, 20.0),
    took_s=st.floats(0.01, 2.0),
    wishes=st.lists(
        st.tuples(st.integers(0, 30), st.integers(0, 9), st.integers(1, 6)), max_size=60
    ),
)
def test_no_visit_starves_past_its_bound_whatever_is_wished(
    longest_wait_s: float, took_s: float, wishes: list[tuple[int, int, int]]
) -> None:
    stand = Stand(10, 3.0, longest_wait_s=longest_wait_s, max_age_ms=1e9)
    due = sorted(wishes)
    n = 0
    while True:
        while due and due[0][0] <= n:
            _, priority, frames = due.pop(0)
            burst = Burst(place="p0", x_um=0, y_um=0, frames=frames, exposure_ms=1)
            stand.decide(burst, priority=priority)
        if stand.step(took_s) is None:
            break
        n += 1
    visits = [t for t, _ in stand.of("survey")]
    assert len(visits) == 10
    # due at 3 s each; a visit also waits for the one before it and the event that runs
    ready_s = 0.0
    for i, t in enumerate(visits):
        ready_s = max(ready_s, 3.0 * i)
        assert t <= ready_s + longest_wait_s + took_s + 1e-6
        ready_s = t + took_s


# the policy ------------------------------------------------------------------


def track(track_id: int = 3, x_um: float = 0.0, missed: int = 0) -> Track:
    return Track(track_id, "p0", x_um, 0.0, 0.0, 0.0, 9, missed, 1.0, 1.0)


def hit(name: str = "mitosis", *ids: int, kind: str = "brighten") -> Occurrence:
    return Occurrence(
        occurrence_id="0.0",
        name=name,
        kind=kind,
        place="p0",
        x_um=0.0,
        y_um=0.0,
        onset_s=0.0,
        seen_s=0.0,
        confidence=0.9,
        track_ids=ids or (3,),
    )


def observed(
    i: int, tracks: Sequence[Track] = (), hits: Sequence[Occurrence] = ()
) -> Observation:
    state = FrameState(0.0, 0.0, 0.0, 10.0, "FITC", 1.0)
    pixels = np.zeros((100, 100), np.uint16)
    frame = Frame(pixels, MDAEvent(), i, 60.0 * i, 0.0, "p0", state)
    by_id = {t.track_id: t for t in tracks}
    return Observation(frame, Detections.empty(), by_id, tuple(hits))


class Desk:
    """A policy whose wishes an arbiter without limits decides."""

    def __init__(self, **settings: Any) -> None:
        self.settings = SeriesSettings(on=("mitosis",), **settings)
        self.policy: Any = load_policy(self.settings)
        self.arbiter = Arbiter(Limits())

    def see(self, seen: Observation) -> list[Decision]:
        wishes = [
            Wish("series", self.settings, action, (0, i))
            for i, action in enumerate(self.policy.decide(seen))
        ]
        decisions = self.arbiter.decide(seen, wishes)
        for decision in decisions:
            self.policy.told(decision)
        return decisions


def test_the_policy_begins_moves_and_ends_a_series_with_its_cell() -> None:
    desk = Desk(lost_after=2, dead_band_um=3.0)
    (begun,) = desk.see(observed(0, [track()], [hit()]))
    assert isinstance(begun.granted, Series)
    assert begun.granted.channels == ("FITC",)
    assert desk.see(observed(1, [track(x_um=2.0)], [hit()])) == []
    (moved,) = desk.see(observed(2, [track(x_um=5.0)]))
    assert isinstance(moved.granted, MoveSeries)
    assert (moved.granted.series, moved.granted.x_um) == (begun.decision_id, 5.0)
    assert desk.see(observed(3, [track(x_um=6.0, missed=2)])) == []
    (ended,) = desk.see(observed(4, [track(x_um=6.0, missed=3)]))
    assert isinstance(ended.granted, EndSeries)
    assert "lost" in ended.granted.why


def test_until_ends_it_and_a_division_otherwise_goes_on_with_a_daughter() -> None:
    division = hit("division", 3, 7, 8, kind="split")
    desk = Desk(until=("division",))
    desk.see(observed(0, [track()], [hit()]))
    (ended,) = desk.see(observed(1, [track(7), track(8)], [division]))
    assert isinstance(ended.granted, EndSeries)
    going = Desk()
    (begun,) = going.see(observed(0, [track()], [hit()]))
    (moved,) = going.see(observed(1, [track(7, 9.0), track(8, -9.0)], [division]))
    assert isinstance(moved.granted, MoveSeries)
    assert moved.granted.track_id == 7
    assert moved.granted.series == begun.decision_id


def test_only_so_many_at_once_and_the_rest_is_told() -> None:
    desk = Desk(parallel=2)
    cells = [track(i) for i in range(3)]
    decisions = desk.see(observed(0, cells, [hit("mitosis", i) for i in range(3)]))
    assert [d.verdict for d in decisions] == ["granted"] * 2
    (remark,) = desk.policy.remarks()
    assert "as many as may be" in remark
    done = Outcome(
        decision_id=decisions[0].decision_id, status="done", reason="", time_s=1.0
    )
    desk.policy.told(done)
    (third,) = desk.see(observed(1, cells, [hit("mitosis", 2)]))
    assert third.verdict == "granted"


# the light -------------------------------------------------------------------


@pytest.mark.parametrize("channels", [(), ("FITC", "DAPI")])
def test_fewer_visits_are_granted_as_light_allows(channels: tuple[str, ...]) -> None:
    limits = Limits(light_ms_percent=4500.0)
    desk = Desk(visits=10, channels=channels, exposure_ms=5.0)
    desk.arbiter = Arbiter(limits)
    (decision,) = desk.see(observed(0, [track()], [hit()]))
    assert isinstance(decision.granted, Series)
    # 5 ms × 100 % a frame
    assert decision.granted.visits == 9 // max(1, len(channels))
    assert decision.verdict == "clipped"
