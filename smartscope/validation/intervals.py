"""Exact confidence intervals of shares, and of ratios of counts."""

from __future__ import annotations

import math

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
