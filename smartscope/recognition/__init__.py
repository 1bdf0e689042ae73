"""Arrays in, things with identity out: detections, tracks, occurrences."""

from smartscope.recognition.detections import Detections
from smartscope.recognition.occurrence import Occurrence
from smartscope.recognition.settings import (
    Appear,
    Brighten,
    Disappear,
    OccurrenceSettings,
    Split,
    TrackSettings,
)
from smartscope.recognition.track import Track

__all__ = [
    "Appear",
    "Brighten",
    "Detections",
    "Disappear",
    "Occurrence",
    "OccurrenceSettings",
    "Split",
    "Track",
    "TrackSettings",
]
