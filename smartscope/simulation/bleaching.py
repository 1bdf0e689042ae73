"""Bleaching: how much light each place of the specimen has received."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from smartscope.simulation.optics import Field

_GRID_UM = 5.0

_Where = tuple[slice, slice]
Lit = Callable[[npt.NDArray[np.float64]], npt.NDArray[np.float64]]


class DoseMap:
    """Light received on a grid of 5 µm; only what was lit is bleached.

    Parameters
    ----------
    area_um : tuple of float
        Width and height of the specimen around stage 0, 0; there is a margin around.
    bleach_ms_percent : float or None
        Light after which 1/e of the fluorescence is left; None: no bleaching.
    """

    def __init__(
        self, area_um: tuple[float, float], bleach_ms_percent: float | None
    ) -> None:
        self.bleach_ms_percent = bleach_ms_percent
        self._half = np.asarray(area_um) / 2 + 4 * _GRID_UM
        nx, ny = (2 * self._half / _GRID_UM).astype(int) + 2
        self._dose = np.zeros((nx, ny))
        self._lit: tuple[Field, tuple[slice, slice], npt.NDArray[np.bool_]] | None = (
            None
        )
        self._since_version = 0.0
        self.version = 0

    def expose(
        self, field: Field, light_ms_percent: float, lit: Lit | None = None
    ) -> None:
        """Light a field, in ms × % of full power.

        Parameters
        ----------
        field : Field
            What is lit.
        light_ms_percent : float
            Where it is full on.
        lit : callable, optional
            From points ``(n, 2)`` in stage µm to the share of the light there; default:
            all of it everywhere.
        """
        if self.bleach_ms_percent is None or light_ms_percent <= 0:
            return
        if self._lit is None or self._lit[0] != field:
            self._lit = (field, *self._inside(field))
        _, where, inside = self._lit
        if lit is None:
            self._dose[where] += light_ms_percent * inside
        else:
            share = lit(self._points(where)).reshape(inside.shape)
            self._dose[where] += light_ms_percent * inside * share
        self._since_version += light_ms_percent
        # what is drawn follows in steps of 0.1 % of brightness, not at every frame
        if self._since_version > 1e-3 * self.bleach_ms_percent:
            self._since_version = 0.0
            self.version += 1

    def _points(self, where: _Where) -> npt.NDArray[np.float64]:
        """Return the points of a part of the grid, shape ``(n, 2)``."""
        x, y = (
            np.arange(part.start, part.stop) * _GRID_UM - half
            for part, half in zip(where, self._half, strict=True)
        )
        gx, gy = np.meshgrid(x, y, indexing="ij")
        return np.stack([gx.ravel(), gy.ravel()], axis=1)

    def left(self, stage_um: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Return the fluorescence left at points ``(n, 2)``, between 0 and 1."""
        if self.bleach_ms_percent is None:
            return np.ones(len(stage_um))
        last = np.asarray(self._dose.shape) - 2
        at = np.clip((stage_um + self._half) / _GRID_UM, 0, last)
        low = at.astype(int)
        f = at - low
        dose = np.zeros(len(at))
        for i in (0, 1):
            for j in (0, 1):
                weight = np.abs(1 - i - f[:, 0]) * np.abs(1 - j - f[:, 1])
                dose += weight * self._dose[low[:, 0] + i, low[:, 1] + j]
        return np.asarray(np.exp(-dose / self.bleach_ms_percent))

    def _inside(
        self, field: Field
    ) -> tuple[tuple[slice, slice], npt.NDArray[np.bool_]]:
        rows, columns = field.shape
        corners = np.array([[-1, -1], [-1, 1], [1, -1], [1, 1]]) * [columns, rows] / 2
        reach = np.abs(corners @ np.asarray(field.matrix).T).max(axis=0)
        centre = np.asarray(field.centre_um)
        size = np.asarray(self._dose.shape)
        low = np.floor((centre - reach + self._half) / _GRID_UM).astype(int)
        high = np.ceil((centre + reach + self._half) / _GRID_UM).astype(int) + 1
        low, high = np.clip(low, 0, size), np.clip(high, 0, size)
        x, y = (np.arange(a, b) * _GRID_UM for a, b in zip(low, high, strict=True))
        gx, gy = np.meshgrid(x - self._half[0], y - self._half[1], indexing="ij")
        pixels = field.to_pixels(np.stack([gx.ravel(), gy.ravel()], axis=1))
        inside = ((pixels > -0.5) & (pixels < np.asarray(field.shape) - 0.5)).all(
            axis=1
        )
        where = (slice(low[0], high[0]), slice(low[1], high[1]))
        return where, inside.reshape(gx.shape)
