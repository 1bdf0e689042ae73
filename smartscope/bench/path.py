"""How few moves keep a cell in the middle, if its true path is known."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Points = npt.NDArray[np.float64]
_SLACK = 1e-7


def fewest_moves(path_um: Points, dead_band_um: float) -> int:
    """Return the fewest moves of one who knows the whole path beforehand.

    The least number of standing positions, less the first, with which every point of
    the path lies within the dead band of the position that holds then. A stretch needs
    no move if the smallest circle about it is no larger than the dead band; the longest
    stretch each time, from the beginning on, gives the least number, because a part of
    a stretch that needs no move needs none.

    Parameters
    ----------
    path_um : np.ndarray
        Shape ``(n, 2)``: where the cell was at each visit.
    dead_band_um : float
        Radius.
    """
    stretches, begin = 0, 0
    while begin < len(path_um):
        begin += _longest(path_um[begin:], dead_band_um)
        stretches += 1
    return max(0, stretches - 1)


def moves_without_foresight(path_um: Points, dead_band_um: float) -> int:
    """Return the moves of one who sees the true place, exactly and at once.

    It begins on the cell, and at each visit that finds it farther off than the dead
    band the stage is put on it exactly, before the next one.

    Parameters
    ----------
    path_um : np.ndarray
        Shape ``(n, 2)``.
    dead_band_um : float
        Radius.
    """
    if not len(path_um):
        return 0
    moves, stage = 0, path_um[0]
    for point in path_um[1:]:
        if math.dist(point, stage) > dead_band_um:
            moves, stage = moves + 1, point
    return moves


def _longest(path_um: Points, radius_um: float) -> int:
    """Return how many points from the first on a circle of that radius can hold."""
    fits, tried = 1, 2
    while tried <= len(path_um) and smallest_circle(path_um[:tried])[1] <= radius_um:
        fits, tried = tried, 2 * tried
    tried = min(tried, len(path_um) + 1)
    while tried - fits > 1:
        middle = (fits + tried) // 2
        if smallest_circle(path_um[:middle])[1] <= radius_um:
            fits = middle
        else:
            tried = middle
    return fits


def smallest_circle(points: Points) -> tuple[tuple[float, float], float]:
    """Return centre and radius of the smallest circle about points.

    Incremental algorithm of E. Welzl, LNCS 555 (1991), 359-370.

    Parameters
    ----------
    points : np.ndarray
        Shape ``(n, 2)``, n ≥ 1.
    """
    spots = [(float(x), float(y)) for x, y in points]
    # any order gives the same circle; a mixed one is quick
    order = np.random.default_rng(0).permutation(len(spots))
    spots = [spots[i] for i in order]
    circle = (spots[0], 0.0)
    for i, p in enumerate(spots):
        if _holds(circle, p):
            continue
        circle = (p, 0.0)
        for j, q in enumerate(spots[:i]):
            if _holds(circle, q):
                continue
            circle = _about([p, q])
            for r in spots[:j]:
                if not _holds(circle, r):
                    circle = _about([p, q, r])
    return circle


Circle = tuple[tuple[float, float], float]


def _holds(circle: Circle, point: tuple[float, float]) -> bool:
    return math.dist(circle[0], point) <= circle[1] * (1 + _SLACK) + _SLACK


def _about(points: Sequence[tuple[float, float]]) -> Circle:
    """Return the circle through three points, or with two as its diameter."""
    (ax, ay), (bx, by) = points[0], points[1]
    if len(points) == 2:
        middle = ((ax + bx) / 2, (ay + by) / 2)
        return middle, math.dist(points[0], points[1]) / 2
    cx, cy = points[2]
    bx, by, cx, cy = bx - ax, by - ay, cx - ax, cy - ay
    d = 2 * (bx * cy - by * cx)
    if abs(d) < 1e-12:
        # on a line: the two farthest apart
        pairs = [(points[i], points[k]) for i in range(3) for k in range(i)]
        return _about(max(pairs, key=lambda pair: math.dist(*pair)))
    b, c = bx * bx + by * by, cx * cx + cy * cy
    x, y = (cy * b - by * c) / d, (bx * c - cx * b) / d
    return (ax + x, ay + y), math.hypot(x, y)
