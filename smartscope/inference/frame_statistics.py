"""Mean, variance and percentiles of whole frames, quickly where they are counts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Plane = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class Learned:
    """What is known of a series: mean and variance, or two percentiles.

    Attributes
    ----------
    frames, pixels : int
        How many it is of.
    first, second : float
        The two.
    """

    frames: int
    pixels: int
    first: float
    second: float

    def joined(self, other: Learned, share: float, *, variance: bool) -> Learned:
        """Return both together, the other one by its share of 0 to 1.

        Of mean and variance exact where the share is that of its pixels: Chan, Golub
        and LeVeque 1979. Of percentiles their mean.
        """
        off = other.first - self.first
        second = self.second + share * (other.second - self.second)
        if variance:
            second += share * (1 - share) * off**2
        return Learned(
            self.frames + other.frames,
            self.pixels + other.pixels,
            self.first + share * off,
            second,
        )


_COUNTED = (np.dtype("uint8"), np.dtype("uint16"))


def mean_and_variance(planes: Sequence[Plane]) -> tuple[float, float]:
    """Return both over all pixels of all planes.

    Parameters
    ----------
    planes : Sequence of np.ndarray
        Of one dtype. Of counts of 8 and 16 bit the sums are exact.
    """
    if planes[0].dtype in _COUNTED:
        counts = _histogram(planes)
        levels = np.arange(counts.size)
        # whole numbers all the way to the division: 64 bit hold 10^9 pixels squared
        size = int(counts.sum())
        first = int(counts @ levels)
        second = int(counts @ levels**2)
        return first / size, (size * second - first * first) / size**2
    values = _together(planes)
    return float(values.mean(dtype=np.float64)), float(values.var(dtype=np.float64))


def percentiles(planes: Sequence[Plane], asked: Sequence[float]) -> tuple[float, ...]:
    """Return percentiles over all pixels of all planes, as ``np.percentile`` does.

    Parameters
    ----------
    planes : Sequence of np.ndarray
        Of one dtype. Counts of 8 and 16 bit are counted instead of put in order.
    asked : Sequence of float
        0 to 100.
    """
    if planes[0].dtype not in _COUNTED:
        return tuple(float(p) for p in np.percentile(_together(planes), asked))
    reached = np.cumsum(_histogram(planes))
    size = int(reached[-1])
    found = []
    for percentile in asked:
        place = np.true_divide(percentile, 100) * (size - 1)
        below = int(np.floor(place))
        low, high = (
            int(np.searchsorted(reached, at, side="right"))
            for at in (below, min(below + 1, size - 1))
        )
        share = float(place) - below
        # from the nearer end, as numpy does, so that the last digit is the same
        found.append(
            low + (high - low) * share
            if share < 0.5
            else high - (high - low) * (1 - share)
        )
    return tuple(float(f) for f in found)


def _histogram(planes: Sequence[Plane]) -> npt.NDArray[np.int64]:
    levels = int(np.iinfo(planes[0].dtype).max) + 1
    counts = np.zeros(levels, np.int64)
    for plane in planes:
        counts += np.bincount(plane.reshape(-1), minlength=levels)
    return counts


def _together(planes: Sequence[Plane]) -> Plane:
    return planes[0] if len(planes) == 1 else np.stack(list(planes))
