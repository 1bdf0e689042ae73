"""What came of one frame."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from smartscope.recognition import Detections, Occurrence, Track
from smartscope.response import Decision


@dataclass(frozen=True, slots=True, eq=False)
class Reaction:
    """What came of one frame.

    Attributes
    ----------
    frame_id : int
        The frame.
    place : str
        Its place.
    time_s : float
        Its time on the run's clock.
    light_ms_percent : float
        The account of its place as it said.
    detections : Detections
        Things in it.
    tracks : tuple of Track
        Tracks alive at its place after it.
    occurrences : tuple of Occurrence
        What was recognised to happen.
    decisions : tuple of Decision
        One for every wish, the strongest first.
    failures : tuple of str
        What failed on this frame, in words: detector, policies.
    remarks : tuple of str
        What policies said besides: a cell was taken up, lost, given up.
    next_track_id : int
        The first track id not given yet: a restarted process goes on from it.
    timings_ms : Mapping[str, float]
        Durations of inference, recognition, response.
    waits_for : tuple of str
        Channels that its set still lacks; nobody was asked about it then.
    window : str
        While there are fewer frames than the model looks at, such as ``"2 of 4"``.
    incomplete_sets : int
        Sets of channels that were given up when it came.
    normalisation : Mapping or None
        Statistics of the series, if they have changed with it.
    audited : tuple of Occurrence
        What was recognised in a look of an audit: it is recorded, and steers nothing.
    policy_faults : Mapping of str to Mapping
        Which policies failed (how often), wished too much (how many wishes were not
        considered) or were switched off (why), as `PolicyPanel.faults` says.
    blind : bool
        The detector failed: nothing was seen, nobody was asked.
    restored : np.ndarray or None
        The denoised frame, where there is a denoiser.
    """

    frame_id: int
    place: str
    time_s: float
    light_ms_percent: float
    detections: Detections
    tracks: tuple[Track, ...] = ()
    occurrences: tuple[Occurrence, ...] = ()
    decisions: tuple[Decision, ...] = ()
    failures: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    next_track_id: int = 0
    timings_ms: Mapping[str, float] = field(default_factory=dict)
    waits_for: tuple[str, ...] = ()
    window: str = ""
    incomplete_sets: int = 0
    normalisation: Mapping[str, Any] | None = None
    audited: tuple[Occurrence, ...] = ()
    policy_faults: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    blind: bool = False
    restored: npt.NDArray[np.float32] | None = None

    def to_record(self) -> dict[str, Any]:
        """Return plain values for the journal's line ``analysed``.

        Occurrences and decisions are named by their ids; they have lines of their own.
        What only models of several channels or frames, or of a series, have to say is
        there when it is said.
        """
        seldom = {
            "waits_for": list(self.waits_for),
            "window": self.window,
            "incomplete_sets": self.incomplete_sets,
            "normalisation": self.normalisation,
            "audited": [o.to_record() for o in self.audited],
            "policy_faults": {k: dict(v) for k, v in self.policy_faults.items()},
            "blind": self.blind,
        }
        return {
            "frame_id": self.frame_id,
            "place": self.place,
            "time_s": self.time_s,
            "light_ms_percent": self.light_ms_percent,
            "detections": self.detections.to_record(),
            "tracks": [track.to_record() for track in self.tracks],
            "occurrences": [o.occurrence_id for o in self.occurrences],
            "decisions": [d.decision_id for d in self.decisions],
            "timings_ms": {k: round(v, 3) for k, v in self.timings_ms.items()},
            "failures": list(self.failures),
            "remarks": list(self.remarks),
            "next_track_id": self.next_track_id,
            **{name: said for name, said in seldom.items() if said},
        }
