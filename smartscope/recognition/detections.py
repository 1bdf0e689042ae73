"""Things found in one frame."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, slots=True, eq=False)
class Detections:
    """Things found in one frame, as parallel arrays of length n.

    Attributes
    ----------
    centers_px : np.ndarray
        Shape ``(n, 2)``, float32. Row, column in pixels of the frame.
    centers_um : np.ndarray
        Shape ``(n, 2)``, float64. Stage x, y.
    score : np.ndarray
        Shape ``(n,)``, float32, in ``[0, 1]``.
    class_id : np.ndarray
        Shape ``(n,)``, int32.
    boxes_px : np.ndarray
        Shape ``(n, 4)``, float32. First row, first column, last row + 1, last
        column + 1.
    area_px : np.ndarray
        Shape ``(n,)``, float32.
    intensity : np.ndarray
        Shape ``(n,)``, float32. Mean of the raw pixels over the thing less the local
        background, counts.
    polygons : tuple of np.ndarray or None
        n outlines, each ``(k, 2)`` float32, row and column of its corners; None where
        the head gives none.
    labels : np.ndarray or None
        Shape ``(Y, X)``, int32: 0 is background, i + 1 is the thing of row i; None
        where the head gives none. It stays out of the journal.
    """

    centers_px: npt.NDArray[np.float32]
    centers_um: npt.NDArray[np.float64]
    score: npt.NDArray[np.float32]
    class_id: npt.NDArray[np.int32]
    boxes_px: npt.NDArray[np.float32]
    area_px: npt.NDArray[np.float32]
    intensity: npt.NDArray[np.float32]
    class_names: tuple[str, ...] = field(default=("object",))
    polygons: tuple[npt.NDArray[np.float32], ...] | None = None
    labels: npt.NDArray[np.int32] | None = None

    def __post_init__(self) -> None:
        n = len(self.score)
        shapes = {
            "centers_px": (n, 2),
            "centers_um": (n, 2),
            "score": (n,),
            "class_id": (n,),
            "boxes_px": (n, 4),
            "area_px": (n,),
            "intensity": (n,),
        }
        for name, shape in shapes.items():
            if (got := getattr(self, name).shape) != shape:
                raise ValueError(
                    f"{name} must have shape {shape}, one row per score, got {got}"
                )
        if n and not (self.score.min() >= 0 and self.score.max() <= 1):
            raise ValueError(
                f"score must lie in [0, 1], got {self.score.min()} to "
                f"{self.score.max()}"
            )
        self._check_outlines(n)

    def _check_outlines(self, n: int) -> None:
        if self.polygons is not None:
            if len(self.polygons) != n:
                raise ValueError(
                    f"polygons must have one outline per score, got "
                    f"{len(self.polygons)} for {n}"
                )
            for polygon in self.polygons:
                if polygon.ndim != 2 or polygon.shape[1] != 2 or len(polygon) < 3:
                    raise ValueError(
                        "a polygon must have shape (k, 2) with at least 3 corners, "
                        f"got {polygon.shape}"
                    )
        if self.labels is not None:
            if self.labels.ndim != 2 or self.labels.dtype != np.int32:
                raise ValueError(
                    "labels must be an int32 image (Y, X), got "
                    f"{self.labels.dtype} of shape {self.labels.shape}"
                )
            if (
                self.labels.size
                and not 0 <= self.labels.min() <= self.labels.max() <= n
            ):
                raise ValueError(
                    f"labels must lie in 0 to {n}, the number of scores, got "
                    f"{self.labels.min()} to {self.labels.max()}"
                )

    def __len__(self) -> int:
        return len(self.score)

    @classmethod
    def empty(cls) -> Detections:
        """Return detections of length 0."""
        return cls(
            centers_px=np.zeros((0, 2), np.float32),
            centers_um=np.zeros((0, 2), np.float64),
            score=np.zeros(0, np.float32),
            class_id=np.zeros(0, np.int32),
            boxes_px=np.zeros((0, 4), np.float32),
            area_px=np.zeros(0, np.float32),
            intensity=np.zeros(0, np.float32),
        )

    def to_record(self) -> dict[str, Any]:
        """Return plain lists for the journal, rounded to what can be measured."""
        record = {
            "centers_px": np.round(self.centers_px.astype(float), 2).tolist(),
            "centers_um": np.round(self.centers_um, 3).tolist(),
            "score": np.round(self.score.astype(float), 4).tolist(),
            "class_id": self.class_id.tolist(),
            "area_px": np.round(self.area_px.astype(float), 1).tolist(),
            "intensity": np.round(self.intensity.astype(float), 2).tolist(),
        }
        if self.polygons is not None:
            record["polygons"] = [
                np.round(p.astype(float), 1).tolist() for p in self.polygons
            ]
        return record
