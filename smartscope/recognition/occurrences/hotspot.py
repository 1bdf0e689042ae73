"""A peak of a detector's map that lasts, in space and time."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field

import numpy as np

from smartscope.recognition.ending_kinds import Hotspot
from smartscope.recognition.occurrence import Occurrence
from smartscope.recognition.occurrences.sighting import Sighting
from smartscope.recognition.tracker import FORGOTTEN_AFTER, Tracking

Peak = tuple[float, float, float]
"""Score, stage x, y."""


@dataclass(slots=True)
class _Spot:
    """A place on the stage that is or was hot lately.

    Attributes
    ----------
    x_um, y_um : float
        Where its peak was last.
    looks : deque
        Of the last frames that showed the place: frame id, time, the peak or None.
    told_s : float
        When it was told; NaN if it was not.
    unseen : int
        Frames in a row that did not show the place.
    """

    x_um: float
    y_um: float
    looks: deque[tuple[int, float, Peak | None]]
    told_s: float = math.nan
    unseen: int = field(default=0)


class HotspotRecognizer:
    """Says so when a peak has been there in n of the last m frames.

    Peaks are the detections of a class by their scores: what the ``peaks`` head leaves
    of a net's map. The strongest goes first, to the nearest spot within ``radius_um``;
    one that no spot is near begins one. Where it is told is where the strongest of the
    peaks counted was, its onset the first of them: nobody waits for the peak in time to
    be over. Until a spot has been cold in all of the last m frames, and for
    ``refractory_s`` after it was told, there is no other one within ``radius_um``.

    The confidence is the score of the strongest peak.
    """

    def __init__(self, settings: Hotspot) -> None:
        self.settings = settings
        self._spots: dict[tuple[str, str], list[_Spot]] = {}
        self._resumed: dict[str, list[Occurrence]] = {}

    def look(self, tracking: Tracking) -> list[Sighting]:
        """Return the hot spots that this frame completes."""
        scene = tracking.scene
        assert scene is not None  # the tracker gives one with every frame
        key = (tracking.place, scene.channel)
        if key not in self._spots:
            self._spots[key] = self._told_before(tracking.place)
        spots = self._spots[key]
        taken = self._taken(spots, self._peaks(tracking))
        found = []
        for i, spot in enumerate(spots):
            seen = taken.get(i)
            if seen is not None:
                _, spot.x_um, spot.y_um = seen
            elif tracking.field_of_view.inside_um(spot.x_um, spot.y_um) <= 0:
                spot.unseen += 1
                continue  # out of view: nobody knows
            spot.unseen = 0
            spot.looks.append((tracking.frame_id, tracking.time_s, seen))
            if (sighting := self._told(spot, tracking)) is not None:
                found.append(sighting)
        spots[:] = [s for s in spots if self._is_kept(s, tracking.time_s)]
        return found

    def resume(self, track_id: int) -> None:
        """Nothing: it is about no track."""

    def resume_at(self, told: Occurrence) -> None:
        """After a restart: this one was told, in one of the channels of its place."""
        self._resumed.setdefault(told.place, []).append(told)

    def _told_before(self, place: str) -> list[_Spot]:
        """Return the spots of a place that were told before a restart."""
        spots = []
        for told in self._resumed.get(place, ()):
            spot = _Spot(told.x_um, told.y_um, deque(maxlen=self.settings.of))
            spot.told_s = told.seen_s
            peak = (told.confidence, told.x_um, told.y_um)
            spot.looks.append((told.frame_ids[-1], told.seen_s, peak))
            spots.append(spot)
        return spots

    def _taken(self, spots: list[_Spot], shown: list[Peak]) -> dict[int, Peak]:
        """Return the strongest peak of each spot; those of none begin one."""
        taken: dict[int, Peak] = {}
        known = len(spots)
        at = np.full((known + len(shown), 2), np.inf)
        at[:known] = [(s.x_um, s.y_um) for s in spots] or np.zeros((0, 2))
        for peak in shown:
            far = np.hypot(at[:, 0] - peak[1], at[:, 1] - peak[2])
            i = int(far.argmin())
            if not far[i] <= self.settings.radius_um:
                i = len(spots)
                at[i] = peak[1:]
                spots.append(_Spot(peak[1], peak[2], deque(maxlen=self.settings.of)))
            taken.setdefault(i, peak)  # a weaker one beside it is the same spot
        return taken

    def forget(self, track_id: int) -> None:
        """Nothing is remembered of tracks."""

    def _peaks(self, tracking: Tracking) -> list[Peak]:
        """Return the peaks of the frame, the strongest first."""
        assert tracking.scene is not None
        settings, found = self.settings, tracking.scene.detections
        wanted = found.score >= settings.threshold
        if settings.of_class is not None:
            if settings.of_class not in found.class_names:
                return []
            wanted &= found.class_id == found.class_names.index(settings.of_class)
        spots = found.centers_um[wanted]
        wide = tracking.field_of_view.edge_um(spots) >= settings.edge_um
        score = found.score[wanted][wide].tolist()
        peaks = [
            (s, x, y) for s, (x, y) in zip(score, spots[wide].tolist(), strict=True)
        ]
        return sorted(peaks, key=lambda p: (-p[0], p[1], p[2]))

    def _told(self, spot: _Spot, tracking: Tracking) -> Sighting | None:
        hot = [look for look in spot.looks if look[2] is not None]
        newest = spot.looks[-1][2]
        if not math.isnan(spot.told_s) or newest is None:
            return None
        if len(hot) < self.settings.frames:
            return None
        spot.told_s = tracking.time_s
        score, x_um, y_um = max(
            (look[2] for look in hot if look[2] is not None), key=lambda p: p[0]
        )
        return Sighting(
            x_um=x_um,
            y_um=y_um,
            onset_s=hot[0][1],
            confidence=score,
            lives=(),
            frame_ids=tuple(look[0] for look in hot[:-1]),
        )

    def _is_kept(self, spot: _Spot, now_s: float) -> bool:
        if spot.unseen > FORGOTTEN_AFTER:
            return False
        hot = any(look[2] is not None for look in spot.looks)
        return hot or now_s - spot.told_s < self.settings.refractory_s
