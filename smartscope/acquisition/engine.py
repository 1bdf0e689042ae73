"""The engine: events in, frames out; what it is told it does, or it says so.

It differs from the engine of pymmcore-plus in what must never be wrong: an order that
fails ends the run instead of becoming a log line, everything is asserted again after a
triggered sequence, a running sequence can be ended within a frame, light is charged
when it is exposed, and frames are handed over here and not through a signal that
swallows errors. How an event becomes orders is known to ``orders``.
"""

from __future__ import annotations

import time
from collections.abc import Generator
from contextlib import closing
from typing import Any, Literal

from pymmcore_plus import Keyword
from pymmcore_plus.mda import MDAEngine, SkipEvent
from useq import AcquireImage, HardwareAutofocus, MDAEvent, MDASequence

from smartscope.acquisition.burst import SequencedEvent, parts
from smartscope.acquisition.cameras import InStep, which_camera
from smartscope.acquisition.clock import Clock
from smartscope.acquisition.engine_listener import EngineListener
from smartscope.acquisition.event_tag import EventTag
from smartscope.acquisition.focusing import Focusing, is_focus_event
from smartscope.acquisition.guarded_core import GuardedCore, GuardedUniCore
from smartscope.acquisition.hand_over import HandOver, Orientation, Shot
from smartscope.acquisition.light_budget import LightBudget
from smartscope.acquisition.orders import Orders
from smartscope.acquisition.property_orders import PropertyOrders, is_property_event
from smartscope.acquisition.readings import Readings
from smartscope.errors import BrokenOff, LimitBroken, SmartscopeError

