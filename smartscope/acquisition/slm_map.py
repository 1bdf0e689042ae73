"""Where on a light modulator the light of a point of the stage comes from.

stage µm ↔ camera pixel is the stage map of the whole, unbinned chip; camera pixel ↔
modulator pixel is the affine map that the microscope's file states. The mask of objects
on the stage is computed here, and nowhere else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from smartscope.acquisition.guarded_core import GuardedCore, GuardedUniCore

Affine = tuple[tuple[float, float, float], tuple[float, float, float]]
Matrix = tuple[tuple[float, float], tuple[float, float]]
Points = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class SlmMap:
    """A light modulator as it lies on the stage.

    Attributes
    ----------
    device : str
        Its label.
    shape : tuple of int
        Its rows and columns.
    affine : tuple
        2×3, from (column, row) of the whole, unbinned chip to its own (column, row).
    intensity : int
        Value of a pixel that is on.
    pixel_size_um : float
        Edge of an unbinned pixel of the camera in the specimen.
    orientation : tuple
        2×2, from camera (column, row) to stage (x, y), without the scale.
    stage_px : tuple of float
        Column and row of the whole, unbinned chip that show the stage's position.
    """

    device: str
    shape: tuple[int, int]
    affine: Affine
    intensity: int
    pixel_size_um: float
    orientation: Matrix = ((1.0, 0.0), (0.0, 1.0))
    stage_px: tuple[float, float] = (0.0, 0.0)

    @classmethod
    def of(
        cls,
        core: GuardedCore | GuardedUniCore,
        device: str,
        affine: Affine,
        intensity: int,
        orientation: Matrix,
    ) -> SlmMap:
        """Return that of a microscope as it stands, with the survey's camera region.

        The middle of what the camera reads now shows the stage's position.
        """
        binning = int(core.getProperty(core.getCameraDevice(), "Binning") or 1)
        x, y, width, height = core.getROI()
        return cls(
            device=device,
            shape=(int(core.getSLMHeight(device)), int(core.getSLMWidth(device))),
            affine=affine,
            intensity=intensity,
            pixel_size_um=float(core.getPixelSizeUm()) / binning,
            orientation=orientation,
            stage_px=(
                (x + width / 2) * binning - 0.5,
                (y + height / 2) * binning - 0.5,
            ),
        )

    def _stage_matrix(self) -> Points:
        return self.pixel_size_um * np.asarray(self.orientation, np.float64)

    def to_slm(
        self, stage_um: npt.ArrayLike, position_um: tuple[float, float]
    ) -> Points:
        """Map stage µm ``(n, 2)`` as (x, y) to its pixels ``(n, 2)`` as (column, row).

        Parameters
        ----------
        stage_um : array_like
            Points of the stage.
        position_um : tuple of float
            Where the stage stands.
        """
        affine = np.asarray(self.affine, np.float64)
        off_um = np.asarray(stage_um, np.float64).reshape(-1, 2) - position_um
        chip = off_um @ np.linalg.inv(self._stage_matrix()).T + self.stage_px
        return np.asarray(chip @ affine[:, :2].T + affine[:, 2])

    def to_stage(
        self, slm_px: npt.ArrayLike, position_um: tuple[float, float]
    ) -> Points:
        """Map its pixels ``(n, 2)`` as (column, row) to stage µm ``(n, 2)``."""
        affine = np.asarray(self.affine, np.float64)
        off = np.asarray(slm_px, np.float64).reshape(-1, 2) - affine[:, 2]
        chip = off @ np.linalg.inv(affine[:, :2]).T
        stage = (chip - self.stage_px) @ self._stage_matrix().T
        return np.asarray(stage + position_um)

    def mask(
        self,
        outlines: Sequence[tuple[npt.ArrayLike, float]],
        position_um: tuple[float, float],
    ) -> tuple[npt.NDArray[np.uint8], list[int]]:
        """Return what it must show to light objects, and how many pixels each has.

        A pixel is on if its centre lies in an object.

        Parameters
        ----------
        outlines : sequence of (array_like, float)
            Of each object the corners of its outline, shape ``(k, 2)`` in stage µm, and
            by how many µm it is grown; a single corner makes a disc.
        position_um : tuple of float
            Where the stage stands.

        Returns
        -------
        tuple
            The picture, shape ``(rows, columns)``, uint8, 0 or ``intensity``; and the
            pixels of each object, 0 for one that lies outside the modulator.
        """
        image = np.zeros(self.shape, np.uint8)
        found = []
        for outline, grown_um in outlines:
            corners = np.asarray(outline, np.float64).reshape(-1, 2)
            low = corners.min(axis=0) - grown_um
            high = corners.max(axis=0) + grown_um
            box = np.array([(x, y) for x, _ in (low, high) for _, y in (low, high)])
            reach = self.to_slm(box, position_um)
            first = np.maximum(np.floor(reach.min(axis=0)).astype(int), 0)
            last = np.ceil(reach.max(axis=0)).astype(int) + 1
            last = np.minimum(last, self.shape[::-1])
            if (first >= last).any():
                found.append(0)
                continue
            columns, rows = np.meshgrid(
                np.arange(first[0], last[0]), np.arange(first[1], last[1])
            )
            centres = np.stack([columns.ravel(), rows.ravel()], axis=1)
            stage = self.to_stage(centres, position_um)
            inside = within(stage, corners, grown_um).reshape(rows.shape)
            image[first[1] : last[1], first[0] : last[0]][inside] = self.intensity
            found.append(int(inside.sum()))
        return image, found


def within(points: Points, corners: Points, grown: float) -> npt.NDArray[np.bool_]:
    """Return which points lie in an outline, or at most ``grown`` away from it.

    Inside is told by the crossings of a ray (even-odd rule), so outlines that cross
    themselves have holes.

    Parameters
    ----------
    points : np.ndarray
        Shape ``(n, 2)``.
    corners : np.ndarray
        Shape ``(k, 2)``; of one corner the outline is a point, of two a line.
    grown : float
        In the unit of the points.
    """
    start, end = corners, np.roll(corners, -1, axis=0)
    along = end - start
    length2: npt.NDArray[Any] = np.maximum((along**2).sum(axis=1), 1e-12)
    inside = np.zeros(len(points), bool)
    near = np.full(len(points), np.inf)
    for (x0, y0), (x1, y1), (dx, dy), square in zip(
        start, end, along, length2, strict=True
    ):
        off_x, off_y = points[:, 0] - x0, points[:, 1] - y0
        share = np.clip((off_x * dx + off_y * dy) / square, 0.0, 1.0)
        near = np.minimum(near, np.hypot(off_x - share * dx, off_y - share * dy))
        crosses = (y0 > points[:, 1]) != (y1 > points[:, 1])
        if y0 != y1:
            inside ^= crosses & (off_x < (x1 - x0) * off_y / (y1 - y0))
    return inside | (near <= grown)
