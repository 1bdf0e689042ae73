"""A camera or a detector with its noise: photons in, counts and their truth out."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter, gaussian_filter1d
from scipy.special import erfc, pdtr

from smartscope.training.scenes.canvas import Floats, log_uniform

# beyond so many s.d. nothing is cut off
_FAR = 4.0
_MOST_TERMS = 24


@dataclass(frozen=True)
class Camera:
    """How photons become counts.

    Attributes
    ----------
    gain : float
        Counts per photo-electron.
    offset : float
        Counts in the dark; below 0 where the black level cuts off the lowest ones.
    read_noise : float
        Photo-electrons, s.d., of one frame.
    excess : float
        Variance added by the amplification of one electron: 0 for none, 1 for an
        EMCCD at high gain, between for photomultipliers.
    uneven_gain, uneven_offset : float
        S.d. over the pixels, as share of the gain and in photo-electrons.
    uneven_read : float
        S.d. of the logarithm of the read noise over the pixels (sCMOS).
    row_noise : float
        Photo-electrons, s.d. of what all pixels of a row have in common.
    frames : int
        Of which the image is the mean.
    smoothed_px, smoothed_along_px : float
        S.d. of the Gaussian by which the image was smoothed after it was taken, in both
        directions or along the rows: a resized image, a slow detector. It makes the
        noise of neighbours alike.
    top : float or None
        Largest count; counts are whole numbers. None: neither.
    """

    gain: float = 1.0
    offset: float = 0.0
    read_noise: float = 0.0
    excess: float = 0.0
    uneven_gain: float = 0.0
    uneven_offset: float = 0.0
    uneven_read: float = 0.0
    row_noise: float = 0.0
    frames: int = 1
    smoothed_px: float = 0.0
    smoothed_along_px: float = 0.0
    top: float | None = 65535.0

    @classmethod
    def drawn(cls, rng: np.random.Generator) -> Camera:
        """Return a camera of 12 or 16 bits, an EMCCD, or a scanning detector."""
        kind = rng.choice(
            ["scmos", "ccd", "emccd", "scanner"], p=[0.3, 0.15, 0.1, 0.45]
        )
        camera = cls(
            gain=log_uniform(rng, 0.3, 20),
            offset=float(rng.choice([0.0, log_uniform(rng, 1, 1000)])),
            read_noise=log_uniform(rng, 0.8, 8),
            top=float(rng.choice([4095.0, 65535.0])),
        )
        if kind == "scmos":
            camera = replace(
                camera,
                read_noise=log_uniform(rng, 0.7, 3),
                uneven_gain=float(rng.uniform(0, 0.01)),
                uneven_offset=float(rng.uniform(0, 0.6)),
                uneven_read=float(rng.uniform(0.1, 0.5)),
                row_noise=float(rng.choice([0.0, rng.uniform(0, 0.4)])),
            )
        elif kind == "emccd":
            camera = replace(camera, excess=1.0, read_noise=log_uniform(rng, 0.02, 0.3))
        elif kind == "scanner":
            camera = replace(
                camera,
                excess=float(rng.uniform(0, 0.6)),
                read_noise=log_uniform(rng, 0.02, 1.0),
                gain=log_uniform(rng, 1, 60),
            )
        if rng.random() < 0.35:
            camera = replace(camera, frames=int(rng.choice([2, 4, 8, 16])))
        if rng.random() < 0.2:
            along = bool(rng.random() < 0.4)
            px = float(rng.uniform(0.3, 0.9))
            camera = replace(
                camera,
                smoothed_px=0.0 if along else px,
                smoothed_along_px=px if along else 0.0,
            )
        return camera

    def filling(
        self, rng: np.random.Generator, clean: npt.NDArray[np.float32]
    ) -> Camera:
        """Return it with gain and offset as of an export to 8 bits.

        The bright places come to somewhere between a sixth of the range and a little
        above it, the dark ones near or below 0.
        """
        high = float(np.percentile(clean, 99.9)) + 2 * self.read_noise
        fill = rng.choice([rng.uniform(0.15, 0.9), rng.uniform(0.9, 1.1)], p=[0.7, 0.3])
        gain = 255 * float(fill) / max(high, 1e-6)
        low = float(np.percentile(clean, 1))
        dark = rng.choice(["as it is", "black at 0", "cut"], p=[0.4, 0.35, 0.25])
        offset = gain * self.read_noise * float(rng.uniform(0, 4))
        if dark == "black at 0":
            offset = -0.9 * gain * low + offset
        elif dark == "cut":
            spread = np.hypot(self.read_noise, np.sqrt(max(low, 0.0)))
            offset = -gain * float(0.9 * low + rng.uniform(0, 0.7) * spread)
        return replace(self, gain=gain, offset=offset, top=255.0)


def expose(
    rng: np.random.Generator, clean: npt.NDArray[np.float32], camera: Camera
) -> tuple[Floats, Floats]:
    """Take an image.

    Parameters
    ----------
    rng : np.random.Generator
        Draws the noise, that of the pixels of the sensor included.
    clean : np.ndarray
        Shape ``(Y, X)``, photo-electrons a pixel and frame, not below 0.
    camera : Camera
        By which.

    Returns
    -------
    noisy, expected : np.ndarray
        Shape ``(Y, X)``, float32, counts. ``expected`` is the mean of what the camera
        would give again and again, what it cuts off at 0 and at the top included; only
        the rounding to whole counts is left out.
    """
    light = np.asarray(clean, np.float64)
    expected = camera.gain * light + camera.offset
    if camera.top is not None:
        expected = _cut(camera, light, expected)
    expected = _smoothed(expected, camera)
    return taken(rng, clean, camera), expected.astype(np.float32)


def taken(
    rng: np.random.Generator, clean: npt.NDArray[np.float32], camera: Camera
) -> Floats:
    """Take an image of which nobody asks for the expectation, which takes longest.

    Parameters and the image are those of ``expose``.
    """
    n = camera.frames
    light = np.asarray(clean, np.float64)
    shape = light.shape
    if camera.uneven_gain:
        light = light * np.maximum(rng.normal(1, camera.uneven_gain, shape), 0)
    electrons = rng.poisson(n * light).astype(np.float64)
    if camera.excess:
        electrons = rng.standard_gamma(electrons / camera.excess) * camera.excess
    electrons /= n
    read = camera.read_noise / np.sqrt(n)
    if read:
        spread = read
        if camera.uneven_read:
            spread = read * rng.lognormal(0, camera.uneven_read, shape)
        electrons += rng.standard_normal(shape) * spread
    if camera.uneven_offset:
        electrons += rng.normal(0, camera.uneven_offset, shape)
    if camera.row_noise:
        electrons += rng.normal(0, camera.row_noise / np.sqrt(n), (shape[0], 1))
    noisy = camera.gain * electrons + camera.offset
    if camera.top is not None:
        noisy = np.clip(noisy, 0, camera.top)
    noisy = _smoothed(noisy, camera)
    if camera.top is not None:
        noisy = np.rint(noisy)
    return noisy.astype(np.float32)


def _smoothed(
    image: npt.NDArray[np.float64], camera: Camera
) -> npt.NDArray[np.float64]:
    if camera.smoothed_px:
        image = gaussian_filter(image, camera.smoothed_px)
    if camera.smoothed_along_px:
        image = gaussian_filter1d(image, camera.smoothed_along_px, axis=1)
    return image


def _cut(
    camera: Camera, light: npt.NDArray[np.float64], mean: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Return the expectation of counts that are cut off at 0 and at the top."""
    n, gain = camera.frames, camera.gain
    assert camera.top is not None
    other = np.hypot(camera.read_noise / np.sqrt(n), camera.uneven_offset)
    other = gain * float(np.hypot(other, camera.row_noise / np.sqrt(n)))
    spread = np.sqrt(gain**2 * (1 + camera.excess) * light / n + other**2)
    made = mean.copy()
    low = mean < _FAR * spread + 1e-9
    if low.any():
        made[low] += _below_0(camera, light[low], other)
    high = mean > camera.top - _FAR * spread
    if high.any():
        made[high] -= _above(mean[high] - camera.top, spread[high])
    return made


