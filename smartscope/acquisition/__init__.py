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
from smartscope.acquisition.engine import EngineListener, SmartEngine
from smartscope.acquisition.event_queue import EventQueue
from smartscope.acquisition.event_tag import EventTag
from smartscope.acquisition.frame import Frame, FrameState, Origin
from smartscope.acquisition.guarded_core import (
    GuardedCore,
    GuardedUniCore,
    GuardSettings,
)
from smartscope.acquisition.history import History
from smartscope.acquisition.light_budget import LightBudget
from smartscope.acquisition.limits import Limits, Span
from smartscope.acquisition.property_orders import property_event, set_back_event
from smartscope.acquisition.ring import FrameRing, RingReader
from smartscope.acquisition.stage_map import StageMap

__all__ = [
    "Camera",
    "Clock",
    "EngineListener",
    "EventQueue",
    "EventTag",
    "Frame",
    "FrameRing",
    "FrameState",
    "GuardSettings",
    "GuardedCore",
    "GuardedUniCore",
    "History",
    "LightBudget",
    "Limits",
    "Origin",
    "RealClock",
    "RingReader",
    "SequencedEvent",
    "SmartEngine",
    "Span",
    "StageMap",
    "VirtualClock",
    "allows",
    "camera_labels",
    "differing",
    "is_range",
    "look_at_cameras",
    "look_up",
    "parts",
    "property_event",
    "sequenced",
    "set_back_event",
    "told",
]
