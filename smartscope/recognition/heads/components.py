"""Components: a probability map becomes things that hang together."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from smartscope.inference import map_to_frame
from smartscope.recognition.heads.measure import Measured, local_background

Floats = npt.NDArray[np.float32]

_MARGIN_PX = 4.0  # of the ring of background beyond a thing


def label_components(
    image: Floats, threshold: float, seed_distance: float | None = None
) -> tuple[npt.NDArray[np.int32], int]:
    """Label what hangs together above a threshold, over corners too.

    Parameters
    ----------
    image : np.ndarray
        Shape ``(Y, X)``, the probability.
    threshold : float
        A thing is above it.
    seed_distance : float, optional
        Splits touching things: tops of the distance to the edge that are at least so
        far apart, in pixels of the map, are things of their own. None does not split.

    Returns
    -------
    labels : np.ndarray
        Shape ``(Y, X)``: 0 is background, things are 1 to n.
    n : int
        How many.
    """
    from scipy import ndimage

    above = image > threshold
    labels = np.empty(image.shape, np.int32)
    n = int(ndimage.label(above, np.ones((3, 3), bool), output=labels))
    if seed_distance is None or n == 0:
        return labels, n
    return _split(above, labels, seed_distance)


def _split(
    above: npt.NDArray[np.bool_], labels: npt.NDArray[np.int32], seed_distance: float
) -> tuple[npt.NDArray[np.int32], int]:
    from scipy import ndimage
    from skimage.feature import peak_local_max
    from skimage.segmentation import watershed

    # the frame's edge is no edge of a thing, so a thing cut by it keeps its one top
    depth = ndimage.distance_transform_edt(above)
    depth = ndimage.gaussian_filter(depth, seed_distance / 6)
    tops = peak_local_max(  # type: ignore[no-untyped-call]  # skimage is untyped
        np.where(above, depth, 0),
        min_distance=max(1, round(seed_distance / 2)),
        threshold_abs=0,
        exclude_border=False,
    )
    seeds = np.zeros(labels.shape, np.int32)
    seeds[tuple(tops.T)] = np.arange(1, len(tops) + 1)
    # a thing so thin that it has no top of its own keeps one seed
    seeded = np.zeros(labels.max() + 1, bool)
    seeded[labels[tuple(tops.T)]] = True
    bare = ~seeded[labels] & above
    if bare.any():
        names, first = np.unique(labels[bare], return_index=True)
        seeds.ravel()[np.flatnonzero(bare)[first]] = (
            len(tops) + 1 + np.arange(len(names))
        )
    split: npt.NDArray[np.int32] = watershed(  # type: ignore[no-untyped-call]  # untyped
        -depth, seeds, mask=above, connectivity=2
    ).astype(np.int32)
    return split, int(seeds.max())


def decode_components(
    labels: npt.NDArray[np.int32],
    n: int,
    image: Floats,
    pixels: npt.NDArray[Any],
    stride: tuple[float, float],
) -> tuple[Floats, Floats, Measured]:
    """Return centres, scores and what was measured of labelled things.

    Parameters
    ----------
    labels : np.ndarray
        Shape of the map; things are 1 to n.
    n : int
        How many.
    image : np.ndarray
        The probability; the score of a thing is its mean.
    pixels : np.ndarray
        Shape ``(Y, X)`` of the frame, raw counts.
    stride : tuple of float
        Frame pixels per pixel of the map.

    Returns
    -------
    centers_px : np.ndarray
        Shape ``(n, 2)``: centre of the area.
    score : np.ndarray
        Shape ``(n,)``.
    measured : Measured
        In pixels of the frame.
    """
    where = np.flatnonzero(labels)
    name = labels.ravel()[where]
    size = np.bincount(name, minlength=n + 1)[1:]
    rows, columns = np.divmod(where, labels.shape[1])

    def mean(values: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        sums = np.bincount(name, weights=values, minlength=n + 1)[1:]
        means: npt.NDArray[np.float64] = sums / np.maximum(size, 1)
        return means

    centers = map_to_frame(np.stack([mean(rows), mean(columns)], axis=1), stride)
    score = np.clip(mean(image.ravel()[where]), 0, 1).astype(np.float32)
    low, high = _corners(labels, n)
    scale = np.asarray(stride)
    shape = np.asarray(pixels.shape)
    boxes = np.concatenate(
        [np.minimum(low * scale, shape), np.minimum(high * scale, shape)], axis=1
    ).astype(np.float32)
    if labels.shape == pixels.shape and tuple(stride) == (1.0, 1.0):
        raw = pixels.ravel()[where]
    else:
        # the raw pixels under a map of another pixel size: at the map pixels' middles
        both = np.stack([rows, columns], axis=1)
        at = np.rint(map_to_frame(both, stride)).astype(np.intp)
        raw = pixels[
            at[:, 0].clip(0, pixels.shape[0] - 1), at[:, 1].clip(0, pixels.shape[1] - 1)
        ]
    half = np.maximum(boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]) / 2
    background = local_background(pixels, centers, half + _MARGIN_PX)
    area = (size * scale[0] * scale[1]).astype(np.float32)
    intensity = (mean(raw) - background).astype(np.float32)
    return centers, score, Measured(area, boxes, intensity)


def _corners(
    labels: npt.NDArray[np.int32], n: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the first row and column of each thing, and those past its last ones."""
    nowhere = max(labels.shape)
    boxes: list[Any] = ndimage.find_objects(labels, n)  # None for what is not there
    found = [
        (nowhere, nowhere, 0, 0)
        if one is None
        else (one[0].start, one[1].start, one[0].stop, one[1].stop)
        for one in boxes
    ]
    corners = np.array(found, np.int64).reshape(-1, 4)
    return corners[:, :2], corners[:, 2:]
