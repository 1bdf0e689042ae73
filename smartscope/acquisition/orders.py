"""What an event asks for becomes orders to the core, and what they led to is checked.

It alone knows what the hardware was told last. Only what differs is ordered; when
somebody else has ordered something, nothing is believed any more. An order that is not
taken is an error and never a line in a log.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from pymmcore_plus import DeviceType, Keyword
from useq import MDAEvent, SLMImage

from smartscope.acquisition.cameras import (
    Camera,
    camera_labels,
    differing,
    look_at_cameras,
)
from smartscope.acquisition.clock import Clock
from smartscope.acquisition.event_tag import EventTag
from smartscope.acquisition.guarded_core import GuardedCore, GuardedUniCore
from smartscope.acquisition.light_power import LightPower
from smartscope.acquisition.region import Region
from smartscope.acquisition.turret import Turret
from smartscope.errors import BrokenOff, LimitBroken

_EXPOSURE_TOLERANCE = 0.1


class Orders:
    """Brings the hardware into the state an event asks for, and knows that state.

    Parameters
    ----------
    core : GuardedCore or GuardedUniCore
        The microscope.
    clock : Clock
        The run's clock, to wait until a move is allowed.

    Attributes
    ----------
    measured : dict
        Where the stage said it is after its last move (``x_um``, ``y_um``).
    light : LightPower
        The power of the light.
    region : Region
        What of the camera is read.
    turret : Turret
        The objectives. Positions of events are those of the start objective; what
        another one adds is added to what the stages are told, and taken from what they
        say.
    """

    def __init__(self, core: GuardedCore | GuardedUniCore, clock: Clock) -> None:
        self._core = core
        self._clock = clock
        self.measured: dict[str, float] = {}
        self.light = LightPower(core)
        self.region = Region(core)
        self.turret = Turret(core)
        # where the survey left the focus, and where it comes back to after a turn for
        # events that name no z
        self._z_home: float | None = None
        self._z_due: float | None = None
        self._xy_moved = self._z_moved = False
        self._presets: dict[tuple[str, str], bool] = {}
        self._lit_by: dict[tuple[str, str], bool] = {}
        self._looked: dict[tuple[Any, ...], tuple[Camera, ...]] = {}
        self.begin()

    # ---------------------------------------------------------------- belief

    def begin(self) -> None:
        """Begin a run: presets and turrets may be others than in the last one."""
        self._presets.clear()
        self._looked.clear()
        self.light.begin()
        self.region.begin()
        self.turret.begin()
        self._z_home = self._z_due = None
        self.forget()

    def forget(self, *, xy: bool = True) -> None:
        """Believe nothing about the hardware: the next event asserts everything."""
        if xy:
            self._xy: tuple[float, float] | None = None
        self._z: float | None = None
        self._channel: tuple[str, str] | None = None
        self._exposure_asked_ms: float | None = None
        self._exposures_ms: tuple[float, ...] | None = None
        self._labels: tuple[str, ...] | None = None
        self._cameras: tuple[Camera, ...] | None = None
        self._seen_channel: str | None = None
        self._optics: tuple[tuple[int, int], float, str, int] | None = None
        self._order_count = -1
        self.region.forget()
        self.turret.forget()

    def notice(self) -> None:
        """Forget everything if somebody else has ordered something."""
        if self._core.order_count != self._order_count:
            self.forget()

    def remember(self) -> None:
        """Take the hardware to be as ordered until somebody else orders."""
        self._order_count = self._core.order_count

    # ---------------------------------------------------------------- state

    def labels(self) -> tuple[str, ...]:
        """Return the labels of the cameras that give an image at every exposure.

        Raises
        ------
        BrokenOff
            If there is none.
        """
        if self._labels is None:
            self._labels = camera_labels(self._core)
            if not self._labels:
                raise BrokenOff(
                    f"'{self._core.getCameraDevice()}' stands for no camera.",
                    rule="Frames come from the core's camera.",
                    way_out="Set its physical cameras.",
                    state=self.describe(),
                )
        return self._labels

    def cameras(self) -> tuple[Camera, ...]:
        """Return these cameras as they are set; not while a sequence runs.

        Raises
        ------
        BrokenOff
            If there is none, or if several differ in the size of their images.
        """
        if self._cameras is None:
            labels, (shape, _, _, bit_depth) = self.labels(), self.optics()
            pixel_bytes = int(self._core.getBytesPerPixel())
            if len(labels) == 1:
                self._cameras = (Camera(labels[0], shape, pixel_bytes, bit_depth),)
                return self._cameras
            # each of several is looked at once for every state of them all
            state = (labels, shape, pixel_bytes, bit_depth)
            if state not in self._looked:
                self._looked[state] = look_at_cameras(self._core)
            if differs := differing(self._looked[state]):
                raise BrokenOff(
                    f"The cameras differ: {differs}.",
                    rule="Cameras that expose together give images of one size.",
                    way_out="Set the same ROI, binning and pixel type for all.",
                    state=self.describe(),
                )
            self._cameras = self._looked[state]
        return self._cameras

    def exposures_ms(self) -> tuple[float, ...]:
        """Return the exposure of each camera, read back."""
        if self._exposures_ms is None:
            core, labels = self._core, self.labels()
            if len(labels) == 1:
                self._exposures_ms = (float(core.getExposure()),)
            else:
                # where they differ, the adapter itself says 0
                self._exposures_ms = tuple(float(core.getExposure(x)) for x in labels)
        return self._exposures_ms

    def exposure_ms(self) -> float:
        """Return how long an exposure lights the specimen: that of the slowest camera.

        Read back from the cameras.
        """
        return max(self.exposures_ms())

    def position_um(self, event: MDAEvent) -> tuple[float, float]:
        """Return where an event is taken: commanded, else where the stage is."""
        x, y = event.x_pos, event.y_pos
        if x is not None and y is not None:
            return x, y
        if self._xy is None:
            has_stage = bool(self._core.getXYStageDevice())
            x0, y0 = self._core.getXYPosition() if has_stage else (0.0, 0.0)
            self._xy = self.turret.from_stage(x0, y0)
        return (self._xy[0] if x is None else x, self._xy[1] if y is None else y)

    def z_um(self, event: MDAEvent) -> float:
        """Return the focus an event is taken at: commanded, else where it is."""
        if event.z_pos is not None:
            return event.z_pos
        if self._z is None:
            z_um = self._core.getPosition() if self._core.getFocusDevice() else 0.0
            self._z = z_um - self.turret.here.parfocal_um
        return self._z

    def channel(self, event: MDAEvent) -> str:
        """Return the preset an event is taken with; ``""`` if the core is at none."""
        if event.channel is not None:
            return event.channel.config
        if self._channel is not None:
            return self._channel[1]
        if self._seen_channel is None:
            guard = self._core.guard
            group = guard.channel_group if guard is not None else ""
            known = bool(group) and self._core.isGroupDefined(group)
            read = self._core.getCurrentConfig(group) if known else ""
            self._seen_channel = str(read)
        return self._seen_channel

    def optics(self) -> tuple[tuple[int, int], float, str, int]:
        """Return shape of the frames, pixel size in µm, objective and bit depth."""
        if self._optics is None:
            core = self._core
            self._optics = (
                (core.getImageHeight(), core.getImageWidth()),
                float(core.getPixelSizeUm()),
                self.turret.label(),
                int(core.getImageBitDepth()),
            )
        return self._optics

    # ---------------------------------------------------------------- orders

    def channel_preset(self, event: MDAEvent) -> None:
        """Set the channel; what its preset may have changed is asserted again."""
        if (ch := event.channel) is None or self._channel == (ch.group, ch.config):
            return
        key = (ch.group, ch.config)
        if key not in self._presets:
            if not self._core.isConfigDefined(*key):
                raise LimitBroken(
                    f"The microscope has no preset '{ch.config}' in '{ch.group}'.",
                    way_out="Choose a channel that it has.",
                    state="The order was not carried out.",
                )
            self._lit_by[key] = any(
                self.light.is_set_by(device, prop)
                for device, prop, _ in self._core.getConfigData(*key)
            )
            self._presets[key] = any(
                prop == Keyword.Position
                or device == self.turret.device
                or (device, prop) == (Keyword.CoreDevice, Keyword.CoreCamera)
                or self._core.getDeviceType(device)
                in (DeviceType.Camera, DeviceType.Stage, DeviceType.XYStage)
                for device, prop, _ in self._core.getConfigData(*key)
            )
        self._core.setConfig(*key)
        if self._lit_by[key]:
            self.light.set_otherwise()
        if self._presets[key]:
            self.forget()
        self._channel = key

    def move(self, event: MDAEvent) -> None:
        """Move away from the sample first, then across, then toward it."""
        z = self._z_due if event.z_pos is None else event.z_pos
        self._z_due = None
        if z is None or z == self._z:
            self._move_xy(event)
            return
        guard = self._core.guard
        toward = guard is None or guard.focus_direction != "away"
        now = self.z_um(MDAEvent())
        if (z < now) if toward else (z > now):
            self._move_z(z)
            self._move_xy(event)
        else:
            self._move_xy(event)
            self._move_z(z)

    def _move_xy(self, event: MDAEvent) -> None:
        if event.x_pos is None and event.y_pos is None:
            return
        target = self.position_um(event)
        if self._xy == target:
            return
        self._await_turn()
        self._core.setXYPosition(*self.turret.to_stage(*target))
        self._xy, self._xy_moved = target, True

    def _move_z(self, z_um: float) -> None:
        self._await_turn()
        self._core.setPosition(z_um + self.turret.here.parfocal_um)
        self._z, self._z_moved = z_um, True

    def _await_turn(self) -> None:
        while (wait_s := self._core.move_wait_s()) > 0:
            self._clock.sleep(wait_s)

    def objective(self, event: MDAEvent) -> None:
        """Turn to the objective that the event asks for, or back to the survey's.

        The focus goes away from the sample first; ``move`` brings it back.

        Raises
        ------
        LimitBroken
            If the microscope's file does not permit it.
        """
        label = self.turret.wanted(EventTag.of(event).objective)
        if label is None:
            return
        if not self.turret.away and self._core.getFocusDevice():
            self._z_due = self._z_home = self.z_um(MDAEvent())
        try:
            self.turret.turn(label, self._await_turn, self.wait)
        finally:
            self.forget()
            self._z_due = self._z_home

    def _turn_back(self) -> None:
        """Turn to the survey's objective, and bring the focus back."""
        self.objective(MDAEvent())
        if self._z_due is not None:
            self.move(MDAEvent())
            self.wait()
            self.check_arrived()

    def exposure(self, asked_ms: float | None) -> None:
        """Set the exposure, if it is not set, and read it back."""
        if asked_ms is None or asked_ms == self._exposure_asked_ms:
            return
        self._core.setExposure(asked_ms)
        self._exposures_ms = None
        for label, got in zip(self.labels(), self.exposures_ms(), strict=True):
            if not abs(got - asked_ms) <= max(_EXPOSURE_TOLERANCE * asked_ms, 0.1):
                raise BrokenOff(
                    f"{label} was told to expose {asked_ms:g} ms and says {got:g} ms.",
                    rule="An exposure must be taken within 10 %.",
                    way_out="Ask for an exposure that the camera can take.",
                    state=self.describe(),
                )
        self._exposure_asked_ms = asked_ms

    def properties(self, event: MDAEvent) -> None:
        """Set the event's properties; each may be part of whatever was set before."""
        if not event.properties:
            return
        for device, prop, value in event.properties:
            self._core.setProperty(device, prop, value)
        self.forget(xy=False)

    def power(self, event: MDAEvent) -> None:
        """Set the power of the light that the event asks for, or its own."""
        self.light.assert_for(EventTag.of(event).power_percent)

    def read_region(self, event: MDAEvent, *, setup: bool = False) -> None:
        """Set the region of the camera that the event asks for, or the survey's."""
        if EventTag.of(event).roi_um is not None and len(self.labels()) > 1:
            raise LimitBroken(
                f"{' and '.join(self.labels())} expose together and read all they can.",
                rule="A region is read by one camera.",
                way_out="Leave out roi_um.",
                state="The order was not carried out.",
            )
        if self.region.apply(event, setup=setup):
            self._optics = self._cameras = None

    def as_before(self) -> list[str]:
        """Undo power, region and objective of an event; return what failed."""
        failed = []
        for undo in (
            lambda: self.light.assert_for(None),
            self.region.go_home,
            self._turn_back,
        ):
            try:
                undo()
            except Exception as e:  # noqa: BLE001 the other one must be undone too
                failed.append(str(e))
        self.forget()
        return failed

    def pattern(self, image: SLMImage | None) -> None:
        """Load what the light modulator shall show."""
        if image is None:
            return
        core, device = self._core, image.device or self._core.getSLMDevice()
        pixels = np.asarray(image)
        if pixels.ndim == 0:
            core.setSLMPixelsTo(device, int(pixels))
        else:
            core.setSLMImage(device, pixels)
        if image.exposure:
            core.setSLMExposure(device, image.exposure)

    def show(self, image: SLMImage | None) -> None:
        """Show what was loaded into the light modulator."""
        if image is not None:
            self._core.displaySLMImage(image.device or self._core.getSLMDevice())

    def blank(self, image: SLMImage | None) -> None:
        """Let the light modulator that showed an image show nothing."""
        if image is not None:
            device = image.device or self._core.getSLMDevice()
            self._core.setSLMPixelsTo(device, 0)
            self._core.displaySLMImage(device)

    # ---------------------------------------------------------------- checks

    def wait(self) -> None:
        """Wait until no device is busy, except those whose flag is not trusted.

        Raises
        ------
        BrokenOff
            If one is still busy at the end of the core's time, with its name.
        """
        guard = self._core.guard
        untrusted = guard.untrusted_busy if guard is not None else ()
        try:
            if not untrusted:
                self._core.waitForSystem()
                return
            for device in self._trusted(untrusted):
                self._core.waitForDevice(device)
        except (RuntimeError, TimeoutError) as e:
            busy = [d for d in self._trusted(untrusted) if self._core.deviceBusy(d)]
            raise BrokenOff(
                f"Still busy after waiting: {', '.join(busy) or e}.",
                way_out="If a Busy flag is wrong, name the device in untrusted_busy of "
                "the microscope's file.",
                state=self.describe(),
            ) from e

    def _trusted(self, untrusted: Sequence[str]) -> list[str]:
        loaded = self._core.getLoadedDevices()
        return [str(d) for d in loaded if d != "Core" and d not in untrusted]

    def check_arrived(self) -> None:
        """Raise BrokenOff if a stage that was moved is not where it was sent."""
        guard = self._core.guard
        within_um = guard.arrive_um if guard is not None else 5.0
        if self._xy_moved and self._xy is not None:
            x, y = self.turret.from_stage(*self._core.getXYPosition())
            self.measured = {"x_um": x, "y_um": y}
            off_um = float(np.hypot(x - self._xy[0], y - self._xy[1]))
            if not off_um <= within_um:
                sent = f"({self._xy[0]:.1f}, {self._xy[1]:.1f}) µm"
                self._broken("stage", sent, f"({x:.1f}, {y:.1f}) µm", within_um)
        if self._z_moved and self._z is not None:
            z = self._core.getPosition() - self.turret.here.parfocal_um
            if not abs(z - self._z) <= within_um:
                self._broken("focus", f"{self._z:.2f} µm", f"{z:.2f} µm", within_um)
        self._xy_moved = self._z_moved = False

    def _broken(self, what: str, sent: str, is_at: str, within_um: float) -> None:
        raise BrokenOff(
            f"The {what} was sent to {sent} and says it is at {is_at}.",
            rule=f"It must arrive within {within_um:g} µm.",
            way_out=f"Look for what blocks the {what}.",
            state=self.describe(),
        )

    def describe(self) -> str:
        """Return the state of the microscope in one sentence, whatever still works."""
        core = self._core
        reads: dict[str, Callable[[], Any]] = {
            "stage": lambda: "({:.1f}, {:.1f}) µm".format(*core.getXYPosition()),
            "z": lambda: f"{core.getPosition():.2f} µm",
            "exposure": lambda: f"{core.getExposure():g} ms",
            "shutter": lambda: "open" if core.getShutterOpen() else "closed",
        }
        said = []
        for name, read in reads.items():
            try:
                said.append(f"{name} {read()}")
            except Exception as e:  # noqa: BLE001 whatever is broken, say the rest
                said.append(f"{name} unknown ({e})")
        return "The microscope now: " + ", ".join(said) + "."
