"""When a division is seen: from which frame on, how long it is news, and where."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

_NEWS = 0.7  # of the way that the masses go


@dataclass(frozen=True, slots=True)
class SeenDivision:
    """One division as a movie shows it.

    Attributes
    ----------
    frame : int
        The first in which two masses are seen; it may lie before the movie.
    until : int
        The last in which it is news: the frame after that, or the last in which the
        masses have gone less than 0.7 of their way.
    places : tuple
        Row and column midway between the masses in each frame of the movie, pixels.
    """

    frame: int
    until: int
    places: tuple[tuple[float, float], ...]


def seen_division(
    onset: float,
    apart_px: Callable[[float], float],
    gap_px: float,
    way_px: float,
    places: tuple[tuple[float, float], ...],
) -> SeenDivision | None:
    """Return when a division is seen; None if it is not before the movie ends.

    Parameters
    ----------
    onset : float
        When anaphase begins, frames.
    apart_px : callable
        How far the masses are from each other at a time in frames.
    gap_px : float
        How far they must be for two to be seen.
    way_px : float
        How far they go in the end.
    places : tuple
        As of `SeenDivision`.
    """
    frames = len(places)
    frame = math.ceil(onset)
    while apart_px(frame) < gap_px:
        frame += 1
        if frame >= frames:
            return None
    if frame >= frames:
        return None
    until = frame + 1
    while until < frames and apart_px(until + 1) < _NEWS * way_px:
        until += 1
    return SeenDivision(frame, until, places)
