"""A detector whose thing blinks: what truly happened is known to the second."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from smartscope.acquisition import Frame
from smartscope.recognition import Detections, detections_at

PERIOD_S, BLINK_S = 97.0, 8.0


def blinks(time_s: float) -> bool:
    """Whether the thing is bright."""
    return time_s % PERIOD_S < BLINK_S


class Blinks:
    """Finds one thing, in the middle of the frame, that is bright for 8 s in 97."""

    def detect(self, frame: Frame, /) -> Detections:
        rows, columns = frame.pixels.shape
        found = detections_at(frame, np.array([[(rows - 1) / 2, (columns - 1) / 2]]))
        counts = np.array([500.0 if blinks(frame.time_s) else 100.0], np.float32)
        return replace(found, intensity=counts)
