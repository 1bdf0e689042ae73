"""Points in words: ``p0:12.5,-30`` as an option, ``t p0 12.5 -30`` typed."""

from __future__ import annotations

import math

from smartscope.errors import Refused
from smartscope.response import Target


def target_from(words: str) -> Target:
    """Return the point that ``PLACE:X,Y`` names.

    Raises
    ------
    smartscope.errors.Refused
        If it is not of that form.
    """
    place, colon, numbers = words.rpartition(":")
    x, comma, y = numbers.partition(",")
    point = _point(x, y)
    if not (place and colon and comma) or point is None:
        raise Refused(
            f"--target {words!r} is no place with a point.",
            rule="It is PLACE:X,Y with the stage position in µm, such as p0:12.5,-30.",
            way_out="Correct it.",
        )
    return Target(place=place, x_um=point[0], y_um=point[1])


def typed_target(line: str) -> Target | None:
    """Return the point of a line such as ``t p0 12.5 -30``; None if it is no such line.

    The name of a place may have spaces.
    """
    word, *rest = line.split() or [""]
    if word.lower() != "t" or len(rest) < 3:
        return None
    point = _point(*rest[-2:])
    if point is None:
        return None
    return Target(place=" ".join(rest[:-2]), x_um=point[0], y_um=point[1])


def _point(x: str, y: str) -> tuple[float, float] | None:
    try:
        point = float(x), float(y)
    except ValueError:
        return None
    return point if all(map(math.isfinite, point)) else None
