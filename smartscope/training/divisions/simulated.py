"""Fields as the simulated microscope shows them, cells drawn by its own painter."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from smartscope.simulation.endings import parts_of
from smartscope.simulation.lineage import (
    SEPARATION_RADII,
    SEPARATION_S,
    Cell,
    separation_um,
)
from smartscope.simulation.nucleus import Look, Painter, look_at
from smartscope.simulation.optics import Field
from smartscope.simulation.settings import SpecimenSettings
from smartscope.training.divisions.places import thrown
from smartscope.training.divisions.scene import When
from smartscope.training.divisions.seen import SeenDivision, seen_division
from smartscope.training.heat_source import Floats
from smartscope.training.scenes.canvas import log_uniform

_PIXEL_UM = 0.65
_INTERVALS_S = (8.0, 400.0)
_DIAMETERS_PX = (11.0, 30.0)
_DENSITY = (0.02, 0.35)
_PAINTERS = 12
_GAP_RADII = 0.5  # the masses are so thick
_MOST = 60

Placed = list[tuple[Look, float, float]]


@dataclass(frozen=True, slots=True)
class _Family:
    """A cell, its daughters if it divides, and where they are.

    ``x_um``, ``y_um`` are those of the last frame, ``speed`` is in µm/s.
    """

    cell: Cell
    daughters: tuple[Cell, ...]
    x_um: float
    y_um: float
    speed: tuple[float, float]

    def at_um(self, before_s: float) -> tuple[float, float]:
        """Return x, y so long before the last frame."""
        slow = 0.2 if self.daughters else 1.0
        vx, vy = self.speed
        return self.x_um - slow * vx * before_s, self.y_um - slow * vy * before_s

    def looks(self, t_s: float, before_s: float, settings: SpecimenSettings) -> Placed:
        """Return what is seen of it, each with x, y."""
        x, y = self.at_um(before_s)
        cell = self.cell
        divided = bool(self.daughters) and t_s >= cell.division_s
        made: Placed = []
        for one in self.daughters if divided else (cell,):
            if not one.birth_s <= t_s < one.end_s:
                continue
            apart = separation_um(t_s - cell.division_s, cell.radius_um)
            away = one.side * apart / 2 if divided else 0.0
            mother = cell if divided else None
            look = look_at(one, mother, t_s, settings.mitosis_s)
            for part, dx, dy in parts_of(one, look, t_s, settings):
                at = (away * math.cos(cell.axis), away * math.sin(cell.axis))
                made.append((part, x + at[0] + dx, y + at[1] + dy))
        return made


class SimulatedField:
    """One field of the simulated microscope's cells, over a movie.

    Parameters
    ----------
    rng : np.random.Generator
        Everything is drawn from it.
    edge : int
        Rows and columns, pixels.
    frames : int
        Of the movie.
    divisions : int, optional
        So many begin their anaphase about the last frame, beside others at other times;
        default: at any time of a movie.

    Attributes
    ----------
    diameter_px : float
        Of a usual nucleus.
    """

    def __init__(
        self,
        rng: np.random.Generator,
        edge: int,
        frames: int,
        divisions: int | None = None,
    ) -> None:
        self._frames = frames
        self._interval_s = log_uniform(rng, *_INTERVALS_S)
        self._last_s = (frames - 1) * self._interval_s
        self.diameter_px = log_uniform(rng, *_DIAMETERS_PX)
        self._settings = SpecimenSettings(
            radius_um=self.diameter_px * _PIXEL_UM / 2,
            mitosis_s=log_uniform(rng, 600.0, 2400.0),
        )
        self._field = Field(
            (0.0, 0.0),
            (edge, edge),
            ((_PIXEL_UM, 0.0), (0.0, _PIXEL_UM)),
            blur_um=rng.uniform(0.3, 1.2 if rng.random() < 0.9 else 2.5),
        )
        self._painter = _painter(int(rng.integers(_PAINTERS)))
        wide = edge + self.diameter_px
        density = log_uniform(rng, *_DENSITY)
        usual = density * wide**2 / (math.pi / 4 * self.diameter_px**2)
        number = min(int(rng.poisson(usual)) + (divisions or 0), _MOST)
        places = thrown(rng, number, edge, self.diameter_px / 2, self.diameter_px * 1.1)
        pace = rng.uniform(0.05, 0.8) / 60
        self._families = []
        for i, (row, column) in enumerate(places):
            when: When = "other" if i >= (divisions or 0) else "now"
            if divisions is None:
                when = "movie"
            cell, daughters = self._lineage(rng, when)
            speed = tuple(rng.normal(0, pace, 2).tolist())
            x, y = ((at - (edge - 1) / 2) * _PIXEL_UM for at in (column, row))
            self._families.append(_Family(cell, daughters, x, y, (speed[0], speed[1])))

    def painted(self) -> Floats:
        """Return the frames ``(T, Y, X)``; 1 is a usual nucleus."""
        out = np.zeros((self._frames, *self._field.shape), np.float32)
        for frame, image in enumerate(out):
            t_s = frame * self._interval_s
            looks = [
                placed
                for family in self._families
                for placed in family.looks(t_s, self._last_s - t_s, self._settings)
            ]
            if not looks:
                continue
            at = np.array([(x, y) for _, x, y in looks])
            left = np.ones(len(looks))
            self._painter.paint([k for k, _, _ in looks], at, left, self._field, image)
        return out

    def divisions(self) -> tuple[SeenDivision, ...]:
        """Return what is seen to divide."""
        seen = (self._seen(f) for f in self._families if f.daughters)
        return tuple(one for one in seen if one is not None)

    def _seen(self, family: _Family) -> SeenDivision | None:
        cell, interval_s = family.cell, self._interval_s
        radius_px = cell.radius_um / _PIXEL_UM

        def apart_px(t: float) -> float:
            age_s = t * interval_s - cell.division_s
            return separation_um(age_s, cell.radius_um) / _PIXEL_UM

        before_s = [self._last_s - t * interval_s for t in range(self._frames)]
        at = np.array([family.at_um(s) for s in before_s])
        return seen_division(
            cell.division_s / interval_s,
            apart_px,
            _GAP_RADII * radius_px + 1.2 * self._field.blur_um / _PIXEL_UM,
            SEPARATION_RADII * radius_px,
            tuple((float(r), float(c)) for r, c in self._field.to_pixels(at)),
        )

    def _lineage(
        self, rng: np.random.Generator, when: When
    ) -> tuple[Cell, tuple[Cell, ...]]:
        """Draw what a cell does, and its daughters."""
        last_s, settings = self._last_s, self._settings
        cell, kind = self._cell(rng), rng.random()
        if when == "now":
            span_s = max(2 * self._interval_s, SEPARATION_S)
            onset_s = last_s - 0.3 * SEPARATION_S - rng.uniform(0, span_s)
        elif when == "movie" and kind < 0.22:
            onset_s = rng.uniform(-3 * SEPARATION_S, last_s + 0.3 * settings.mitosis_s)
        elif kind < 0.12:
            onset_s = last_s + rng.uniform(0, settings.mitosis_s)
        elif kind < 0.22:
            onset_s = last_s - rng.uniform(0, last_s + 1500)
        else:
            if kind < 0.29:
                dies_s = rng.uniform(-settings.death_s, last_s + 1)
                cell = replace(cell, death_s=dies_s, gone_s=dies_s + settings.death_s)
            elif kind < 0.32:
                cell = replace(
                    cell, birth_s=rng.uniform(-settings.landing_s, last_s + 1)
                )
            return cell, ()
        daughters = (
            replace(self._cell(rng), number=number, mother=0, birth_s=onset_s, side=s)
            for number, s in ((1, 1), (2, -1))
        )
        return replace(cell, division_s=onset_s), tuple(daughters)

    def _cell(self, rng: np.random.Generator) -> Cell:
        """Draw how a cell looks, as ``draw_lineage`` does."""
        return Cell(
            number=0,
            mother=-1,
            birth_s=-math.inf,
            division_s=math.inf,
            side=1,
            axis=float(rng.uniform(0, 2 * math.pi)),
            radius_um=self._settings.radius_um * math.exp(rng.normal(0, 0.07)),
            brightness=math.exp(rng.normal(0, 0.15)),
            aspect=float(rng.uniform(1.05, 1.45)),
            angle=float(rng.uniform(0, 2 * math.pi)),
            bend=float(rng.normal(0, 0.08)),
            lobe=float(rng.normal(0, 0.04)),
            texture=int(rng.integers(1 << 30)),
        )


@lru_cache(maxsize=_PAINTERS)
def _painter(seed: int) -> Painter:
    return Painter(seed)
