"""A specimen: what the simulated camera looks at; and one of living cells."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from smartscope.simulation.answers import Answers
from smartscope.simulation.bleaching import DoseMap, Lit
from smartscope.simulation.endings import parts_of
from smartscope.simulation.fates import Flashes
from smartscope.simulation.lineage import draw_lineage
from smartscope.simulation.motion import Motion
from smartscope.simulation.nucleus import Look, Painter, look_at
from smartscope.simulation.optics import Field
from smartscope.simulation.settings import SpecimenSettings
from smartscope.simulation.truth import Truth, TruthEvent

Rate = npt.NDArray[np.float32]
_Event = tuple[str, int, float, float | None, str | None]

# in this time nothing moves by more than a tenth of a pixel
_STEP_S = 1.0
# and a flash does not change by more than a tenth of its rise of half a second
_FLASH_STEP_S = 0.05
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

    def expose_through(
        self, field: Field, light_ms_percent: float, t_s: float, lit: Lit
    ) -> None:
        """Light a field through a pattern; what is lit bleaches, and may answer.

        Parameters
        ----------
        field : Field
            What is seen.
        light_ms_percent : float
            Where the pattern is full on.
        t_s : float
            Specimen time.
        lit : callable
            From points ``(n, 2)`` in stage µm to the share of the light there.
        """

    def truth(self, until_s: float) -> Truth | None:
        """Return what really happened until then, if that is known."""


class LivingCells:
    """Cells that move, round up, divide, flash, die, come, go and bleach.

    All of it is a function of the seed and of time, but for the bleaching and the
    answers to patterned light, which depend on the light received.

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
        self._flashes = Flashes(self._cells, settings, seed)
        self._answers = Answers(self._cells, settings, seed)
        self._motion = Motion(self._cells, settings, seed)
        self._painter = Painter(seed)
        self._background = _Background(seed)
        self._lock = threading.Lock()
        self._drawn: tuple[tuple[Any, ...], Rate] | None = None
        self._flashed: tuple[tuple[Any, ...], Rate] | None = None

    def rate(self, field: Field, t_s: float, channel: str) -> Rate:
        """Return photons per pixel and ms at 100 % power, shape ``field.shape``."""
        slow_s = np.floor(t_s / _STEP_S) * _STEP_S
        with self._lock:
            key = (field, slow_s, channel, self.dose.version)
            if self._drawn is None or self._drawn[0] != key:
                self._drawn = (key, self._draw(field, slow_s, channel))
            calm = self._drawn[1]
            answers = self._answers.all
            if not (self._flashes.all or answers) or channel not in _SEEN_IN:
                return calm
            fast_s = np.floor(t_s / _FLASH_STEP_S) * _FLASH_STEP_S
            extra = {**self._answers.at(fast_s)}
            for number, more in self._flashes.at(fast_s).items():
                extra[number] = extra.get(number, 0.0) + more
            if not extra:
                return calm
            now = (*key, fast_s, len(answers))
            if self._flashed is None or self._flashed[0] != now:
                lit = self._with_flashes(calm, field, slow_s, channel, extra)
                self._flashed = (now, lit)
            return self._flashed[1]

    def expose(self, field: Field, light_ms_percent: float) -> None:
        """Light a field; what is lit bleaches."""
        with self._lock:
            self.dose.expose(field, light_ms_percent)

    def expose_through(
        self, field: Field, light_ms_percent: float, t_s: float, lit: Lit
    ) -> None:
        """Light a field through a pattern; what is lit bleaches, and may answer."""
        with self._lock:
            self.dose.expose(field, light_ms_percent, lit)
            if not self.settings.stimulation_response:
                return
            numbers, centres_um = self.cells_at(t_s)
            points = self._answers.points_um(numbers.tolist(), centres_um)
            share = lit(points.reshape(-1, 2)).reshape(points.shape[:2]).mean(axis=1)
            self._answers.light(numbers.tolist(), share * light_ms_percent, t_s)

    def cells_at(
        self, t_s: float
    ) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.float64]]:
        """Return numbers ``(n,)`` and positions in µm ``(n, 2)`` of living cells."""
        numbers = self._motion.alive(t_s)
        return numbers, self._motion.positions(numbers, t_s)

    def truth(self, until_s: float) -> Truth:
        """Return what happened until then.

        Divisions (anaphase onsets) and mitoses (rounding up), flashes, deaths,
        arrivals, departures and responses to patterned light, each at its onset.
        """
        until_s = min(until_s, self.settings.duration_s)
        events = [
            TruthEvent(kind, t_s, *self._where(number, t_s), ends_s, of_class)
            for kind, number, t_s, ends_s, of_class in self._happened()
            if 0.0 <= t_s <= until_s
        ]
        rates = {
            "flash": self.settings.flashes_per_hour,
            "death": self.settings.deaths_per_hour,
            "arrival": self.settings.arrivals_per_hour,
            "departure": self.settings.departures_per_hour,
            "response": self.settings.stimulation_response,
        }
        names = {k: k for k in ("division", "mitosis", *(k for k in rates if rates[k]))}
        tolerance_um = self.settings.tolerance_um
        tolerance_s, by_kind = self._tolerances_s()
        return Truth(
            events=tuple(sorted(events, key=lambda e: (e.t_s, e.x_um))),
            names={**names, **self.settings.truth_map},
            tolerance_s=tolerance_s,
            tolerances_s=by_kind,
            tolerance_um=_TOLERANCE_UM if tolerance_um is None else tolerance_um,
            duration_s=until_s,
        )

    def _tolerances_s(self) -> tuple[float, dict[str, float]]:
        """Return how far off in time an occurrence may be: in general, and by kind."""
        asked = self.settings.tolerance_s
        if isinstance(asked, int | float):
            return float(asked), {}
        # a flash is over by then, and a dying cell gone: later is something else
        flash_s, death_s = self.settings.flash_s, self.settings.death_s
        by_kind = {"flash": flash_s, "response": flash_s, "death": death_s}
        return _TOLERANCE_S, {**by_kind, **(asked or {})}

    def _happened(self) -> Iterator[_Event]:
        """Yield kind, cell, onset, end and class from then on, of all that happens."""
        settings = self.settings
        for cell in self._cells:
            n, born_s, onset_s = cell.number, max(0.0, cell.birth_s), cell.division_s
            rounding_s = onset_s - settings.mitosis_s
            if onset_s >= born_s:
                yield "division", n, onset_s, None, "anaphase"
            if rounding_s >= born_s:
                yield "mitosis", n, rounding_s, None, "mitotic"
            if cell.mother < 0 and cell.birth_s >= 0:
                landed_s = cell.birth_s + settings.landing_s
                yield "arrival", n, cell.birth_s, landed_s, "interphase"
            if cell.death_s < np.inf:
                yield "death", n, cell.death_s, cell.gone_s, "dying"
            if cell.departure_s < np.inf:
                yield "departure", n, cell.departure_s, cell.gone_s, "leaving"
        for kind, flashes in (
            ("flash", self._flashes.all),
            ("response", self._answers.all),
        ):
            for flash in flashes:
                yield kind, flash.cell, flash.begin_s, flash.end_s, None

    def _where(self, number: int, t_s: float) -> tuple[float, float]:
        ((x, y),) = self._motion.positions(np.array([number]), t_s)
        return float(x), float(y)

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

    def _with_flashes(
        self,
        calm: Rate,
        field: Field,
        t_s: float,
        channel: str,
        extra: Mapping[int, float],
    ) -> Rate:
        """Return an image with what flashes add to it; itself if none is in view."""
        nuclei = np.zeros(field.shape, np.float32)
        if not self._paint(field, t_s, nuclei, extra):
            return calm
        nuclei *= np.float32(self.settings.photons * _SEEN_IN[channel])
        nuclei += calm
        nuclei.flags.writeable = False
        return nuclei

    def _paint(
        self,
        field: Field,
        t_s: float,
        out: Rate,
        extra: Mapping[int, float] | None = None,
    ) -> bool:
        """Add all nuclei, or what ``extra`` adds to some; return whether any shows."""
        numbers, positions = self.cells_at(t_s)
        if extra is not None:
            some = np.isin(numbers, list(extra))
            numbers, positions = numbers[some], positions[some]
        pixels = field.to_pixels(positions)
        margin = (3 * self.settings.radius_um + 3 * field.blur_um) / field.pixel_size_um
        edge = np.asarray(field.shape) + margin
        shown = ((pixels > -margin) & (pixels < edge)).all(axis=1)
        if not shown.any():
            return False
        looks: list[Look] = []
        at: list[tuple[float, float]] = []
        for number, (x, y) in zip(numbers[shown], positions[shown], strict=True):
            cell = self._cells[number]
            mother = self._cells[cell.mother] if cell.mother >= 0 else None
            look = look_at(cell, mother, t_s, self.settings.mitosis_s)
            if extra is not None:
                look = replace(look, brightness=look.brightness * extra[number])
            for part, dx, dy in parts_of(cell, look, t_s, self.settings):
                looks.append(part)
                at.append((x + dx, y + dy))
        where = np.array(at)
        self._painter.paint(looks, where, self.dose.left(where), field, out)
        return True


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
