"""The clock of a run: seconds of specimen time, real (scaled) or virtual.

Everything that plans (queue, planner, cool-downs) reads this clock. Latencies are
measured on ``time.perf_counter`` and never on this one.
"""

from __future__ import annotations

import threading
import time
from typing import Protocol


class Clock(Protocol):
    """Seconds of specimen time since the run began."""

    def now_s(self) -> float:
        """Return the time in seconds."""

    def sleep(self, wall_s: float) -> None:
        """Let a device work for ``wall_s`` seconds of the microscope's own time."""

    def wait(self, changed: threading.Condition, until_s: float | None) -> None:
        """Wait for the held condition, at most until a time on this clock."""


class RealClock:
    """The wall clock, running ``scale`` times as fast.

    Exposures and moves take their real time; the specimen and the intervals of the
    survey go ``scale`` times as fast.
    """

    def __init__(self, scale: float = 1.0) -> None:
        self.scale = scale
        self._t0 = time.monotonic()

    def now_s(self) -> float:
        """Return the time in seconds."""
        return (time.monotonic() - self._t0) * self.scale

    def restart(self) -> None:
        """Set the time to 0."""
        self._t0 = time.monotonic()

    def sleep(self, wall_s: float) -> None:
        """Sleep ``wall_s`` seconds of wall time."""
        if wall_s > 0:
            time.sleep(wall_s)

    def wait(self, changed: threading.Condition, until_s: float | None) -> None:
        """Wait for the held condition, at most until a time on this clock."""
        if until_s is None:
            changed.wait()
        elif (left := (until_s - self.now_s()) / self.scale) > 0:
            changed.wait(left)


class VirtualClock:
    """Time is the sum of exposures, moves and waits; nobody really sleeps."""

    scale = 1.0

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._now_s = 0.0

    def now_s(self) -> float:
        """Return the time in seconds."""
        return self._now_s

    def restart(self) -> None:
        """Set the time to 0."""
        with self._lock:
            self._now_s = 0.0

    def sleep(self, wall_s: float) -> None:
        """Advance the time by ``wall_s`` seconds at once."""
        with self._lock:
            self._now_s += max(0.0, wall_s)

    def wait(self, changed: threading.Condition, until_s: float | None) -> None:
        """Jump to ``until_s``; without one, wait for the held condition."""
        if until_s is None:
            changed.wait()
            return
        with self._lock:
            self._now_s = max(self._now_s, until_s)
