"""LightBudget: overlapping fields share, the account of a field is its worst spot."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smartscope.acquisition import LightBudget
from smartscope.errors import LimitBroken

W, H = 100.0, 60.0
WHERE = st.tuples(st.floats(-1e4, 1e4), st.floats(-1e4, 1e4))
LIGHT = st.floats(0, 1e5)


@given(WHERE, st.floats(-0.8, 0.8), st.floats(-0.8, 0.8), LIGHT, LIGHT)
def test_fields_that_overlap_share_their_account(
    where: tuple[float, float], fx: float, fy: float, one: float, two: float
) -> None:
    light = LightBudget((W, H))
    x, y = where
    light.charge(x, y, one)
    after = light.charge(x + fx * W, y + fy * H, two)
    assert after == pytest.approx(one + two)
    assert light.account(x, y) == pytest.approx(one + two)


@given(WHERE, st.booleans(), LIGHT)
def test_fields_that_lie_apart_do_not(
    where: tuple[float, float], across: bool, ms_percent: float
) -> None:
    light = LightBudget((W, H))
    x, y = where
    light.charge(x, y, ms_percent)
    apart = (x + 1.2 * W, y) if across else (x, y + 1.2 * H)
    assert light.account(*apart) == 0


@given(st.lists(st.tuples(st.tuples(st.floats(0, 300), st.floats(0, 300)), LIGHT)))
def test_accounts_never_fall_and_never_pass_the_total(
    charges: list[tuple[tuple[float, float], float]],
) -> None:
    light = LightBudget((W, H))
    before = 0.0
    for (x, y), ms_percent in charges:
        here = light.account(x, y)
        assert light.charge(x, y, ms_percent) >= here + 0.999999 * ms_percent
        assert light.account(x, y) <= light.total() * (1 + 1e-9)
        assert light.account(150, 150) >= before
        before = light.account(150, 150)
    assert light.total() == pytest.approx(sum(m for _, m in charges))


@pytest.mark.parametrize("light", [-1.0, float("nan")])
def test_light_cannot_be_negative(light: float) -> None:
    budget = LightBudget((W, H))
    with pytest.raises(ValueError, match="negative"):
        budget.charge(0, 0, light)
    assert budget.total() == 0
    assert budget.account(0, 0) == 0


def test_check_refuses_what_would_pass_the_limit_and_charges_nothing() -> None:
    light = LightBudget((W, H), 100)
    light.check(0, 0, 100)
    light.charge(0, 0, 60)
    light.check(0, 0, 40)
    with pytest.raises(LimitBroken, match="101"):
        light.check(0, 0, 41)
    light.check(10 * W, 0, 100)
    assert light.account(0, 0) == 60


def test_a_field_without_size_is_refused() -> None:
    with pytest.raises(ValueError, match="above 0"):
        LightBudget((0, 1))
