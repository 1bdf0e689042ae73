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
    """

    centers_px: npt.NDArray[np.float32]
    centers_um: npt.NDArray[np.float64]
    score: npt.NDArray[np.float32]
    class_id: npt.NDArray[np.int32]
    boxes_px: npt.NDArray[np.float32]
    area_px: npt.NDArray[np.float32]
    intensity: npt.NDArray[np.float32]
    class_names: tuple[str, ...] = field(default=("object",))

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
        return {
            "centers_px": np.round(self.centers_px.astype(float), 2).tolist(),
            "centers_um": np.round(self.centers_um, 3).tolist(),
            "score": np.round(self.score.astype(float), 4).tolist(),
            "class_id": self.class_id.tolist(),
            "area_px": np.round(self.area_px.astype(float), 1).tolist(),
            "intensity": np.round(self.intensity.astype(float), 2).tolist(),
        }
