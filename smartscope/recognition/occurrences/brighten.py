"""A thing gets brighter than its own running baseline."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field

from smartscope.recognition.life import BASELINE_FRAMES, Seen
from smartscope.recognition.occurrences.sighting import Sighting
from smartscope.recognition.settings import Brighten
from smartscope.recognition.tracker import Tracking


@dataclass(slots=True)
class _Watch:
    """One track under watch.

    Attributes
    ----------
    recent : deque
        Of its last detections: what was seen, times its baseline.
    fired_at : float or None
        The baseline it was held against when it fired; None when armed, NaN if that
        was before a restart.
    since : int
        Detections since it fired.
    """

    recent: deque[tuple[Seen, float]]
    fired_at: float | None = None
    since: int = field(default=0)


class BrightenRecognizer:
    """Says so when n of the last m detections lie above ``factor`` times the baseline.

    It says so once: it is armed again when a detection falls below half of the rise
    (hysteresis, against the baseline at the time it fired), or after 15 detections,
    when the baseline has followed.

    The confidence is ``1 - exp(-(r - 1) / (factor - 1))``, r being the smallest ratio
    to the baseline among the frames counted: 0.63 when it just reaches ``factor``.
    """

    def __init__(self, settings: Brighten) -> None:
        self.settings = settings
        self._watched: dict[int, _Watch] = {}

    def look(self, tracking: Tracking) -> list[Sighting]:
        """Return the tracks that became bright with this frame."""
        settings = self.settings
        found = []
        for life in tracking.lives.values():
            if life.row < 0 or not life.baseline > 0:
                continue
            seen = life.last
            watch = self._watched.get(life.track_id)
            if watch is None:
                watch = self._watched[life.track_id] = _Watch(deque(maxlen=settings.of))
            if watch.fired_at is not None:
                if math.isnan(watch.fired_at):
                    watch.fired_at = life.baseline
                watch.since += 1
                half_way = watch.fired_at * (1 + settings.factor) / 2
                if seen.intensity < half_way or watch.since >= BASELINE_FRAMES:
                    watch.fired_at = None
                    watch.recent.clear()
                continue
            # this detection is in life.frames and not in its own baseline
            if life.frames <= settings.baseline_frames or math.isnan(seen.intensity):
                continue
            if seen.intensity >= settings.factor * life.baseline:
                edge_um = tracking.field_of_view.inside_um(seen.x_um, seen.y_um)
                if edge_um < settings.edge_um:
                    continue
            watch.recent.append((seen, seen.intensity / life.baseline))
            bright = [(s, r) for s, r in watch.recent if r >= settings.factor]
            if len(bright) < settings.frames or bright[-1][0] is not seen:
                continue
            watch.fired_at, watch.since = life.baseline, 0
            smallest = min(ratio for _, ratio in bright)
            found.append(
                Sighting(
                    x_um=seen.x_um,
                    y_um=seen.y_um,
                    onset_s=bright[0][0].time_s,
                    confidence=1 - math.exp(-(smallest - 1) / (settings.factor - 1)),
                    lives=(life,),
                    frame_ids=tuple(s.frame_id for s, _ in bright)[:-1],
                )
            )
        return found

    def resume(self, track_id: int) -> None:
        """After a restart: it fired for this track and is not armed."""
        watch = _Watch(deque(maxlen=self.settings.of), fired_at=math.nan)
        self._watched[track_id] = watch

    def forget(self, track_id: int) -> None:
        """Drop the watch of a track."""
        self._watched.pop(track_id, None)
