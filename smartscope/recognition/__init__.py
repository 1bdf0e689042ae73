"""Arrays in, things with identity out: detections, tracks, occurrences."""

from smartscope.recognition.companions import Companions
from smartscope.recognition.detections import Detections
from smartscope.recognition.detector import Detector, load_detector, looks_alone
from smartscope.recognition.device_kinds import (
    AutofocusUnlocked,
    Property,
    watched,
)
from smartscope.recognition.ending_kinds import Lost
from smartscope.recognition.feature_kinds import Feature, RatioSettings, ShapeName
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
from smartscope.recognition.shapes import Pair
from smartscope.recognition.track import Track
from smartscope.recognition.tracker import Tracker, Tracking

__all__ = [
    "OF_TRACKS",
    "Appear",
    "AutofocusUnlocked",
    "Brighten",
    "Companions",
    "Detections",
    "Detector",
    "Disappear",
    "Feature",
    "Gathered",
    "Gathering",
    "Lost",
    "ModelDetector",
    "Occurrence",
    "OccurrenceRecognizer",
    "OccurrenceSettings",
    "Pair",
    "Property",
    "RatioSettings",
    "ShapeName",
    "Split",
    "Track",
    "TrackSettings",
    "Tracker",
    "Tracking",
    "detections_at",
    "load_detector",
    "looks_alone",
    "slot_of",
    "visit_of",
    "watched",
]
