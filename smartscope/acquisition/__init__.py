"""MDA events in, frames out: queue, engine, guarded core, limits, light, ring."""

from smartscope.acquisition.burst import SequencedEvent, parts, sequenced
from smartscope.acquisition.cameras import (
    Camera,
    camera_labels,
    differing,
    look_at_cameras,
)
from smartscope.acquisition.clock import Clock, RealClock, VirtualClock
from smartscope.acquisition.declared import allows, is_range, look_up, told
from smartscope.acquisition.engine import SmartEngine
from smartscope.acquisition.engine_listener import EngineListener
from smartscope.acquisition.event_queue import EventQueue
from smartscope.acquisition.event_tag import EventTag
from smartscope.acquisition.focusing import (
    Focused,
    FocusMethod,
    FocusOrder,
    focus_event,
    is_focus_event,
)
from smartscope.acquisition.frame import Frame, FrameState, Origin
from smartscope.acquisition.guarded_core import (
    GuardedCore,
    GuardedUniCore,
    GuardSettings,
)
from smartscope.acquisition.history import History
from smartscope.acquisition.light_budget import LightBudget
from smartscope.acquisition.limits import Limits, Span
from smartscope.acquisition.objectives import Objective, TurretRules
from smartscope.acquisition.property_orders import property_event, set_back_event
from smartscope.acquisition.readings import LOCKED, Readings, reading_of
from smartscope.acquisition.ring import FrameRing, RingReader
from smartscope.acquisition.sharpest import sharpness
from smartscope.acquisition.slm_map import SlmMap, within
from smartscope.acquisition.stage_map import StageMap

__all__ = [
    "LOCKED",
    "Camera",
    "Clock",
    "EngineListener",
    "EventQueue",
    "EventTag",
    "FocusMethod",
    "FocusOrder",
    "Focused",
    "Frame",
    "FrameRing",
    "FrameState",
    "GuardSettings",
    "GuardedCore",
    "GuardedUniCore",
    "History",
    "LightBudget",
    "Limits",
    "Objective",
    "Origin",
    "Readings",
    "RealClock",
    "RingReader",
    "SequencedEvent",
    "SlmMap",
    "SmartEngine",
    "Span",
    "StageMap",
    "TurretRules",
    "VirtualClock",
    "allows",
    "camera_labels",
    "differing",
    "focus_event",
    "is_focus_event",
    "is_range",
    "look_at_cameras",
    "look_up",
    "parts",
    "property_event",
    "reading_of",
    "sequenced",
    "set_back_event",
    "sharpness",
    "told",
    "within",
]
