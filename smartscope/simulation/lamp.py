"""The lamp: how its light differs from what was ordered, by frames and by hours."""

from __future__ import annotations

import math

from smartscope.simulation.sensor import Sensor
from smartscope.simulation.settings import UglinessSettings

_PURPOSE_FLICKER = 1


class Lamp:
    """Light relative to what was ordered.

    Flicker is an autoregressive process of the first order over the exposures,
    ``x[n] = r x[n-1] + sqrt(1 - r²) e[n]`` with white ``e``, so that its spread does
    not depend on the correlation ``r``.

    Parameters
    ----------
    ugliness : UglinessSettings
        Flicker, its correlation, drift.
    sensor : Sensor
        Whose random numbers belong to an exposure.
    """

    def __init__(self, ugliness: UglinessSettings, sensor: Sensor) -> None:
        self._ugly = ugliness
        self._sensor = sensor
        self._last = (-1, 0.0)

    def brightness(self, number: int, t_s: float) -> float:
        """Return the light of an exposure over that ordered, not below 0.

        Parameters
        ----------
        number : int
            Of the exposure; with a correlation they must come in rising order.
        t_s : float
            Time on the run's clock.
        """
        slow = self._ugly.lamp_drift_percent_per_h
        level = 1.0 if slow == 0 else max(0.0, 1 + slow / 100 * t_s / 3600)
        if self._ugly.flicker == 0:
            return level
        return level * max(0.0, 1 + self._ugly.flicker * self._flicker(number))

    def _flicker(self, number: int) -> float:
        r = self._ugly.flicker_correlation
        if r == 0:
            return self._white(number)
        last, value = self._last
        if last < 0:
            last, value = 0, self._white(0)
        for n in range(last + 1, number + 1):
            value = r * value + math.sqrt(1 - r * r) * self._white(n)
        self._last = (number, value)
        return value

    def _white(self, number: int) -> float:
        rng = self._sensor.rng(number, _PURPOSE_FLICKER)
        return float(rng.standard_normal())
