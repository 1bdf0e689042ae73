"""What a star net shall say: from a label image to probabilities and ray lengths."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

_LONGEST_PX = 200.0


@dataclass(frozen=True, slots=True, eq=False)
class StarTargets:
    """Targets on the grid of a net.

    Attributes
    ----------
    probability : np.ndarray
        ``(h, w)`` float32: distance to the thing's edge over the largest one at any of
        its points, so that a thing of a few pixels has a likely point, too.
    lengths : np.ndarray
        ``(rays, h, w)`` float32, pixels of the image; 0 outside of things.
    known : np.ndarray
        ``(rays, h, w)`` bool: the ray ends at the thing's edge, and not at the image's.
    """

    probability: npt.NDArray[np.float32]
    lengths: npt.NDArray[np.float32]
    known: npt.NDArray[np.bool_]


def star_targets(
    labels: npt.NDArray[np.int32],
    rays: int,
    grid: int,
    asked: tuple[np.random.Generator, float] | None = None,
) -> StarTargets:
    """Return the targets of a label image.

    The definitions are those of Schmidt et al. (MICCAI 2018). Ray k points to the angle
    ``2 π k / rays``, from the direction of the columns toward that of the rows.

    Parameters
    ----------
    labels : np.ndarray
        ``(Y, X)`` int32; 0 is background.
    rays : int
        How many.
    grid : int
        Every how many pixels there is a point.
    asked : tuple, optional
        A generator and the share of the points in things, drawn by it, whose rays are
        followed; those of the others are not known. Default: all. Neighbours say nearly
        the same, and following rays is what takes the time.
    """
    rows, columns = labels.shape
    points = labels[::grid, ::grid]
    lengths = np.zeros((rays, *points.shape), np.float32)
    known = np.ones((rays, *points.shape), bool)
    ys, xs = np.nonzero(points)
    if asked is not None:
        rng, share = asked
        known[:, ys, xs] = False
        followed = rng.random(len(ys)) < share
        ys, xs = ys[followed], xs[followed]
    if len(ys):
        angle = 2 * np.pi * np.arange(rays) / rays
        dy, dx = np.sin(angle), np.cos(angle)
        own = points[ys, xs]
        length = np.zeros(rays * len(ys), np.float32)
        ends = np.ones(rays * len(ys), bool)
        going = np.arange(rays * len(ys))
        ray, point = np.divmod(going, len(ys))
        t = 0.0
        while len(going):
            t += 1.0
            y = np.rint(ys[point] * grid + t * dy[ray]).astype(np.intp)
            x = np.rint(xs[point] * grid + t * dx[ray]).astype(np.intp)
            out = (y < 0) | (y >= rows) | (x < 0) | (x >= columns)
            inside = ~out
            same = np.zeros(len(going), bool)
            same[inside] = labels[y[inside], x[inside]] == own[point[inside]]
            if t >= _LONGEST_PX:
                same[:] = False
            length[going[~same]] = t - 0.5
            ends[going[out]] = False
            going, ray, point = going[same], ray[same], point[same]
        lengths[:, ys, xs] = length.reshape(rays, -1)
        known[:, ys, xs] = ends.reshape(rays, -1)
    return StarTargets(_probability(labels, grid), lengths, known)


def _probability(labels: npt.NDArray[np.int32], grid: int) -> npt.NDArray[np.float32]:
    if not labels.any():
        return np.zeros(labels[::grid, ::grid].shape, np.float32)
    edge = np.zeros(labels.shape, bool)
    for axis in (0, 1):
        turned, along = np.moveaxis(labels, axis, 0), np.moveaxis(edge, axis, 0)
        differ = turned[1:] != turned[:-1]
        along[1:] |= differ
        along[:-1] |= differ
    if not edge.any():
        return np.ones(labels[::grid, ::grid].shape, np.float32)
    every = np.s_[::grid, ::grid]
    points = labels[every]
    depth = np.where(
        points > 0, ndimage.distance_transform_edt(~edge)[every] + 0.5, 0.0
    )
    deepest = np.full(int(labels.max()) + 1, 1e-3)
    np.maximum.at(deepest, points, depth)
    made: npt.NDArray[np.float32] = (depth / deepest[points]).astype(np.float32)
    return made
