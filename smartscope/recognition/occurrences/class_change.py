"""A thing goes through classes of the detector in an order."""

from __future__ import annotations

from dataclasses import dataclass

from smartscope.recognition.occurrences.sighting import Sighting
from smartscope.recognition.track_kinds import ClassChange
from smartscope.recognition.tracker import Tracking


@dataclass(slots=True)
class _Path:
    """How far a track has come.

    ``step`` classes of the order have been reached; ``label`` has been seen ``times``
    times in a row, first at ``since`` (frame id, time).
    """

    step: int = 0
    label: str = ""
    times: int = 0
    since: tuple[int, float] = (-1, 0.0)


class ClassChangeRecognizer:
    """Says so when the last class of an order is reached after all before it.

    A class counts after ``frames`` detections in a row, so that one wrong label changes
    nothing. Classes that are not in the order are passed over; a class of the order
    that is not the next one begins it anew there. After the last one it begins anew.

    The confidence is the mean score of the detections in the last class.
    """

    def __init__(self, settings: ClassChange) -> None:
        self.settings = settings
        self._paths: dict[int, _Path] = {}

    def look(self, tracking: Tracking) -> list[Sighting]:
        """Return the tracks that reach the last class with this frame."""
        settings = self.settings
        found = []
        for life in tracking.lives.values():
            if life.row < 0:
                continue
            seen = life.last
            path = self._paths.setdefault(life.track_id, _Path())
            if seen.label != path.label:
                path.label, path.times = seen.label, 0
                path.since = (seen.frame_id, seen.time_s)
            path.times += 1
            if path.times != settings.frames or seen.label not in settings.through:
                continue
            path.step = self._next(path.step, seen.label)
            if path.step < len(settings.through):
                continue
            path.step = 0
            scores = [s.score for s in list(life.trail)[-settings.frames :]]
            first = path.since[0]
            found.append(
                Sighting(
                    x_um=seen.x_um,
                    y_um=seen.y_um,
                    onset_s=path.since[1],
                    confidence=sum(scores) / len(scores),
                    lives=(life,),
                    frame_ids=(first,) if first != seen.frame_id else (),
                )
            )
        return found

    def _next(self, step: int, label: str) -> int:
        """Return how many classes are reached once `label` counts."""
        through = self.settings.through
        if through[step] == label:
            return step + 1
        if step and through[step - 1] == label:
            return step  # still there
        return through.index(label) + 1 if through.index(label) == 0 else 0

    def resume(self, track_id: int) -> None:
        """Nothing: after a restart every track begins the order anew."""

    def forget(self, track_id: int) -> None:
        """Drop the path of a track."""
        self._paths.pop(track_id, None)
