"""Where the specimen's plane is, and where an autofocus holds the focus."""

from __future__ import annotations

from typing import Literal

import numpy as np

from smartscope.simulation.settings import AutofocusSettings, UglinessSettings

_PURPOSE_LOCK = 0xAF

Spot = tuple[float, float]
LockState = Literal["off", "searching", "locked", "lost"]


def plane_um(ugliness: UglinessSettings, xy_um: Spot, t_s: float) -> float:
    """Return the height at which the specimen is in focus: drift and tilt."""
    height = ugliness.focus_drift_um_per_h * t_s / 3600
    along_x, along_y = ugliness.tilt_um_per_mm
    if along_x or along_y:
        height += (along_x * xy_um[0] + along_y * xy_um[1]) / 1000
    return height


class FocusLock:
    """What a hardware autofocus adds to the position of the focus drive.

    While it is locked it follows the plane, but for an error that is drawn anew at
    each lock. Where it cannot lock it stays ``lost_um`` off the plane. While it
    searches, and after it was switched off, it stays where it was.

    Parameters
    ----------
    settings : AutofocusSettings
        Its error, and where it is lost.
    ugliness : UglinessSettings
        Of the plane.
    seed : int
        Of its errors.
    """

    def __init__(
        self, settings: AutofocusSettings, ugliness: UglinessSettings, seed: int
    ) -> None:
        self.settings = settings
        self.on = settings.present and settings.on
        self.offset_um = 0.0
        # where the drive was when it was switched on: that is the plane for it
        self.zero_um = 0.0
        self._ugly = ugliness
        self._seed = abs(int(seed))
        self._locks = 0
        self._error_um = 0.0
        self._added_um = 0.0

    def lost_in(self, xy_um: Spot, t_s: float) -> str | None:
        """Return the name of the area in which it cannot lock; None elsewhere."""
        if t_s < self.settings.lost_from_s:
            return None
        for name, area in self.settings.lost_in.items():
            if area.holds(*xy_um):
                return name
        return None

    def relock(self) -> None:
        """Begin to look for the plane anew: the next lock has an error of its own."""
        self._locks += 1
        if self.settings.error_um > 0:
            key = [self._seed, self._locks, _PURPOSE_LOCK]
            rng = np.random.Generator(np.random.SFC64(key))
            self._error_um = self.settings.error_um * float(rng.standard_normal())

    def state(self, xy_um: Spot, t_s: float, searching: bool) -> LockState:
        """Return what it does at a point of the stage, now."""
        if not self.on:
            return "off"
        if searching:
            return "searching"
        return "lost" if self.lost_in(xy_um, t_s) is not None else "locked"

    def take_over(self) -> float:
        """Return what it adds now, and add nothing from then on: the drive does it."""
        added_um, self._added_um = self._added_um, 0.0
        return added_um

    def leave_um(self, added_um: float) -> None:
        """Add so much, until it is switched on."""
        self._added_um = added_um

    def added_um(self, xy_um: Spot, t_s: float, searching: bool) -> float:
        """Return what it adds to the position of the focus drive, now."""
        state = self.state(xy_um, t_s, searching)
        if state in ("locked", "lost"):
            off = self._error_um if state == "locked" else self.settings.lost_um
            plane = plane_um(self._ugly, xy_um, t_s)
            self._added_um = plane + off + self.offset_um - self.zero_um
        return self._added_um
