"""Optics of the simulated microscope: field of view, blur, vignetting."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from smartscope.simulation.settings import OpticsSettings

Matrix = tuple[tuple[float, float], tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Field:
    """What one image shows of the specimen.

    Attributes
    ----------
    centre_um : tuple of float
        Stage x, y of the middle of the image.
    shape : tuple of int
        Rows, columns.
    matrix : tuple of tuple of float
        2×2, from an offset in pixels (column, row) to stage µm (x, y).
    blur_um : float
        Sigma of the point spread at the present defocus.
    """

    centre_um: tuple[float, float]
    shape: tuple[int, int]
    matrix: Matrix
    blur_um: float = 0.0

    @property
    def pixel_size_um(self) -> float:
        """Edge of a pixel: the square root of the area it covers."""
        (a, b), (c, d) = self.matrix
        return math.sqrt(abs(a * d - b * c))

    def to_pixels(self, stage_um: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Map stage µm ``(n, 2)`` as (x, y) to pixels ``(n, 2)`` as (row, column)."""
        offset = stage_um - np.asarray(self.centre_um)
        columns_rows = offset @ np.linalg.inv(np.asarray(self.matrix)).T
        centre = (np.asarray(self.shape) - 1) / 2
        return np.asarray(columns_rows[:, ::-1] + centre)

    def part(self, row: float, column: float, shape: tuple[int, int]) -> Field:
        """Return the field of a region of interest that starts at row, column."""
        shift = (
            column + (shape[1] - 1) / 2 - (self.shape[1] - 1) / 2,
            row + (shape[0] - 1) / 2 - (self.shape[0] - 1) / 2,
        )
        dx, dy = np.asarray(self.matrix) @ np.asarray(shift)
        centre = (self.centre_um[0] + float(dx), self.centre_um[1] + float(dy))
        return Field(centre, shape, self.matrix, self.blur_um)


def blur_um(optics: OpticsSettings, defocus_um: float) -> float:
    """Return the sigma of the point spread: a Gaussian beam's width over defocus."""
    # beyond 12 µm nothing can be told apart any more, and patches would get huge
    sigma = optics.psf_sigma_um * math.hypot(1.0, defocus_um / optics.defocus_um)
    return min(sigma, 12.0)


def vignette(
    loss: float,
    sensor: tuple[int, int],
    corner: tuple[int, int],
    shape: tuple[int, int],
) -> npt.NDArray[np.float32]:
    """Return the illumination over a region of the sensor, 1 in the sensor's middle.

    Parameters
    ----------
    loss : float
        Loss in the corners of the sensor; it grows with the square of the distance.
    sensor, shape : tuple of int
        Rows and columns of the whole (binned) sensor and of the region.
    corner : tuple of int
        First row and column of the region.
    """
    half = (np.asarray(sensor) - 1) / 2
    rows = np.arange(shape[0]) + corner[0] - half[0]
    columns = np.arange(shape[1]) + corner[1] - half[1]
    squares = rows[:, None] ** 2 + columns[None, :] ** 2
    falloff = loss * squares / max(1.0, float(half @ half))
    return np.asarray(1 - falloff, np.float32)
