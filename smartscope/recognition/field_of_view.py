"""What part of the stage a frame shows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from smartscope.acquisition import Frame, StageMap


@dataclass(frozen=True, slots=True)
class FieldOfView:
    """The rectangle of the stage that one frame shows.

    Attributes
    ----------
    stage_map : StageMap
        From pixels to the stage.
    shape : tuple of int
        Rows and columns.
    position_um : tuple of float
        Stage x, y of its centre.
    """

    stage_map: StageMap
    shape: tuple[int, int]
    position_um: tuple[float, float]

    @classmethod
    def of(cls, frame: Frame) -> FieldOfView:
        """Return the field of a frame, as its state says."""
        rows, columns = frame.pixels.shape
        state = frame.state
        return cls(state.stage_map, (rows, columns), (state.x_um, state.y_um))

    def edge_um(self, xy_um: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Return how far inside the nearest edge points ``(n, 2)`` lie, µm.

        Negative outside the field.
        """
        pixels = self.stage_map.to_pixels(xy_um, self.shape, self.position_um)
        far_side = np.asarray(self.shape, dtype=np.float64) - 0.5 - pixels
        inside = np.minimum(pixels + 0.5, far_side).min(axis=1)
        edge_um: npt.NDArray[np.float64] = inside * self.stage_map.pixel_size_um
        return edge_um

    def inside_um(self, x_um: float, y_um: float) -> float:
        """Return how far inside the nearest edge one point lies, µm."""
        return float(self.edge_um(np.array([[x_um, y_um]]))[0])