# a camera has put its last frame when it says that it runs no more; this long at most
# may lie between two looks at it
_POLL_S = 0.001


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
    setup : useq.MDAEvent, optional
        State to bring the hardware into before the first event, without a frame.
    readings : Readings, optional
        What is read of devices with each event.

    Attributes
    ----------
    not_set_back : list of str
        What was set for a time and is not as before, in words; known when the run has
        ended.
    """

    def __init__(
        self,
        core: GuardedCore | GuardedUniCore,
        listener: EngineListener,
        clock: Clock,
        light: LightBudget,
        orientation: Orientation = ((1.0, 0.0), (0.0, 1.0)),
        setup: MDAEvent | None = None,
        readings: Readings | None = None,
    ) -> None:
        super().__init__(core, restore_initial_state=False)
        self._core = core
        self._listener = listener
        self._clock = clock
        self._light = light
        self._first = setup
        self._orders = Orders(core, clock)
        self._given = HandOver(self._orders, light, orientation, listener.frame)
        self._properties = PropertyOrders(core)
        self._readings = readings or Readings(core)
        self._focusing = Focusing(
            core,
            bring=self._bring,
            snap=self._snap,
            check_light=self._check_sweep,
            settle=self._settle,
            refusal=_Skip,
            ended=lambda: self._halted,
        )
        self.not_set_back: list[str] = []
        self._interrupt = False
        self._halted = False
        self._kept_open = False

    # ---------------------------------------------------------------- from outside

    def interrupt(self) -> None:
        """End the sequence that is running, a burst too, because the disk is behind."""
        self._interrupt = True

    def halt(self) -> None:
        """End what is running and start no more sequences in this run."""
        self._halted = True

    def describe(self) -> str:
        """Return the state of the microscope in one sentence, whatever still works."""
        return self._orders.describe()

    # ---------------------------------------------------------------- runner protocol

    def setup_sequence(self, sequence: MDASequence) -> Any:
        """Prepare the microscope for a run."""
        self._orders.begin()
        self._core.blank_slm()
        self._interrupt = self._halted = self._kept_open = False
        summary = super().setup_sequence(sequence)
        if self._first is not None:
            # an iterator has no setup of its own: it is run here
            self.setup_event(self._first)
        return summary

    def setup_event(self, event: MDAEvent) -> None:
        """Bring the hardware into the state an event asks for.

        Raises
        ------
        SkipEvent
            If a reaction, or a place whose light is used up, is refused.
        BrokenOff
            If the hardware did not do what it was told.
        """
        orders = self._orders
        if is_focus_event(event):
            return
        try:
            if is_property_event(event):
                self._set_property(event)
            else:
                self._bring(event)
        except _Skip as e:
            self._listener.refused(event, str(e))
            raise SkipEvent(len(parts(event)), str(e)) from e
        except LimitBroken as e:
            orders.forget()
            if EventTag.of(parts(event)[0]).decision_id:
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

    def _bring(self, event: MDAEvent) -> None:
        """Order what an event asks for, and wait until it is so."""
        orders = self._orders
        orders.notice()
        asked = EventTag.of(parts(event)[0]).power_percent
        power = orders.light.expected(asked)
        self._check_light(event, power)
        if isinstance(event, SequencedEvent):
            self.setup_sequenced_event(event)
        else:
            self.setup_single_event(event)
        orders.wait()
        orders.check_arrived()
        orders.measured = {**orders.measured, **self._readings.read()}
        self._given.cameras = orders.cameras()
        if (now := orders.light.now()) != power:
            self._check_light(event, now)
        orders.remember()

    def exec_event(self, event: MDAEvent) -> Generator[Any, str | None, None]:
        """Acquire the frames of an event and hand them over."""
        if is_focus_event(event):
            yield from self._focus(event)
            return
        if not isinstance(event.action, (AcquireImage, type(None))):
            yield from super().exec_event(event)
            if is_property_event(event):
                self._listener.done(event, 0)
            return
        taken = 0
        try:
            if isinstance(event, SequencedEvent):
                with closing(self.exec_sequenced_event(event)) as payloads:
                    for payload in payloads:
                        taken += payload is not None
                        if (yield payload) == "cancel":
                            self._interrupt = True
            else:
                snapped = self._snap(event)
                taken = len(snapped)
                for payload in snapped:  # the runner may send what no list takes
                    yield payload
        except SmartscopeError:
            raise
        except Exception as e:
            if self._given.telling:  # not the camera failed but who takes the frames
                raise
            raise BrokenOff(f"The camera failed: {e}", state=self.describe()) from e
        self._listener.done(event, taken)

    def _focus(self, event: MDAEvent) -> Generator[Any, Any, None]:
        try:
            found = yield from self._focusing.carry_out(event)
        except SmartscopeError:
            raise
        except Exception as e:
            if self._given.telling:  # not the microscope failed but who takes frames
                raise
            raise BrokenOff(
                f"The microscope failed while its focus was looked for: {e}",
                state=self.describe(),
            ) from e
        self._listener.focused(event, found)

    def _settle(self) -> None:
        self._orders.wait()
        self._orders.forget(xy=False)

    def _check_sweep(self, event: MDAEvent, frames: int) -> None:
        orders = self._orders
        orders.notice()
        power = orders.light.expected(EventTag.of(event).power_percent)
        self._check_light(event, frames * power)

    def _set_property(self, event: MDAEvent) -> None:
        try:
            told = self._properties.carry_out(event)
            self._orders.wait()
        except SmartscopeError:
            raise
        except Exception as e:
            # a device that does not take it is no reason to end the survey
            raise _Skip(f"The microscope did not take it: {e}") from e
        finally:
            self._orders.forget(xy=False)
        self._listener.told(event, told)

    def teardown_sequence(self, sequence: MDASequence) -> None:
        """Set back what reactions have set for a time, whatever has ended the run."""
        super().teardown_sequence(sequence)
        self.not_set_back = self._properties.all_back() + self._orders.as_before()

    def teardown_event(self, event: MDAEvent) -> None:
        """Stop what was started for an event."""
        if not event.keep_shutter_open:
            self._close_kept()
        if isinstance(event, SequencedEvent):
            super().teardown_event(event)
            # a triggered sequence leaves channel, exposure and piezo where it ended
            self._orders.forget(xy=bool(event.x_sequence))

    def _close_kept(self) -> None:
        if self._kept_open:
            self._kept_open = False
            self._core.setShutterOpen(False)
            self._core.setAutoShutter(True)

    # ---------------------------------------------------------------- setting up

    def setup_single_event(self, event: MDAEvent) -> None:
        """Order what a single event asks for; only what differs is sent."""
        orders = self._orders
        if isinstance(event.action, HardwareAutofocus):
            raise BrokenOff(
                "An event orders the hardware autofocus by itself.",
                rule="The focus is corrected by place, which the planner knows.",
                way_out="Give autofocus_plan in the survey, or focus.",
                state=self.describe(),
            )
        orders.objective(event)
        orders.channel_preset(event)
        orders.power(event)
        orders.move(event)
        orders.pattern(event.slm_image)
        orders.exposure(event.exposure)
        orders.properties(event)
        orders.read_region(event, setup=event is self._first)
        if event.keep_shutter_open and self._core.getAutoShutter():
            self._kept_open = True
            self._core.setAutoShutter(False)
            self._core.setShutterOpen(True)

    def setup_sequenced_event(self, event: SequencedEvent) -> None:
        """Load a triggered sequence; everything is asserted anew."""
        core, orders = self._core, self._orders
        orders.forget(xy=bool(event.x_sequence))
        if core.isSequenceRunning():
            core.stopSequenceAcquisition()
        orders.objective(event.events[0])
        self._load_sequenced_event(orders.turret.on_stage(event))
        orders.channel_preset(event)
        orders.power(event.events[0])
        orders.properties(event)
        orders.pattern(event.slm_image)
        orders.read_region(event.events[0])
        orders.move(event)
        if event.x_sequence:
            core.startXYStageSequence(core.getXYStageDevice())
        if event.z_sequence:
            core.startStageSequence(core.getFocusDevice())
        if event.exposure_sequence:
            core.startExposureSequence(core.getCameraDevice())
        else:
            orders.exposure(event.exposure)
        for device, prop in event.property_sequences:
            core.startPropertySequence(device, prop)

    def _check_light(self, event: MDAEvent, power: float) -> None:
        if not isinstance(event.action, (AcquireImage, type(None))):
            return
        x, y = self._orders.position_um(event)
        ms = sum(
            (e.exposure or self._orders.exposure_ms()) * EventTag.of(e).lit_share
            for e in parts(event)
        )
        try:
            scale = self._orders.turret.scale(EventTag.of(parts(event)[0]).objective)
            self._light.check(x, y, ms * power, scale)
        except LimitBroken as e:
            raise _Skip(f"{e.what} {e.rule}") from e

    # ---------------------------------------------------------------- acquiring

    def _snap(self, event: MDAEvent) -> list[Any]:
        core = self._core
        power = self._orders.light.now()
        try:
            self._orders.show(event.slm_image)
            core.snapImage()
        finally:
            # the survey must not be seen through a pattern
            self._orders.blank(event.slm_image)
        time_s = self._clock.now_s()
        if not event.keep_shutter_open:
            self._close_kept()
        cameras = len(self._given.cameras)
        if cameras == 1:
            images = [core.getImage()]
        else:
            images = [core.getImage(i) for i in range(cameras)]
        # the runner's note to itself is no part of the order
        event.metadata.pop("runner_t0", None)
        shots = [(i, (image, float("nan"))) for i, image in enumerate(images)]
        exposures_ms = self._orders.exposures_ms()
        return self._given.exposure(
            event, shots, time_s, power, exposures_ms, triggered=False
        )

    def exec_sequenced_event(
        self, event: SequencedEvent
    ) -> Generator[Any, Literal["cancel", "pause"] | None, None]:
        """Acquire a triggered sequence, one that can be ended after each frame.

        Frames that the cameras have taken are always handed over, exposure by exposure
        in the order of the cameras; events that no camera has taken are given to
        ``listener.interrupted`` and come out as None.
        """
        core, orders, events = self._core, self._orders, event.events
        power = orders.light.now()
        labels = [camera.label for camera in self._given.cameras]
        # an exposure sequence is as commanded, all else is read back
        read_ms = None if event.exposure_sequence else orders.exposures_ms()
        self._interrupt = False
        survey = EventTag.of(events[0]).origin == "survey"
        in_step: InStep[Shot] = InStep(len(labels))
        count, failed = 0, ""
        stopped = self._halted or (survey and self._listener.yields())

        def give(shots: list[tuple[int, Shot]], time_s: float | None) -> list[Any]:
            sub = events[count]
            if time_s is None:
                time_s = self._clock.now_s()
            ms = read_ms or (sub.exposure or 0.0,) * len(labels)
            return self._given.exposure(sub, shots, time_s, power, ms, triggered=True)

        deadline = time.monotonic() + self._initial_timeout(event)
        try:
            orders.show(event.slm_image)
            if not stopped:
                core.startSequenceAcquisition(len(events), 0, True)
            while count < len(events):
                ends = self._interrupt or self._halted
                if not stopped and (ends or (survey and self._listener.yields())):
                    core.stopSequenceAcquisition()
                    stopped = True
                if core.getRemainingImageCount():
                    image, tags = core.popNextImageAndMD()
                    camera = which_camera(tags, labels) if len(labels) > 1 else 0
                    elapsed = tags.get(Keyword.Elapsed_Time_ms, None)
                    camera_s = float("nan") if elapsed is None else float(elapsed) / 1e3
                    # one camera that lags shall be missed though the others go on
                    if shots := in_step.add(camera, (image, camera_s)):
                        deadline = time.monotonic() + self._frame_timeout(event)
                        stamped = tags.get("scope_time_s", None)
                        time_s = None if stamped is None else float(stamped)
                        payloads = give(shots, time_s)
                        count += 1
                        yield from payloads
                elif stopped or not core.isSequenceRunning():
                    # the camera may have put its last frame since we looked
                    if not core.getRemainingImageCount():
                        break
                elif time.monotonic() > deadline:
                    late = [labels[i] for i in in_step.behind()] or ["the camera"]
                    failed = f"No frame came from {', '.join(late)}"
                    break
                else:
                    time.sleep(_POLL_S)
            if core.isBufferOverflowed():
                raise BrokenOff(
                    f"The image buffer overflowed after {count} frames of a sequence.",
                    way_out="Enlarge buffer_mb in the microscope's file.",
                    state=self.describe(),
                )
        finally:
            if core.isSequenceRunning():
                core.stopSequenceAcquisition()
            orders.blank(event.slm_image)
        if count == len(events):
            return
        whole, ended = count, [labels[i] for i in in_step.behind()] or ["The camera"]
        for shots in in_step.rest():
            gave = {camera for camera, _ in shots}
            payloads = give(shots, None)
            missing = [label for i, label in enumerate(labels) if i not in gave]
            self._listener.incomplete(events[count], missing)
            count += 1
            yield from payloads
        if not stopped:
            failed = failed or f"{', '.join(ended)} ended by itself"
            raise self._missing(event, whole, failed)
        if count < len(events):
            self._listener.interrupted(events[count:])
            yield from [None] * (len(events) - count)

    def _missing(self, event: SequencedEvent, count: int, what: str) -> BrokenOff:
        return BrokenOff(
            f"{what} after {count} of {len(event.events)} frames of a sequence.",
            rule="A sequence that is not interrupted gives all its frames.",
            way_out="Check the trigger and the camera.",
            state=self.describe(),
        )


class _Skip(Exception):
    """An event that shall not run, while the run goes on."""
