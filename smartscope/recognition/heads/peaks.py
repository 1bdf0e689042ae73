"""Peaks: candidates of a map become centres, one for each thing."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from smartscope.inference import Candidates, map_to_frame

Floats = npt.NDArray[np.float32]


def decode_peaks(
    candidates: Candidates, stride: tuple[float, float], min_distance_px: float
) -> tuple[Floats, Floats]:
    """Return centres and scores, the best first.

    The centre lies at the top of the parabola through a candidate and its two
    neighbours along each axis. Of two centres nearer than the least distance the better
    one stays; of equal ones the one further up, then further left.

    Parameters
    ----------
    candidates : Candidates
        Local maxima, best first.
    stride : tuple of float
        Frame pixels per pixel of the map.
    min_distance_px : float
        In frame pixels.

    Returns
    -------
    centers_px : np.ndarray
        Shape ``(n, 2)``, row and column in the frame.
    score : np.ndarray
        Shape ``(n,)``, in [0, 1].
    """
    middle, above, below, left, right = candidates.crosses.T.astype(np.float64)
    tops = candidates.positions + np.stack(
        [_top(above, middle, below), _top(left, middle, right)], axis=1
    )
    centers = map_to_frame(tops, stride)
    kept = _apart(centers, min_distance_px)
    return centers[kept], np.clip(middle[kept], 0, 1).astype(np.float32)


def _top(
    before: npt.NDArray[np.float64],
    middle: npt.NDArray[np.float64],
    after: npt.NDArray[np.float64],
) -> npt.NDArray[np.float64]:
    """Return where the parabola through three values has its top, from the middle."""
    bend = before - 2 * middle + after
    flat = bend >= 0
    top: npt.NDArray[np.float64] = 0.5 * (before - after) / np.where(flat, 1.0, bend)
    return np.where(flat, 0.0, top).clip(-0.5, 0.5)


def _apart(centers: Floats, distance: float) -> npt.NDArray[np.intp]:
    """Return the rows that stay when each, in order, drops its nearer followers."""
    left = np.arange(len(centers))
    kept = []
    while len(left):
        first, left = left[0], left[1:]
        kept.append(first)
        gap = centers[left] - centers[first]
        left = left[(gap * gap).sum(axis=1) >= distance * distance]
    return np.asarray(kept, np.intp)
