"""A specimen: what the simulated camera looks at; and one of living cells."""

from __future__ import annotations

import threading
from typing import Protocol

import numpy as np
import numpy.typing as npt

from smartscope.simulation.bleaching import DoseMap
from smartscope.simulation.lineage import draw_lineage
from smartscope.simulation.motion import Motion
from smartscope.simulation.nucleus import Painter, look_at
from smartscope.simulation.optics import Field
from smartscope.simulation.settings import SpecimenSettings
from smartscope.simulation.truth import Truth, TruthEvent

Rate = npt.NDArray[np.float32]

# in this time nothing moves by more than a tenth of a pixel
_STEP_S = 1.0
_TOLERANCE_S = 300.0
_TOLERANCE_UM = 10.0
# how strongly the label shows in a preset; in the others there is only background
_SEEN_IN = {"FITC": 1.0, "Rhodamine": 0.3}


class Specimen(Protocol):
    """What lies under the microscope."""

    def rate(self, field: Field, t_s: float, channel: str) -> Rate:
        """Return photons per pixel and ms at 100 % power.

        Parameters
        ----------
        field : Field
            What is seen.
        t_s : float
            Specimen time.
        channel : str
            Preset the filters stand at; ``""`` if at none.

        Returns
        -------
        np.ndarray
            Shape ``field.shape``, float32, read-only; the same object as long as
            nothing has changed.
        """

    def expose(self, field: Field, light_ms_percent: float) -> None:
        """Light a field; what is lit bleaches."""

    def truth(self, until_s: float) -> Truth | None:
        """Return what really happened until then, if that is known."""


class LivingCells:
    """Cells that move, round up, divide and bleach.

    All of it is a function of the seed and of time, but for the bleaching, which
    depends on the light received.

    Parameters
    ----------
    settings : SpecimenSettings
        How many, how fast, how bright.
    seed : int
        Of everything.
    """

    def __init__(self, settings: SpecimenSettings, seed: int) -> None:
        self.settings = settings
        self.dose = DoseMap(settings.area_um, settings.bleach_ms_percent)
        self._cells = draw_lineage(settings, seed)
        self._motion = Motion(self._cells, settings, seed)
        self._painter = Painter(seed)
        self._background = _Background(seed)
        self._lock = threading.Lock()
        self._drawn: tuple[tuple[Field, float, str, int], Rate] | None = None

    def rate(self, field: Field, t_s: float, channel: str) -> Rate:
        """Return photons per pixel and ms at 100 % power, shape ``field.shape``."""
        t_s = np.floor(t_s / _STEP_S) * _STEP_S
        with self._lock:
            key = (field, t_s, channel, self.dose.version)
            if self._drawn is None or self._drawn[0] != key:
                self._drawn = (key, self._draw(field, t_s, channel))
            return self._drawn[1]

    def expose(self, field: Field, light_ms_percent: float) -> None:
        """Light a field; what is lit bleaches."""
        with self._lock:
            self.dose.expose(field, light_ms_percent)

    def cells_at(
        self, t_s: float
    ) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.float64]]:
        """Return numbers ``(n,)`` and positions in µm ``(n, 2)`` of living cells."""
        numbers = self._motion.alive(t_s)
        return numbers, self._motion.positions(numbers, t_s)

    def truth(self, until_s: float) -> Truth:
        """Return divisions (anaphase onsets) and mitoses (rounding up) until then."""
        until_s = min(until_s, self.settings.duration_s)
        events = []
        for cell in self._cells:
            onset_s = cell.division_s
            rounding_s = onset_s - self.settings.mitosis_s
            for kind, t_s in (("division", onset_s), ("mitosis", rounding_s)):
                if max(0.0, cell.birth_s) <= t_s <= until_s:
                    number = np.array([cell.number])
                    ((x, y),) = self._motion.positions(number, t_s)
                    events.append(TruthEvent(kind, t_s, float(x), float(y)))
        names = {"division": "division", "mitosis": "mitosis"}
        tolerance_um = self.settings.tolerance_um
        return Truth(
            events=tuple(sorted(events, key=lambda e: (e.t_s, e.x_um))),
            names={**names, **self.settings.truth_map},
            tolerance_s=self.settings.tolerance_s or _TOLERANCE_S,
            tolerance_um=_TOLERANCE_UM if tolerance_um is None else tolerance_um,
            duration_s=until_s,
        )

    def _draw(self, field: Field, t_s: float, channel: str) -> Rate:
        settings = self.settings
        seen = _SEEN_IN.get(channel, 0.0)
        out = self._background.draw(field)
        out *= settings.background_photons * (1.0 if seen else 0.4)
        if seen:
            nuclei = np.zeros(field.shape, np.float32)
            self._paint(field, t_s, nuclei)
            nuclei *= np.float32(settings.photons * seen)
            out += nuclei
        out.flags.writeable = False
        return out

    def _paint(self, field: Field, t_s: float, out: Rate) -> None:
        numbers, positions = self.cells_at(t_s)
        pixels = field.to_pixels(positions)
        margin = (3 * self.settings.radius_um + 3 * field.blur_um) / field.pixel_size_um
        edge = np.asarray(field.shape) + margin
        shown = ((pixels > -margin) & (pixels < edge)).all(axis=1)
        if not shown.any():
            return
        looks = []
        for number in numbers[shown]:
            cell = self._cells[number]
            mother = self._cells[cell.mother] if cell.mother >= 0 else None
            looks.append(look_at(cell, mother, t_s, self.settings.mitosis_s))
        at = positions[shown]
        self._painter.paint(looks, at, self.dose.left(at), field, out)


class _Background:
    """Medium and out-of-focus light: slow waves that belong to the place."""

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng([abs(seed), 0xBAC6])
        self._waves = rng.normal(0, 2 * np.pi / 250, (6, 2))
        self._phases = rng.uniform(0, 2 * np.pi, 6)

    def draw(self, field: Field) -> Rate:
        nodes = 12
        rows, columns = (np.linspace(0, n - 1, nodes) for n in field.shape)
        dr = rows[:, None] - (field.shape[0] - 1) / 2
        dc = columns[None, :] - (field.shape[1] - 1) / 2
        (m00, m01), (m10, m11) = field.matrix
        x = field.centre_um[0] + m00 * dc + m01 * dr
        y = field.centre_um[1] + m10 * dc + m11 * dr
        coarse = np.ones((nodes, nodes))
        for (kx, ky), phase in zip(self._waves, self._phases, strict=True):
            coarse += 0.05 * np.cos(kx * x + ky * y + phase)
        to_rows, to_columns = (_stretch(nodes, n) for n in field.shape)
        return np.asarray(
            to_rows @ coarse.astype(np.float32) @ to_columns.T, np.float32
        )


def _stretch(nodes: int, n: int) -> Rate:
    """Return the matrix that interpolates from ``nodes`` points to ``n`` pixels."""
    at = np.linspace(0, nodes - 1, n)
    distance = np.abs(at[:, None] - np.arange(nodes)[None, :])
    return np.asarray(np.clip(1 - distance, 0, 1), np.float32)
