"""What a sensor shows in the dark, always the same: offset pattern and hot pixels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from smartscope.simulation.settings import SensorSettings

_PURPOSE_OFFSET = 0x0FF5
_PURPOSE_HOT = 0x4074

Map = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Dark:
    """What one region of the sensor shows in the dark.

    Attributes
    ----------
    offset : np.ndarray
        Shape ``(Y, X)``, float32: counts added to the offset.
    electrons_per_ms : np.ndarray or None
        Shape ``(Y, X)``, float32: dark current; None without hot pixels.
    """

    offset: Map
    electrons_per_ms: Map | None


class FixedPattern:
    """The fixed pattern of a sensor, drawn from the seed.

    Each column and each pixel has an offset of its own; charges of hot pixels that are
    binned are added on the chip.

    Parameters
    ----------
    settings : SensorSettings
        Shape and strength.
    seed : int
        Two sensors with the same seed have the same pattern.
    """

    def __init__(self, settings: SensorSettings, seed: int) -> None:
        self._settings = settings
        self._seed = abs(int(seed))
        self._on = settings.offset_pattern > 0 or settings.hot_pixels > 0
        self._last: tuple[tuple[object, ...], Dark] | None = None
        self._whole: tuple[int, Dark] | None = None

    def part(
        self, binning: int, corner: tuple[int, int], shape: tuple[int, int]
    ) -> Dark | None:
        """Return the pattern of a region; None if there is no pattern.

        Parameters
        ----------
        binning : int
            Pixels in a row that are added.
        corner, shape : tuple of int
            First row and column, and rows and columns, in binned pixels.
        """
        if not self._on:
            return None
        key = (binning, corner, shape)
        if self._last is None or self._last[0] != key:
            if self._whole is None or self._whole[0] != binning:
                self._whole = (binning, self._drawn(binning))
            whole = self._whole[1]
            where = tuple(slice(c, c + n) for c, n in zip(corner, shape, strict=True))
            hot = whole.electrons_per_ms
            self._last = (
                key,
                Dark(whole.offset[where], None if hot is None else hot[where]),
            )
        return self._last[1]

    def _drawn(self, binning: int) -> Dark:
        settings = self._settings
        rows, columns = settings.shape
        r, c = rows // binning, columns // binning
        spread = np.float32(settings.offset_pattern / np.sqrt(2))
        rng = np.random.default_rng([self._seed, _PURPOSE_OFFSET, binning])
        offset = spread * (
            rng.standard_normal((1, c), dtype=np.float32)
            + rng.standard_normal((r, c), dtype=np.float32)
        )
        if settings.hot_pixels == 0:
            return Dark(offset, None)
        rng = np.random.default_rng([self._seed, _PURPOSE_HOT])
        hot = rng.random((rows, columns)) < settings.hot_pixels
        per_ms = np.zeros((rows, columns), np.float32)
        per_ms[hot] = rng.exponential(
            settings.hot_electrons_per_s / 1000, int(hot.sum())
        )
        blocks = per_ms[: r * binning, : c * binning].reshape(r, binning, c, binning)
        return Dark(offset, blocks.sum(axis=(1, 3)))
