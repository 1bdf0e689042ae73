"""Where a pixel lies on the stage: the affine map from the camera to the stage."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, slots=True)
class StageMap:
    """Camera pixels ↔ stage microns, for one state of objective, binning and ROI.

    ``stage = position + A @ (pixel - centre + offset)`` with ``pixel = (column, row)``.
    ``A`` is ``pixel_size_um`` times a matrix of turns and mirrors, which calibration
    measures.

    Parameters
    ----------
    pixel_size_um : float
        Edge of one (binned) pixel in the specimen.
    orientation : tuple of tuple of float
        2×2 matrix from (column, row) to stage (x, y), without the scale.
    offset_px : tuple of float
        Row and column of the frame's centre, from the pixel that shows the stage's
        position; 0, 0 unless the frame is a region of the camera.
    """

    pixel_size_um: float
    orientation: tuple[tuple[float, float], tuple[float, float]] = (
        (1.0, 0.0),
        (0.0, 1.0),
    )
    offset_px: tuple[float, float] = (0.0, 0.0)

    def __post_init__(self) -> None:
        if not self.pixel_size_um > 0:
            raise ValueError(
                f"The pixel size must be above 0 µm, got {self.pixel_size_um}"
            )

    def _matrix(self) -> npt.NDArray[np.float64]:
        return self.pixel_size_um * np.asarray(self.orientation, dtype=np.float64)

    def _stage_pixel(self, shape: tuple[int, int]) -> npt.NDArray[np.float64]:
        """Return row and column of the pixel that shows the stage's position."""
        centre = (np.asarray(shape, dtype=np.float64) - 1) / 2
        return centre - np.asarray(self.offset_px, dtype=np.float64)

    def to_stage(
        self,
        pixels: npt.NDArray[np.floating],
        shape: tuple[int, int],
        position_um: tuple[float, float],
    ) -> npt.NDArray[np.float64]:
        """Map pixels ``(n, 2)`` as (row, column) to stage µm ``(n, 2)`` as (x, y).

        Parameters
        ----------
        pixels : np.ndarray
            Row, column; pixel centres are integers.
        shape : tuple of int
            Rows and columns of the frame.
        position_um : tuple of float
            Stage x, y in which the frame was taken.
        """
        centre = self._stage_pixel(shape)
        offset = np.asarray(pixels, dtype=np.float64).reshape(-1, 2) - centre
        stage: npt.NDArray[np.float64] = offset[:, ::-1] @ self._matrix().T
        stage += np.asarray(position_um)
        return stage

    def to_pixels(
        self,
        stage_um: npt.NDArray[np.floating],
        shape: tuple[int, int],
        position_um: tuple[float, float],
    ) -> npt.NDArray[np.float64]:
        """Map stage µm ``(n, 2)`` as (x, y) to pixels ``(n, 2)`` as (row, column)."""
        centre = self._stage_pixel(shape)
        offset = np.asarray(stage_um, dtype=np.float64).reshape(-1, 2) - np.asarray(
            position_um
        )
        turned: npt.NDArray[np.float64] = offset @ np.linalg.inv(self._matrix()).T
        turned += centre[::-1]
        return turned[:, ::-1]
