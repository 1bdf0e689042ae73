"""Scores: each catch counts once, only what was in view can be missed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smartscope.recognition import Occurrence
from smartscope.simulation.truth import Truth, TruthEvent
from smartscope.validation import View, equal_light, score_occurrences, score_run, views

FIELD = View("p0", 0.0, (0.0, 100.0), (0.0, 100.0), 10.0)


def look(time_s: float, place: str = "p0", **how: object) -> View:
    known = {"x_um": FIELD.x_um, "y_um": FIELD.y_um, "light_ms_percent": 10.0}
    return View(place, time_s, **{**known, **how})  # type: ignore[arg-type]


def seen(
    number: int, onset_s: float, x_um: float, y_um: float, name: str = "division"
) -> Occurrence:
    return Occurrence(
        occurrence_id=f"{number}.0",
        name=name,
        kind="split",
        place="p0",
        x_um=x_um,
        y_um=y_um,
        onset_s=onset_s,
        seen_s=onset_s + 5,
        confidence=0.9,
    )


def truth(*events: tuple[float, float, float], **how: object) -> Truth:
    return Truth(
        tuple(TruthEvent("anaphase", *e) for e in events),
        {"anaphase": "division"},
        tolerance_s=20.0,
        tolerance_um=10.0,
        **how,  # type: ignore[arg-type]
    )


LOOKS = [look(10.0 * k) for k in range(21)]


def test_one_of_each() -> None:
    scores = score_occurrences(
        [
            seen(0, 60, 22, 20),  # 10 s after the event
            seen(1, 62, 21, 20),  # the same again
            seen(2, 60, 90, 90),  # nothing happened there
            seen(3, 60, 70, 10),  # excused
            seen(4, 60, 50, 50, name="flash"),  # not asked for
        ],
        truth(
            (50, 20, 20),
            (100, 60, 60),  # missed
            (100, 500, 60),  # no field there
            (900, 60, 60),  # after the last look
            ignore=((0, 100, 70, 10, 5),),
        ),
        LOOKS,
    )
    told = {k: scores[k] for k in ("events", "caught", "missed", "not_in_view")}
    assert told == {"events": 2, "caught": 1, "missed": 1, "not_in_view": 2}
    assert (scores["false"], scores["duplicates"], scores["ignored"]) == (2, 1, 1)
    assert scores["unscored"] == 1
    assert scores["recall"] == 0.5
    assert scores["precision"] == pytest.approx(1 / 3, abs=1e-4)
    event = scores["per_event"][0]
    assert event["occurrence_id"] in ("0.0", "1.0")
    assert scores["delay_s"]["median"] == event["delay_s"] > 0
    assert scores["by_name"]["division"]["caught"] == 1


def test_the_assignment_catches_most() -> None:
    # the nearer event for 0 is the only one for 1: greedy would catch one
    scores = score_occurrences(
        [seen(0, 50, 26, 20), seen(1, 50, 38, 20)],
        truth((50, 20, 20), (50, 29, 20)),
        LOOKS,
    )
    assert scores["caught"] == 2
    assert [e["occurrence_id"] for e in scores["per_event"]] == ["0.0", "1.0"]


def test_the_tolerance_runs_from_the_first_look_that_could_show_it() -> None:
    rare = [look(0), look(200), look(400)]
    scores = score_occurrences([seen(0, 200, 20, 20)], truth((50, 20, 20)), rare)
    assert scores["caught"] == 1
    assert scores["delay_s"]["median"] == 155.0
    often = score_occurrences([seen(0, 200, 20, 20)], truth((50, 20, 20)), LOOKS)
    assert (often["caught"], often["false"]) == (0, 1)


def test_a_field_that_moved_away_is_not_in_view() -> None:
    looks = [look(0), look(100, x_um=(500.0, 600.0)), look(200)]
    assert score_occurrences([], truth((50, 20, 20)), looks)["not_in_view"] == 1


def test_nothing_at_all() -> None:
    scores = score_occurrences([], truth(), [])
    assert scores["recall"] is scores["precision"] is scores["delay_s"] is None


_POINTS = st.tuples(st.integers(0, 200), st.integers(0, 100), st.integers(0, 100))


@given(happened=st.lists(_POINTS, max_size=6), said=st.lists(_POINTS, max_size=6))
def test_what_always_holds(
    happened: list[tuple[int, int, int]], said: list[tuple[int, int, int]]
) -> None:
    recognised = [seen(i, *s) for i, s in enumerate(said)]
    scores = score_occurrences(recognised, truth(*happened), LOOKS)
    assert scores["caught"] + scores["missed"] == scores["events"]
    assert scores["events"] + scores["not_in_view"] == len(happened)
    assert scores["caught"] + scores["false"] + scores["ignored"] == len(said)
    caught = [e["occurrence_id"] for e in scores["per_event"] if e["caught"]]
    assert len(caught) == len(set(caught))
    assert scores["duplicates"] <= scores["false"]
    assert all(
        e["distance_um"] <= 10 for e in scores["per_event"] if e["occurrence_id"]
    )
    again = score_occurrences(recognised[::-1], truth(*happened), LOOKS)
    assert again["caught"] == scores["caught"]


@given(happened=st.lists(_POINTS, max_size=6, unique=True))
def test_the_truth_itself_scores_full(happened: list[tuple[int, int, int]]) -> None:
    recognised = [seen(i, *h) for i, h in enumerate(happened)]
    scores = score_occurrences(recognised, truth(*happened), LOOKS)
    assert scores["caught"] == len(happened)
    assert scores["false"] == 0


def test_each_kind_has_its_own_tolerance() -> None:
    happened = Truth(
        (TruthEvent("flash", 50, 20, 20, 55), TruthEvent("division", 50, 80, 80)),
        {"flash": "flash", "division": "division"},
        tolerance_s=60.0,
        tolerances_s={"flash": 5.0},
    )
    said = [seen(0, 90, 20, 20, "flash"), seen(1, 90, 80, 80)]
    scores = score_occurrences(said, happened, LOOKS)
    by = scores["by_name"]
    assert (by["flash"]["caught"], by["flash"]["false"]) == (0, 1)
    assert (by["division"]["caught"], by["division"]["false"]) == (1, 0)
    assert scores["tolerances_s"] == {"flash": 5.0, "division": 60.0}
    alike = score_occurrences(said, happened, LOOKS, tolerance_s=60)
    assert (alike["caught"], alike["false"]) == (2, 0)
    assert Truth.from_record(happened.to_record()) == happened


def test_what_is_over_before_the_next_look_was_not_in_view() -> None:
    # looks are at 40, 50, 60 s
    def in_view(t_s: float, ends_s: float, of_class: str | None = None) -> int:
        event = TruthEvent("flash", t_s, 20, 20, ends_s, of_class)
        scores = score_occurrences([], Truth((event,), {"flash": "flash"}), LOOKS)
        return int(scores["events"])

    assert in_view(52, 57) == 0
    assert in_view(52, 60) == 1
    # what stays changed can be seen later
    assert in_view(52, 57, "interphase") == 1


# ------------------------------------------------------------------ equal light


def test_a_survey_without_bursts_is_its_own_comparison() -> None:
    told = equal_light(LOOKS[:-1], [TruthEvent("a", 100, 5, 5)], duration_s=200)
    assert told["rounds"] == 20
    assert told["interval_s"] == 10
    event = told["per_event"][0]
    assert event["smart_frames"] == event["fixed_frames"] == 10
    assert event["smart_before"] == event["fixed_before"] == 10
    assert told["smart_caught"] == told["fixed_caught"] == 1


def test_light_for_a_burst_is_light_that_a_fixed_interval_spreads() -> None:
    slow = [look(t) for t in range(0, 2001, 200)]
    burst = [look(1010 + k, survey=False) for k in range(11)]
    events = [TruthEvent("a", 1000, 5, 5), TruthEvent("a", 1500, 900, 900)]
    told = equal_light([*slow, *burst], events, duration_s=2000)
    assert told["light_ms_percent"] == 220
    assert told["rounds"] == 22
    assert told["events"] == 1  # nobody looks at the other one
    assert told["smart_caught"] == 1
    # every 90.9 s: in 600 s before the onset and in 180 s from it on
    event = told["per_event"][0]
    assert (event["fixed_before"], event["fixed_frames"]) == (6, 2)
    assert told["fixed_caught"] == 0


def test_without_a_baseline_an_event_is_not_caught() -> None:
    burst = [look(1010 + k, survey=False) for k in range(10)]
    events = [TruthEvent("a", 1000, 5, 5)]

    def caught(*before_s: float, **how: int) -> int:
        looks = [look(t) for t in before_s]
        told = equal_light([*looks, *burst], events, duration_s=2000, **how)
        return int(told["smart_caught"])

    assert caught(500, 600, 1000) == 0  # the third one is at the onset
    assert caught(399, 500, 600) == 0  # and here the first one too long before
    assert caught(400, 500, 600) == 1
    assert caught(1000, baseline_frames=0) == 1


@given(
    times=st.lists(st.floats(0, 1000), min_size=1, max_size=20),
    t_s=st.floats(0, 1000),
    window_s=st.floats(0, 500),
)
def test_the_comparison_never_spends_more(
    times: list[float], t_s: float, window_s: float
) -> None:
    taken = [look(t) for t in times]
    told = equal_light(
        taken,
        [TruthEvent("a", t_s, 5, 5)],
        duration_s=1000,
        window_s=window_s,
    )
    assert told["rounds"] * told["light_per_round"] <= told["light_ms_percent"] * 1.0001
    assert told["per_event"][0]["fixed_frames"] <= told["rounds"]
    event = told["per_event"][0]
    assert event["smart_before"] + event["smart_frames"] <= len(times)
    assert event["fixed_before"] + event["fixed_frames"] <= told["rounds"]


def test_frames_that_are_not_stored_have_lit_and_show_nothing() -> None:
    kept = [look(t, stored=t >= 150) for t in range(0, 200, 10)]
    told = equal_light(kept, [TruthEvent("a", 100, 5, 5)], duration_s=200)
    assert told["rounds"] == 20
    event = told["per_event"][0]
    assert (event["smart_before"], event["fixed_before"]) == (0, 10)
    assert (event["smart_frames"], event["fixed_frames"]) == (5, 10)


def test_nothing_was_taken() -> None:
    told = equal_light([], [], duration_s=0)
    assert (told["rounds"], told["interval_s"], told["events"]) == (0, None, 0)
    with pytest.raises(ValueError, match="frames_needed"):
        equal_light([], [], duration_s=1, frames_needed=0)
    with pytest.raises(ValueError, match="baseline_frames"):
        equal_light([], [], duration_s=1, baseline_frames=-1)


def test_a_run_is_scored_from_its_headers() -> None:
    state = {"x_um": 50, "y_um": 50, "pixel_size_um": 1.0, "exposure_ms": 2.0}
    header = {"shape": [100, 100], "place": "p0", "state": state, "event": {}}
    headers = [{**header, "time_s": 10.0 * k, "index": [k, 0, 0]} for k in range(21)]
    (first, *_) = views(headers)
    assert first.x_um == first.y_um == (0.0, 100.0)
    assert first.light_ms_percent == 200
    scores = score_run(headers, [seen(0, 60, 22, 20)], truth((50, 20, 20)))
    assert scores["caught"] == 1
    assert scores["equal_light"]["rounds"] == 21


def test_channels_and_planes_of_a_visit_are_one_round() -> None:
    taken = [look(10.0 * t + c, visit=t) for t in range(10) for c in range(3)]
    told = equal_light(taken, [], duration_s=100)
    assert told["rounds"] == 10
