"""When cells are born, round up and divide: drawn from the seed, beforehand."""

from __future__ import annotations

import heapq
import math
from dataclasses import dataclass

import numpy as np

from smartscope.errors import Refused
from smartscope.simulation.settings import SpecimenSettings

# with 2.2 radii at the end, 95 % of it after 4.5 min
SEPARATION_S = 90.0
SEPARATION_RADII = 2.2
_PURPOSE_FATE = 0xFA7E
_PURPOSE_ARRIVAL = 0xA331


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell from birth to its end; angles in radians, shapes in radii.

    Attributes
    ----------
    number : int
        Its place in the lineage.
    mother : int
        Number of its mother; -1 of those that were there at the start or landed.
    birth_s, division_s : float
        Anaphase onset of its mother and its own; ∓inf if there is none. One that lands
        is born when it begins to come into view.
    side : int
        Of the division's axis on which it goes away from its sister: +1 or -1.
    axis : float
        Direction in which its own daughters separate.
    radius_um, brightness, aspect, angle, bend, lobe : float
        How its nucleus looks in interphase.
    texture : int
        Number of its chromatin texture.
    death_s, departure_s, gone_s : float
        When it begins to die or to lift off, and when it is gone then; inf if never.
    """

    number: int
    mother: int
    birth_s: float
    division_s: float
    side: int
    axis: float
    radius_um: float
    brightness: float
    aspect: float
    angle: float
    bend: float
    lobe: float
    texture: int
    death_s: float = math.inf
    departure_s: float = math.inf
    gone_s: float = math.inf

    @property
    def end_s(self) -> float:
        """When it divides or is gone, whichever comes first."""
        return min(self.division_s, self.gone_s)


MOST_CELLS = 50_000


def draw_lineage(settings: SpecimenSettings, seed: int) -> list[Cell]:
    """Draw all cells that live until ``settings.duration_s``.

    The first divisions are spread evenly over the probability, so that they stagger;
    later cell cycles are gamma distributed with the same mean.
    """
    rng = np.random.default_rng([abs(seed), 0xCE11])
    rate = settings.divisions_per_hour / 3600
    n = settings.cells
    ranks = (rng.permutation(n) + rng.random(n)) / n
    waiting: list[tuple[float, int, Cell]] = []
    cells: list[Cell] = []

    def add(
        mother: Cell | None, side: int, division_s: float, landed_s: float = -math.inf
    ) -> None:
        number = len(cells)
        born_s = landed_s if mother is None else mother.division_s
        fate = _fate(settings, seed, number, born_s, division_s)
        cell = Cell(
            number=number,
            mother=-1 if mother is None else mother.number,
            birth_s=born_s,
            division_s=division_s if math.isinf(fate.gone_s) else math.inf,
            side=side,
            axis=float(rng.uniform(0, 2 * np.pi)),
            radius_um=settings.radius_um * float(np.exp(rng.normal(0, 0.07))),
            brightness=float(np.exp(rng.normal(0, 0.15))),
            aspect=float(rng.uniform(1.05, 1.45)),
            angle=float(rng.uniform(0, 2 * np.pi)),
            bend=float(rng.normal(0, 0.08)),
            lobe=float(rng.normal(0, 0.04)),
            texture=int(rng.integers(1 << 30)),
            death_s=fate.death_s,
            departure_s=fate.departure_s,
            gone_s=fate.gone_s,
        )
        cells.append(cell)
        if cell.division_s < settings.duration_s:
            heapq.heappush(waiting, (cell.division_s, number, cell))

    for rank in ranks:
        add(None, 1, -math.log1p(-rank) / rate if rate > 0 else math.inf)
    for landed_s in _arrivals(settings, seed):
        # none is ready to divide before it has spread
        soonest_s = landed_s + settings.landing_s + settings.mitosis_s + 1800
        wait_s = float(rng.exponential(1 / rate)) if rate > 0 else math.inf
        add(None, 1, soonest_s + wait_s, landed_s)
    while waiting:
        if len(cells) > MOST_CELLS:
            raise Refused(
                f"The specimen would grow to more than {MOST_CELLS} cells within "
                f"{settings.duration_s:g} s.",
                rule="The life of all cells is drawn before the run.",
                way_out="Lower specimen.divisions_per_hour, cells or duration_s.",
            )
        division_s, _, mother = heapq.heappop(waiting)
        for side in (1, -1):
            # no cell is ready again before it has decondensed and rounded up
            wait_s = max(float(rng.gamma(4, 1 / (4 * rate))), settings.mitosis_s + 1800)
            add(mother, side, division_s + wait_s)
    return cells


@dataclass(frozen=True, slots=True)
class _Fate:
    death_s: float = math.inf
    departure_s: float = math.inf
    gone_s: float = math.inf


def _fate(
    settings: SpecimenSettings,
    seed: int,
    number: int,
    born_s: float,
    division_s: float,
) -> _Fate:
    """Draw whether a cell dies or departs before it would round up to divide."""
    rates = (settings.deaths_per_hour / 3600, settings.departures_per_hour / 3600)
    if not any(rates):
        return _Fate()
    rng = np.random.default_rng([abs(seed), _PURPOSE_FATE, number])
    waits = rng.exponential(size=2)
    death_s, departure_s = (
        max(born_s, 0.0) + wait / rate if rate > 0 else math.inf
        for wait, rate in zip(waits, rates, strict=True)
    )
    first_s = min(death_s, departure_s)
    if first_s >= min(division_s - settings.mitosis_s, settings.duration_s):
        return _Fate()
    if death_s <= departure_s:
        return _Fate(death_s=death_s, gone_s=death_s + settings.death_s)
    return _Fate(departure_s=departure_s, gone_s=departure_s + settings.landing_s)


def _arrivals(settings: SpecimenSettings, seed: int) -> list[float]:
    """Draw when cells land: a Poisson process, at most ``MOST_CELLS``."""
    rate = settings.arrivals_per_hour / 3600
    if rate == 0:
        return []
    rng = np.random.default_rng([abs(seed), _PURPOSE_ARRIVAL])
    n = min(int(rng.poisson(rate * settings.duration_s)), MOST_CELLS)
    return sorted(float(t) for t in rng.uniform(0, settings.duration_s, n))


def separation_um(age_s: float, radius_um: float) -> float:
    """Return the distance between sisters ``age_s`` after anaphase onset."""
    if age_s <= 0:
        return 0.0
    return SEPARATION_RADII * radius_um * -math.expm1(-age_s / SEPARATION_S)
