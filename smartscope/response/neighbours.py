"""What the focus of places that were found tells of one that was not."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from useq import MDAEvent

from smartscope.response.focus_settings import FocusHow

_FLAT = 0.05  # places are in a line if the narrow side is less than this of the wide


@dataclass(frozen=True, slots=True)
class _Found:
    place: str
    x_um: float
    y_um: float
    correction_um: float


class Neighbours:
    """The last correction of each place whose focus was found there itself."""

    def __init__(self) -> None:
        self._found: dict[str, _Found] = {}

    def add(self, place: str, where: MDAEvent, correction_um: float) -> None:
        """Note what was found; of an event without a position nothing is noted."""
        if where.x_pos is not None and where.y_pos is not None:
            self._found[place] = _Found(place, where.x_pos, where.y_pos, correction_um)

    def correction(
        self, place: str, where: MDAEvent, how: FocusHow
    ) -> tuple[float, str] | None:
        """Return the correction of a place by its neighbours, and whose, in words.

        That of the least-squares plane through all others if there are at least three
        that are not in a line; but that of the nearest one if the plane leads farther
        from it than a sweep would reach, and where there are fewer. None without any.

        Parameters
        ----------
        place : str
            Its own earlier correction does not count.
        where : MDAEvent
            Its position.
        how : FocusHow
            ``range_um`` is how far a sweep would reach.
        """
        if where.x_pos is None or where.y_pos is None:
            return None
        here = (where.x_pos, where.y_pos)
        others = [found for found in self._found.values() if found.place != place]
        if not others:
            return None
        nearest = min(others, key=lambda f: math.dist(here, (f.x_um, f.y_um)))
        away_um = math.dist(here, (nearest.x_um, nearest.y_um))
        as_nearest = (
            nearest.correction_um,
            f"as at {nearest.place}, {away_um:.0f} µm away",
        )
        if len(others) < 3:
            return as_nearest
        xy = np.array([(f.x_um, f.y_um) for f in others]) - np.array(here)
        spread = np.linalg.svd(xy - xy.mean(axis=0), compute_uv=False)
        if not spread[1] > _FLAT * spread[0]:
            return as_nearest
        known = np.column_stack([np.ones(len(others)), xy])
        values = np.array([f.correction_um for f in others])
        fitted, *_ = np.linalg.lstsq(known, values, rcond=None)
        correction_um = round(float(fitted[0]), 4)
        if abs(correction_um - nearest.correction_um) > how.range_um:
            return as_nearest
        names = ", ".join(f.place for f in others[:6])
        more = f" and {len(others) - 6} more" if len(others) > 6 else ""
        return correction_um, f"on the plane through {names}{more}"
