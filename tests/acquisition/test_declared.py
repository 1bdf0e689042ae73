"""Declared properties: what is allowed, and that nobody can widen it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from smartscope.acquisition import Limits, allows
from smartscope.errors import LimitBroken

NUMBERS = st.integers(-20, 20).map(lambda n: n / 4)
RANGES = st.tuples(NUMBERS, NUMBERS).map(sorted)
CHOICES = st.lists(st.sampled_from(["On", "Off", "0", "1", "2.5"]), min_size=1)
DECLARED = RANGES | CHOICES
VALUES = NUMBERS | st.sampled_from(["On", "Off", "0", "1.0", "2.5", "", "nan", "inf"])


def limits(declared: Any) -> Limits:
    return Limits.model_validate({"properties": {"Pump": {"Rate": declared}}})


def rate(of: Limits) -> Any:
    return of.properties["Pump"]["Rate"]


@pytest.mark.parametrize(
    ("declared", "allowed", "forbidden"),
    [
        ([0, 2], [0, 2, 1.5, "1", "0.0"], [-0.1, 2.01, "On", "nan", float("inf"), ""]),
        (["On", "Off"], ["On", "Off"], ["on", 1, ""]),
        (["0", "1"], [0, 1, "1", 1.0], [0.5, 2, "On"]),
        ([0, 1, 4], [0, 1, 4, "4.0"], [2, 3]),
        ([3], [3, "3"], [2.9]),
    ],
)
def test_a_range_or_a_list_of_values_is_allowed(
    declared: Any, allowed: list[Any], forbidden: list[Any]
) -> None:
    assert all(allows(rate(limits(declared)), value) for value in allowed)
    assert not any(allows(rate(limits(declared)), value) for value in forbidden)


@pytest.mark.parametrize("wrong", [[], "On", [2, 0], [True, False], [[0, 1]], 3])
def test_what_is_neither_is_told(wrong: Any) -> None:
    with pytest.raises(ValidationError, match=r"lowest, highest|numbers and texts"):
        limits(wrong)


@given(mine=DECLARED, theirs=DECLARED, value=VALUES)
def test_an_experiment_only_tightens(mine: Any, theirs: Any, value: Any) -> None:
    scope, experiment = limits(mine), limits(theirs)
    both = allows(rate(scope), value) and allows(rate(experiment), value)
    try:
        merged = scope.tightened(experiment)
    except LimitBroken:
        assert not both
        return
    assert allows(rate(merged), value) == both
    assert merged.tightened(experiment) == merged
    assert Limits.model_validate_json(merged.model_dump_json()) == merged


def test_an_experiment_cannot_declare_what_the_microscope_does_not() -> None:
    with pytest.raises(LimitBroken, match="'Rate' of 'Pump'") as e:
        Limits().tightened(limits([0, 1]))
    assert "microscope's file" in e.value.way_out
    assert limits([0, 1]).tightened(Limits()) == limits([0, 1])


def test_a_property_that_is_not_declared_is_no_property_to_set() -> None:
    with pytest.raises(LimitBroken, match="not declared"):
        limits([0, 1]).check_declared("Pump", "Direction")
    limits([0, 1]).check_declared("Pump", "Rate")
    limits([0, 1]).check_property("Pump", "Direction", "any")
    with pytest.raises(LimitBroken, match="may not be 2"):
        limits([0, 1]).check_property("Pump", "Rate", 2)
