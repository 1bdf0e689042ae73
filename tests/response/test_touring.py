"""Tours: every hit one outcome, one turn there and back, the survey waits."""

from __future__ import annotations

from collections import Counter
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from useq import MDAEvent, MDASequence

from smartscope.acquisition import EventTag, VirtualClock, parts
from smartscope.response import (
    AfterHits,
    Decision,
    Outcome,
    Planner,
    TourPlan,
    Visit,
    VisitSettings,
)
from smartscope.response.touring import TURN_BACK
from smartscope.telemetry import Telemetry

FAR = "Nikon 40X Plan Fluor ELWD"


class Stand:
    """A planner with a clock, and a runner that is moved by hand."""

    def __init__(self, sequence: MDASequence, how: VisitSettings) -> None:
        self.clock = VirtualClock()
        self.outcomes: list[Outcome] = []
        self.images: list[str] = []
        self.taken: list[MDAEvent] = []
        self.how = how
        self.planner = Planner(
            sequence,
            self.clock,
            outcome=self.outcomes.append,
            telemetry=Telemetry(),
            declare=lambda _action, image: self.images.append(image),
            tours={"visit": TourPlan(how, seed=1)},
        )
        self.ids: list[str] = []

    def hit(self, x_um: float = 7.0, place: str = "p0", **more: Any) -> str:
        decision_id = f"{len(self.ids)}/0"
        self.ids.append(decision_id)
        fields: dict[str, Any] = {
            "exposure_ms": 5,
            "objective": FAR,
            "z_um": 2.0,
            "max_wait_s": self.how.max_wait_s,
            **more,
        }
        visit = Visit(place=place, x_um=x_um, y_um=0.0, **fields)
        self.planner.act(
            Decision(
                decision_id=decision_id,
                frame_id=0,
                time_s=self.clock.now_s(),
                handed_over_s=0.0,
                policy="visit",
                priority=0,
                wish=visit,
                granted=visit,
                verdict="granted",
                reason="test",
            )
        )
        return decision_id

    def step(self, *, refuse: bool = False, takes_s: float = 0.1) -> MDAEvent | None:
        """Let the runner take the next event, as the engine does."""
        event = next(self.planner.queue, None)
        if event is None:
            return None
        self.clock.sleep(takes_s)
        self.taken.append(event)
        if refuse and EventTag.of(parts(event)[0]).origin == "visit":
            self.planner.refused(event, "the limits")
        else:
            self.planner.done(event, len(parts(event)))
        return event

    def said(self) -> dict[str, str]:
        return {o.decision_id: o.status for o in self.outcomes}


def survey(loops: int = 4, places: int = 2) -> MDASequence:
    return MDASequence(
        axis_order="tpc",
        time_plan={"interval": 10, "loops": loops},
        stage_positions=[(100 * i, 0) for i in range(places)],
        channels=[{"config": "FITC", "exposure": 20}],
    )


def kinds(stand: Stand) -> str:
    """What was taken in order: s of the survey, v of a visit, b turned back."""
    told = []
    for event in stand.taken:
        back = getattr(event.action, "name", "") == TURN_BACK
        origin = EventTag.of(parts(event)[0]).origin
        told.append("b" if back else {"survey": "s", "visit": "v"}[origin])
    return "".join(told)


def test_hits_of_a_round_are_visited_after_it_in_one_tour() -> None:
    stand = Stand(survey(loops=2), VisitSettings(on=("hit",), when="round"))
    stand.step()
    stand.hit(7)
    stand.hit(90, "p1")
    while stand.step() is not None:
        pass
    assert kinds(stand) == "ssvvbss"
    assert set(stand.said().values()) == {"done"}
    visits = [e for e in stand.taken if EventTag.of(e).origin == "visit"]
    # the short way from where the survey was: the far one is nearer to its last place
    assert [e.x_pos for e in visits] == [90, 7]
    assert {EventTag.of(e).objective for e in visits} == {FAR}
    assert {EventTag.of(e).image for e in visits} == {"visit_0001", "visit_0002"}
    assert stand.images == ["visit_0001", "visit_0002"]


def test_enough_hits_are_visited_at_once_and_the_rest_at_the_end() -> None:
    how = VisitSettings(on=("hit",), when=AfterHits(hits=2))
    stand = Stand(survey(loops=2), how)
    stand.step()
    stand.hit(1)
    stand.hit(2)
    stand.hit(3)
    while stand.step() is not None:
        pass
    assert kinds(stand) == "svvbsssvb"
    assert "stop 1 of 1 in tour 2" in stand.outcomes[-1].reason


