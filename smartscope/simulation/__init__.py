"""A specimen behind the same device interface as a real camera."""

from smartscope.simulation.autofocus_core import AutofocusCore
from smartscope.simulation.demo_names import CHANNELS
from smartscope.simulation.settings import (
    AutofocusSettings,
    ObjectiveTruth,
    OpticsSettings,
    SensorSettings,
    SimulationSettings,
    SlmDeviceSettings,
    SpecimenSettings,
    UglinessSettings,
)
from smartscope.simulation.simulated import DEFAULT_OBJECTIVE, Simulated, simulate
from smartscope.simulation.stamp import NO_CHANNEL, Stamp, read_stamp
from smartscope.simulation.truth import Truth, TruthEvent

__all__ = [
    "CHANNELS",
    "DEFAULT_OBJECTIVE",
    "NO_CHANNEL",
    "AutofocusCore",
    "AutofocusSettings",
    "ObjectiveTruth",
    "OpticsSettings",
    "SensorSettings",
    "Simulated",
    "SimulationSettings",
    "SlmDeviceSettings",
    "SpecimenSettings",
    "Stamp",
    "Truth",
    "TruthEvent",
    "UglinessSettings",
    "read_stamp",
    "simulate",
]
