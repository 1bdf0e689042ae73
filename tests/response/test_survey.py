"""Survey: due times of the plan, and an interval that can be changed."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from useq import MDASequence

from smartscope.response.survey import Planned, Survey


def plan(loops: int = 5, interval: float = 10.0, **more: Any) -> MDASequence:
    return MDASequence(
        axis_order="tpgcz",
        time_plan={"interval": interval, "loops": loops},
        stage_positions=[(0, 0), (100, 0)],
        channels=["DAPI"],
        **more,
    )


def drain(survey: Survey, now_s: float = 0.0) -> list[Planned]:
    """Take everything, each event when it is due."""
    out = []
    while (due_s := survey.peek_due_s(now_s)) is not None:
        now_s = max(now_s, due_s)
        planned = survey.pop(now_s)
        assert planned is not None
        assert planned.due_s <= now_s
        out.append(planned)
    assert survey.pop(now_s) is None
    return out


def dues(planned: list[Planned]) -> list[float]:
    return [p.due_s for p in planned if p.place == "p0"]


def test_due_times_are_the_plans_counted_from_the_start() -> None:
    events = drain(Survey(plan(), start_s=7.0))
    assert dues(events) == [7, 17, 27, 37, 47]
    assert [p.place for p in events] == ["p0", "p1"] * 5
    assert [p.round for p in events] == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]


def test_a_timer_that_starts_anew_counts_from_when_it_is_reached() -> None:
    # each position has its own time: p is the outer axis
    sequence = MDASequence(
        axis_order="ptgcz",
        time_plan={"interval": 10, "loops": 2},
        stage_positions=[(0, 0), (100, 0)],
    )
    assert any(e.reset_event_timer for e in list(sequence)[1:])
    survey = Survey(sequence)
    assert not survey.has_rounds
    first, second = survey.pop(0.0), survey.pop(10.0)
    assert first is not None
    assert second is not None
    assert (first.due_s, second.due_s) == (0, 10)
    # not looked at too early: it would count from before the others have run
    assert survey.pop_with(second, 10.0) is None
    third, fourth = survey.pop(25.0), survey.pop(25.0)
    assert third is not None
    assert fourth is not None
    assert (third.due_s, fourth.due_s) == (25, 35)
    assert not survey.set_interval(3)


def test_faster_puts_extra_rounds_between_and_keeps_the_plans() -> None:
    survey = Survey(plan(loops=3))
    assert survey.set_interval(4)
    events = drain(survey)
    assert dues(events) == [0, 4, 10, 14, 20]
    assert [p.round for p in events if p.place == "p0"] == [0, 1, 2, 3, 4]


def test_slower_leaves_rounds_out_but_not_the_last() -> None:
    survey = Survey(plan(loops=6))
    survey.set_interval(20)
    assert dues(drain(survey)) == [0, 20, 40, 50]
    survey = Survey(plan(loops=6))
    survey.set_interval(1000)
    assert dues(drain(survey)) == [0, 50]


def test_a_plan_without_times_is_delayed_and_none_is_left_out() -> None:
    survey = Survey(plan(loops=4, interval=0.0))
    survey.set_interval(5)
    assert dues(drain(survey)) == [0, 5, 10, 15]


def test_a_waiting_round_is_planned_anew_and_the_end_stays() -> None:
    survey = Survey(plan(loops=2, interval=100.0))
    first, second = survey.pop(0.0), survey.pop(0.0)
    assert first is not None
    assert second is not None
    assert survey.peek_due_s(1.0) == 100
    survey.set_interval(30)
    survey.replan()
    assert dues(drain(survey, 1.0)) == [30, 60, 100]


def test_back_to_the_plans_interval_drops_the_extra_round_that_waits() -> None:
    survey = Survey(plan(loops=3))
    survey.pop(0.0), survey.pop(0.0)
    survey.set_interval(2)
    assert survey.peek_due_s(0.5) == 2
    survey.clear_interval()
    survey.replan()
    assert dues(drain(survey, 0.5)) == [10, 20]


def test_a_round_that_has_begun_is_not_planned_anew() -> None:
    survey = Survey(plan(loops=2, interval=100.0))
    survey.pop(0.0)
    survey.set_interval(1)
    survey.replan()
    second = survey.pop(0.0)
    assert second is not None
    assert (second.place, second.due_s) == ("p1", 0)


def test_no_extra_round_lies_in_the_past() -> None:
    survey = Survey(plan(loops=2, interval=100.0))
    survey.set_interval(10)
    survey.pop(0.0), survey.pop(0.0)
    assert survey.peek_due_s(57.0) == 57


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("pop"), st.just(0.0)),
            st.tuples(st.just("back"), st.just(0.0)),
            st.tuples(st.just("interval"), st.floats(0.5, 40)),
            st.tuples(st.just("plan"), st.just(0.0)),
            st.tuples(st.just("later"), st.floats(0, 15)),
        ),
        max_size=60,
    ),
    st.sampled_from([0.0, 10.0]),
)
def test_whatever_happens_the_end_comes_and_order_is_kept(
    steps: list[tuple[str, float]], interval: float
) -> None:
    sequence = plan(loops=5, interval=interval)
    last = list(sequence)[-1]
    survey = Survey(sequence)
    taken: list[Planned] = []
    now_s, changed = 0.0, False
    for step, value in steps:
        if step == "pop" and (due_s := survey.peek_due_s(now_s)) is not None:
            now_s = max(now_s, due_s)
            one = survey.pop(now_s)
            assert one is not None
            taken.append(one)
        elif step == "back" and taken:
            survey.put_back([taken.pop()])
        elif step == "interval":
            changed = True
            survey.set_interval(value)
            survey.replan()
        elif step == "plan":
            survey.clear_interval()
            survey.replan()
        elif step == "later":
            now_s += value
    survey.clear_interval()
    survey.replan()
    everything = taken + drain(survey, now_s)
    # the last round of the plan is there, once, at its end
    assert everything[-1].event == last
    if interval:
        assert everything[-1].due_s == 40
    # rounds count up, and each shows every place once
    assert [p.place for p in everything] == ["p0", "p1"] * (len(everything) // 2)
    assert [p.round for p in everything[::2]] == list(range(len(everything) // 2))
    if not changed:
        assert [p.event for p in everything] == list(sequence)


def test_events_that_may_run_in_one_go_are_due_and_at_one_place() -> None:
    survey = Survey(plan(loops=3, interval=0.0))
    first = survey.pop(0.0)
    assert first is not None
    assert survey.pop_with(first, 0.0) is None  # p1
    one_place = MDASequence(time_plan={"interval": 1, "loops": 3}, channels=["DAPI"])
    survey = Survey(one_place)
    first = survey.pop(0.0)
    assert first is not None
    second = survey.pop_with(first, 1.0)
    assert second is not None
    assert survey.pop_with(first, 1.0) is None  # due at 2 s
    survey.put_back([second])
    assert survey.pop(1.0) == second


@pytest.mark.parametrize("interval", [None, 3.0])
def test_a_survey_without_time_is_one_round(interval: float | None) -> None:
    survey = Survey(MDASequence(stage_positions=[(0, 0), (1, 1)], channels=["DAPI"]))
    if interval is not None:
        assert not survey.set_interval(interval)
    assert [p.place for p in drain(survey)] == ["p0", "p1"]


# dark places ------------------------------------------------------------------


@given(
    loops=st.integers(2, 8),
    interval=st.one_of(st.none(), st.integers(1, 40)),
    dark=st.sampled_from([{"p0"}, {"p1"}]),
)
def test_a_dark_place_comes_once_with_the_last_round(
    loops: int, interval: int | None, dark: set[str]
) -> None:
    bare, survey = Survey(plan(loops)), Survey(plan(loops), dark=dark)
    for each in (bare, survey):
        if interval is not None:
            each.set_interval(interval)
    all_events, events = drain(bare), drain(survey)
    last = max(p.round for p in all_events)
    assert [(p.place, p.due_s, p.round) for p in events] == [
        (p.place, p.due_s, p.round)
        for p in all_events
        if p.place not in dark or p.round == last
    ]


@given(loops=st.integers(3, 8), taken=st.integers(1, 30))
def test_ended_before_its_turn_a_dark_place_comes_at_once(
    loops: int, taken: int
) -> None:
    survey = Survey(plan(loops), dark={"p1"})
    now_s, done = 0.0, []
    for _ in range(taken):
        due_s = survey.peek_due_s(now_s)
        if due_s is None:
            break
        now_s = max(now_s, due_s)
        done.append(survey.pop(now_s))
    survey.end(now_s)
    survey.end(now_s)
    done += drain(survey, now_s)
    assert [p is not None and p.place for p in done].count("p1") == 1
    assert all(p is not None and p.due_s <= now_s for p in done)


def test_what_is_put_back_after_the_end_stays_out_but_for_the_closing_round() -> None:
    survey = Survey(plan(5), dark={"p1"})
    first = survey.pop(0.0)
    assert first is not None
    survey.end(0.0)
    survey.put_back([first])
    closing = drain(survey)
    assert [p.place for p in closing] == ["p0", "p1"]
    survey.put_back(closing[1:])
    assert [p.place for p in drain(survey)] == ["p1"]


def test_a_phase_that_begins_anew_still_does_without_its_first_place() -> None:
    sequence = MDASequence(
        axis_order="tpc",
        time_plan=[{"interval": 10, "loops": 3}, {"interval": 5, "loops": 3}],
        stage_positions=[(0, 0), (100, 0)],
        channels=["DAPI"],
    )
    events = drain(Survey(sequence, dark={"p0"}))
    whole = drain(Survey(sequence))
    assert [p.due_s for p in events if p.place == "p1"] == [
        p.due_s for p in whole if p.place == "p1"
    ]


def test_a_closing_round_that_is_planned_anew_shows_nothing_before_its_time() -> None:
    sequence = MDASequence(
        axis_order="tpc",
        time_plan={"interval": 10, "loops": 3},
        stage_positions=[(0, 0), (100, 0)],
        channels=["DAPI"],
    )
    survey = Survey(sequence, dark={"p1"})
    came = [survey.pop(0.0), survey.pop(10.0)]
    assert survey.peek_due_s(10.0) == 20.0  # the closing round is planned,
    survey.set_interval(2)
    survey.replan()  # and planned anew: faster rounds come before it
    while (planned := survey.pop(10.0)) is not None:
        came.append(planned)
    shown = [(p.place, p.due_s) for p in came if p is not None]
    assert shown[-2:] == [("p0", 20.0), ("p1", 20.0)]
    assert {place for place, _ in shown[:-1]} == {"p0"}
    assert len(shown) > 4
