"""An open microscope: its core, its clock, its limits, and how it is closed."""

from __future__ import annotations

import importlib.metadata
import time
from types import TracebackType
from typing import Any

import numpy as np
import useq
from pymmcore_plus import DeviceType

from smartscope.acquisition import (
    Clock,
    Frame,
    FrameState,
    GuardedCore,
    GuardedUniCore,
    GuardSettings,
    Limits,
    RealClock,
    SlmMap,
    VirtualClock,
)
from smartscope.microscope.calibration import Calibration
from smartscope.microscope.settings import MicroscopeSettings, Orientation
from smartscope.microscope.turret import turret_rules
from smartscope.simulation import Simulated, Truth


class Microscope:
    """An open microscope; leaving it puts the light out and unloads the devices.

    Attributes
    ----------
    core : GuardedCore or GuardedUniCore
        Guarded and armed.
    name : str
        Of its file.
    settings : MicroscopeSettings
        Its file.
    simulated : bool
        True if nothing real moves.
    clock : Clock
        The run's clock.
    limits : Limits
        Its own, tightened by the experiment.
    notices : list of str
        What the user should know, for the record of the run.
    calibration : Calibration or None
        Dark and flat field of its camera.
    turret : TurretRules or None
        When its objectives are turned, and how they differ.
    """

    def __init__(
        self,
        name: str,
        settings: MicroscopeSettings,
        core: GuardedCore | GuardedUniCore,
        limits: Limits,
        simulation: Simulated | None,
        notices: list[str],
    ) -> None:
        self.name = name
        self.settings = settings
        self.core = core
        self.limits = limits
        self.notices = notices
        self.simulation = simulation
        self.simulated = simulation is not None
        self.clock: Clock = RealClock() if simulation is None else simulation.clock
        self.orientation: Orientation = settings.orientation
        self.channel_group = settings.channel_group
        self.calibration: Calibration | None = None
        self._closed = False
        self.turret = turret_rules(core, settings)
        self.core.arm(
            GuardSettings(
                limits=limits,
                focus_direction=settings.focus_direction,
                power_property=settings.light.power_property,
                light_off=settings.light.off,
                untrusted_busy=settings.untrusted_busy,
                channel_group=settings.channel_group,
                turret=self.turret,
                slm=settings.slm.device if settings.slm is not None else None,
                # waiting for one's turn passes on the run's clock in virtual time
                clock=self.clock.now_s
                if isinstance(self.clock, VirtualClock)
                else time.monotonic,
            )
        )

    def truth(self) -> Truth | None:
        """Return what really happened in the specimen until now; None if unknown."""
        return None if self.simulation is None else self.simulation.truth()

    def camera_shape(self) -> tuple[int, int]:
        """Return rows and columns of the images as they come now."""
        return self.core.getImageHeight(), self.core.getImageWidth()

    def slm_map(self) -> SlmMap | None:
        """Return its light modulator as it lies on the stage now; None without one."""
        slm = self.settings.slm
        if slm is None:
            return None
        return SlmMap.of(
            self.core, slm.device, slm.affine, slm.intensity, self.orientation
        )

    def empty_frame(self) -> Frame:
        """Return a black frame like those the camera gives now, to warm models up on.

        Its stage position is (0, 0, 0), whatever the stage says.
        """
        core = self.core
        dtype = np.dtype(f"u{core.getBytesPerPixel()}")
        return Frame(
            pixels=np.zeros(self.camera_shape(), dtype),
            event=useq.MDAEvent(),
            frame_id=0,
            time_s=0.0,
            handed_over_s=0.0,
            place="p0",
            state=FrameState(
                x_um=0.0,
                y_um=0.0,
                z_um=0.0,
                exposure_ms=float(core.getExposure()),
                channel="",
                pixel_size_um=float(core.getPixelSizeUm()),
                orientation=self.orientation,
            ),
            bit_depth=int(core.getImageBitDepth()),
        )

    def describe(self) -> dict[str, Any]:
        """Return what it is and how it is set, as JSON values, for the record."""
        core = self.core
        return {
            "name": self.name,
            "kind": self.settings.kind,
            "description": self.settings.description,
            "devices": {
                label: {
                    "type": DeviceType(core.getDeviceType(label)).name,
                    "library": str(core.getDeviceLibrary(label)),
                    "name": str(core.getDeviceName(label)),
                    "properties": {
                        str(p): str(core.getProperty(label, p))
                        for p in core.getDevicePropertyNames(label)
                    },
                }
                for label in core.getLoadedDevices()
            },
            "presets": {
                str(group): [str(p) for p in core.getAvailableConfigs(group)]
                for group in core.getAvailableConfigGroups()
            },
            "channel_group": self.channel_group,
            "pixel_size_um": core.getPixelSizeUm(),
            "camera_shape": list(self.camera_shape()),
            "orientation": [list(row) for row in self.orientation],
            "focus_direction": self.settings.focus_direction,
            "calibration": None
            if self.calibration is None
            else {is_: str(path) for is_, path in self.calibration.sources.items()},
            "light": self.settings.light.model_dump(mode="json"),
            "slm": None
            if self.settings.slm is None
            else self.settings.slm.model_dump(mode="json"),
            "turret": self.settings.turret.model_dump(mode="json"),
            "objectives": {
                label: one.model_dump(mode="json", exclude_none=True)
                for label, one in self.settings.objectives.items()
            },
            "limits": self.limits.model_dump(mode="json"),
            "simulation": None
            if self.simulation is None
            else self.simulation.settings.model_dump(mode="json"),
            "versions": {
                package: importlib.metadata.version(package)
                for package in ("pymmcore", "pymmcore-plus", "useq-schema")
            },
        }

    def close(self) -> None:
        """Put the light out and unload the devices; a second time does nothing."""
        if self._closed:
            return
        self._closed = True
        try:
            self.core.dark()
        finally:
            self.core.disarm()
            self.core.unloadAllDevices()

    def __enter__(self) -> Microscope:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
