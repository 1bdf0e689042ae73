"""StarDist: points with rays become outlines, one for each thing.

The method is that of the StarDist paper (2018): every likely point proposes an outline,
and of two that share more than a part of the smaller one the likelier stays.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from smartscope.errors import AnalysisFailed
from smartscope.inference import STAR_POINTS, STAR_RAYS, STAR_SCORES, map_to_frame
from smartscope.recognition.heads.outline_overlap import (
    inner_discs,
    outline_area,
    shared_area,
)

Floats = npt.NDArray[np.float32]

_AT_ONCE = 64  # outlines that are looked at together, the likeliest that are left
_SHORTEST_RAY_PX = 1e-3  # a net may give rays of no or negative length


def decode_stardist(
    found: Mapping[str, npt.NDArray[Any]],
    overlap: float,
    scale: tuple[float, float] = (1.0, 1.0),
) -> tuple[Floats, Floats, Floats]:
    """Return points, scores and outlines of the things, the likeliest first.

    Parameters
    ----------
    found : Mapping
        What `StarHead` found, in pixels of the model's image.
    overlap : float
        Of two outlines whose shared area is more than this part of the smaller one's
        the likelier stays; of equal ones that further up, then further left.
    scale : tuple of float
        Frame pixels per pixel of that image.

    Returns
    -------
    points_px : np.ndarray
        Shape ``(n, 2)``: where the rays begin, in pixels of the frame.
    score : np.ndarray
        Shape ``(n,)``, in [0, 1].
    outlines_px : np.ndarray
        Shape ``(n, n_rays, 2)``: row, column of the rays' ends, in pixels of the frame.

    Raises
    ------
    smartscope.errors.AnalysisFailed
        If a ray of a likely point is not finite.
    """
    points = found[STAR_POINTS].astype(np.float64)
    score, rays = found[STAR_SCORES], found[STAR_RAYS]
    if not np.isfinite(rays).all():
        raise AnalysisFailed(
            "The model gave rays that are not finite.",
            rule="NaN or infinity in an output says nothing about the specimen.",
        )
    order = np.lexsort((points[:, 1], points[:, 0], -score))
    points, score = points[order], score[order]
    rays = np.maximum(rays[order], _SHORTEST_RAY_PX).astype(np.float64)
    outlines = star_outlines(points, rays)
    kept = thin_stars(outlines, overlap)
    return (
        map_to_frame(points[kept], scale),
        score[kept].clip(0, 1).astype(np.float32),
        map_to_frame(outlines[kept], scale),
    )


def star_outlines(
    points: npt.NDArray[Any], rays: npt.NDArray[Any]
) -> npt.NDArray[np.float64]:
    """Return the ends of rays: ``(n, n_rays, 2)``, row and column.

    Ray k points to the angle ``2 π k / n_rays``, from the direction of the columns
    toward that of the rows.
    """
    angle = np.arange(rays.shape[1]) * (2 * np.pi / rays.shape[1])
    toward = np.stack([np.sin(angle), np.cos(angle)], axis=1)
    ends: npt.NDArray[np.float64] = points[:, None, :] + rays[:, :, None] * toward
    return ends


def thin_stars(outlines: npt.NDArray[Any], overlap: float) -> npt.NDArray[np.intp]:
    """Return the rows that stay when each outline, in order, drops its likes after it.

    An outline stays when no likelier one that stays is like it. So all that nothing
    likelier meets stay at once. Most pairs are decided by bounds: what the boxes around
    two outlines share is more than what the outlines share, what the discs within them
    share is less. The exact area is asked for the rest only.

    Parameters
    ----------
    outlines : np.ndarray
        Shape ``(n, n_rays, 2)``, likeliest first.
    overlap : float
        Alike are outlines whose shared area is more than this part of the smaller one.
    """
    if not len(outlines):
        return np.zeros(0, np.intp)
    area = outline_area(outlines)
    # along arrays without gaps, which is several times as quick
    sides = [np.ascontiguousarray(outlines[..., i]) for i in range(2)]
    low = np.stack([side.min(axis=1) for side in sides], axis=1)
    high = np.stack([side.max(axis=1) for side in sides], axis=1)
    middle, core = inner_discs(outlines)
    # boxes that meet have middles within half of both diagonals
    half = np.hypot(*(high - low).T) / 2
    near = cKDTree((low + high) / 2)
    reach = half + half.max()
    open_still = np.ones(len(outlines), bool)  # neither kept nor dropped
    kept: list[npt.NDArray[np.intp]] = []
    # pairs: one that stays, one not yet known
    one, other = np.zeros(0, np.intp), np.zeros(0, np.intp)
    while len(front := np.flatnonzero(open_still)[:_AT_ONCE]):
        asked = (other <= front[-1]) & open_still[other]
        if asked.any():
            first, second = one[asked], other[asked]
            limit = overlap * np.minimum(area[first], area[second])
            shared = shared_area(outlines[first], outlines[second])
            open_still[second[shared > limit]] = False
            front = front[open_still[front]]
        if len(other):
            later = ~asked & open_still[other]
            one, other = one[later], other[later]
        if not len(front):
            continue
        # those that nothing before them can touch stay, all at once
        free = front[_alone(low[front], high[front])]
        kept.append(free)
        open_still[free] = False
        about = near.query_ball_point(near.data[free], reach[free])
        first = np.repeat(free, [len(those) for those in about])
        second = np.concatenate(about).astype(np.intp)
        rest = open_still[second]
        first, second = first[rest], second[rest]
        box = np.minimum(high[first], high[second])
        box = np.maximum(box - np.maximum(low[first], low[second]), 0)
        limit = overlap * np.minimum(area[first], area[second])
        meet = box[:, 0] * box[:, 1] > limit
        first, second, limit = first[meet], second[meet], limit[meet]
        gap = np.hypot(*(middle[second] - middle[first]).T)
        alike = _lens_area(gap, core[first], core[second]) > limit
        open_still[second[alike]] = False
        unsure = ~alike & open_still[second]
        one = np.concatenate([one, first[unsure]])
        other = np.concatenate([other, second[unsure]])
    return np.sort(np.concatenate(kept))


def _alone(
    low: npt.NDArray[np.float64], high: npt.NDArray[np.float64]
) -> npt.NDArray[np.bool_]:
    """Return which boxes meet none of those before them."""
    meet = np.ones((len(low), len(low)), bool)
    for axis in (0, 1):
        begins = low[:, axis, None] < high[None, :, axis]
        meet &= begins & begins.T
    return np.asarray(~np.tril(meet, -1).any(axis=1))


def _lens_area(
    gap: npt.NDArray[np.float64],
    one: npt.NDArray[np.float64],
    other: npt.NDArray[np.float64],
) -> npt.NDArray[np.float64]:
    """Return the area that discs of radius `one` and `other` share at a distance."""
    small, large = np.minimum(one, other), np.maximum(one, other)
    apart = np.maximum(gap, 1e-9)
    first = _cosine((apart**2 + small**2 - large**2) / (2 * apart * small))
    second = _cosine((apart**2 + large**2 - small**2) / (2 * apart * large))
    kite = ((small + large) ** 2 - apart**2) * (apart**2 - (large - small) ** 2)
    lens = (
        small**2 * np.arccos(first)
        + large**2 * np.arccos(second)
        - np.sqrt(np.maximum(kite, 0)) / 2
    )
    within = gap <= large - small
    area: npt.NDArray[np.float64] = np.where(
        within, np.pi * small**2, np.where(gap >= small + large, 0.0, lens)
    )
    return area


def _cosine(value: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    # of small arrays two ufuncs are several times as quick as np.clip
    cosine: npt.NDArray[np.float64] = np.minimum(np.maximum(value, -1), 1)
    return cosine


def draw_labels(outlines: Floats, shape: tuple[int, int]) -> npt.NDArray[np.int32]:
    """Draw outlines into a label image ``(Y, X)``; where several lie the first shows.

    The outline of row i becomes i + 1. A pixel is in an outline when its middle is, by
    the even-odd rule along its row, edges with it.
    """
    labels = np.zeros(shape, np.int32)
    rows, columns = shape
    if not outlines.size:
        return labels
    n, k, _ = outlines.shape
    begin = outlines.astype(np.float64).reshape(-1, 2)
    end = np.roll(outlines, -1, axis=1).astype(np.float64).reshape(-1, 2)
    lowest = np.ceil(np.minimum(begin[:, 0], end[:, 0])).clip(0, rows)
    highest = np.ceil(np.maximum(begin[:, 0], end[:, 0])).clip(0, rows)
    times = (highest - lowest).astype(np.intp)
    edge = np.repeat(np.arange(n * k), times)
    row = np.arange(len(edge)) - np.repeat(np.cumsum(times) - times, times)
    row += lowest[edge].astype(np.intp)
    share = (row - begin[edge, 0]) / (end[edge, 0] - begin[edge, 0])
    at = begin[edge, 1] + share * (end[edge, 1] - begin[edge, 1])
    # of an outline the crossings with a row, from left to right, go in and out by turns
    order = np.lexsort((at, row, edge // k))
    which, row, at = edge[order] // k, row[order], at[order]
    first = np.ceil(at[::2]).clip(0, columns).astype(np.intp)
    past = (np.floor(at[1::2]) + 1).clip(0, columns).astype(np.intp)
    # the first outlines last, over the others
    for i in range(len(first) - 1, -1, -1):
        labels[row[2 * i], first[i] : past[i]] = which[2 * i] + 1
    return labels
