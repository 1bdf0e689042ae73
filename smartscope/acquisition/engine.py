"""The engine: events in, frames out; what it is told it does, or it says so.

It alone knows how an event becomes orders to the core. It differs from the engine of
pymmcore-plus in what must never be wrong: an order that fails ends the run instead of
becoming a log line, the channel is asserted again after every sequence, a running
sequence can be ended within a frame, light is charged when it is exposed, and frames
are handed over here and not through a signal that swallows errors.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from pymmcore_plus.mda import MDAEngine, SkipEvent
from useq import AcquireImage, MDAEvent, MDASequence

from smartscope.acquisition.burst import SequencedEvent, parts
from smartscope.acquisition.clock import Clock
from smartscope.acquisition.event_tag import EventTag
from smartscope.acquisition.frame import Frame, FrameState
from smartscope.acquisition.guarded_core import GuardedCore, GuardedUniCore
from smartscope.acquisition.light_budget import LightBudget
from smartscope.errors import BrokenOff, LimitBroken, SmartscopeError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

_EXPOSURE_TOLERANCE = 0.1
_BUSY_TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True)
class EngineListener:
    """Who is told what the engine did; all are called in the runner's thread.

    Attributes
    ----------
    frame : Callable
        Takes each frame the moment it is there; an error it raises ends the run.
    done : Callable
        An event has run: the event, and how many frames it gave.
    interrupted : Callable
        A sequence was ended early: the events that were not taken.
    refused : Callable
        An event was not run: the event, and why.
    yields : Callable
        Asked before each frame of a sequence of the survey: shall it end now, because
        something more urgent waits?
    """

    frame: Callable[[Frame], None]
    done: Callable[[MDAEvent, int], None] = lambda _event, _frames: None
    interrupted: Callable[[Sequence[MDAEvent]], None] = lambda _events: None
    refused: Callable[[MDAEvent, str], None] = lambda _event, _why: None
    yields: Callable[[], bool] = lambda: False


class SmartEngine(MDAEngine):
    """Executes events on a guarded core and hands over frames.

    Parameters
    ----------
    core : GuardedCore or GuardedUniCore
        The microscope.
    listener : EngineListener
        Who is told.
    clock : Clock
        The run's clock.
    light : LightBudget
        Charged for every exposure; its limit is the last guard.
    orientation : tuple
        2×2 matrix from camera (column, row) to stage (x, y).
    """

    def __init__(
        self,
        core: GuardedCore | GuardedUniCore,
        listener: EngineListener,
        clock: Clock,
        light: LightBudget,
        orientation: tuple[tuple[float, float], tuple[float, float]] = (
            (1.0, 0.0),
            (0.0, 1.0),
        ),
    ) -> None:
        super().__init__(core, restore_initial_state=False)
        self._core = core
        self._listener = listener
        self._clock = clock
        self._light = light
        self._orientation = orientation
        self._frame_id = 0
        self._interrupt = False
        self._halted = False
        self._forget()

    def _forget(self) -> None:
        """Believe nothing about the hardware: the next event asserts everything."""
        self._channel: tuple[str, str] | None = None
        self._exposure_asked_ms: float | None = None
        self._exposure_ms = 0.0
        self._xy: tuple[float, float] | None = None
        self._z: float | None = None
        self._shape: tuple[int, int] | None = None

    # ---------------------------------------------------------------- from outside

    def interrupt(self) -> None:
        """End the sequence that is running, a burst too, because the disk is behind."""
        self._interrupt = True

    def halt(self) -> None:
        """End what is running and start no more sequences in this run."""
        self._halted = True

    # ---------------------------------------------------------------- runner protocol

    def setup_sequence(self, sequence: MDASequence) -> Any:
        """Prepare the microscope for a run."""
        self._forget()
        self._interrupt = self._halted = False
        # of a turret or a light path that somebody else may have turned
        self._objective = self._read_objective()
        self._bit_depth = self._core.getImageBitDepth()
        return super().setup_sequence(sequence)

    def setup_event(self, event: MDAEvent) -> None:
        """Bring the hardware into the state an event asks for.

        Raises
        ------
        SkipEvent
            If a reaction, or a place whose light is used up, is refused.
        BrokenOff
            If the hardware did not do what it was told.
        """
        try:
            self._check_light(event)
            if isinstance(event, SequencedEvent):
                self.setup_sequenced_event(event)
            else:
                self.setup_single_event(event)
            self._wait_for_devices()
            self._check_arrived()
        except _Skip as e:
            self._listener.refused(event, str(e))
            raise SkipEvent(len(parts(event)), str(e)) from e
        except LimitBroken as e:
            self._forget()
            if EventTag.of(event).decision_id:
                self._listener.refused(event, str(e))
                raise SkipEvent(len(parts(event)), e.what) from e
            raise BrokenOff(
                e.what, rule=e.rule, way_out=e.way_out, state=self.describe()
            ) from e
        except SmartscopeError:
            raise
        except Exception as e:
            raise BrokenOff(
                f"The microscope did not take an order: {e}", state=self.describe()
            ) from e

    def exec_event(self, event: MDAEvent) -> Generator[Any, str | None, None]:
        """Acquire the frames of an event and hand them over."""
        if not isinstance(event.action, (AcquireImage, type(None))):
            yield from super().exec_event(event)
            return
        taken = 0
        try:
            if isinstance(event, SequencedEvent):
                for payload in self.exec_sequenced_event(event):
                    taken += payload is not None
                    signal = yield payload
                    if signal == "cancel":
                        self._interrupt = True
            else:
                yield self._snap(event)
                taken = 1
        except SmartscopeError:
            raise
        except Exception as e:
            raise BrokenOff(f"The camera failed: {e}", state=self.describe()) from e
        self._listener.done(event, taken)

    def teardown_event(self, event: MDAEvent) -> None:
        """Stop what was started for an event."""
        super().teardown_event(event)
        if isinstance(event, SequencedEvent):
            # a triggered sequence leaves channel, exposure and piezo where it ended
            self._forget()

    # ---------------------------------------------------------------- setting up

    def setup_single_event(self, event: MDAEvent) -> None:
        """Order what a single event asks for; only what differs is sent."""
        self._set_event_xyz(event)
        if event.slm_image is not None:
            self._set_event_slm_image(event)
        self._set_event_channel(event)
        if event.exposure is not None and event.exposure != self._exposure_asked_ms:
            self._set_exposure(event.exposure)
        if event.properties is not None:
            self._set_event_properties(event.properties)
        if event.roi is not None:
            self._set_event_roi(event)
        if event.keep_shutter_open and self._core.getAutoShutter():
            self._core.setAutoShutter(False)
            self._core.setShutterOpen(True)

    def setup_sequenced_event(self, event: SequencedEvent) -> None:
        """Load a triggered sequence; everything is asserted anew."""
        self._forget()
        super().setup_sequenced_event(event)
        if event.exposure is not None and not event.exposure_sequence:
            self._read_exposure(event.exposure)

    def _set_exposure(self, ms: float) -> None:
        self._core.setExposure(ms)
        self._read_exposure(ms)

    def _read_exposure(self, asked_ms: float) -> None:
        got = self._core.getExposure()
        if not abs(got - asked_ms) <= max(_EXPOSURE_TOLERANCE * asked_ms, 0.1):
            raise BrokenOff(
                f"The camera was told to expose {asked_ms:g} ms and says {got:g} ms.",
                rule="An exposure must be taken within 10 %.",
                way_out="Ask for an exposure that the camera can take.",
                state=self.describe(),
            )
        self._exposure_asked_ms, self._exposure_ms = asked_ms, got

    def _set_event_xyz(self, event: MDAEvent) -> None:
        """Move away from the sample first, then across, then toward it."""
        z = event.z_pos
        guard = self._core.guard
        toward = guard is None or guard.focus_direction == "toward"
        z_first = (
            z is not None
            and self._z is not None
            and ((z < self._z) if toward else (z > self._z))
        )
        if z_first:
            self._set_event_z(event)
        self._set_event_xy_position(event)
        if z is not None and not z_first:
            self._set_event_z(event)

    def _set_event_xy_position(self, event: MDAEvent) -> None:
        if event.x_pos is None and event.y_pos is None:
            return
        x0, y0 = self._xy or self._core.getXYPosition()
        x = x0 if event.x_pos is None else event.x_pos
        y = y0 if event.y_pos is None else event.y_pos
        if self._xy == (x, y):
            return
        self._clock.sleep(self._core.move_wait_s())
        self._core.setXYPosition(x, y)
        self._xy = (x, y)
        self._moved = True

    def _set_event_z(self, event: MDAEvent) -> None:
        if event.z_pos is None or event.z_pos == self._z:
            return
        self._clock.sleep(self._core.move_wait_s())
        self._core.setPosition(event.z_pos)
        self._z = event.z_pos

    def _set_event_channel(self, event: MDAEvent) -> None:
        if (ch := event.channel) is None or self._channel == (ch.group, ch.config):
            return
        self._core.setConfig(ch.group, ch.config)
        self._channel = (ch.group, ch.config)

    def _set_event_properties(self, properties: Sequence[Any]) -> None:
        for device, prop, value in properties:
            self._core.setProperty(device, prop, value)
        # a property may be part of a channel, an exposure or a position
        self._channel = self._exposure_asked_ms = None

    def _set_event_roi(self, event: MDAEvent) -> None:
        if (roi := event.roi) is None:
            return
        self._core.clearROI()
        self._core.setROI(roi.offset_x, roi.offset_y, roi.width, roi.height)
        self._shape = None

    def _wait_for_devices(self) -> None:
        """Wait until no device is busy, except those whose flag is not trusted."""
        guard = self._core.guard
        untrusted = guard.untrusted_busy if guard is not None else ()
        try:
            if not untrusted:
                self._core.waitForSystem()
                return
            for device in self._core.getLoadedDevices():
                if device not in untrusted and device != "Core":
                    self._core.waitForDevice(device)
        except RuntimeError as e:
            busy = [
                d
                for d in self._core.getLoadedDevices()
                if d != "Core" and d not in untrusted and self._core.deviceBusy(d)
            ]
            raise BrokenOff(
                f"Still busy after waiting: {', '.join(busy) or e}.",
                way_out="If a Busy flag is wrong, name the device in untrusted_busy of "
                "the microscope's file.",
                state=self.describe(),
            ) from e

    def _check_arrived(self) -> None:
        if not self._moved or self._xy is None:
            return
        self._moved = False
        guard = self._core.guard
        within = guard.arrive_um if guard is not None else 5.0
        x, y = self._core.getXYPosition()
        self._measured = {"x_um": x, "y_um": y}
        off = ((x - self._xy[0]) ** 2 + (y - self._xy[1]) ** 2) ** 0.5
        if not off <= within:
            raise BrokenOff(
                f"The stage was sent to ({self._xy[0]:.1f}, {self._xy[1]:.1f}) µm and "
                f"says it is at ({x:.1f}, {y:.1f}) µm.",
                rule=f"It must arrive within {within:g} µm.",
                way_out="Look for what blocks the stage.",
                state=self.describe(),
            )

    _moved = False
    _measured: dict[str, float] = {}  # noqa: RUF012 replaced, never changed in place

    def _check_light(self, event: MDAEvent) -> None:
        x, y = self._position(event)
        light = (
            sum((e.exposure or self._exposure_ms or 0.0) for e in parts(event))
            * self._power()
        )
        try:
            self._light.check(x, y, light)
        except LimitBroken as e:
            raise _Skip(f"{e.what} {e.rule}") from e

    # ---------------------------------------------------------------- acquiring

    def _snap(self, event: MDAEvent) -> Any:
        core = self._core
        power = self._power()
        core.snapImage()
        if not event.keep_shutter_open and self._autoshutter_was_set:
            if core.getShutterDevice() and core.getShutterOpen():
                core.setShutterOpen(False)
        image = core.getImage()
        time_s = self._clock.now_s()
        meta = self.get_frame_metadata(event, prop_values=(), include_position=False)
        self._hand_over(image, event, dict(meta), time_s, power)
        return image, event, meta

    def exec_sequenced_event(
        self, event: SequencedEvent
    ) -> Generator[Any, Literal["cancel", "pause"] | None, None]:
        """Acquire a triggered sequence, one that can be ended after each frame.

        Frames that the camera has taken are always handed over, those that it has not
        are given to ``listener.interrupted`` and come out as None.
        """
        core, events = self._core, event.events
        power = self._power()
        self._interrupt = False
        survey = EventTag.of(events[0]).origin == "survey"
        count = 0
        stopped = False
        deadline = time.monotonic() + self._initial_timeout(event)
        try:
            if not self._halted and not (survey and self._listener.yields()):
                core.startSequenceAcquisition(len(events), 0, True)
            while count < len(events):
                ends = self._interrupt or self._halted
                if not stopped and (ends or (survey and self._listener.yields())):
                    core.stopSequenceAcquisition()
                    stopped = True
                if core.getRemainingImageCount():
                    deadline = time.monotonic() + self._frame_timeout(event)
                    image, md = core.popNextImageAndMD()
                    camera = dict(md)
                    sub = events[count]
                    stamped = camera.get("scope_time_s")
                    time_s = self._clock.now_s() if stamped is None else float(stamped)
                    meta = self.get_frame_metadata(
                        sub, prop_values=(), include_position=False
                    )
                    meta["hardware_triggered"] = True
                    meta["camera_metadata"] = camera
                    self._hand_over(image, sub, dict(meta), time_s, power, camera)
                    count += 1
                    yield image, sub, meta
                elif stopped or not core.isSequenceRunning():
                    # the camera may have put its last frame since we looked
                    if not core.getRemainingImageCount():
                        break
                elif time.monotonic() > deadline:
                    core.stopSequenceAcquisition()
                    raise BrokenOff(
                        f"No frame came from the camera after {count} of "
                        f"{len(events)} frames of a sequence.",
                        way_out="Check the trigger and the camera.",
                        state=self.describe(),
                    )
                else:
                    time.sleep(0.001)
            if core.isBufferOverflowed():
                raise BrokenOff(
                    f"The image buffer overflowed after {count} frames of a sequence.",
                    way_out="Enlarge buffer_mb in the microscope's file.",
                    state=self.describe(),
                )
        finally:
            if core.isSequenceRunning():
                core.stopSequenceAcquisition()
        if count < len(events):
            self._listener.interrupted(events[count:])
            yield from [None] * (len(events) - count)

    def _hand_over(
        self,
        image: npt.NDArray[np.generic],
        event: MDAEvent,
        metadata: dict[str, Any],
        time_s: float,
        power: float,
        camera: dict[str, Any] | None = None,
    ) -> None:
        if self._shape is None:
            core = self._core
            self._shape = (core.getImageHeight(), core.getImageWidth())
            self._pixel_size_um = core.getPixelSizeUm(True)
            self._camera = str(core.getCameraDevice())
        if image.shape != self._shape:
            raise BrokenOff(
                f"A frame has shape {image.shape} instead of {self._shape}.",
                rule="All frames of the camera have the size it says.",
                way_out="Check ROI and binning of the camera.",
                state=self.describe(),
            )
        exposure_ms = self._exposure_ms
        if event.exposure is not None and event.exposure != self._exposure_asked_ms:
            exposure_ms = event.exposure  # an exposure sequence: as commanded
        x, y = self._position(event)
        account = self._light.charge(x, y, exposure_ms * power)
        tag = EventTag.of(event)
        state = FrameState(
            x_um=x,
            y_um=y,
            z_um=self._z_of(event),
            exposure_ms=exposure_ms,
            channel=event.channel.config if event.channel else self._channel_name(),
            pixel_size_um=self._pixel_size_um,
            objective=self._objective,
            power_percent=power,
            measured=self._measured,
            orientation=self._orientation,
        )
        elapsed = camera.get("ElapsedTime-ms") if camera else None
        frame = Frame(
            pixels=image,
            event=event,
            frame_id=self._frame_id,
            time_s=time_s,
            handed_over_s=time.monotonic(),
            place=tag.place,
            state=state,
            light_ms_percent=account,
            camera=self._camera,
            camera_time_s=float("nan") if elapsed is None else float(elapsed) / 1e3,
            origin=tag.origin,
            decision_id=tag.decision_id,
            bit_depth=self._bit_depth,
        )
        self._frame_id += 1
        self._listener.frame(frame)

    # ---------------------------------------------------------------- state

    def _position(self, event: MDAEvent) -> tuple[float, float]:
        if event.x_pos is not None and event.y_pos is not None:
            return event.x_pos, event.y_pos
        if self._xy is None:
            x, y = self._core.getXYPosition() if self._has_xy() else (0.0, 0.0)
            self._xy = (x, y)
        x, y = self._xy
        return (
            x if event.x_pos is None else event.x_pos,
            y if event.y_pos is None else event.y_pos,
        )

    def _has_xy(self) -> bool:
        return bool(self._core.getXYStageDevice())

    def _z_of(self, event: MDAEvent) -> float:
        if event.z_pos is not None:
            return event.z_pos
        if self._z is None:
            self._z = self._core.getPosition() if self._core.getFocusDevice() else 0.0
        return self._z

    def _channel_name(self) -> str:
        return self._channel[1] if self._channel else ""

    def _power(self) -> float:
        guard = self._core.guard
        if guard is None or guard.power_property is None:
            return 100.0
        return float(self._core.getProperty(*guard.power_property))

    def _read_objective(self) -> str:
        devices = self._core.guessObjectiveDevices()
        return str(self._core.getStateLabel(devices[0])) if devices else ""

    def describe(self) -> str:
        """Return the state of the microscope in one sentence, whatever still works."""
        said = []
        for name, read in (
            (
                "stage",
                lambda: "({:.1f}, {:.1f}) µm".format(*self._core.getXYPosition()),
            ),
            ("z", lambda: f"{self._core.getPosition():.2f} µm"),
            ("exposure", lambda: f"{self._core.getExposure():g} ms"),
            ("shutter open", lambda: str(self._core.getShutterOpen())),
        ):
            try:
                said.append(f"{name} {read()}")
            except Exception as e:  # noqa: BLE001 whatever is broken, say the rest
                said.append(f"{name} unknown ({e})")
        return "The microscope now: " + ", ".join(said) + "."


class _Skip(Exception):
    """An event that shall not run, while the run goes on."""
