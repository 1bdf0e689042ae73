"""A Micro-Manager core that lets nothing pass that breaks the microscope's limits.

Engine, widgets and scripts all hold this core, so its overridden methods are the one
place where an order meets the limits. Presets and properties are expanded first: a
preset that drives a stage is a move. What an order means to a run is not known here.
"""

from __future__ import annotations

import atexit
import contextlib
import math
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import pymmcore
from pymmcore_plus import CMMCorePlus, DeviceType, Keyword
from pymmcore_plus.experimental.unicore import UniMMCore

from smartscope.acquisition.limits import Limits
from smartscope.acquisition.objectives import TurretRules, check_own, check_turn
from smartscope.errors import LimitBroken

if TYPE_CHECKING:
    _Base = CMMCorePlus
else:
    _Base = object

_REFUSED = "The order was not carried out."
_ELSEWHERE = "It would make the limits mean another place."
_UNCHECKED = "What it would order cannot be checked against the limits."
_ROUNDING_S = 1e-6
_Setting = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class GuardSettings:
    """What a guarded core guards.

    Attributes
    ----------
    limits : Limits
        Ranges that no order may leave.
    focus_direction : {"toward", "away"} or None
        Where a rising Z brings the objective; None: unknown, Z moves are refused.
    power_property : tuple of str or None
        Device and property that set the power of the light, in percent.
    light_off : tuple of (device, property, value)
        What else puts the light out, besides closing the shutters.
    untrusted_busy : tuple of str
        Devices whose Busy flag is not waited for.
    channel_group : str
        Config group whose presets are channels.
    slm : str or None
        Light modulator that is dark whenever nobody stimulates.
    arrive_um : float
        How near to the ordered position the stage must say it is.
    turret : TurretRules or None
        When the turret turns; None: whenever it is told to.
    clock : Callable
        Seconds, for the moves a second.
    """

    limits: Limits = field(default_factory=Limits)
    focus_direction: Literal["toward", "away"] | None = None
    power_property: tuple[str, str] | None = None
    light_off: tuple[tuple[str, str, str], ...] = ()
    untrusted_busy: tuple[str, ...] = ()
    channel_group: str = "Channel"
    slm: str | None = None
    arrive_um: float = 5.0
    turret: TurretRules | None = None
    clock: Callable[[], float] = time.monotonic


