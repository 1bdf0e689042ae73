"""How a nucleus looks when its cell dies, lands or lifts off."""

from __future__ import annotations

import math
from dataclasses import replace

from smartscope.simulation.lineage import Cell
from smartscope.simulation.nucleus import Look, between, ease
from smartscope.simulation.settings import SpecimenSettings

_BLEBS = 4

# a look, and how far it lies from the middle of its cell, x, y in µm
Part = tuple[Look, float, float]


def parts_of(
    cell: Cell, look: Look, t_s: float, settings: SpecimenSettings
) -> list[Part]:
    """Return what is seen of a cell: one nucleus, or what death has left of it.

    Parameters
    ----------
    cell : Cell
        The cell.
    look : Look
        How it would look if it lived on.
    t_s : float
        Time within its life.
    settings : SpecimenSettings
        How long deaths and landings take.
    """
    if cell.mother < 0 and cell.birth_s > -math.inf:
        seen = ease((t_s - cell.birth_s) / settings.landing_s)
        look = replace(look, brightness=look.brightness * seen)
    if t_s >= cell.departure_s:
        left = 1 - ease((t_s - cell.departure_s) / settings.landing_s)
        look = replace(look, brightness=look.brightness * left)
    if t_s < cell.death_s:
        return [(look, 0.0, 0.0)]
    return _dying(cell, look, (t_s - cell.death_s) / settings.death_s)


def _dying(cell: Cell, look: Look, phase: float) -> list[Part]:
    """Shrink and condense, then bleb, then darken; ``phase`` runs from 0 to 1."""
    shrunk, blebs = ease(phase / 0.35), ease((phase - 0.25) / 0.3)
    radius = cell.radius_um
    light = between(1.0, 1.5, ease(phase / 0.25))
    light *= between(1.0, 0.15, ease((phase - 0.4) / 0.5))
    light *= 1 - ease((phase - 0.9) / 0.1)
    bright = look.brightness * light
    body = replace(
        look,
        a_um=between(look.a_um, 0.6 * radius, shrunk),
        b_um=between(look.b_um, 0.55 * radius, shrunk),
        brightness=bright,
        bend=between(look.bend, 0.0, shrunk),
        lobe=between(look.lobe, 0.2, blebs),
        grain=max(look.grain, shrunk),
    )
    parts = [(body, 0.0, 0.0)]
    if blebs == 0:
        return parts
    for i in range(_BLEBS):
        # angles and sizes that belong to the cell, unevenly spread
        angle = cell.angle + 2 * math.pi * i / _BLEBS + 0.6 * math.sin(cell.texture + i)
        size = (0.2 + 0.06 * math.cos(cell.texture * (i + 1))) * radius * blebs
        away = between(0.5, 1.15, ease((phase - 0.3) / 0.5)) * radius
        bleb = replace(body, a_um=size, b_um=size, angle=angle, lobe=0.0, bend=0.0)
        parts.append((bleb, away * math.cos(angle), away * math.sin(angle)))
    return parts
