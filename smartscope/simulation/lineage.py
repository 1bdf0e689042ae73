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


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell from birth to division; angles in radians, shapes in radii.

    Attributes
    ----------
    number : int
        Its place in the lineage.
    mother : int
        Number of its mother; -1 of those that were there at the start.
    birth_s, division_s : float
        Anaphase onset of its mother and its own; ∓inf if there is none.
    side : int
        Of the division's axis on which it goes away from its sister: +1 or -1.
    axis : float
        Direction in which its own daughters separate.
    radius_um, brightness, aspect, angle, bend, lobe : float
        How its nucleus looks in interphase.
    texture : int
        Number of its chromatin texture.
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

    def add(mother: Cell | None, side: int, division_s: float) -> None:
        number = len(cells)
        cell = Cell(
            number=number,
            mother=-1 if mother is None else mother.number,
            birth_s=-math.inf if mother is None else mother.division_s,
            division_s=division_s,
            side=side,
            axis=float(rng.uniform(0, 2 * np.pi)),
            radius_um=settings.radius_um * float(np.exp(rng.normal(0, 0.07))),
            brightness=float(np.exp(rng.normal(0, 0.15))),
            aspect=float(rng.uniform(1.05, 1.45)),
            angle=float(rng.uniform(0, 2 * np.pi)),
            bend=float(rng.normal(0, 0.08)),
            lobe=float(rng.normal(0, 0.04)),
            texture=int(rng.integers(1 << 30)),
        )
        cells.append(cell)
        if division_s < settings.duration_s:
            heapq.heappush(waiting, (division_s, number, cell))

    for rank in ranks:
        add(None, 1, -math.log1p(-rank) / rate if rate > 0 else math.inf)
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


def separation_um(age_s: float, radius_um: float) -> float:
    """Return the distance between sisters ``age_s`` after anaphase onset."""
    if age_s <= 0:
        return 0.0
    return SEPARATION_RADII * radius_um * -math.expm1(-age_s / SEPARATION_S)
