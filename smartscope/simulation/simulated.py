"""Builds the simulated microscope: specimen, clock, stand and devices."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pymmcore_plus.experimental.unicore import UniMMCore

from smartscope.acquisition import Clock, RealClock, VirtualClock
from smartscope.errors import Refused, nearest
from smartscope.simulation import demo_names
from smartscope.simulation.devices import load_devices
from smartscope.simulation.movie import MovieSpecimen
from smartscope.simulation.settings import SimulationSettings
from smartscope.simulation.specimen import LivingCells, Specimen
from smartscope.simulation.stand import Stand
from smartscope.simulation.truth import Truth

DEFAULT_OBJECTIVE = "Nikon 10X S Fluor"


@dataclass(frozen=True, slots=True)
class Simulated:
    """A simulated microscope whose devices are loaded.

    Attributes
    ----------
    settings : SimulationSettings
        As used: the sensor has taken the movie's size.
    clock : Clock
        Its time.
    specimen : Specimen
        What lies under it.
    stand : Stand
        What joins its devices.
    """

    settings: SimulationSettings
    clock: Clock
    specimen: Specimen
    stand: Stand

    def truth(self) -> Truth | None:
        """Return what really happened until now, if that is known.

        Places are those on the stage at the time: with a drift, where an exact eye
        would have seen it.
        """
        truth = self.specimen.truth(self.clock.now_s())
        return None if truth is None else self.stand.drift.on_stage(truth)


def simulate(
    core: UniMMCore,
    settings: SimulationSettings,
    *,
    objective: str = DEFAULT_OBJECTIVE,
    pixel_sizes_um: Mapping[str, float] | None = None,
    buffer_mb: int = 256,
) -> Simulated:
    """Load a simulated microscope into an empty core.

    Parameters
    ----------
    core : UniMMCore
        Any Python-device core, not armed yet.
    settings : SimulationSettings
        Specimen, sensor, optics, ugliness, seed.
    objective : str
        Label of the objective at the start.
    pixel_sizes_um : Mapping, optional
        For each label of the objective; default: the sensor's pixel over the
        magnification.
    buffer_mb : int
        Size of the core's ring buffer.

    Raises
    ------
    smartscope.errors.Refused
        If a movie or its truth cannot be used, or the objective has no pixel size.
    """
    given = settings.specimen
    clock = VirtualClock() if given.time == "virtual" else RealClock(given.time_scale)
    if pixel_sizes_um is None:
        edge = settings.sensor.pixel_um
        pixel_sizes_um = {k: edge / m for k, m in demo_names.MAGNIFICATION.items()}
    if objective not in pixel_sizes_um:
        raise Refused(
            f"There is no pixel size for the objective '{objective}'."
            f"{nearest(objective, pixel_sizes_um)}",
            rule=f"The objective at the start is one of: {', '.join(pixel_sizes_um)}.",
            way_out="Correct 'objective', or give its pixel size.",
        )
    specimen: Specimen
    if given.movie is not None:
        movie = MovieSpecimen.load(given, settings.optics.psf_sigma_um)
        specimen = movie
        if settings.movie_sensor:
            # the sensor takes the movie's pixels: at the first objective one is one
            sensor = settings.sensor.model_copy(update={"shape": movie.shape})
            settings = settings.model_copy(update={"sensor": sensor})
            factor = movie.pixel_size_um / pixel_sizes_um[objective]
            pixel_sizes_um = {k: v * factor for k, v in pixel_sizes_um.items()}
    else:
        specimen = LivingCells(given, settings.seed)
    stand = Stand(settings, specimen, clock, pixel_sizes_um)
    load_devices(core, stand, objective=objective, buffer_mb=buffer_mb)
    clock.restart()
    return Simulated(settings, clock, specimen, stand)
