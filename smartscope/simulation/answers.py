"""Cells that answer to patterned light: each flashes once it has had enough of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from smartscope.simulation.fates import Flash, flash_profile
from smartscope.simulation.lineage import Cell
from smartscope.simulation.settings import SpecimenSettings

_PURPOSE_ANSWER = 0xA25E
# a flash is over after so many of its lengths, and the cell can answer again
_SILENT_FLASHES = 3.0
# points of a nucleus, in radii, at which its light is measured
_RING = np.arange(8) * np.pi / 4
_POINTS = np.concatenate(
    [
        np.zeros((1, 2)),
        *(r * np.stack([np.cos(_RING), np.sin(_RING)], axis=1) for r in (0.45, 0.85)),
    ]
)

Points = npt.NDArray[np.float64]


class Answers:
    """The answers of a specimen to light that came through a pattern.

    A cell adds up the mean light over its nucleus. With enough of it, a cell that can
    answer flashes after the delay, and begins to add up anew when the flash has gone.
    Which cells can answer is drawn from the seed, cell by cell; when they do depends on
    the light alone.

    Parameters
    ----------
    cells : sequence of Cell
        The lineage.
    settings : SpecimenSettings
        The share of cells that can answer, the light they need, their delay.
    seed : int
        Of which cells can.
    """

    def __init__(
        self, cells: Sequence[Cell], settings: SpecimenSettings, seed: int
    ) -> None:
        self._cells = cells
        self._settings = settings
        self._seed = abs(seed)
        self._dose: dict[int, float] = {}
        self._silent_until_s: dict[int, float] = {}
        self.all: list[Flash] = []

    def can_answer(self, number: int) -> bool:
        """Return whether a cell is one of those that answer."""
        rng = np.random.default_rng([self._seed, _PURPOSE_ANSWER, number])
        return bool(rng.random() < self._settings.stimulation_response)

    def points_um(self, numbers: Sequence[int], centres_um: Points) -> Points:
        """Return points of nuclei ``(n, 17, 2)`` at which their light is measured."""
        radii = np.array([self._cells[n].radius_um for n in numbers])
        return np.asarray(
            centres_um[:, None] + radii[:, None, None] * _POINTS[None], np.float64
        )

    def light(
        self, numbers: Sequence[int], light_ms_percent: Points, t_s: float
    ) -> None:
        """Give cells ``(n,)`` their light at a time, in ms × %."""
        settings = self._settings
        for number, light in zip(numbers, light_ms_percent.tolist(), strict=True):
            if light <= 0 or t_s < self._silent_until_s.get(number, -np.inf):
                continue
            dose = self._dose.get(number, 0.0) + light
            self._dose[number] = dose
            if dose < settings.stimulation_dose_ms_percent:
                continue
            begin_s = t_s + settings.stimulation_delay_s
            self._dose[number] = 0.0
            silent_s = _SILENT_FLASHES * settings.flash_s
            self._silent_until_s[number] = begin_s + silent_s
            if begin_s < self._cells[number].end_s and self.can_answer(number):
                ends_s = begin_s + settings.flash_s
                self.all.append(Flash(number, begin_s, ends_s))

    def at(self, t_s: float) -> Mapping[int, float]:
        """Return what is added to the brightness of cells that answer at a time."""
        settings = self._settings
        extra = {}
        for flash in self.all:
            profile = flash_profile(t_s - flash.begin_s, settings.flash_s)
            if profile > 0:
                extra[flash.cell] = (settings.flash_factor - 1) * profile
        return extra
