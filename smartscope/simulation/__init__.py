"""A specimen behind the same device interface as a real camera."""

from smartscope.simulation.settings import (
    OpticsSettings,
    SensorSettings,
    SimulationSettings,
    SpecimenSettings,
    UglinessSettings,
)

__all__ = [
    "OpticsSettings",
    "SensorSettings",
    "SimulationSettings",
    "SpecimenSettings",
    "UglinessSettings",
]
