"""What else happens to cells: deaths, departures, arrivals and flashes, drawn ahead.

Each cell draws from a generator of its own, so that one thing switched on does not
change when another one happens.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from smartscope.errors import Refused
from smartscope.simulation.lineage import Cell
from smartscope.simulation.settings import SpecimenSettings

MOST_FLASHES = 1_000_000
# a flash rises in a tenth of its length; what is left of it at its end, and when it is
# not drawn any more
_RISE = 0.1
_LEFT_AT_END = 0.05
_NOTHING_LEFT = 0.005
_PURPOSE_FLASH = 0xF1A5

Cells = npt.NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Flash:
    """One cell that flashes, from ``begin_s`` until 5 % of it are left."""

    cell: int
    begin_s: float
    end_s: float


def flash_profile(since_s: float, flash_s: float) -> float:
    """Return how much of its peak a flash has, 0 to 1, so long after its beginning.

    A linear rise in a tenth of ``flash_s``, then an exponential decay that leaves 5 %
    at ``flash_s``; below 0.5 % it is over.
    """
    if since_s <= 0:
        return 0.0
    rise_s = _RISE * flash_s
    if since_s < rise_s:
        return since_s / rise_s
    left = _LEFT_AT_END ** ((since_s - rise_s) / (flash_s - rise_s))
    return left if left > _NOTHING_LEFT else 0.0


class Flashes:
    """All flashes of a specimen, in the order of their beginning.

    Parameters
    ----------
    cells : sequence of Cell
        The lineage; no cell flashes before its birth or after its end.
    settings : SpecimenSettings
        How often and how long.
    seed : int
        Of their times.

    Raises
    ------
    smartscope.errors.Refused
        If they are more than a million.
    """

    def __init__(
        self, cells: Sequence[Cell], settings: SpecimenSettings, seed: int
    ) -> None:
        self._settings = settings
        rate = settings.flashes_per_hour / 3600
        hours = settings.duration_s / 3600
        if len(cells) * settings.flashes_per_hour * hours > MOST_FLASHES:
            raise Refused(
                f"The specimen would flash more than {MOST_FLASHES} times within "
                f"{settings.duration_s:g} s.",
                rule="The flashes of all cells are drawn before the run.",
                way_out="Lower specimen.flashes_per_hour, cells or duration_s.",
            )
        found: list[Flash] = []
        for cell in cells if rate > 0 else ():
            rng = np.random.default_rng([abs(seed), _PURPOSE_FLASH, cell.number])
            last_s = min(cell.end_s, settings.duration_s)
            t_s = max(cell.birth_s, 0.0) + rng.exponential(1 / rate)
            while t_s + settings.flash_s < last_s:
                found.append(Flash(cell.number, t_s, t_s + settings.flash_s))
                # it must have decayed before it can flash again
                t_s += 3 * settings.flash_s + rng.exponential(1 / rate)
        self.all = sorted(found, key=lambda f: (f.begin_s, f.cell))
        self._begins = np.array([f.begin_s for f in self.all])
        lasting = math.log(_NOTHING_LEFT) / math.log(_LEFT_AT_END)
        self._longest_s = settings.flash_s * (_RISE + (1 - _RISE) * lasting)

    def at(self, t_s: float) -> dict[int, float]:
        """Return the cells that flash at a time, and how much brighter they are.

        Returns
        -------
        dict
            From the number of a cell to what is added to its brightness, relative to
            that without the flash.
        """
        first, last = np.searchsorted(self._begins, [t_s - self._longest_s, t_s])
        extra = {}
        for flash in self.all[first:last]:
            profile = flash_profile(t_s - flash.begin_s, self._settings.flash_s)
            if profile > 0:
                extra[flash.cell] = (self._settings.flash_factor - 1) * profile
        return extra
