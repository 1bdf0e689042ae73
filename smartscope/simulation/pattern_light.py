"""What a light modulator throws onto the specimen.

The pattern belongs to the camera's chip: both see the specimen through the same
objective, so the affine map between them holds for every objective and region.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from smartscope.simulation.optics import Field
from smartscope.simulation.settings import SimulationSettings

Points = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Pattern:
    """One picture of the modulator as it falls on the chip.

    Attributes
    ----------
    image : np.ndarray
        Shape ``(rows, columns)``, float32: 1 is full light.
    affine : np.ndarray
        Shape ``(2, 3)``: from (column, row) of the whole, unbinned chip to (column,
        row) of the modulator; pixel centres are integers.
    shift_px : np.ndarray
        Column and row by which it falls off its place on the chip.
    binning : int
        Of the frames that see it.
    """

    image: npt.NDArray[np.float32]
    affine: npt.NDArray[np.float64]
    shift_px: npt.NDArray[np.float64]
    binning: int

    def on_pixels(
        self, corner: tuple[int, int], shape: tuple[int, int]
    ) -> npt.NDArray[np.float32]:
        """Return the share of the light on each pixel of a region of the camera."""
        rows, columns = np.indices(shape, np.float64)
        pixels = np.stack([rows.ravel() + corner[0], columns.ravel() + corner[1]], 1)
        return self._on(pixels).reshape(shape)

    def at(self, field: Field) -> Callable[[Points], Points]:
        """Return what tells the share of the light at points of the specimen, µm."""
        return lambda stage_um: self._on(field.to_pixels(stage_um)).astype(np.float64)

    def _on(self, pixels: Points) -> npt.NDArray[np.float32]:
        """Return the light on (row, column) of the whole chip as it is binned."""
        from scipy.ndimage import map_coordinates

        chip = ((pixels + 0.5) * self.binning - 0.5)[:, ::-1] - self.shift_px
        columns, rows = self.affine[:, :2] @ chip.T + self.affine[:, 2:]
        # beyond its edge there is no mirror
        light = map_coordinates(self.image, [rows, columns], order=1, cval=0.0)
        return np.asarray(light, np.float32)


class PatternLight:
    """Where the light of the modulator really falls.

    Parameters
    ----------
    settings : SimulationSettings
        Of these the modulator's affine map, the error of the registration, and how the
        camera is turned. Without a map its pixels fall on those of the camera.
    """

    def __init__(self, settings: SimulationSettings) -> None:
        self._affine = np.asarray(
            settings.slm.affine or ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0))
        )
        turned = np.linalg.inv(np.asarray(settings.optics.orientation, np.float64))
        self._off_um = turned @ np.asarray(settings.ugliness.slm_offset_um)

    def through(
        self, shown: npt.NDArray[np.uint8], binning: int, pixel_um: float
    ) -> Pattern:
        """Return the pattern that a picture makes.

        Parameters
        ----------
        shown : np.ndarray
            What the modulator shows; 255 is full light.
        binning : int
            Of the camera.
        pixel_um : float
            Edge of an unbinned pixel in the specimen.
        """
        image = shown.astype(np.float32) / np.float32(255)
        return Pattern(image, self._affine, self._off_um / pixel_um, binning)
