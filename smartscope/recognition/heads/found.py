"""What a head found in a frame, before it is placed on the stage."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from smartscope.inference import LABELS, WHOLE_SCORES, Inferred
from smartscope.recognition.heads.boxes import decode_boxes, measure_boxes
from smartscope.recognition.heads.classes import decode_classes
from smartscope.recognition.heads.components import decode_components
from smartscope.recognition.heads.labels import labels_in_frame, number_labels
from smartscope.recognition.heads.measure import Measured, measure_around
from smartscope.recognition.heads.peaks import decode_class_peaks
from smartscope.recognition.heads.stardist import decode_stardist, draw_labels

Floats = npt.NDArray[np.float32]
Image = npt.NDArray[Any]


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """Things in a frame, as parallel arrays; see `Detections`."""

    centers: Floats
    score: Floats
    measured: Measured
    class_id: npt.NDArray[np.int32] | None = None
    polygons: tuple[Floats, ...] | None = None
    labels: npt.NDArray[np.int32] | None = None


def found_class_peaks(
    inferred: Inferred, pixels: Image, min_distance_px: float, radius_px: float
) -> Found:
    """Return the peaks of several classes, measured within a radius."""
    centers, score, kind = decode_class_peaks(
        inferred.outputs, inferred.stride, min_distance_px
    )
    centers = centers.clip(0, np.asarray(pixels.shape, np.float32) - 1)
    return Found(centers, score, measure_around(pixels, centers, radius_px), kind)


def found_boxes(inferred: Inferred, pixels: Image, classes: int) -> Found:
    """Return the boxes."""
    boxes, score, kind = decode_boxes(inferred.outputs, classes, inferred.scale)
    # a box is half a pixel ahead of the middles of its pixels
    centers = ((boxes[:, :2] + boxes[:, 2:]) / 2 - 0.5).astype(np.float32)
    return Found(centers, score, measure_boxes(pixels, boxes), kind)


def found_stars(inferred: Inferred, pixels: Image, overlap: float) -> Found:
    """Return the outlines, their labels, and what was measured under those.

    A thing that better ones cover entirely shows no pixel and is left out.
    """
    shape = (pixels.shape[0], pixels.shape[1])
    _, score, outlines = decode_stardist(inferred.outputs, overlap, inferred.scale)
    drawn = draw_labels(outlines, shape)
    shown = np.flatnonzero(np.bincount(drawn.ravel(), minlength=len(outlines) + 1)[1:])
    numbers = np.zeros(len(outlines) + 1, np.int32)
    numbers[shown + 1] = np.arange(1, len(shown) + 1)
    labels = numbers[drawn]
    centers, _, measured = _measured(labels, len(shown), pixels)
    polygons = tuple(outlines[shown])
    return Found(centers, score[shown], measured, None, polygons, labels)


def found_labels(inferred: Inferred, pixels: Image) -> Found:
    """Return the things of a label image; it gives no scores, so each is sure."""
    shape = (pixels.shape[0], pixels.shape[1])
    given = labels_in_frame(inferred.outputs[LABELS], shape, inferred.stride)
    labels, n = number_labels(given)
    centers, score, measured = _measured(labels, n, pixels)
    return Found(centers, score, measured, labels=labels)


def found_class(inferred: Inferred, pixels: Image, threshold: float) -> Found:
    """Return the field with its class."""
    centers, score, kind, measured = decode_classes(
        inferred.outputs[WHOLE_SCORES], pixels, threshold
    )
    return Found(centers, score, measured, kind)


def _measured(
    labels: npt.NDArray[np.int32], n: int, pixels: Image
) -> tuple[Floats, Floats, Measured]:
    return decode_components(
        labels, n, np.ones(labels.shape, np.float32), pixels, (1.0, 1.0)
    )