class _Guard(_Base):
    """Overrides what moves, lights or redefines; mixed in before a core class."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        # set first: base constructors call overridden methods
        self.guard: GuardSettings | None = None
        self._moves: deque[float] = deque()
        self._moving = threading.Lock()
        self._passing = threading.local()
        # who caches what the hardware was told sees here that somebody ordered more
        self.order_count = 0
        super().__init__(*args, **kwargs)
        atexit.register(_let_go, weakref.ref(self))

    # ---------------------------------------------------------------- arming

    def arm(self, settings: GuardSettings) -> None:
        """Begin to guard; call it when all devices are loaded."""
        self.guard = settings

    def disarm(self) -> None:
        """Let everything pass again, to unload the devices."""
        self.guard = None

    @contextlib.contextmanager
    def passed(self, settings: Iterable[tuple[str, str, Any]]) -> Iterator[None]:
        """Let these settings (device, property, value) pass without a check."""
        # a preset sets Python devices through setProperty again: what was checked
        # passes, and nothing else that a listener may order meanwhile
        before: frozenset[_Setting] = getattr(self._passing, "settings", frozenset())
        passed = {(str(d), str(p), str(v)) for d, p, v in settings}
        self._passing.settings = before | passed
        try:
            yield
        finally:
            self._passing.settings = before

    def _has_passed(self, device: str, prop: str, value: Any) -> bool:
        passed: frozenset[_Setting] = getattr(self._passing, "settings", frozenset())
        return (str(device), str(prop), str(value)) in passed

    # ---------------------------------------------------------------- checks

    def check_xy(self, x_um: float, y_um: float, *stage: str) -> None:
        """Raise LimitBroken if the (named) stage may not go there."""
        if (guard := self.guard) is None:
            return
        guard.limits.check("x_um", x_um)
        guard.limits.check("y_um", y_um)
        check_own(self, guard, "x_um", x_um)
        check_own(self, guard, "y_um", y_um)
        if (most := guard.limits.max_step_um) is not None:
            x0, y0 = self.getXYPosition(*stage)
            step = float(((x_um - x0) ** 2 + (y_um - y0) ** 2) ** 0.5)
            if step > most:
                raise LimitBroken(
                    f"A move of {step:.1f} µm is longer than the largest step "
                    f"of {most:g} µm.",
                    rule="Single moves are bounded by limits.max_step_um.",
                    way_out="Go there in several moves.",
                    state=f"The stage is at ({x0:.1f}, {y0:.1f}) µm.",
                )

    def check_z(self, z_um: float) -> None:
        """Raise LimitBroken if the focus may not go there."""
        if (guard := self.guard) is None:
            return
        if guard.focus_direction is None:
            raise LimitBroken(
                "The focus direction of this microscope is not known.",
                rule="Z moves only if it is known which way the sample is.",
                way_out="Set focus_direction in the microscope's file.",
                state=_REFUSED,
            )
        guard.limits.check("z_um", z_um)
        check_own(self, guard, "z_um", z_um)

    def move_wait_s(self) -> float:
        """Return how long to wait until one more move is allowed."""
        with self._moving:
            return self._wait_s()

    def _wait_s(self) -> float:
        if (guard := self.guard) is None or not (rate := guard.limits.moves_per_s):
            return 0.0
        # 2.5 a second are 2 in each second, 0.5 a second one in each 2 seconds
        most, window_s = max(1, math.floor(rate)), max(1.0, 1 / rate) - _ROUNDING_S
        now = guard.clock()
        while self._moves and now - self._moves[0] >= window_s:
            self._moves.popleft()
        if len(self._moves) < most:
            return 0.0
        return self._moves[-most] + window_s + _ROUNDING_S - now

    def _count_move(self, guard: GuardSettings) -> None:
        if not (rate := guard.limits.moves_per_s):
            return
        with self._moving:
            if self._wait_s() > 0:
                raise LimitBroken(
                    f"More than {rate:g} moves in a second.",
                    rule="Moves a second are bounded by limits.moves_per_s.",
                    way_out="Move less often.",
                    state=_REFUSED,
                )
            self._moves.append(guard.clock())

    def _check_property(self, device: str, prop: str, value: Any) -> None:
        if (guard := self.guard) is None or self._has_passed(device, prop, value):
            return
        guard.limits.check_property(str(device), str(prop), value)
        if guard.turret is not None and device == guard.turret.device:
            check_turn(self, guard, prop, value)
        if (device, prop) == guard.power_property:
            guard.limits.check("power_percent", float(value))
        elif prop == Keyword.Exposure:
            if self.getDeviceType(device) == DeviceType.Camera:
                guard.limits.check("exposure_ms", float(value))
        elif prop == Keyword.Position:
            kind = self.getDeviceType(device)
            if kind == DeviceType.Stage:
                self.check_z(float(value))
                self._count_move(guard)
            elif kind == DeviceType.XYStage:
                raise LimitBroken(
                    f"The position of {device} is set as a property.",
                    rule="XY moves go through setXYPosition.",
                    state=_REFUSED,
                )

    def _refuse(self, what: str, rule: str = _ELSEWHERE) -> None:
        if self.guard is not None:
            raise LimitBroken(
                f"{what} is refused on a guarded microscope.",
                rule=rule,
                way_out="Do it before the microscope is opened by smartscope.",
                state=_REFUSED,
            )

    # ---------------------------------------------------------------- XY

    def setXYPosition(self, *args: Any) -> None:
        """Move the XY stage, within the limits (µm)."""
        self.order_count += 1
        if (guard := self.guard) is not None:
            x, y = args[-2:]
            self.check_xy(float(x), float(y), *args[:-2])
            self._count_move(guard)
        super().setXYPosition(*args)

    def setRelativeXYPosition(self, *args: Any) -> None:
        """Move the XY stage by an amount, within the limits (µm)."""
        dx, dy = args[-2:]
        x, y = self.getXYPosition(*args[:-2])
        self.setXYPosition(*args[:-2], x + dx, y + dy)

    def loadXYStageSequence(self, label: str, xs: Any, ys: Any, /) -> None:
        """Load positions for triggers; every one is checked."""
        if self.guard is not None:
            for x, y in zip(xs, ys, strict=True):
                self.check_xy(float(x), float(y), label)
        super().loadXYStageSequence(label, xs, ys)

    # ---------------------------------------------------------------- Z

    def setPosition(self, *args: Any) -> None:
        """Move a single-axis stage, within the limits (µm)."""
        self.order_count += 1
        if (guard := self.guard) is not None:
            self.check_z(float(args[-1]))
            self._count_move(guard)
        super().setPosition(*args)

    def setRelativePosition(self, *args: Any) -> None:
        """Move a single-axis stage by an amount, within the limits (µm)."""
        z = self.getPosition(*args[:-1])
        self.setPosition(*args[:-1], z + args[-1])

    def loadStageSequence(self, label: str, positions: Any, /) -> None:
        """Load positions for triggers; every one is checked."""
        if self.guard is not None:
            for z in positions:
                self.check_z(float(z))
        super().loadStageSequence(label, positions)

    def setStageLinearSequence(self, label: str, dz_um: float, slices: int, /) -> None:
        """Load a linear series for triggers; its end is checked."""
        if self.guard is not None:
            self.check_z(self.getPosition(label) + dz_um * slices)
        super().setStageLinearSequence(label, dz_um, slices)

    def fullFocus(self) -> None:
        """Run the autofocus; an end outside the limits is an error."""
        self.order_count += 1
        super().fullFocus()
        if self.guard is not None:
            self.check_z(self.getPosition())

    def incrementalFocus(self) -> None:
        """Run the incremental autofocus; an end outside the limits is an error."""
        self.order_count += 1
        super().incrementalFocus()
        if self.guard is not None:
            self.check_z(self.getPosition())

    # ---------------------------------------------------------------- redefinitions

    def home(self, label: str) -> None:
        """Refused while guarded: homing leaves the limits."""
        self._refuse("Homing a stage")
        super().home(label)

    def setOrigin(self, *args: Any) -> None:
        """Refused while guarded: the limits would mean another place."""
        self._refuse("Setting an origin")
        super().setOrigin(*args)

    def setOriginXY(self, *args: Any) -> None:
        """Refused while guarded: the limits would mean another place."""
        self._refuse("Setting an origin")
        super().setOriginXY(*args)

    def setOriginX(self, *args: Any) -> None:
        """Refused while guarded: the limits would mean another place."""
        self._refuse("Setting an origin")
        super().setOriginX(*args)

    def setOriginY(self, *args: Any) -> None:
        """Refused while guarded: the limits would mean another place."""
        self._refuse("Setting an origin")
        super().setOriginY(*args)

    def setAdapterOrigin(self, *args: Any) -> None:
        """Refused while guarded: the limits would mean another place."""
        self._refuse("Setting an origin")
        super().setAdapterOrigin(*args)

    def setAdapterOriginXY(self, *args: Any) -> None:
        """Refused while guarded: the limits would mean another place."""
        self._refuse("Setting an origin")
        super().setAdapterOriginXY(*args)

    def setSystemState(self, conf: Any) -> None:
        """Refused while guarded: presets and properties are checked one by one."""
        self._refuse("Setting the whole system state at once", _UNCHECKED)
        super().setSystemState(conf)

    def loadSystemState(self, fileName: Any) -> None:
        """Refused while guarded: presets and properties are checked one by one."""
        self._refuse("Loading a system state", _UNCHECKED)
        super().loadSystemState(fileName)

    def loadSystemConfiguration(self, *args: Any, **kwargs: Any) -> None:
        """Refused while guarded: its start-up preset may move what it likes."""
        self._refuse("Loading a configuration", _UNCHECKED)
        super().loadSystemConfiguration(*args, **kwargs)

    def setSerialPortCommand(self, portLabel: str, command: str, term: str, /) -> None:
        """Refused while guarded: nobody can check what a controller is told so."""
        self._refuse("Talking to a serial port", _UNCHECKED)
        super().setSerialPortCommand(portLabel, command, term)

    def writeToSerialPort(self, portLabel: str, data: bytes, /) -> None:
        """Refused while guarded: nobody can check what a controller is told so."""
        self._refuse("Talking to a serial port", _UNCHECKED)
        super().writeToSerialPort(portLabel, data)

    # ---------------------------------------------------------------- light and state

    def setExposure(self, *args: Any) -> None:
        """Set the exposure within the limits (ms)."""
        if (guard := self.guard) is not None:
            guard.limits.check("exposure_ms", float(args[-1]))
        self.order_count += 1
        super().setExposure(*args)

    def loadExposureSequence(self, label: str, exposures: Any, /) -> None:
        """Load exposures for triggers; every one is checked."""
        if (guard := self.guard) is not None:
            for ms in exposures:
                guard.limits.check("exposure_ms", float(ms))
        super().loadExposureSequence(label, exposures)

    def setProperty(self, label: str, prop: str, value: Any) -> None:
        """Set a property; one that moves or lights is checked like a move or light."""
        self.order_count += 1
        self._check_property(label, prop, value)
        super().setProperty(label, prop, value)

    def setState(self, stateDeviceLabel: str, state: int) -> None:
        """Turn a state device; checked like its property."""
        self.order_count += 1
        self._check_property(stateDeviceLabel, Keyword.State, state)
        super().setState(stateDeviceLabel, state)

    def setStateLabel(self, stateDeviceLabel: str, stateLabel: str) -> None:
        """Turn a state device; checked like its property."""
        self.order_count += 1
        self._check_property(stateDeviceLabel, Keyword.Label, stateLabel)
        super().setStateLabel(stateDeviceLabel, stateLabel)

    def loadPropertySequence(self, label: str, prop: str, values: Any, /) -> None:
        """Load property values for triggers; every one is checked."""
        for value in values:
            self._check_property(label, prop, value)
        super().loadPropertySequence(label, prop, values)

    def setConfig(self, groupName: str, configName: str) -> None:
        """Apply a preset; each of its settings is checked first."""
        self.order_count += 1
        if self.guard is None:
            super().setConfig(groupName, configName)
            return
        settings = [(d, p, v) for d, p, v in self.getConfigData(groupName, configName)]
        for device, prop, value in settings:
            self._check_property(device, prop, value)
        with self.passed(settings):
            super().setConfig(groupName, configName)

    # ---------------------------------------------------------------- darkness

    def dark(self) -> None:
        """Put the light out: stop the camera, close every shutter, switch sources off.

        Errors of single devices do not keep the others from being closed; the first
        one is raised at the end.
        """
        off = self.guard.light_off if self.guard else ()
        steps: list[Callable[[], object]] = [
            self._stop_camera,
            *(
                partial(self.setShutterOpen, shutter, False)
                for shutter in self.getLoadedDevicesOfType(DeviceType.Shutter)
            ),
            *(partial(self._put_off, *setting) for setting in off),
            self.blank_slm,
        ]
        if self.getShutterDevice():
            steps.append(partial(self.setAutoShutter, True))
        first: BaseException | None = None
        for step in steps:
            try:
                step()
            except BaseException as e:  # noqa: BLE001 the other lights must go out too
                first = first or e
        if first is not None:
            raise first

    def blank_slm(self) -> None:
        """Let the light modulator show nothing, if there is one."""
        if self.guard is not None and (device := self.guard.slm):
            self.setSLMPixelsTo(device, 0)
            self.displaySLMImage(device)

    def _put_off(self, device: str, prop: str, value: str) -> None:
        # no limit of the light keeps it from going out
        with self.passed([(device, prop, value)]):
            self.setProperty(device, prop, value)

    def _stop_camera(self) -> None:
        if self.getCameraDevice() and self.isSequenceRunning():
            self.stopSequenceAcquisition()


def _let_go(ref: weakref.ref[_Guard]) -> None:
    """At exit: put the light out and detach the callback that would abort Python."""
    core = ref()
    if core is None:
        return
    with contextlib.suppress(Exception):
        core.dark()
    # pymmcore-plus forbids this method; without it the notification thread of the
    # core calls into a finalising interpreter and aborts it
    pymmcore.CMMCore.registerCallback(core, None)


class GuardedCore(_Guard, CMMCorePlus):
    """A guarded core for Micro-Manager's own devices."""


class GuardedUniCore(_Guard, UniMMCore):
    """A guarded core for Python devices, Micro-Manager's own ones, or both."""
