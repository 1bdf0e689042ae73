"""The light account: how much light every spot of the specimen has received.

Light is counted in ms × % of the source's power ("uncalibrated"): exposure time times
power. It is charged to the spots a field covers, so that overlapping fields share
their accounts; the account of a field is that of its most exposed spot.
"""

from __future__ import annotations

import math
import threading
from functools import lru_cache

from smartscope.errors import LimitBroken

_SPOTS_A_SIDE = 8


class LightBudget:
    """Light received per spot of the stage, safe to use from any thread.

    Parameters
    ----------
    field_um : tuple of float
        Width and height of the field of view; a spot is an eighth of the shorter one.
    limit_ms_percent : float or None
        Light a spot may get; None: only counted.
    finest : float
        The smallest share of the field's edges that is lit at once, by an objective
        that magnifies more; a spot is at most a quarter of that.
    """

    def __init__(
        self,
        field_um: tuple[float, float],
        limit_ms_percent: float | None = None,
        finest: float = 1.0,
    ) -> None:
        if not min(field_um) > 0:
            raise ValueError(f"The field of view must be above 0 µm, got {field_um}")
        self.limit_ms_percent = limit_ms_percent
        self._field_um = field_um
        self._spot_um = min(field_um) * min(1 / _SPOTS_A_SIDE, finest / 4)
        self._account: dict[tuple[int, int], float] = {}
        self._lock = threading.Lock()
        self._total = 0.0
        self._spots = lru_cache(maxsize=4096)(self._covered)

    def _covered(
        self, x_um: float, y_um: float, scale: float = 1.0
    ) -> tuple[tuple[int, int], ...]:
        half_w = self._field_um[0] * scale / 2
        half_h = self._field_um[1] * scale / 2
        spot = self._spot_um

        def indices(centre: float, half: float) -> range:
            # a spot is lit if its centre lies in the field
            first = math.ceil((centre - half) / spot - 0.5)
            last = math.floor((centre + half) / spot - 0.5)
            return range(first, max(first, last) + 1)

        return tuple(
            (i, j) for i in indices(x_um, half_w) for j in indices(y_um, half_h)
        )

    def charge(
        self, x_um: float, y_um: float, ms_percent: float, scale: float = 1.0
    ) -> float:
        """Charge light to the field at a stage position and return its account.

        ``scale`` is the edge of the field that is lit over that of ``field_um``.

        Raises
        ------
        ValueError
            If the light is negative or not a number; nothing is charged.
        """
        if not ms_percent >= 0:
            raise ValueError(f"Light cannot be negative, got {ms_percent} ms·%")
        spots = self._spots(x_um, y_um, scale)
        with self._lock:
            self._total += ms_percent
            most = 0.0
            for spot in spots:
                now = self._account.get(spot, 0.0) + ms_percent
                self._account[spot] = now
                most = max(most, now)
            return most

    def account(self, x_um: float, y_um: float, scale: float = 1.0) -> float:
        """Return the light of the most exposed spot of the field at a position."""
        with self._lock:
            return max(
                (self._account.get(s, 0.0) for s in self._spots(x_um, y_um, scale)),
                default=0.0,
            )

    def total(self) -> float:
        """Return all light charged, whatever the place, in ms × %."""
        return self._total

    def check(
        self, x_um: float, y_um: float, ms_percent: float, scale: float = 1.0
    ) -> None:
        """Raise LimitBroken if the field would get more light than the limit."""
        if self.limit_ms_percent is None:
            return
        after = self.account(x_um, y_um, scale) + ms_percent
        # the tolerance is for rounding of sums, not for light
        if after > self.limit_ms_percent * (1 + 1e-9):
            raise LimitBroken(
                f"Light at ({x_um:.1f}, {y_um:.1f}) µm would become {after:.0f} ms·%.",
                rule=f"A place may get {self.limit_ms_percent:.0f} ms·% in a run.",
                way_out="Use less light, or raise limits.light_ms_percent.",
                state="The order was not carried out.",
            )
