"""Drift: the specimen moves under a stage that does not know it."""

from __future__ import annotations

import math
from dataclasses import replace

from smartscope.simulation.settings import UglinessSettings
from smartscope.simulation.truth import Truth

# what is drawn follows in steps: a drift must not make every frame a new drawing
_STEP_UM = 0.02


class Drift:
    """Where the specimen has gone to, in stage µm, at a constant speed.

    Parameters
    ----------
    ugliness : UglinessSettings
        Speed and direction.
    """

    def __init__(self, ugliness: UglinessSettings) -> None:
        angle = math.radians(ugliness.drift_direction_deg)
        speed = ugliness.drift_um_per_h / 3600
        self._velocity = (speed * math.cos(angle), speed * math.sin(angle))
        self._none = speed == 0

    def at(self, t_s: float) -> tuple[float, float]:
        """Return how far it has gone since 0 s, as x, y in µm."""
        vx, vy = self._velocity
        return vx * t_s, vy * t_s

    def under(self, stage_um: tuple[float, float], t_s: float) -> tuple[float, float]:
        """Return the point of the specimen that is under a point of the stage."""
        if self._none:
            return stage_um
        x, y = (
            p - round(d / _STEP_UM) * _STEP_UM
            for p, d in zip(stage_um, self.at(t_s), strict=True)
        )
        return x, y

    def on_stage(self, truth: Truth) -> Truth:
        """Return a truth whose places are those on the stage at the time.

        Regions to be ignored are those at the middle of their time.
        """
        if self._none:
            return truth
        events = []
        for event in truth.events:
            dx, dy = self.at(event.t_s)
            events.append(replace(event, x_um=event.x_um + dx, y_um=event.y_um + dy))
        ignore = []
        for t0, t1, x, y, radius in truth.ignore:
            dx, dy = self.at((t0 + t1) / 2)
            ignore.append((t0, t1, x + dx, y + dy, radius))
        return replace(truth, events=tuple(events), ignore=tuple(ignore))
