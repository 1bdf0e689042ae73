"""Peaks: candidates of a map become centres, one for each thing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from smartscope.inference import (
    PEAK_CLASSES,
    PEAK_CROSSES,
    PEAK_OFFSETS,
    PEAK_POSITIONS,
    Candidates,
    map_to_frame,
)

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
    centers = map_to_frame(_tops(candidates.positions, candidates.crosses), stride)
    kept = _apart(centers, min_distance_px)
    score = np.clip(candidates.crosses[kept, 0], 0, 1).astype(np.float32)
    return centers[kept], score


def decode_class_peaks(
    found: Mapping[str, npt.NDArray[Any]],
    stride: tuple[float, float],
    min_distance_px: float,
) -> tuple[Floats, Floats, npt.NDArray[np.int32]]:
    """Return centres, scores and classes, the best first.

    A thing has one class: of two centres nearer than the least distance the better one
    stays, whatever their classes; of equal ones the one of the earlier class, then the
    one further up, then further left.

    Parameters
    ----------
    found : Mapping
        What `ClassPeakHead` found: with offsets the centres lie where those say, else
        at the tops of parabolas.
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
    class_id : np.ndarray
        Shape ``(n,)``, int32.
    """
    positions, crosses = found[PEAK_POSITIONS], found[PEAK_CROSSES]
    kind = found[PEAK_CLASSES]
    order = np.lexsort((positions[:, 1], positions[:, 0], kind, -crosses[:, 0]))
    tops = _tops(positions[order], crosses[order])
    if (offsets := found.get(PEAK_OFFSETS)) is not None:
        tops = positions[order].astype(np.float64) + offsets[order]
    centers = map_to_frame(tops, stride)
    kept = _apart(centers, min_distance_px)
    rows = order[kept]
    score = np.clip(crosses[rows, 0], 0, 1).astype(np.float32)
    return centers[kept], score, kind[rows].astype(np.int32)


def _tops(positions: npt.NDArray[np.int64], crosses: Floats) -> npt.NDArray[np.float64]:
    """Return the tops of the parabolas along each axis."""
    middle, above, below, left, right = crosses.T.astype(np.float64)
    tops: npt.NDArray[np.float64] = positions.astype(np.float64) + np.stack(
        [_top(above, middle, below), _top(left, middle, right)], axis=1
    )
    return tops


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