def test_planes_channels_and_times_are_taken_at_each_stop() -> None:
    stand = Stand(survey(loops=1), VisitSettings(on=("hit",), when="end"))
    more = {"channels": ("FITC", "DAPI"), "z_planes": 3, "frames": 2, "interval_s": 4}
    stand.hit(7, **more)
    while stand.step() is not None:
        pass
    visits = [e for e in stand.taken if EventTag.of(e).origin == "visit"]
    assert len(visits) == 12
    assert Counter(e.z_pos for e in visits) == {1.0: 4, 2.0: 4, 3.0: 4}
    assert len({EventTag.of(e).index for e in visits}) == 12
    assert stand.clock.now_s() > 4
    assert [o.frames for o in stand.outcomes] == [12]


def test_a_hit_that_waited_too_long_is_stale() -> None:
    how = VisitSettings(on=("hit",), when="end", max_wait_s=25)
    stand = Stand(survey(loops=4), how)
    early = stand.hit(7)
    for _ in range(6):
        stand.step()
    late = stand.hit(9)
    while stand.step() is not None:
        pass
    assert stand.said() == {early: "stale", late: "done"}
    (told,) = [o.reason for o in stand.outcomes if o.status == "stale"]
    assert "max_wait_s 25" in told


def test_without_another_objective_nothing_is_turned() -> None:
    stand = Stand(survey(loops=1), VisitSettings(on=("hit",), when="end"))
    stand.hit(7, objective=None)
    while stand.step() is not None:
        pass
    assert kinds(stand) == "ssv"


def test_a_visit_that_is_refused_leaves_its_place_to_another() -> None:
    how = VisitSettings(on=("hit",), when="round", most=1)
    stand = Stand(survey(loops=3), how)
    stand.step()
    refused = stand.hit(7)
    stand.step()
    stand.step(refuse=True)
    stand.step()
    second = stand.hit(9)
    while stand.step() is not None:
        pass
    assert stand.said() == {refused: "refused", second: "done"}
    assert kinds(stand) == "ssvbssvbss"


WHEN = st.sampled_from(["round", "end"]) | st.integers(1, 4).map(
    lambda n: AfterHits(hits=n)
)


@given(
    plan=st.lists(st.integers(0, 3), min_size=1, max_size=12),
    refused=st.sets(st.integers(0, 40)),
    when=WHEN,
    most=st.none() | st.integers(1, 6),
    per_tour=st.none() | st.integers(1, 3),
    max_wait_s=st.sampled_from([5.0, 25.0, 900.0]),
    stop=st.none() | st.integers(0, 30),
    planes=st.integers(1, 2),
)
@settings(max_examples=100, deadline=None)
def test_no_hit_is_lost_and_every_tour_turns_back(
    plan: list[int],
    refused: set[int],
    when: Any,
    most: int | None,
    per_tour: int | None,
    max_wait_s: float,
    stop: int | None,
    planes: int,
) -> None:
    if most is not None and per_tour is not None and per_tour > most:
        per_tour = most
    how = VisitSettings(
        on=("hit",), when=when, most=most, per_tour=per_tour, max_wait_s=max_wait_s
    )
    stand, steps = Stand(survey(loops=4), how), 0
    for hits in plan:
        for i in range(hits):
            stand.hit(10.0 * len(stand.ids) + i, f"p{i % 2}", z_planes=planes)
        if steps != stop:
            stand.step(refuse=steps in refused)
            steps += 1
    while steps != stop and stand.step(refuse=steps in refused) is not None:
        steps += 1
    stand.planner.finish()
    told = Counter(o.decision_id for o in stand.outcomes)
    assert told == Counter(stand.ids), "every hit has one outcome"
    made = sum(o.status == "done" for o in stand.outcomes)
    assert most is None or made <= most
    order = kinds(stand)
    assert "vs" not in order, "the survey goes on with its own objective"
    if stop is None:
        assert order.count("s") == 8, "no visit of the survey is lost"
        assert not order.endswith("v")
    if per_tour is not None:
        assert max(map(len, order.replace("s", "b").split("b"))) <= per_tour * planes
