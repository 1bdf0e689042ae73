"""A packed detector judged on labelled images, as it would run at the microscope."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from smartscope.inference import DetectSettings
from smartscope.recognition import load_detector
from smartscope.training.labelled import Labelled
from smartscope.trial import frame_of, with_labels
from smartscope.validation.metrics import iou_matrix, match

THRESHOLDS = (0.3, 0.4, 0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8)
OVERLAPS = (0.3, 0.4)
"""Above this shared part of the smaller of two outlines the likelier stays."""

LONGER_PX = (0.0, 0.25, 0.5, 0.75, 1.0)
"""What is tried to be added to every ray."""

_IOUS = (0.5, 0.6, 0.7, 0.8, 0.9)


def judged(
    package: Path,
    images: Sequence[Labelled],
    threshold: float | None = None,
    overlap: float | None = None,
) -> dict[str, Any]:
    """Return how well a packed detector does.

    Parameters
    ----------
    package : Path
        Of a detector whose head gives masks.
    images : sequence of Labelled
        Truths it was not trained on.
    threshold, overlap : float, optional
        Default: the card's.

    Returns
    -------
    dict
        ``images``; at IoU 0.5 ``tp``, ``fp``, ``fn`` and ``ap``, TP / (TP + FP + FN) of
        all images together, and ``ap_mean_of_images``; ``ap_by_iou``, of all together.
    """
    settings = DetectSettings(
        model=str(package), threshold=threshold, nms_overlap=overlap
    )
    detector = with_labels(load_detector(settings))
    counts = {iou: np.zeros(3, int) for iou in _IOUS}
    each = []
    for number, one in enumerate(images):
        found = detector.detect(frame_of(one.image, number, 1.0)).labels
        labels = np.zeros_like(one.labels) if found is None else found
        overlaps = iou_matrix(one.labels, labels)
        for iou, sums in counts.items():
            matched = match(overlaps, iou)
            sums += (matched.tp, matched.fp, matched.fn)
        each.append(match(overlaps, _IOUS[0]).ap)
    ap = {f"{iou:g}": float(s[0] / max(1, s.sum())) for iou, s in counts.items()}
    tp, fp, fn = (int(n) for n in counts[_IOUS[0]])
    return {
        "images": len(images),
        "tp": tp,
        "fp": fp,
        "fn": fn,
        "ap": round(ap[f"{_IOUS[0]:g}"], 4),
        "ap_mean_of_images": round(float(np.mean(each)), 4),
        "ap_by_iou": {iou: round(value, 4) for iou, value in ap.items()},
    }


def best_cut(package: Path, images: Sequence[Labelled]) -> tuple[float, float]:
    """Return threshold and overlap of the best average precision at IoU 0.5."""
    cuts = [(t, o) for t in THRESHOLDS for o in OVERLAPS]
    return max(cuts, key=lambda cut: judged(package, images, *cut)["ap"])
