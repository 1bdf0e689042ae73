"""A tour: who is visited and in what order, whatever waits."""

from __future__ import annotations

import math
from collections import Counter
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from smartscope.response.tour import Made, TourPlan, Waiting, choose, short_way
from smartscope.response.visit_settings import VisitSettings

POINTS = st.lists(
    st.tuples(st.floats(-5000, 5000), st.floats(-5000, 5000)), max_size=24
)


def length(points: list[tuple[float, float]], way: list[int], start: Any) -> float:
    path = [start, *(points[i] for i in way)]
    return sum(math.dist(a, b) for a, b in pairwise(path))


@given(points=POINTS, start=st.tuples(st.floats(-5000, 5000), st.floats(-5000, 5000)))
@settings(max_examples=60, deadline=None)
def test_the_short_way_goes_everywhere_and_is_never_longer_than_as_given(
    points: list[tuple[float, float]], start: tuple[float, float]
) -> None:
    way = short_way(points, start)
    assert sorted(way) == list(range(len(points)))
    as_given = length(points, list(range(len(points))), start)
    assert length(points, way, start) <= as_given + 1e-6


def test_the_short_way_through_a_row_is_along_it() -> None:
    points = [(float(x), 0.0) for x in (500, 100, 400, 200, 300)]
    assert short_way(points, (0.0, 0.0)) == [1, 3, 4, 2, 0]
    # and over a zigzag at most as long as going row by row
    grid = [(100.0 * (i % 6), 100.0 * (i // 6)) for i in range(36)]
    assert length(grid, short_way(grid, grid[0]), grid[0]) <= 35 * 100 + 200


def plan_of(**more: Any) -> TourPlan:
    groups = more.pop("groups_of", {})
    units = more.pop("units", {})
    settings_ = VisitSettings(on=("hit",), **more)
    return TourPlan(settings_, units=units, groups=groups, seed=more.get("seed", 3))


def hits_at(places: list[int], first: int = 0) -> list[Waiting]:
    return [
        Waiting(f"{first + i}/0", f"p{p}", 100.0 * p, float(first + i))
        for i, p in enumerate(places)
    ]


QUOTA = st.none() | st.integers(1, 12)


@given(
    batches=st.lists(st.lists(st.integers(0, 5), max_size=14), max_size=4),
    most=st.none() | st.integers(1, 30),
    per_place=QUOTA,
    per_group=QUOTA,
    per_tour=QUOTA,
    how=st.sampled_from(["first", "random"]),
    radius=st.sampled_from([0.0, 3.0]),
    seed=st.integers(0, 5),
)
@settings(max_examples=150, deadline=None)
def test_quotas_hold_and_every_hit_is_chosen_told_why_not_or_waits(
    batches: list[list[int]],
    most: int | None,
    per_place: int | None,
    per_group: int | None,
    per_tour: int | None,
    how: Any,
    radius: float,
    seed: int,
) -> None:
    groups = {"p0": "a", "p1": "a", "p2": "b", "p3": "b", "p4": "b"}  # p5 in none
    quotas: dict[str, Any] = {
        "most": most,
        "per_place": per_place,
        "per_group": per_group,
        "per_tour": per_tour,
    }
    fields = {
        "on": ("hit",),
        "groups": {"a": ("p0", "p1"), "b": ("p2", "p3", "p4")},
        "choose": how,
        "radius_um": radius,
    }
    try:
        given_ = VisitSettings(**fields, **quotas)
    except ValidationError:
        return  # quotas that contradict each other are refused with the file
    plan, made = TourPlan(given_, groups=groups, seed=seed), Made()
    again, made_again = TourPlan(given_, groups=groups, seed=seed), Made()
    waiting: list[Waiting] = []
    visited: list[Waiting] = []
    for number, places in enumerate(batches):
        waiting = [*waiting, *hits_at(places, 100 * number)]
        chosen, why = choose(waiting, plan, made)
        assert (chosen, why) == choose(waiting, again, made_again)
        taken = {h.decision_id for h in chosen}
        assert not taken & set(why)
        assert all(reason.partition(":")[0] in REASONS for reason in why.values())
        if per_tour is not None:
            assert len(chosen) <= per_tour
        visited += chosen
        waiting = [h for h in waiting if h.decision_id not in taken | set(why)]
        if per_tour is None or len(chosen) < per_tour:
            assert not waiting
    by_place = Counter(h.place for h in visited)
    by_group = Counter(groups.get(h.place, "none") for h in visited)
    assert "none" not in by_group
    assert most is None or len(visited) <= most
    assert per_place is None or max(by_place.values(), default=0) <= per_place
    assert per_group is None or max(by_group.values(), default=0) <= per_group
    if radius:
        spots = [h.at_um for h in visited]
        apart = [math.dist(a, b) for i, a in enumerate(spots) for b in spots[:i]]
        assert min(apart, default=99.0) > radius


REASONS = ("quota", "balance", "same spot")


@given(
    supply=st.lists(st.integers(0, 9), min_size=2, max_size=4),
    most=st.integers(1, 30),
    seed=st.integers(0, 20),
    cut=st.integers(0, 100),
)
@settings(max_examples=120, deadline=None)
def test_shares_differ_by_at_most_one_while_supply_lasts(
    supply: list[int], most: int, seed: int, cut: int
) -> None:
    places = [i for i, n in enumerate(supply) for _ in range(n)]
    # in any order
    places = places[cut % (len(places) + 1) :] + places[: cut % (len(places) + 1)]
    plan = TourPlan(VisitSettings(on=("hit",), most=most), seed=seed)
    chosen, _ = choose(hits_at(places), plan, Made())
    shares = Counter(h.place for h in chosen)
    assert len(chosen) == min(most, len(places))
    for i, n in enumerate(supply):
        mine = shares[f"p{i}"]
        if mine < n:  # it could have had more: nobody has more than one more
            assert max(shares.values(), default=0) <= mine + 1


def test_within_a_group_its_wells_have_equal_shares() -> None:
    units = {"p0": "A1", "p1": "A1", "p2": "A2", "p3": "B1"}
    groups = {"p0": "a", "p1": "a", "p2": "a", "p3": "b"}
    named = {"a": ("A1", "A2"), "b": ("B1",)}
    plan = TourPlan(
        VisitSettings(on=("hit",), most=8, groups=named), units=units, groups=groups
    )
    chosen, why = choose(hits_at([0] * 5 + [1] * 5 + [2] * 5 + [3] * 9), plan, Made())
    shares = Counter(units[h.place] for h in chosen)
    assert shares == {"A1": 2, "A2": 2, "B1": 4}
    assert {w.partition(":")[0] for w in why.values()} == {"balance"}


def test_which_hits_are_drawn_is_a_matter_of_the_seed() -> None:
    hits = hits_at([0] * 30)
    drawn = {
        tuple(
            h.decision_id
            for h in choose(
                hits, TourPlan(VisitSettings(on=("hit",), most=3), seed=seed), Made()
            )[0]
        )
        for seed in range(8)
    }
    assert len(drawn) > 4
    first, _ = choose(
        hits,
        TourPlan(VisitSettings(on=("hit",), most=3, choose="first"), seed=1),
        Made(),
    )
    assert [h.decision_id for h in first] == ["0/0", "1/0", "2/0"]


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"max_age_ms": 100}, "max_wait_s"),
        ({"per_group": 3}, "there are none"),
        ({"groups": {"a": ["p0"], "b": ["p0"]}}, "in two groups"),
        ({"groups": {"a": []}}, "has no place"),
        ({"most": 5, "per_place": 6}, "can never be reached"),
    ],
)
def test_settings_that_contradict_themselves(wrong: Any, told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        VisitSettings(on=("hit",), **wrong)