def _below_0(
    camera: Camera, light: npt.NDArray[np.float64], other: float
) -> npt.NDArray[np.float64]:
    """Return what cutting at 0 adds: summed over how few electrons there may be.

    With k electrons the counts are normal around ``gain k / n + offset``; those of
    so many that the sum would be long are taken as normal too.
    """
    n, gain = camera.frames, camera.gain
    step, expected = gain / n, n * light
    reach = (-camera.offset + _FAR * other) / step + _FAR**2 * camera.excess
    terms = int(reach) + 1
    if terms <= 0:
        return np.zeros_like(light)
    if terms > _MOST_TERMS:
        spread = np.sqrt(gain * step * (1 + camera.excess) * light + other**2)
        return _above(-(gain * light + camera.offset), spread)
    added = np.zeros_like(light)
    for k in range(terms):
        before = pdtr(k - 1, expected) if k else 0.0
        chance = pdtr(k, expected) - before
        spread = np.sqrt(step**2 * camera.excess * k + other**2)
        added += chance * _above(
            np.array(-(step * k + camera.offset)), np.array(spread)
        )
    return added


def _above(
    mean: npt.NDArray[np.float64], spread: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Return the expectation of the part above 0 of a normal number."""
    safe = np.maximum(spread, 1e-12)
    z = mean / safe
    density = np.exp(-0.5 * z**2) / np.sqrt(2 * np.pi)
    return np.asarray(mean * 0.5 * erfc(-z / np.sqrt(2)) + safe * density)
