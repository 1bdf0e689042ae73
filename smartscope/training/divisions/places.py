"""Where nuclei lie in a field."""

from __future__ import annotations

import numpy as np

_TRIES = 8
_INSIDE = 2  # the first ones, those that are asked for, lie inside


def thrown(
    rng: np.random.Generator, number: int, edge: int, margin: float, nearest: float
) -> list[tuple[float, float]]:
    """Throw places into a field and about it, mostly not on each other.

    Parameters
    ----------
    rng : np.random.Generator
        Throws them.
    number : int
        How many; the first two lie inside.
    edge : int
        Rows and columns of the field, pixels.
    margin : float
        So far about it, pixels.
    nearest : float
        Nearer than this only where there is no room.

    Returns
    -------
    list of tuple
        Row and column of each.
    """
    places = np.empty((0, 2))
    for i in range(number):
        out = 0.0 if i < _INSIDE else margin
        tries = rng.uniform(-out, edge - 1 + out, (_TRIES, 2))
        away = tries[:, None] - places[None]
        gap = np.hypot(away[..., 0], away[..., 1]).min(axis=1, initial=np.inf)
        far = np.flatnonzero(gap > nearest)
        best = int(far[0] if len(far) else gap.argmax())
        places = np.vstack([places, tries[best]])
    return [(float(row), float(column)) for row, column in places]
