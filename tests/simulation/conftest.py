"""A simulated microscope for a test, in virtual time, closed when the module ends."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from smartscope.simulation import (
    AutofocusCore,
    SensorSettings,
    Simulated,
    SimulationSettings,
    SpecimenSettings,
    UglinessSettings,
    simulate,
)

Opened = tuple[AutofocusCore, Simulated]


@pytest.fixture(scope="module")
def opened() -> Iterator[Callable[..., Opened]]:
    """Opens microscopes: settings as keywords, those of ugliness as ``ugly``."""
    cores: list[AutofocusCore] = []

    def open_one(ugly: dict[str, Any] | None = None, **changes: Any) -> Opened:
        given: dict[str, Any] = {
            "specimen": SpecimenSettings(time="virtual"),
            "sensor": SensorSettings(stamp=True, shape=(128, 128)),
            "ugliness": UglinessSettings(**{"settle_ms": 0, **(ugly or {})}),
            **changes,
        }
        core = AutofocusCore(mm_path=".")
        cores.append(core)
        return core, simulate(core, SimulationSettings(**given), buffer_mb=16)

    yield open_one
    for core in cores:
        core.unloadAllDevices()


@pytest.fixture(scope="session")
def snap() -> Callable[[AutofocusCore], np.ndarray]:
    """Takes an image."""

    def take(core: AutofocusCore) -> np.ndarray:
        core.snapImage()
        return core.getImage()

    return take
