"""Arrays in, things with identity out: detections, tracks, occurrences."""

from smartscope.recognition.detections import Detections
from smartscope.recognition.detector import Detector, load_detector
from smartscope.recognition.gather import Gathered, Gathering, slot_of, visit_of
from smartscope.recognition.model_detector import ModelDetector
from smartscope.recognition.occurrence import Occurrence
from smartscope.recognition.occurrences import OccurrenceRecognizer
from smartscope.recognition.placed import detections_at
from smartscope.recognition.settings import (
    OF_TRACKS,
    Appear,
    Brighten,
    Disappear,
    OccurrenceSettings,
    Split,
    TrackSettings,
)
from smartscope.recognition.track import Track
from smartscope.recognition.tracker import Tracker, Tracking

__all__ = [
    "OF_TRACKS",
    "Appear",
    "Brighten",
    "Detections",
    "Detector",
    "Disappear",
    "Gathered",
    "Gathering",
    "ModelDetector",
    "Occurrence",
    "OccurrenceRecognizer",
    "OccurrenceSettings",
    "Split",
    "Track",
    "TrackSettings",
    "Tracker",
    "Tracking",
    "detections_at",
    "load_detector",
    "slot_of",
    "visit_of",
]
