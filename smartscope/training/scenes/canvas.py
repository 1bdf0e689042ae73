"""What is drawn on: light put at points between the pixels, smooth noise, blur."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.fft import irfft2, next_fast_len, rfft2
from scipy.ndimage import gaussian_filter
from scipy.special import j1

Floats = npt.NDArray[np.float32]
Array = npt.NDArray[Any]

# a Gaussian of this share of the radius of the first dark ring is as wide as its core
_AIRY_PX = 3.8317 / 1.33


def splat(edge: int, rows: Array, columns: Array, light: Array) -> Floats:
    """Return an image with light at points, shared out to the four nearest pixels.

    Parameters
    ----------
    edge : int
        Pixels of a side.
    rows, columns, light : np.ndarray
        Of one shape; what lies outside is left out.
    """
    y, x, value = (
        np.ravel(a) for a in np.broadcast_arrays(rows, columns, np.asarray(light))
    )
    inside = (y > 0) & (y < edge - 1) & (x > 0) & (x < edge - 1)
    y, x, value = y[inside], x[inside], value[inside]
    top, left = np.floor(y).astype(np.int64), np.floor(x).astype(np.int64)
    down, right = y - top, x - left
    at = top * edge + left
    image = np.zeros(edge * edge)
    for step, share in (
        (0, (1 - down) * (1 - right)),
        (1, (1 - down) * right),
        (edge, down * (1 - right)),
        (edge + 1, down * right),
    ):
        image += np.bincount(at + step, value * share, edge * edge)
    return image.reshape(edge, edge).astype(np.float32)


def smooth_noise(rng: np.random.Generator, edge: int, scale_px: float) -> Floats:
    """Return Gaussian noise of mean 0 and s.d. 1 whose features have a size."""
    factor = max(1, int(scale_px / 4))
    small = -(-edge // factor) + 8
    noise = gaussian_filter(
        rng.standard_normal((small, small), np.float32), scale_px / factor
    )
    if factor > 1:
        noise = enlarged(noise, factor)
    y, x = rng.integers(0, noise.shape[0] - edge + 1, 2)
    noise = noise[y : y + edge, x : x + edge]
    return np.asarray((noise - noise.mean()) / (noise.std() + 1e-9), np.float32)


def fractal_noise(rng: np.random.Generator, edge: int, slope: float) -> Floats:
    """Return noise of mean 0, s.d. 1 whose amplitude falls as frequency**-slope."""
    length = next_fast_len(edge + edge // 4)
    fy, fx = np.fft.fftfreq(length)[:, None], np.fft.rfftfreq(length)[None]
    frequency = np.hypot(fy, fx)
    frequency[0, 0] = np.inf
    spectrum = rfft2(rng.standard_normal((length, length))) * frequency**-slope
    noise = irfft2(spectrum, (length, length))[:edge, :edge]
    return np.asarray((noise - noise.mean()) / (noise.std() + 1e-9), np.float32)


def enlarged(image: Floats, factor: int) -> Floats:
    """Return an image with more pixels, linear between those it had."""
    rows, columns = image.shape
    y = (np.arange((rows - 1) * factor) + 0.5) / factor
    x = (np.arange((columns - 1) * factor) + 0.5) / factor
    top, left = y.astype(int), x.astype(int)
    down, right = (y - top).astype(np.float32)[:, None], (x - left).astype(np.float32)
    top, left = np.minimum(top, rows - 2), np.minimum(left, columns - 2)
    lines = image[top] * (1 - down) + image[top + 1] * down
    return np.asarray(lines[:, left] * (1 - right) + lines[:, left + 1] * right)


def blurred(image: Floats, sigma_px: float, *, airy: bool = False) -> Floats:
    """Return an image as optics show it.

    Parameters
    ----------
    image : np.ndarray
        Shape ``(Y, X)``.
    sigma_px : float
        Of the Gaussian, or of the one that is nearest to the core of the Airy pattern.
    airy : bool
        With the rings of a round pupil, (2 J1(v) / v)²: light that goes far.
    """
    if not airy:
        return np.asarray(gaussian_filter(image, sigma_px, mode="reflect"))
    pad = int(min(image.shape[0] - 1, 8 + 8 * sigma_px))
    given = np.pad(image, pad, mode="reflect")
    size = next_fast_len(given.shape[0], real=True)
    y = np.fft.fftfreq(size, 1 / size)
    v = np.hypot(y[:, None], y[None]) * _AIRY_PX / (2 * sigma_px)
    v[0, 0] = 1e-6
    spread = (2 * j1(v) / v) ** 2
    made = irfft2(
        rfft2(given, (size, size)) * rfft2(spread / spread.sum()), (size, size)
    )
    inside = np.s_[pad : pad + image.shape[0], pad : pad + image.shape[1]]
    return np.asarray(np.maximum(made[inside], 0), np.float32)


def log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    """Return a number whose logarithm lies anywhere between two."""
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))
