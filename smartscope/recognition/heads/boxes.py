"""Boxes: what a detector of the YOLO family found becomes things, the best first."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from smartscope.errors import AnalysisFailed
from smartscope.inference import BOX_CLASSES, BOX_SCORES, BOXES
from smartscope.recognition.heads.measure import Measured, local_background

Floats = npt.NDArray[np.float32]

_ROUNDING = 1e-3
_RING = 1.3  # in half lengths of a box: where its background is looked for


def decode_boxes(
    found: Mapping[str, npt.NDArray[Any]],
    classes: int,
    scale: tuple[float, float] = (1.0, 1.0),
) -> tuple[Floats, Floats, npt.NDArray[np.int32]]:
    """Return boxes, scores and classes, the best first.

    Parameters
    ----------
    found : Mapping
        What `BoxHead` found, in pixels of the model's image.
    classes : int
        How many there are.
    scale : tuple of float
        Frame pixels per pixel of that image.

    Returns
    -------
    boxes_px : np.ndarray
        Shape ``(n, 4)``: first row, first column, last row + 1, last column + 1, in
        pixels of the frame.
    score : np.ndarray
        Shape ``(n,)``, in [0, 1].
    class_id : np.ndarray
        Shape ``(n,)``, int32.

    Raises
    ------
    smartscope.errors.AnalysisFailed
        If a score or a class is none.
    """
    boxes, score, kind = found[BOXES], found[BOX_SCORES], found[BOX_CLASSES]
    if len(score) and float(score.max()) > 1 + _ROUNDING:
        raise AnalysisFailed(
            f"The model gave a box a score of {score.max():.3g}.",
            rule="Scores lie between 0 and 1.",
            way_out="Export the model with the sigmoid of its scores inside.",
        )
    if len(kind) and not 0 <= kind.min() <= kind.max() < classes:
        raise AnalysisFailed(
            f"The model gave a box the class {kind.max()}, and {classes} are named.",
            rule="Classes count from 0.",
            way_out="Name all 'classes' in the card or the detect settings.",
        )
    order = np.lexsort((kind, boxes[:, 1], boxes[:, 0], -score))
    return (
        (boxes[order] * np.tile(np.asarray(scale), 2)).astype(np.float32),
        score[order].clip(0, 1).astype(np.float32),
        kind[order].astype(np.int32),
    )


def measure_boxes(pixels: npt.NDArray[Any], boxes: Floats) -> Measured:
    """Measure boxes: the area is theirs, the brightness that of the ellipse in them.

    Parameters
    ----------
    pixels : np.ndarray
        Shape ``(Y, X)``, raw counts.
    boxes : np.ndarray
        Shape ``(n, 4)``, as `decode_boxes` gives them.
    """
    sides = boxes[:, 2:] - boxes[:, :2]
    centers = (boxes[:, :2] + boxes[:, 2:]) / 2 - 0.5
    last = np.asarray(pixels.shape) - 1
    mean = np.zeros(len(boxes), np.float32)
    for i, (center, side) in enumerate(zip(centers, sides, strict=True)):
        start = np.ceil(center - side / 2).astype(np.intp).clip(0, last)
        stop = np.floor(center + side / 2).astype(np.intp).clip(start, last) + 1
        rows = (np.arange(start[0], stop[0])[:, None] - center[0]) / side[0]
        columns = (np.arange(start[1], stop[1]) - center[1]) / side[1]
        within = rows**2 + columns**2 <= 0.25
        part = pixels[start[0] : stop[0], start[1] : stop[1]]
        mean[i] = part[within].mean() if within.any() else part.mean()
    background = local_background(pixels, centers, _RING * sides.max(axis=1) / 2)
    return Measured(
        sides.prod(axis=1).astype(np.float32),
        boxes.astype(np.float32),
        (mean - background).astype(np.float32),
    )
