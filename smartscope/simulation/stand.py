"""The stand: what joins the simulated devices to the specimen under them.

The devices know each other through it, never through the core: a device that asks the
core while the core holds it would wait for itself.
"""

from __future__ import annotations

import itertools
import math
import time
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from smartscope.acquisition import Clock, VirtualClock
from smartscope.simulation import demo_names
from smartscope.simulation.drift import Drift
from smartscope.simulation.fixed_pattern import FixedPattern
from smartscope.simulation.focus import plane_um
from smartscope.simulation.lamp import Lamp
from smartscope.simulation.optics import Field, Matrix, blur_um, vignette
from smartscope.simulation.pattern_light import PatternLight
from smartscope.simulation.sensor import Sensor
from smartscope.simulation.settings import ObjectiveTruth, SimulationSettings
from smartscope.simulation.specimen import Rate, Specimen
from smartscope.simulation.stamp import NO_CHANNEL, Stamp, write_stamp

if TYPE_CHECKING:
    from pymmcore_plus import CMMCorePlus

# what moves by less than this while it is exposed is drawn once
_STILL_UM = 0.05
_MOST_DRAWINGS = 8

Spot = tuple[float, float]


class _Turns(Protocol):
    def label(self) -> str: ...


class _Opens(Protocol):
    until: float

    def lets_light_through(self) -> bool: ...

    def set_open(self, open: bool) -> None: ...

    def get_open(self) -> bool: ...


class _Shines(Protocol):
    power_percent: float


class _MovesXY(Protocol):
    def where_um(self) -> Spot: ...

    def exposed_um(self, later_s: float = 0.0) -> Spot: ...


class _Focuses(Protocol):
    def moved(self, until: float) -> None: ...

    def added_um(self, xy_um: Spot, t_s: float) -> float: ...


class _Patterns(Protocol):
    def shown(self) -> npt.NDArray[np.uint8]: ...

    def lights_for_ms(self, exposure_ms: float) -> float: ...


