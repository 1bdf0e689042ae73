"""As which cut-outs drawn cells are seen, in interphase and in mitosis."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from smartscope.training.divisions.cut_outs import CutOuts
from smartscope.training.divisions.lives import Chromosomes
from smartscope.training.divisions.part import Part

_HALVED = 0.35  # of the divisions: both masses are halves of a plate
_FROM_ABOVE = 0.3  # of the divisions: the plate is seen so, or is none yet


def seen_resting(rng: np.random.Generator, cut_outs: CutOuts, look: Part) -> Part:
    """Return a nucleus that looks like one in interphase, of its own size and light."""
    return look._replace(cut_out=int(rng.choice(cut_outs.resting)), bend=0.0)


def seen_condensed(rng: np.random.Generator, cut_outs: CutOuts, look: Part) -> Part:
    """Return a nucleus that looks like one in mitosis, in its size and light too."""
    masses = [one for both in cut_outs.parting for one in both[:2]]
    of = (cut_outs.rounds, cut_outs.plates, masses)[int(rng.integers(3))]
    which = int(rng.choice(of))
    a, b, light = _sized(rng, cut_outs, which, look)
    return look._replace(a=a, b=b, light=light, cut_out=which, bend=0.0)


def seen_dividing(
    rng: np.random.Generator, cut_outs: CutOuts, look: Part, how: Chromosomes
) -> tuple[Part, Chromosomes]:
    """Return a cell that divides as those did that were caught in mitosis.

    Parameters
    ----------
    rng : np.random.Generator
        Draws which.
    cut_outs : CutOuts
        Of which.
    look : Part
        Its nucleus in interphase.
    how : Chromosomes
        How its mitosis would be drawn; how far the masses go, how the plate turns and
        what stays between the masses is as there.
    """
    rounded, plate = int(rng.choice(cut_outs.rounds)), int(rng.choice(cut_outs.plates))
    first, second, apart = cut_outs.parting[int(rng.integers(len(cut_outs.parting)))]
    if rng.random() < _HALVED:
        first = second = plate
        a, b, light = _sized(rng, cut_outs, plate, look)
        bar, uneven = (a, b * rng.uniform(0.5, 0.8), light), how.uneven
    else:
        (a, b, light), (a2, b2, light2) = (
            _sized(rng, cut_outs, one, look) for one in (first, second)
        )
        bar = math.sqrt(a * a2), math.sqrt(b * b2), math.sqrt(light * light2)
        uneven = (a * b / (a2 * b2)) ** 0.25
    if rng.random() < _FROM_ABOVE:
        plate = int(rng.choice(cut_outs.rounds))
    round_a, round_b, round_light = _sized(rng, cut_outs, rounded, look)
    radius = math.sqrt(look.a * look.b)
    return seen_resting(rng, cut_outs, look), replace(
        how,
        round_px=math.sqrt(round_a * round_b),
        round_light=round_light,
        plate=_sized(rng, cut_outs, plate, look),
        bar=bar,
        apart_px=max(how.apart_px, apart * radius * rng.uniform(0.9, 1.2)),
        bend=0.0,
        uneven=uneven,
        cut_outs=(rounded, plate, first, second),
    )


def _sized(
    rng: np.random.Generator, cut_outs: CutOuts, which: int, look: Part
) -> tuple[float, float, float]:
    """Return semi-axes in pixels and light of a cut-out beside a nucleus."""
    size, light = np.exp(rng.normal(0, (0.12, 0.15)))
    radius = math.sqrt(look.a * look.b)
    a, b, own = cut_outs.sizes[which]
    # those of a usual nucleus, and somewhat those of this one
    return (
        max(1.0, float(a * size) * radius),
        max(0.7, float(b * size) * radius),
        float(own * light) * math.sqrt(look.light),
    )
