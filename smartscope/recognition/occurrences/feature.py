"""A measured value of a track is high or low, by itself or against its own past."""

from __future__ import annotations

import math

from smartscope.recognition.feature_kinds import Feature
from smartscope.recognition.life import Life
from smartscope.recognition.occurrences.condition import Baseline
from smartscope.recognition.occurrences.of_track import Judged, TrackRecognizer
from smartscope.recognition.tracker import Tracking

# what a thing that the field's edge cuts still has
_OF_PARTS = ("speed", "score")


def feature(settings: Feature) -> TrackRecognizer:
    """Beyond the bound; with ``relative`` the bound is times the running baseline."""
    usual = Baseline(settings.baseline_frames)

    def judge(life: Life, tracking: Tracking) -> Judged | None:
        value = value_of(life, settings.value)
        if math.isnan(value) or not _judged(life, tracking, settings):
            return None
        if settings.relative:
            baseline = usual.of(life.track_id)
            usual.add(life.track_id, value)
            if baseline is None or not baseline > 0:
                return None
            value /= baseline
        return settings.beyond(value), settings.back(value)

    return TrackRecognizer(
        settings, judge, follows=settings.relative, forgets=usual.forget
    )


def value_of(life: Life, name: str) -> float:
    """Return a value of a track's newest detection by its name; NaN if not known."""
    if name == "speed":
        return life.speed_um_per_min()
    found = getattr(life.last, "area_um2" if name == "area" else name)
    return float(found)


def _judged(life: Life, tracking: Tracking, settings: Feature) -> bool:
    if settings.value in _OF_PARTS:
        return True
    seen = life.last
    inside = tracking.field_of_view.inside_um(seen.x_um, seen.y_um)
    return seen.whole and inside >= settings.edge_um