class _MovesZ(Protocol):
    def where_um(self) -> float: ...

    def carry(self, by_um: float) -> None: ...

    def trigger(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Readout:
    """What of the sensor is read and how: binning and region in binned pixels."""

    binning: int
    row: int
    column: int
    shape: tuple[int, int]
    bit_depth: int


class Stand:
    """Specimen, optics, light and time, shared by all simulated devices.

    Parameters
    ----------
    settings : SimulationSettings
        The microscope; its specimen settings are not read here.
    specimen : Specimen
        What lies under it.
    clock : Clock
        Exposures, moves and delays pass on it.
    pixel_sizes_um : Mapping[str, float]
        Edge of an unbinned pixel in the specimen for each label of the objective.
    """

    xy: _MovesXY
    z: _MovesZ
    light: _Shines
    wheels: Mapping[str, _Turns]
    shutters: Mapping[str, _Opens]
    autofocus: _Focuses | None = None
    slm: _Patterns | None = None

    def __init__(
        self,
        settings: SimulationSettings,
        specimen: Specimen,
        clock: Clock,
        pixel_sizes_um: Mapping[str, float],
    ) -> None:
        self.settings = settings
        self.specimen = specimen
        self.clock = clock
        self.pixel_sizes_um = dict(pixel_sizes_um)
        self.sensor = Sensor(settings.sensor, settings.seed)
        self._pattern = FixedPattern(settings.sensor, settings.seed)
        self.drift = Drift(settings.ugliness)
        self._patterned = PatternLight(settings)
        self._lamp = Lamp(settings.ugliness, self.sensor)
        self._virtual = isinstance(clock, VirtualClock)
        self._numbers = itertools.count()
        self._turning: list[object] = []
        self._turned_s = -1.0
        self._core: weakref.ref[CMMCorePlus] | None = None
        self._vignette: tuple[tuple[Any, ...], npt.NDArray[np.float32]] | None = None
        self._seen: tuple[Rate, npt.NDArray[np.float32], Rate] | None = None

    # ---------------------------------------------------------------- core

    def join(self, core: CMMCorePlus) -> None:
        """Remember the core whose autoshutter and pixel size are supplied."""
        self._core = weakref.ref(core)

    @property
    def core(self) -> CMMCorePlus | None:
        """The core the devices were loaded into, as long as it lives."""
        return self._core() if self._core is not None else None

    def auto_shutter(self) -> _Opens | None:
        """Return the shutter that an exposure opens by itself; None if none."""
        core = self.core
        # neither call asks a Python device, so neither can wait for the camera
        if core is None or not core.getAutoShutter():
            return None
        return self.shutters.get(core.getShutterDevice())

    # ---------------------------------------------------------------- time

    def takes(self, wall_s: float, begin: float | None = None) -> float:
        """Begin something that takes so long; return when it is over.

        In virtual time it is over at once, and the clock has gone on. What comes back
        is for ``busy``, ``wait`` and ``begins``.
        """
        if self._virtual:
            self.clock.sleep(wall_s)
            return 0.0
        return (time.perf_counter() if begin is None else begin) + wall_s

    def turns(self, wheel: object, wall_s: float) -> float:
        """Begin to turn a wheel; those told at the same moment turn together.

        In virtual time the clock goes on once for all of them.
        """
        if not self._virtual:
            return self.takes(wall_s)
        if self.clock.now_s() != self._turned_s or wheel in self._turning:
            self._turning = []
            self.clock.sleep(wall_s)
        self._turning.append(wheel)
        self._turned_s = self.clock.now_s()
        return 0.0

    def device_s(self) -> float:
        """Return the time on the clock of the devices, from any zero."""
        return self.clock.now_s() if self._virtual else time.perf_counter()

    def over_s(self, until: float) -> float:
        """Return when, on the clock of the devices, what ``takes`` began is over."""
        return self.clock.now_s() if self._virtual else until

    def begins(self, due: float, slack_s: float) -> float:
        """Return ``due`` if that was less than ``slack_s`` ago, else now."""
        now = time.perf_counter()
        return due if now - due < slack_s else now

    def busy(self, until: float) -> bool:
        """Return True as long as what ``takes`` began is not over."""
        return not self._virtual and time.perf_counter() < until

    def wait(self, until: float) -> None:
        """Sleep until what ``takes`` began is over."""
        if not self._virtual:
            self.clock.sleep(until - time.perf_counter())

    # ---------------------------------------------------------------- light

    def lit(self) -> tuple[bool, str]:
        """Return whether light reaches the specimen, and the filters' preset."""
        dichroic, emission, excitation, led = (
            self.wheels[name].label()
            for name in ("Dichroic", "Emission", "Excitation", "LED")
        )
        white = demo_names.white_channel(dichroic, emission, excitation)
        by_led = demo_names.led_channel(dichroic, emission, excitation, led)
        powered = self.light.power_percent > 0
        if self.shutters[demo_names.WHITE_SHUTTER].lets_light_through():
            return powered, white
        if self.shutters[demo_names.LED_SHUTTER].lets_light_through():
            return powered and led != "Closed", by_led
        if self.through_slm():
            return powered, white
        return False, white or by_led

    def through_slm(self) -> bool:
        """Return whether all light that there is comes through the modulator."""
        own = self.shutters.get(demo_names.SLM_SHUTTER)
        return (
            self.slm is not None
            and own is not None
            and own.lets_light_through()
            and not any(
                self.shutters[name].lets_light_through()
                for name in (demo_names.WHITE_SHUTTER, demo_names.LED_SHUTTER)
            )
        )

    # ---------------------------------------------------------------- image

    def objective(self) -> ObjectiveTruth:
        """Return how the objective in place differs from the one at the start."""
        label = self.wheels[demo_names.OBJECTIVE].label()
        return self.settings.objectives.get(label) or ObjectiveTruth()

    def pixel_size_um(self) -> float:
        """Edge of an unbinned pixel in the specimen; 0 without an objective."""
        objective = self.wheels[demo_names.OBJECTIVE].label()
        return self.pixel_sizes_um.get(objective, 0.0)

    def expose(
        self, readout: Readout, exposure_ms: float, extra_light_ms: float, out: Any
    ) -> int:
        """Take one image of the present state into ``out``.

        Parameters
        ----------
        readout : Readout
            What of the sensor is read; ``out`` has its shape.
        exposure_ms : float
            How long the sensor collects.
        extra_light_ms : float
            How much longer the light is on.
        out : np.ndarray
            uint8 or uint16.

        Returns
        -------
        int
            Number of the exposure: the key of its noise.
        """
        number = next(self._numbers)
        lit, channel = self.lit()
        power = self.light.power_percent
        t_s = self.clock.now_s()
        spots, centre = self._spots(exposure_ms / 1000, t_s)
        x_um, y_um = spots[0]
        z_um = self.z.where_um() - self.objective().parfocal_um
        if self.autofocus is not None:
            z_um += self.autofocus.added_um(self.xy.where_um(), t_s)
        pixel_um = self.pixel_size_um()
        if lit and pixel_um > 0:
            binned_um = pixel_um * readout.binning
            fields = [self._field(spot, z_um, t_s, binned_um) for spot in spots]
            photons = self._photons(readout, fields, t_s, channel)
            scale = exposure_ms * power / 100 * self._lamp.brightness(number, t_s)
            settled = replace(fields[0], centre_um=centre)
            light = (exposure_ms + extra_light_ms) * power
            if self.slm is not None and self.through_slm():
                share = self.slm.lights_for_ms(exposure_ms) / exposure_ms
                pattern = self._patterned.through(
                    self.slm.shown(), readout.binning, pixel_um
                )
                photons = photons * pattern.on_pixels(
                    (readout.row, readout.column), readout.shape
                )
                scale *= share
                self.specimen.expose_through(
                    settled, light * share, t_s, pattern.at(settled)
                )
            else:
                self.specimen.expose(settled, light)
        else:
            photons, scale = np.zeros(readout.shape, np.float32), 0.0
        bits = readout.bit_depth
        corner = (readout.row, readout.column)
        dark = self._pattern.part(readout.binning, corner, readout.shape)
        self.sensor.expose(
            photons,
            number,
            out,
            scale=scale,
            bit_depth=bits,
            dark=dark,
            exposure_ms=exposure_ms,
        )
        if self.settings.sensor.stamp:
            known = channel in demo_names.CHANNELS
            preset = demo_names.CHANNELS.index(channel) if known else NO_CHANNEL
            write_stamp(out, Stamp(preset, exposure_ms, x_um, y_um, z_um, number, lit))
        return number

    def defocus_um(self, z_um: float, t_s: float, xy_um: Spot = (0.0, 0.0)) -> float:
        """Return how far the focus is above the specimen's plane at a point of it."""
        return z_um - plane_um(self.settings.ugliness, xy_um, t_s)

    def _spots(self, exposure_s: float, t_s: float) -> tuple[list[Spot], Spot]:
        """Return the points of the specimen in the middle while it is exposed.

        The second value is where the stage says it is: what is lit is bleached there,
        a fraction of a pixel off, because light is counted on a grid of 5 µm.
        """
        dx, dy = self.objective().parcentric_um

        def under(stage: Spot) -> Spot:
            return self.drift.under((stage[0] - dx, stage[1] - dy), t_s)

        settled = under(self.xy.where_um())
        first, last = self.xy.exposed_um(), self.xy.exposed_um(exposure_s)
        apart_um = math.dist(first, last)
        if apart_um < _STILL_UM:
            return [under(first)], settled
        n = min(_MOST_DRAWINGS, 1 + math.ceil(apart_um / (2 * _STILL_UM)))
        times = [exposure_s * (i + 0.5) / n for i in range(n)]
        return [under(self.xy.exposed_um(s)) for s in times], settled

    def _field(self, xy_um: Spot, z_um: float, t_s: float, pixel_um: float) -> Field:
        (a, b), (c, d) = self.settings.optics.orientation
        matrix: Matrix = ((a * pixel_um, b * pixel_um), (c * pixel_um, d * pixel_um))
        rows, columns = self.settings.sensor.shape
        binning = max(1, round(pixel_um / self.pixel_size_um()))
        blur = blur_um(self.settings.optics, self.defocus_um(z_um, t_s, xy_um))
        # steps of 0.02 µm: a drift must not make every frame a new drawing
        sharpest = self.settings.optics.psf_sigma_um
        blur = sharpest + round((blur - sharpest) / 0.02) * 0.02
        return Field(xy_um, (rows // binning, columns // binning), matrix, blur)

    def _photons(
        self, readout: Readout, wholes: Sequence[Field], t_s: float, channel: str
    ) -> npt.NDArray[np.float32]:
        """Return photons per pixel and ms at full power, with the vignetting."""
        corner = (readout.row, readout.column, readout.shape)
        shade = self._shade(readout, wholes[0].shape)
        if len(wholes) > 1:
            # the specimen moves while it is exposed
            drawn = [self.specimen.rate(w.part(*corner), t_s, channel) for w in wholes]
            return np.mean(drawn, axis=0, dtype=np.float32) * shade
        rate = self.specimen.rate(wholes[0].part(*corner), t_s, channel)
        seen = self._seen
        if seen is None or seen[0] is not rate or seen[1] is not shade:
            self._seen = seen = (rate, shade, rate * shade)
        return seen[2]

    def _shade(
        self, readout: Readout, sensor: tuple[int, int]
    ) -> npt.NDArray[np.float32]:
        key = (readout, sensor)
        if self._vignette is None or self._vignette[0] != key:
            shade = vignette(
                self.settings.optics.vignetting,
                sensor,
                (readout.row, readout.column),
                readout.shape,
            )
            # charges of binned pixels are added on the chip
            self._vignette = (key, shade * np.float32(readout.binning**2))
        return self._vignette[1]
