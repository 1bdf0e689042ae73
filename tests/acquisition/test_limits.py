"""Limits: tightened never widens, check and clip agree, nothing but numbers passes."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from smartscope.acquisition import Limits
from smartscope.errors import LimitBroken

NUMBERS = st.floats(-1e6, 1e6)
SPANS = st.none() | st.tuples(NUMBERS, NUMBERS).map(lambda v: (min(v), max(v)))
POSITIVE = st.none() | st.floats(0.01, 1e6)
RANGES = ("x_um", "y_um", "z_um", "exposure_ms", "power_percent")
CAPS = ("max_step_um", "moves_per_s", "light_ms_percent", "track_light_ms_percent")
LIMITS = st.builds(
    Limits,
    burst_frames=st.none() | st.integers(1, 1000),
    **dict.fromkeys(RANGES, SPANS),
    **dict.fromkeys(CAPS, POSITIVE),
)


def allows(limits: Limits, name: str, value: float) -> bool:
    try:
        limits.check(name, value)
    except LimitBroken:
        return False
    return True


@given(LIMITS, LIMITS, NUMBERS)
def test_tightened_allows_what_both_allow_and_nothing_else(
    one: Limits, other: Limits, value: float
) -> None:
    try:
        both = one.tightened(other)
    except LimitBroken:
        assert any(
            a is not None and b is not None and (a[1] < b[0] or b[1] < a[0])
            for a, b in ((getattr(one, n), getattr(other, n)) for n in RANGES)
        )
        return
    for name in RANGES:
        expected = allows(one, name, value) and allows(other, name, value)
        assert allows(both, name, value) == expected
    for name in (*CAPS, "burst_frames"):
        caps = [c for c in (getattr(one, name), getattr(other, name)) if c is not None]
        assert getattr(both, name) == (min(caps) if caps else None)
    assert both.tightened(one) == both == other.tightened(one)


@given(LIMITS, NUMBERS, st.sampled_from(RANGES))
def test_what_is_clipped_passes(limits: Limits, value: float, name: str) -> None:
    clipped = limits.clip(name, value)
    assert allows(limits, name, clipped)
    assert (clipped == value) == allows(limits, name, value)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("limits", [Limits(), Limits(x_um=(-math.inf, math.inf))])
def test_only_finite_numbers_pass_even_without_a_range(
    limits: Limits, value: float
) -> None:
    with pytest.raises(LimitBroken, match="finite"):
        limits.check("x_um", value)


def test_a_range_the_wrong_way_round_is_refused() -> None:
    with pytest.raises(ValidationError, match=r"\[lowest, highest\]"):
        Limits(x_um=(1, 0))
    with pytest.raises(ValidationError):
        Limits(x_um=(math.nan, 0))
