"""What preflight knows of a run that may start."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Checked:
    """Estimates of the survey; what the responses add is not in them.

    Attributes
    ----------
    frames : int
        Frames of the survey; scaled up from those looked at if ``whole`` is False.
    duration_s : float
        On the run's clock: when the last event is due, and its exposure.
    size_mb : float
        Of the raw frames that are stored, uncompressed; where a hit decides, those of
        one hit.
    need_mb : float
        Free disk space the run needs: ``size_mb``, the longest burst once, what
        controls are expected to add, the reserve.
    light_ms_percent : Mapping of str to float
        By place, ms × % (uncalibrated); overlapping fields share.
    events_checked : int
        How many events were looked at, one by one.
    whole : bool
        True if these were all.
    notices : tuple of str
        What the user should know though it does not keep the run from starting.
    """

    frames: int
    duration_s: float
    size_mb: float
    need_mb: float
    light_ms_percent: Mapping[str, float] = field(default_factory=dict)
    events_checked: int = 0
    whole: bool = True
    notices: tuple[str, ...] = ()
