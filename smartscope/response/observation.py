"""What a policy is shown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from smartscope.acquisition import Frame
from smartscope.recognition import Detections, Occurrence, Track


@dataclass(frozen=True, slots=True, eq=False)
class Observation:
    """One analysed frame with everything recognised in it.

    Attributes
    ----------
    frame : Frame
        The raw frame, with the state it was taken in. The next one is written where
        its pixels lie: who keeps some copies them.
    detections : Detections
        Things in it.
    tracks : Mapping[int, Track]
        Tracks alive at its place, by their id.
    occurrences : tuple of Occurrence
        What was recognised to happen in this frame.
    restored : np.ndarray or None
        Shape ``(Y, X)`` float32, the denoised frame, where there is a denoiser.
    """

    frame: Frame
    detections: Detections
    tracks: Mapping[int, Track] = field(default_factory=dict)
    occurrences: tuple[Occurrence, ...] = ()
    restored: npt.NDArray[np.float32] | None = None
