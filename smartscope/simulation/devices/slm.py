"""The simulated light modulator."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from pymmcore_plus.experimental.unicore import SLMDevice

from smartscope.simulation.devices.number_properties import NumberProperties
from smartscope.simulation.stand import Stand

Image = npt.NDArray[np.uint8]


class Slm(NumberProperties, SLMDevice):
    """Mirrors in a light path of their own, behind a shutter of their own.

    What is loaded is shown when it is told to be. With an exposure above 0 it is dark
    again after so many milliseconds.

    Parameters
    ----------
    stand : Stand
        Whose time it takes.
    """

    def __init__(self, stand: Stand) -> None:
        super().__init__()
        self._stand = stand
        self._loaded: Image = np.zeros(stand.settings.slm.shape, np.uint8)
        self._shown = self._loaded
        self._since_s = 0.0
        self._exposure_ms = 0.0

    def shape(self) -> tuple[int, ...]:
        """Return rows and columns."""
        return self._loaded.shape

    def dtype(self) -> npt.DTypeLike:
        """Return uint8: 255 is full light."""
        return np.uint8

    def set_image(self, pixels: np.ndarray) -> None:
        """Load an image; what is shown stays."""
        self._loaded = np.array(pixels, np.uint8)

    def get_image(self) -> np.ndarray:
        """Return what is loaded."""
        return self._loaded

    def display_image(self) -> None:
        """Show what is loaded."""
        self._shown = self._loaded
        self._since_s = self._stand.clock.now_s()

    def set_exposure(self, interval_ms: float) -> None:
        """Set after how long it is dark again; 0: never."""
        self._exposure_ms = float(interval_ms)

    def get_exposure(self) -> float:
        """Return after how long it is dark again, in ms; 0: never."""
        return self._exposure_ms

    def shown(self) -> Image:
        """Return what is shown, shape ``(rows, columns)``."""
        return self._shown

    def lights_for_ms(self, exposure_ms: float) -> float:
        """Return how much of an exposure that begins now it lights."""
        if not self._exposure_ms:
            return exposure_ms
        left_ms = self._exposure_ms - (self._stand.clock.now_s() - self._since_s) * 1e3
        return min(exposure_ms, max(0.0, left_ms))
