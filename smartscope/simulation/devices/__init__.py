"""Python devices for ``UniMMCore`` that answer to Micro-Manager's demo names."""

from smartscope.simulation.devices.autofocus import Autofocus
from smartscope.simulation.devices.camera import Camera
from smartscope.simulation.devices.light import Light, Shutter
from smartscope.simulation.devices.loading import load_devices
from smartscope.simulation.devices.slm import Slm
from smartscope.simulation.devices.stages import XYStage, ZStage
from smartscope.simulation.devices.wheel import Wheel

__all__ = [
    "Autofocus",
    "Camera",
    "Light",
    "Shutter",
    "Slm",
    "Wheel",
    "XYStage",
    "ZStage",
    "load_devices",
]
