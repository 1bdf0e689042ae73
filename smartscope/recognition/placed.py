"""Detections from what was found in a frame: measured, and placed on the stage."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from smartscope.acquisition import Frame
from smartscope.recognition.detections import Detections
from smartscope.recognition.heads.measure import Measured, measure_around


def detections_at(
    frame: Frame,
    centers_px: npt.ArrayLike,
    *,
    score: npt.ArrayLike | None = None,
    radius_px: float = 8.0,
) -> Detections:
    """Make Detections from centres alone, for detectors of one's own.

    Parameters
    ----------
    frame : Frame
        Where they were found; brightness is measured on its raw pixels.
    centers_px : array-like
        Shape ``(n, 2)``: row, column.
    score : array-like, optional
        Shape ``(n,)``, in [0, 1]; default: 1.
    radius_px : float
        Usual radius of a thing; it is measured within.

    Raises
    ------
    ValueError
        If the shapes do not agree or a score is outside [0, 1].
    """
    centers = np.asarray(centers_px, np.float32).reshape(-1, 2)
    scores = (
        np.ones(len(centers), np.float32)
        if score is None
        else np.asarray(score, np.float32).reshape(-1)
    )
    measured = measure_around(frame.pixels, centers, radius_px)
    return placed(frame, centers, scores, measured)


def placed(
    frame: Frame,
    centers: npt.NDArray[np.float32],
    score: npt.NDArray[np.float32],
    measured: Measured,
    *,
    min_area_px: float = 0.0,
    class_names: Sequence[str] = ("object",),
    class_id: npt.NDArray[np.int32] | None = None,
    polygons: tuple[npt.NDArray[np.float32], ...] | None = None,
    labels: npt.NDArray[np.int32] | None = None,
) -> Detections:
    """Place things on the stage and drop those that are too small."""
    if class_id is None:
        class_id = np.zeros(len(score), np.int32)
    kept = np.flatnonzero(measured.area_px >= min_area_px)
    state = frame.state
    shape = (frame.pixels.shape[0], frame.pixels.shape[1])
    if len(kept) < len(score):
        centers, score, class_id = centers[kept], score[kept], class_id[kept]
        if polygons is not None:
            polygons = tuple(polygons[i] for i in kept)
        if labels is not None:
            rows = np.zeros(len(measured.area_px) + 1, np.int32)
            rows[kept + 1] = np.arange(1, len(kept) + 1)
            labels = rows[labels]
        measured = Measured(
            measured.area_px[kept], measured.boxes_px[kept], measured.intensity[kept]
        )
    return Detections(
        centers_px=centers,
        centers_um=state.stage_map.to_stage(centers, shape, (state.x_um, state.y_um)),
        score=score,
        class_id=class_id,
        boxes_px=measured.boxes_px,
        area_px=measured.area_px,
        intensity=measured.intensity,
        class_names=tuple(class_names),
        polygons=polygons,
        labels=labels,
    )
