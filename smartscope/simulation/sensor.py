"""The sensor: photons in, counts out, with the noise of a real camera, fast.

``counts = gain · Poisson(photons) + N(offset, read_noise)``, rounded and clipped.
Drawing Poisson numbers takes 12 ms for 512×512, so every row of an image takes its
noise from a random place of a bank of normal numbers, with a random sign; the normal
number is bent so that mean, variance and skewness are those of the formula.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from smartscope.simulation.fixed_pattern import Dark
from smartscope.simulation.settings import SensorSettings

_BANK = 1 << 22


class Sensor:
    """Turns photons into counts; the noise is keyed by (seed, exposure number).

    Parameters
    ----------
    settings : SensorSettings
        Gain, offset, read noise.
    seed : int
        Two sensors with the same seed draw the same noise.
    """

    def __init__(self, settings: SensorSettings, seed: int) -> None:
        self.settings = settings
        self._seed = abs(int(seed))
        rng = np.random.Generator(np.random.SFC64([self._seed, 0x5E]))
        bank = rng.standard_normal(_BANK, dtype=np.float32)
        # exact mean and variance of the bank; its own error would be in every frame
        bank -= bank.mean()
        self._bank: npt.NDArray[np.float32] = bank / bank.std()
        self._work: dict[tuple[int, int], tuple[npt.NDArray[np.float32], ...]] = {}

    def rng(self, exposure_number: int, purpose: int = 0) -> np.random.Generator:
        """Return the generator that belongs to one exposure."""
        key = [self._seed, exposure_number, purpose]
        return np.random.Generator(np.random.SFC64(key))

    def expose(
        self,
        photons: npt.NDArray[np.float32],
        exposure_number: int,
        out: npt.NDArray[Any],
        *,
        scale: float = 1.0,
        bit_depth: int | None = None,
        dark: Dark | None = None,
        exposure_ms: float = 0.0,
    ) -> None:
        """Write the counts of one image into ``out``.

        Parameters
        ----------
        photons : np.ndarray
            Shape ``(Y, X)``, float32, not below 0: photo-electrons / ``scale``.
        exposure_number : int
            Key of the noise.
        out : np.ndarray
            Shape ``(Y, X)``, uint8 or uint16.
        scale : float
            What the photons are multiplied by: exposure × power.
        bit_depth : int, optional
            Saturation is ``2**bit_depth - 1``; default: that of the settings.
        dark : Dark, optional
            Fixed pattern of the region that is read, of the shape of ``out``.
        exposure_ms : float
            Over which a dark current collects.
        """
        gain, read = self.settings.gain, self.settings.read_noise
        noise, mean, bend = self._buffers(out.shape)
        self._draw(exposure_number, noise)
        np.multiply(photons, gain * scale, out=mean)
        if dark is not None and dark.electrons_per_ms is not None:
            mean += dark.electrons_per_ms * np.float32(gain * exposure_ms)
        # Poisson part of the variance is gain · mean; third cumulant gain² · mean.
        # x = mean + s·n + c·(n² - 1) has variance s² + 2c², third cumulant ≈ 6·c·s²
        np.multiply(mean, gain, out=bend)
        variance = bend + np.float32(max(read * read, 1e-12))
        np.divide(bend, variance, out=bend)
        bend *= gain / 6
        mean -= bend
        mean += np.float32(self.settings.offset)
        if dark is not None:
            mean += dark.offset
        spread = variance
        spread -= 2 * bend * bend
        np.maximum(spread, 0, out=spread)
        np.sqrt(spread, out=spread)
        bend *= noise
        bend += spread
        bend *= noise
        mean += bend
        np.rint(mean, out=mean)
        top = 2 ** (bit_depth or self.settings.bit_depth) - 1
        np.clip(mean, 0, top, out=mean)
        np.copyto(out, mean, casting="unsafe")

    def _buffers(self, shape: tuple[int, ...]) -> tuple[npt.NDArray[np.float32], ...]:
        key = (shape[0], shape[1])
        if key not in self._work:
            self._work.clear()
            self._work[key] = tuple(np.empty(key, np.float32) for _ in range(3))
        return self._work[key]

    def _draw(self, exposure_number: int, out: npt.NDArray[np.float32]) -> None:
        rows, columns = out.shape
        rng = self.rng(exposure_number)
        starts = rng.integers(0, _BANK - columns, size=rows)
        signs = 1 - 2 * rng.integers(0, 2, size=(rows, 1)).astype(np.float32)
        windows = np.lib.stride_tricks.as_strided(
            self._bank, (_BANK - columns, columns), (4, 4), writeable=False
        )
        # not np.take: it would first make all windows contiguous
        np.multiply(windows[starts], signs, out=out)
