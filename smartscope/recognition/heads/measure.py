"""Measuring found things on the raw frame: area, box, brightness.

Brightness is measured on raw counts and never on a restored image, whose intensities a
model has made. Everything is done for all things at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

_REACH = 1.25  # in radii: how far from its centre a thing may extend
_CORE = 0.3  # in radii: the middle that tells how bright it is
_RING = 1.9  # in radii: where its background is looked for
_SECTORS = 12
_SMOOTH_PX = 5


@dataclass(frozen=True, slots=True, eq=False)
class Measured:
    """What was measured of n things.

    Attributes
    ----------
    area_px : np.ndarray
        Shape ``(n,)``.
    boxes_px : np.ndarray
        Shape ``(n, 4)``: first row, first column, last row + 1, last column + 1.
    intensity : np.ndarray
        Shape ``(n,)``. Mean of the raw pixels less the local background, counts.
    """

    area_px: Floats
    boxes_px: Floats
    intensity: Floats


def measure_around(
    pixels: npt.NDArray[Any], centers_px: npt.NDArray[Any], radius_px: float
) -> Measured:
    """Measure things of which only the centre and the usual radius are known.

    A thing is what is brighter than halfway between its background and its middle,
    within 1.25 radii. The comparison is made on smoothed pixels and the mean is taken
    of raw ones, so that noise does not choose what is averaged: else a dim exposure
    would look brighter than it is.

    Parameters
    ----------
    pixels : np.ndarray
        Shape ``(Y, X)``, raw counts.
    centers_px : np.ndarray
        Shape ``(n, 2)``: row, column.
    radius_px : float
        The usual radius.
    """
    from scipy.ndimage import uniform_filter1d

    n = len(centers_px)
    if not n:
        return Measured(*(np.zeros(s, np.float32) for s in (0, (0, 4), 0)))
    centers = np.asarray(centers_px, np.float32)
    reach = max(2.0, _REACH * radius_px)
    half = int(np.ceil(reach))
    steps = np.arange(-half, half + 1)
    corner = np.rint(centers).astype(np.intp)
    rows, columns = corner[:, :1] + steps, corner[:, 1:] + steps
    inside = ((rows >= 0) & (rows < pixels.shape[0]))[:, :, None] & (
        (columns >= 0) & (columns < pixels.shape[1])
    )[:, None, :]
    patch = pixels[
        rows.clip(0, pixels.shape[0] - 1)[:, :, None],
        columns.clip(0, pixels.shape[1] - 1)[:, None, :],
    ].astype(np.float32)
    from_center = ((rows - centers[:, :1]) ** 2)[:, :, None] + (
        (columns - centers[:, 1:]) ** 2
    )[:, None, :]
    background = local_background(pixels, centers, np.full(n, _RING * radius_px))
    core = (from_center <= max(1.5, _CORE * radius_px) ** 2) & inside
    middle = _mean(patch, core, background)
    smooth = uniform_filter1d(
        uniform_filter1d(patch, _SMOOTH_PX, axis=1, mode="nearest"),
        _SMOOTH_PX,
        axis=2,
        mode="nearest",
    )
    level = background + (middle - background) / 2
    thing = (smooth > level[:, None, None]) & (from_center <= reach**2) & inside
    # something no brighter than its surroundings is still there: its middle
    thing = np.where((middle > background)[:, None, None], thing | core, core)
    has_row, has_column = thing.any(axis=2), thing.any(axis=1)
    boxes = np.stack(
        [
            rows[:, 0] + has_row.argmax(axis=1),
            columns[:, 0] + has_column.argmax(axis=1),
            rows[:, -1] + 1 - has_row[:, ::-1].argmax(axis=1),
            columns[:, -1] + 1 - has_column[:, ::-1].argmax(axis=1),
        ],
        axis=1,
    ).astype(np.float32)
    intensity = _mean(patch, thing, middle) - background
    return Measured(
        np.maximum(1, thing.sum(axis=(1, 2))).astype(np.float32), boxes, intensity
    )


def local_background(
    pixels: npt.NDArray[Any], centers_px: npt.NDArray[Any], radius_px: npt.NDArray[Any]
) -> Floats:
    """Return the counts around things, from 12 places on a ring about each.

    A place is the mean of 3 × 3 pixels. The fourth darkest is taken, so that up to two
    thirds of the ring may lie on neighbours. Places beyond the frame are taken at its
    edge.

    Parameters
    ----------
    pixels : np.ndarray
        Shape ``(Y, X)``, raw counts.
    centers_px : np.ndarray
        Shape ``(n, 2)``: row, column.
    radius_px : np.ndarray
        Shape ``(n,)``: radius of each ring.
    """
    angle = np.arange(_SECTORS) * (2 * np.pi / _SECTORS)
    toward = np.stack([np.sin(angle), np.cos(angle)], axis=1)
    places = (
        np.asarray(centers_px, np.float64)[:, None, :]
        + np.asarray(radius_px, np.float64)[:, None, None] * toward
    )
    near = np.rint(places).astype(np.intp)
    step = np.arange(-1, 2)
    last_row, last_column = pixels.shape[0] - 1, pixels.shape[1] - 1
    rows = (near[..., 0, None] + step).clip(0, last_row)
    columns = (near[..., 1, None] + step).clip(0, last_column)
    blocks = pixels[rows[..., :, None], columns[..., None, :]]
    means = blocks.mean(axis=(2, 3), dtype=np.float32)
    darkest: Floats = np.partition(means, _SECTORS // 3 - 1, axis=1)[
        :, _SECTORS // 3 - 1
    ]
    return darkest


def _mean(patch: Floats, mask: npt.NDArray[np.bool_], default: Floats) -> Floats:
    """Return the mean of each patch under its mask; `default` where that is empty."""
    count = mask.sum(axis=(1, 2))
    total = np.einsum("nij,nij->n", patch, mask.astype(np.float32))
    mean: Floats = np.where(count > 0, total / np.maximum(count, 1), default)
    return mean.astype(np.float32)
