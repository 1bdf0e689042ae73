"""MDA events in, frames out: queue, engine, guarded core, bursts, limits, light, ring."""

from smartscope.acquisition.clock import Clock, RealClock, VirtualClock
from smartscope.acquisition.frame import Frame, FrameState, Origin
from smartscope.acquisition.limits import Limits, Span
from smartscope.acquisition.stage_map import StageMap

__all__ = [
    "Clock",
    "Frame",
    "FrameState",
    "Limits",
    "Origin",
    "RealClock",
    "Span",
    "StageMap",
    "VirtualClock",
]
