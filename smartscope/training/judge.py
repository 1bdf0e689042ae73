"""A packed detector judged on labelled images, as it would run at the microscope."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import useq

from smartscope.acquisition import Frame, FrameState
from smartscope.inference import DetectSettings
from smartscope.recognition import Detections, load_detector
from smartscope.training.labelled import Labelled
from smartscope.validation.metrics import iou_matrix, match

_THRESHOLDS = (0.3, 0.4, 0.5, 0.6, 0.7)
_IOUS = (0.5, 0.6, 0.7, 0.8, 0.9)


@dataclass(frozen=True, slots=True)
class Judged:
    """What a detector finds on some images.

    Attributes
    ----------
    average_precision : dict of float to float
        TP / (TP + FP + FN) over all images together, by the IoU that makes a match.
    mean_average_precision : float
        At IoU 0.5, mean over the images.
    true_positives, false_positives, false_negatives : int
        At IoU 0.5.
    images : int
        How many.
    """

    average_precision: dict[float, float]
    mean_average_precision: float
    true_positives: int
    false_positives: int
    false_negatives: int
    images: int

    def to_record(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "images": self.images,
            "average_precision": {
                f"{iou:g}": round(ap, 4) for iou, ap in self.average_precision.items()
            },
            "mean_average_precision": round(self.mean_average_precision, 4),
            "true_positives": self.true_positives,
            "false_positives": self.false_positives,
            "false_negatives": self.false_negatives,
        }


def judged(
    package: Path, images: Sequence[Labelled], threshold: float | None = None
) -> Judged:
    """Return how well a packed detector does.

    Parameters
    ----------
    package : Path
        Of a detector whose head gives label images.
    images : sequence of Labelled
        Truths it was not trained on.
    threshold : float, optional
        Default: the card's.
    """
    detector = load_detector(DetectSettings(model=str(package), threshold=threshold))
    counts = {iou: [0, 0, 0] for iou in _IOUS}
    each = []
    for one in images:
        found = detector.detect(bare_frame(one.image))
        overlaps = iou_matrix(one.labels, _labels(found, one))
        for iou, sums in counts.items():
            matched = match(overlaps, iou)
            sums[0] += matched.tp
            sums[1] += matched.fp
            sums[2] += matched.fn
            if iou == _IOUS[0]:
                each.append(matched.ap)
    tp, fp, fn = counts[_IOUS[0]]
    return Judged(
        {iou: a / max(1, a + b + c) for iou, (a, b, c) in counts.items()},
        float(np.mean(each)),
        tp,
        fp,
        fn,
        len(images),
    )


def best_threshold(package: Path, images: Sequence[Labelled]) -> float:
    """Return the threshold of the best average precision at IoU 0.5."""
    scores = {
        threshold: judged(package, images, threshold).average_precision[0.5]
        for threshold in _THRESHOLDS
    }
    return max(scores, key=lambda threshold: scores[threshold])


def bare_frame(pixels: np.ndarray[Any, Any], pixel_size_um: float = 1.0) -> Frame:
    """Return a frame of an image without a microscope."""
    counts = pixels if pixels.dtype in (np.uint8, np.uint16) else _as_counts(pixels)
    return Frame(
        pixels=np.ascontiguousarray(counts),
        event=useq.MDAEvent(),
        frame_id=0,
        time_s=0.0,
        handed_over_s=0.0,
        place="p0",
        state=FrameState(
            x_um=0.0,
            y_um=0.0,
            z_um=0.0,
            exposure_ms=1.0,
            channel="",
            pixel_size_um=pixel_size_um,
        ),
        bit_depth=8 * counts.dtype.itemsize,
    )


def _as_counts(pixels: np.ndarray[Any, Any]) -> np.ndarray[Any, np.dtype[np.uint16]]:
    low, high = float(pixels.min()), float(pixels.max())
    level = (pixels.astype(np.float64) - low) / max(high - low, 1e-12)
    return np.rint(level * 65535).astype(np.uint16)


def _labels(found: Detections, one: Labelled) -> np.ndarray[Any, Any]:
    return found.labels if found.labels is not None else np.zeros_like(one.labels)
