"""Confidence intervals: exact ones of shares and of ratios of counts, and of means."""

from __future__ import annotations

import math
from collections.abc import Sequence

LEVEL = 0.95


def share_interval(k: int, n: int, level: float = LEVEL) -> tuple[float, float]:
    """Return the interval of Clopper and Pearson of a share.

    It assumes n independent trials with the same probability; then it covers that
    probability in at least ``level`` of all cases, mostly in more.

    Parameters
    ----------
    k, n : int
        Hits among trials, 0 ≤ k ≤ n. Without trials nothing is known: (0, 1).
    level : float
        Confidence, between 0 and 1.

    Notes
    -----
    C. J. Clopper, E. S. Pearson, Biometrika 26 (1934) 404. The bounds are quantiles of
    beta distributions.
    """
    from scipy.special import betaincinv

    if not 0 <= k <= n:
        raise ValueError(f"0 <= k <= n is needed, got k = {k} and n = {n}")
    tail = (1 - level) / 2
    low = float(betaincinv(k, n - k + 1, tail)) if k else 0.0
    high = float(betaincinv(k + 1, n - k, 1 - tail)) if k < n else 1.0
    return low, high


def ratio_interval(
    count: int, over: float, other: int, other_over: float, level: float = LEVEL
) -> tuple[float, float]:
    """Return the interval of the ratio of two rates, from their counts.

    It assumes two independent Poisson counts. Given their sum the first one is
    binomial with p = r·o₁ / (r·o₁ + o₂), r the ratio of the rates and o₁, o₂ what the
    counts were made over; Clopper and Pearson's interval of p is turned into one of r.

    Parameters
    ----------
    count, other : int
        The two counts, at least 0.
    over, other_over : float
        Fields, hours or the like they were made over, above 0.
    level : float
        Confidence, between 0 and 1.

    Returns
    -------
    tuple of float
        The upper bound is infinite if ``other`` is 0.

    Notes
    -----
    J. Przyborowski, H. Wilenski, Biometrika 31 (1940) 313.
    """
    low, high = share_interval(count, count + other, level)
    scale = other_over / over
    return (
        low / (1 - low) * scale,
        high / (1 - high) * scale if high < 1 else math.inf,
    )


def mean_interval(
    values: Sequence[float], seed: int = 0, level: float = LEVEL
) -> tuple[float, float]:
    """Return the bootstrap interval of a mean.

    It assumes that the values are independent: one for each position, not for each
    frame. Of few values (below about ten) it is too narrow.

    Parameters
    ----------
    values : sequence of float
        At least one, finite. Of equal ones it has no width.
    seed : int
        Of the resampling.
    level : float
        Confidence, between 0 and 1.

    Notes
    -----
    Bias-corrected and accelerated, B. Efron, J. Am. Stat. Assoc. 82 (1987) 171, with
    9999 resamples: ``bootstrap`` of scipy.
    """
    import numpy as np
    from scipy.stats import bootstrap

    given = np.asarray(values, np.float64)
    if given.size == 0 or not np.isfinite(given).all():
        raise ValueError(f"finite values are needed, got {list(values)[:5]}")
    if np.ptp(given) <= 1e-12 * max(1.0, float(np.abs(given).max())):
        return float(given.mean()), float(given.mean())
    found = bootstrap(
        (given,), np.mean, confidence_level=level, rng=np.random.default_rng(seed)
    ).confidence_interval
    low, high = float(found.low), float(found.high)
    # where the acceleration cannot be told scipy gives NaN: then all is possible that
    # the values show
    if not (math.isfinite(low) and math.isfinite(high)):
        return float(given.min()), float(given.max())
    return low, high


def pooled_f1_interval(
    counts: Sequence[tuple[int, int, int]], seed: int = 0, level: float = LEVEL
) -> tuple[float, float]:
    """Return the bootstrap interval of the F1 of several images together.

    It assumes independent images; things of one image need not be independent.

    Parameters
    ----------
    counts : sequence of tuple
        Of each image TP, FP and FN; at least one image. F1 = 2 TP / (2 TP + FP + FN),
        and 1 where nothing is there and nothing was found.
    seed : int
        Of the resampling.
    level : float
        Confidence, between 0 and 1.

    Notes
    -----
    Percentiles of 9999 resamples of whole images, B. Efron, Ann. Stat. 7 (1979) 1.
    """
    import numpy as np

    given = np.asarray(counts, np.float64).reshape(-1, 3)
    if not len(given):
        raise ValueError("the counts of at least one image are needed")
    rng = np.random.default_rng(seed)
    times = rng.multinomial(len(given), np.full(len(given), 1 / len(given)), 9999)
    tp, fp, fn = (times @ given).T
    whole = 2 * tp + fp + fn
    f1 = np.divide(2 * tp, whole, out=np.ones_like(tp), where=whole > 0)
    low, high = np.quantile(f1, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
