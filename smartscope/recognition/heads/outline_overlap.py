"""Exact areas that star-shaped outlines share, for many pairs at once.

By the theorem of Green, the area two outlines share is half the sum of ``p × d`` over
the parts of their edges that lie inside the other outline, where an edge runs from p
along d. How much of an edge lies inside follows from where it begins and where it
crosses: it gains ``1 - t`` where it enters at the share t of its length and loses it
where it leaves. No clipped polygon is ever built, so everything is arrays.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[Any]

# outlines whose corners or edges coincide are taken apart by less than matters
_APART_PX = (1.3e-4, 0.7e-4)
_AT_ONCE = 100_000  # elements of an array: pairs × corners × corners


def outline_area(outlines: Floats) -> Floats:
    """Return the areas of outlines.

    Parameters
    ----------
    outlines : np.ndarray
        Shape ``(n, k, 2)``, corners in order.
    """
    after = np.roll(outlines, -1, axis=1)
    area: Floats = (
        np.abs(
            (outlines[..., 0] * after[..., 1] - outlines[..., 1] * after[..., 0]).sum(1)
        )
        / 2
    )
    return area


def inner_discs(outlines: Floats) -> tuple[Floats, Floats]:
    """Return centres ``(n, 2)`` and radii ``(n,)`` of discs that lie within outlines.

    They are about the centroids and reach to the nearest edge; where a centroid lies
    outside its outline the radius is 0.
    """
    # rows and columns apart: arrays without gaps, which is twice as quick
    y, x = (np.ascontiguousarray(outlines[..., i]) for i in range(2))
    origin = np.stack([y[:, 0], x[:, 0]], axis=1)
    y, x = y - y[:, :1], x - x[:, :1]
    edge_y, edge_x = _after(y) - y, _after(x) - x
    turn = y * edge_x - x * edge_y
    whole = turn.sum(axis=1)
    thrice = np.where(whole == 0, 1, 3 * whole)
    middle_y = ((2 * y + edge_y) * turn).sum(axis=1) / thrice
    middle_x = ((2 * x + edge_x) * turn).sum(axis=1) / thrice
    off_y, off_x = middle_y[:, None] - y, middle_x[:, None] - x
    length = edge_y**2 + edge_x**2
    along = (off_y * edge_y + off_x * edge_x) / np.where(length == 0, 1, length)
    along = along.clip(0, 1)
    gap = (off_y - along * edge_y) ** 2 + (off_x - along * edge_x) ** 2
    radii = np.sqrt(gap.min(axis=1))
    left = edge_y * off_x - edge_x * off_y > 0
    # a line from the centroid crosses an odd number of edges
    here = y > middle_y[:, None]
    there = _after(here)
    crossed = (here != there) & (left != there)
    inside = (crossed.sum(axis=1) % 2 == 1) & (whole != 0)
    middle = np.stack([middle_y, middle_x], axis=1)
    return middle + origin, np.where(inside, radii, 0.0)


def _after(corners: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return np.concatenate([corners[:, 1:], corners[:, :1]], axis=1)


def shared_area(one: Floats, other: Floats) -> Floats:
    """Return the area that each of `one` shares with its partner in `other`.

    Parameters
    ----------
    one, other : np.ndarray
        Shape ``(n, k, 2)`` each: outlines without crossings.

    Returns
    -------
    np.ndarray
        Shape ``(n,)``, in squared units of the corners.
    """
    pairs, corners, _ = one.shape
    step = max(1, _AT_ONCE // corners**2)
    parts = [
        _shared(one[i : i + step], other[i : i + step]) for i in range(0, pairs, step)
    ]
    return np.concatenate(parts) if parts else np.zeros(0)


def _shared(one: Floats, other: Floats) -> Floats:
    # near the origin, where floats are fine; both moved alike
    middle = one.mean(axis=1, keepdims=True)
    a = one - middle
    b = other - middle + np.asarray(_APART_PX)
    a_edge, b_edge = np.roll(a, -1, axis=1) - a, np.roll(b, -1, axis=1) - b
    a_turn, b_turn = _turn(a, a_edge), _turn(b, b_edge)
    # corners of one, edges of the other: on which side of the edge the corner lies
    a_of_b, b_of_a = _side(a, b, b_edge, b_turn), _side(b, a, a_edge, a_turn)
    a_left, b_left = a_of_b > 0, b_of_a > 0
    # one whole turn of an outline has its area on this side
    a_round, b_round = a_turn.sum(1) > 0, b_turn.sum(1) > 0
    mine = _odd(a, b, a_left).astype(np.float64)
    theirs = _odd(b, a, b_left).astype(np.float64)
    cross = (a_left != np.roll(a_left, -1, axis=1)) & (
        b_left != np.roll(b_left, -1, axis=1)
    ).transpose(0, 2, 1)
    n, i, j = np.nonzero(cross)
    _add_crossings(mine, a_of_b, a_left, b_round, n, i, j)
    _add_crossings(theirs, b_of_a, b_left, a_round, n, j, i)
    # the two may go round differently, so each counts with its own sense
    total = (a_turn * mine).sum(1) * np.where(a_round, 1, -1) + (b_turn * theirs).sum(
        1
    ) * np.where(b_round, 1, -1)
    shared: Floats = (total / 2).clip(0)
    return shared


def _add_crossings(
    inside: Floats,
    side: Floats,
    left: npt.NDArray[np.bool_],
    round_left: npt.NDArray[np.bool_],
    n: npt.NDArray[np.intp],
    corner: npt.NDArray[np.intp],
    edge: npt.NDArray[np.intp],
) -> None:
    """Add to the share of each edge that lies inside what its crossings change."""
    after_corner = (corner + 1) % side.shape[1]
    before, after = side[n, corner, edge], side[n, after_corner, edge]
    enters = left[n, after_corner, edge] == round_left[n]
    rest = 1 - before / (before - after)
    flat = n * inside.shape[1] + corner
    inside += np.bincount(
        flat, weights=np.where(enters, rest, -rest), minlength=inside.size
    ).reshape(inside.shape)


def _side(points: Floats, start: Floats, edge: Floats, turn: Floats) -> Floats:
    """Return ``edge × (point - start)`` as (n, points, edges)."""
    # as a product of matrices, which is several times faster than three outer products
    of_points = np.concatenate([points, np.ones_like(points[..., :1])], axis=2)
    of_edges = np.stack([-edge[..., 1], edge[..., 0], turn], axis=1)
    sides: Floats = of_points @ of_edges
    return sides


def _odd(
    points: Floats, outline: Floats, left: npt.NDArray[np.bool_]
) -> npt.NDArray[np.bool_]:
    """Return which points lie inside: a line from them crosses an odd number of edges.

    ``left`` tells for each point and edge on which side of the edge the point lies.
    """
    here = outline[:, None, :, 0] > points[:, :, None, 0]
    there = np.roll(here, -1, axis=2)
    beyond = (here != there) & (left != there)
    odd: npt.NDArray[np.bool_] = np.logical_xor.reduce(beyond, axis=2)
    return odd


def _turn(one: Floats, other: Floats) -> Floats:
    turn: Floats = one[..., 0] * other[..., 1] - one[..., 1] * other[..., 0]
    return turn
