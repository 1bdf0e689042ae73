"""From light to counts: background, lamp, photons, and what a camera adds."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from smartscope.training.scenes.canvas import log_uniform

Floats = npt.NDArray[np.float32]

# of a usual nucleus in a pixel; three of ten movies are dim
_PHOTONS, _DIM_PHOTONS = (60.0, 20_000.0), (6.0, 60.0)
_MANY = 20.0  # photons
_WAVES = 3  # along an edge
_GROUND = (0.01, 0.9)  # share of that without a nucleus


def drawn_light(rng: np.random.Generator, signal: Floats, diameter_px: float) -> Floats:
    """Return nuclei with the haze about them and a background, in lights of a nucleus.

    Parameters
    ----------
    rng : np.random.Generator
        Everything is drawn from it.
    signal : np.ndarray
        ``(T, Y, X)``, nuclei alone.
    diameter_px : float
        Of a usual nucleus.
    """
    light = signal
    if rng.random() < 0.6:
        # out-of-focus light of the cells themselves
        share, wide = rng.uniform(0.02, 0.3), rng.uniform(0.5, 1.5) * diameter_px
        size = max(3, int(wide))
        hazy = ndimage.uniform_filter(signal, (0, size, size), mode="nearest")
        light = light + share * ndimage.uniform_filter(
            hazy, (0, size, size), mode="nearest"
        )
    ground = log_uniform(rng, *_GROUND)
    return light + ground * _uneven(rng, signal.shape[1:])


def drawn_counts(rng: np.random.Generator, light: Floats) -> Floats:
    """Return whole counts ``(T, Y, X)`` of a camera that is drawn too.

    Parameters
    ----------
    rng : np.random.Generator
        Everything is drawn from it.
    light : np.ndarray
        ``(T, Y, X)``, in lights of a usual nucleus.
    """
    frames = len(light)
    flicker = rng.choice([0.005, 0.03, 0.25], p=[0.6, 0.32, 0.08])
    lamp = np.exp(rng.normal(0, flicker, frames))
    if rng.random() < 0.4:
        lamp *= rng.uniform(0.9, 1.0) ** np.arange(frames)
    photons = log_uniform(rng, *(_DIM_PHOTONS if rng.random() < 0.3 else _PHOTONS))
    rate = (photons * lamp[:, None, None]).astype(np.float32) * light
    electrons = _electrons(rng, rate, rng.uniform(0.3, 4.0))
    if rng.random() < 0.2:
        # pixels that were resampled share their noise
        blur = rng.uniform(0.4, 0.8)
        electrons = ndimage.gaussian_filter(electrons, (0, blur, blur))
    if rng.random() < 0.15:
        hot = rng.random(light.shape[1:]) < 3e-4
        electrons[:, hot] += photons * rng.uniform(0.5, 4.0)
    if rng.random() < 0.3:
        low, high = np.percentile(electrons[:, ::3, ::3], [1, 99.9])
        gain = rng.uniform(60, 400) / max(high - low, 1e-6)
        counts = np.rint((electrons - low) * gain + rng.uniform(0, 20))
        return np.clip(counts, 0, 255).astype(np.float32)
    counts = np.rint(electrons * log_uniform(rng, 0.2, 4.0) + rng.uniform(0, 500))
    return np.clip(counts, 0, 65_535).astype(np.float32)


def _electrons(rng: np.random.Generator, rate: Floats, read_noise: float) -> Floats:
    """Return photo-electrons with read noise; many are as good as normal."""
    noise = rng.standard_normal(rate.shape, np.float32)
    if np.median(rate) > _MANY:
        return rate + np.sqrt(rate + np.float32(read_noise**2)) * noise
    return (rng.poisson(rate) + read_noise * noise).astype(np.float32)


def _uneven(rng: np.random.Generator, shape: tuple[int, ...]) -> Floats:
    """Return an illumination and medium that differ slowly from place to place."""
    if rng.random() < 0.3:
        return np.ones(shape, np.float32)
    waves = rng.uniform(0.02, 0.15) * rng.standard_normal((_WAVES, _WAVES))
    rows, columns = (
        np.cos(np.pi * np.arange(_WAVES) * ((np.arange(n) + 0.5) / n)[:, None])
        for n in shape
    )
    wide = 1 + rows @ waves @ columns.T
    return np.maximum(wide, 0.1).astype(np.float32)
