"""A thing comes into a region of the stage, or leaves it."""

from __future__ import annotations

from smartscope.recognition.life import Life
from smartscope.recognition.occurrences.of_track import Judged, TrackRecognizer
from smartscope.recognition.track_kinds import Corner, Enter, Leave
from smartscope.recognition.tracker import Tracking


def region(settings: Enter | Leave) -> TrackRecognizer:
    """Only a thing that was seen on the other side before can cross over."""
    wanted = isinstance(settings, Enter)
    was_other: set[int] = set()

    def judge(life: Life, _tracking: Tracking) -> Judged | None:
        inside = contains(settings.corners, life.last.x_um, life.last.y_um)
        if inside != wanted:
            was_other.add(life.track_id)
            return False, True
        return life.track_id in was_other, False

    return TrackRecognizer(settings, judge, forgets=was_other.discard)


def contains(corners: tuple[Corner, ...], x_um: float, y_um: float) -> bool:
    """Return whether a point lies in a polygon, by the even-odd rule."""
    inside = False
    x0, y0 = corners[-1]
    for x1, y1 in corners:
        if (y1 > y_um) != (y0 > y_um) and x_um < (x0 - x1) * (y_um - y1) / (
            y0 - y1
        ) + x1:
            inside = not inside
        x0, y0 = x1, y1
    return inside
