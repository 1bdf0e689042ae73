"""Exact intervals: against published values, and their coverage."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from smartscope.validation.intervals import (
    pooled_f1_interval,
    ratio_interval,
    share_interval,
)


@pytest.mark.parametrize(
    ("k", "n", "low", "high"),
    # n = 10: tables of Clopper and Pearson; 0 of n: the 'rule of three' made exact
    [(0, 10, 0.0, 0.3085), (2, 10, 0.0252, 0.5561), (10, 10, 0.6915, 1.0)],
)
def test_the_bounds_are_those_of_the_tables(
    k: int, n: int, low: float, high: float
) -> None:
    assert share_interval(k, n) == pytest.approx((low, high), abs=1e-4)


@given(n=st.integers(1, 60), p=st.floats(0.01, 0.99))
def test_a_share_is_covered_in_at_least_95_of_100_cases(n: int, p: float) -> None:
    k = np.arange(n + 1)
    covered = [low <= p <= high for low, high in (share_interval(i, n) for i in k)]
    assert binom.pmf(k, n, p)[covered].sum() >= 0.95 - 1e-9


@given(k=st.integers(0, 50), more=st.integers(0, 50))
def test_the_interval_holds_its_estimate(k: int, more: int) -> None:
    low, high = share_interval(k, k + more)
    assert 0 <= low <= high <= 1
    if k + more:
        assert low <= k / (k + more) <= high


def test_a_ratio_knows_over_what_was_counted() -> None:
    low, high = ratio_interval(30, 2.0, 10, 1.0)
    assert low < 1.5 < high
    again = ratio_interval(10, 1.0, 30, 2.0)
    assert again == pytest.approx((1 / high, 1 / low))
    assert ratio_interval(5, 1.0, 0, 1.0)[1] == math.inf
    assert ratio_interval(0, 1.0, 5, 1.0)[0] == 0.0


def test_more_hits_than_trials_are_refused() -> None:
    with pytest.raises(ValueError, match="0 <= k <= n"):
        share_interval(3, 2)


COUNTS = st.tuples(st.integers(0, 40), st.integers(0, 9), st.integers(0, 9))


@given(counts=st.lists(COUNTS, min_size=1, max_size=12), seed=st.integers(0, 3))
def test_the_interval_of_a_pooled_f1_lies_within_what_images_show(
    counts: list[tuple[int, int, int]], seed: int
) -> None:
    low, high = pooled_f1_interval(counts, seed)
    each = [2 * t / (2 * t + p + n) if t + p + n else 1.0 for t, p, n in counts]
    assert min(each) - 1e-9 <= low <= high <= max(each) + 1e-9
    assert pooled_f1_interval(counts, seed) == (low, high)


def test_the_interval_of_a_pooled_f1_covers_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(4)
    covered = 0
    for trial in range(120):
        there = rng.poisson(30, 25)
        found = rng.binomial(there, 0.8)
        false = rng.poisson(4, 25)
        counts = list(zip(found, false, there - found, strict=True))
        low, high = pooled_f1_interval(counts, trial)
        covered += low <= 2 * 24 / (2 * 24 + 4 + 6) <= high
    assert 102 <= covered <= 120


def test_no_image_has_no_interval() -> None:
    with pytest.raises(ValueError, match="at least one image"):
        pooled_f1_interval([])
