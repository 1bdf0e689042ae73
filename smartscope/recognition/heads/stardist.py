"""StarDist: points with rays become outlines, one for each thing.

The method is that of the StarDist paper (2018): every likely point proposes an outline,
and of two that share more than a part of the smaller one the likelier stays.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from smartscope.errors import AnalysisFailed
from smartscope.inference import STAR_POINTS, STAR_RAYS, STAR_SCORES, map_to_frame
from smartscope.recognition.heads.outline_overlap import (
    inner_discs,
    outline_area,
    shared_area,
)

Floats = npt.NDArray[np.float32]

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

    Most pairs are decided by bounds: what the boxes around two outlines share is more
    than what the outlines share, what the discs within them share is less. The exact
    area is asked for the rest only.

    Parameters
    ----------
    outlines : np.ndarray
        Shape ``(n, n_rays, 2)``, likeliest first.
    overlap : float
        Alike are outlines whose shared area is more than this part of the smaller one.
    """
    area = outline_area(outlines)
    low, high = outlines.min(axis=1), outlines.max(axis=1)
    middle, core = inner_discs(outlines)
    dropped = np.zeros(len(outlines), bool)
    left = np.arange(len(outlines))
    kept: list[int] = []
    doubts: list[npt.NDArray[np.intp]] = []  # pairs: one that stays, one not yet known
    doubtful = np.zeros(len(outlines), bool)
    while len(left):
        first = left[0]
        if doubtful[first]:
            one, other = np.concatenate(doubts).T
            asked = ~dropped[other]
            one, other = one[asked], other[asked]
            limit = overlap * np.minimum(area[one], area[other])
            shared = shared_area(outlines[one], outlines[other])
            dropped[other[shared > limit]] = True
            doubtful[:] = False
            doubts = []
            left = left[~dropped[left]]
            continue
        kept.append(int(first))
        left = left[1:]
        sides = np.minimum(high[first], high[left]) - np.maximum(low[first], low[left])
        sides = sides.clip(0)
        limit = overlap * np.minimum(area[first], area[left])
        near = np.flatnonzero(sides[:, 0] * sides[:, 1] > limit)
        if not len(near):
            continue
        others = left[near]
        gap = np.hypot(*(middle[others] - middle[first]).T)
        alike = _lens_area(gap, core[first], core[others]) > limit[near]
        dropped[others[alike]] = True
        unsure = others[~alike]
        doubtful[unsure] = True
        doubts.append(np.stack([np.full(len(unsure), first), unsure], axis=1))
        left = left[~dropped[left]]
    return np.asarray(kept, np.intp)


def _lens_area(
    gap: npt.NDArray[np.float64], one: float, other: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Return the area that discs of radius `one` and `other` share at a distance."""
    small, large = np.minimum(one, other), np.maximum(one, other)
    apart = np.maximum(gap, 1e-9)
    first = ((apart**2 + small**2 - large**2) / (2 * apart * small)).clip(-1, 1)
    second = ((apart**2 + large**2 - small**2) / (2 * apart * large)).clip(-1, 1)
    kite = (
        (-apart + small + large)
        * (apart + small - large)
        * (apart - small + large)
        * (apart + small + large)
    )
    lens = (
        small**2 * np.arccos(first)
        + large**2 * np.arccos(second)
        - np.sqrt(kite.clip(0)) / 2
    )
    within = gap <= large - small
    area: npt.NDArray[np.float64] = np.where(
        within, np.pi * small**2, np.where(gap >= small + large, 0.0, lens)
    )
    return area


def draw_labels(outlines: Floats, shape: tuple[int, int]) -> npt.NDArray[np.int32]:
    """Draw outlines into a label image ``(Y, X)``; where several lie the first shows.

    The outline of row i becomes i + 1. Pixels are drawn as scikit-image draws polygons.
    """
    from skimage.draw import polygon

    labels = np.zeros(shape, np.int32)
    for i in range(len(outlines) - 1, -1, -1):
        rows, columns = polygon(  # type: ignore[no-untyped-call]  # skimage is untyped
            outlines[i, :, 0], outlines[i, :, 1], shape
        )
        labels[rows, columns] = i + 1
    return labels
