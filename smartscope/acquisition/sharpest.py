"""How sharp an image is, and where a sweep of the focus is sharpest."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

# of white noise of variance v in n pixels, the standard deviation of what is left of
# the gradient when the noise is taken off is about 3.1 v / sqrt(n) (drawn)
_SPREAD = 3.1
# a sweep that changes less, as a share or in standard deviations, shows nothing
_LEAST_SHARE = 0.05
_LEAST_SIGMAS = 6.0


@dataclass(frozen=True, slots=True)
class Sharpness:
    """How sharp an image is (NaN where nothing but noise is there), and its s.d."""

    value: float
    error: float


def measure_sharpness(pixels: npt.NDArray[np.generic]) -> Sharpness:
    """Return the Brenner gradient over the variance of the pixels, both less the noise.

    Sum of squared differences of pixels two apart (Brenner et al., J. Histochem.
    Cytochem. 24, 1976). The variance of the noise is taken from the fourth differences
    of neighbours, which hold little else, and its share subtracted.

    Parameters
    ----------
    pixels : np.ndarray
        Shape ``(Y, X)``, raw counts.
    """
    image = pixels.astype(np.float32)
    gradient = 0.0
    noise = 0.0
    for axis in (0, 1):
        turned = image if axis else image.T
        gradient += float(np.square(turned[:, 2:] - turned[:, :-2]).mean())
        # of white noise of variance v the mean square is 70 v; of smooth images 0
        fourth = np.diff(turned, n=4, axis=1)
        noise += float(np.square(fourth).mean()) / 70
    noise /= 2
    variance = float(image.var()) - noise
    left = gradient / 2 - 2 * noise
    if not variance > 0.05 * noise + 1e-9:
        return Sharpness(math.nan, math.nan)
    error = _SPREAD * noise / math.sqrt(image.size) / variance
    return Sharpness(max(0.0, left) / variance, error)


def sharpness(pixels: npt.NDArray[np.generic]) -> float:
    """Return how sharp an image is, 0 or more; NaN where only noise is there."""
    return measure_sharpness(pixels).value


class NoPeak(Exception):
    """Why a sweep does not tell where the plane is; ``z_um`` is its sharpest plane."""

    def __init__(self, why: str, z_um: float | None = None) -> None:
        super().__init__(why)
        self.z_um = z_um


@dataclass(frozen=True, slots=True)
class Plane:
    """One plane of a sweep: its z in µm, how sharp its image is, the s.d. of it."""

    z_um: float
    sharpness: float
    error: float = 0.0


def sweep_um(
    middle_um: float,
    range_um: float,
    step_um: float,
    limits_um: tuple[float, float] | None = None,
) -> list[float]:
    """Return the planes of a sweep, rising, in µm.

    Parameters
    ----------
    middle_um : float
        It is one of them, if the limits allow it.
    range_um : float
        How far the sweep goes to either side.
    step_um : float
        Between two planes.
    limits_um : tuple of float, optional
        Lowest and highest; planes beyond are left out.
    """
    # a range of 3 steps may be a little less than that in floating point
    n = math.floor(range_um / step_um + 1e-9)
    planes = [middle_um + i * step_um for i in range(-n, n + 1)]
    if limits_um is None:
        return planes
    low, high = limits_um
    return [z for z in planes if low <= z <= high]


def coarse_peak_um(planes: Sequence[Plane]) -> float:
    """Return the z of the sharpest plane of a coarse sweep.

    Raises
    ------
    NoPeak
        If there are fewer than three planes, nothing is there, or the sharpest plane is
        the first or the last.
    """
    if len(planes) < 3:
        raise NoPeak(f"only {len(planes)} planes of the sweep lie within the limits")
    values = [0.0 if math.isnan(p.sharpness) else p.sharpness for p in planes]
    highest, lowest = max(values), min(values)
    best = values.index(highest)
    z_um = planes[best].z_um
    error = max((p.error for p in planes if not math.isnan(p.error)), default=0.0)
    least = max(_LEAST_SHARE * highest, _LEAST_SIGMAS * error)
    if not highest > 0 or highest - lowest < least:
        raise NoPeak(
            "there is too little contrast: the sharpness hardly changes over the "
            f"sweep ({lowest:.3g} to {highest:.3g})"
        )
    if best in (0, len(planes) - 1):
        end = "lower" if best == 0 else "upper"
        raise NoPeak(
            f"no peak inside the sweep: it is sharpest at its {end} end, z {z_um:.2f} "
            "µm",
            z_um,
        )
    return z_um


def peak(planes: Sequence[Plane]) -> Plane:
    """Return the top of the parabola through the planes of a fine sweep.

    The least-squares parabola of the sharpness over z.

    Raises
    ------
    NoPeak
        If there are fewer than three planes that show something, the parabola opens
        upwards, or its top does not lie between them.
    """
    shown = [p for p in planes if not math.isnan(p.sharpness)]
    if len(shown) < 3:
        raise NoPeak(f"only {len(shown)} planes about the sharpest show something")
    z = np.array([p.z_um for p in shown])
    middle = float(z.mean())
    fitted = np.polyfit(z - middle, [p.sharpness for p in shown], 2)
    curve, slope, level = (float(c) for c in fitted)
    sharpest = max(shown, key=lambda p: p.sharpness).z_um
    if not curve < 0:
        raise NoPeak("the sharpness has no peak about the sharpest plane", sharpest)
    off = -slope / (2 * curve)
    if not z[0] <= middle + off <= z[-1]:
        raise NoPeak(
            f"no peak between z {z[0]:.2f} and {z[-1]:.2f} µm, about the sharpest "
            "plane of the coarse sweep",
            sharpest,
        )
    return Plane(middle + off, level + slope * off / 2)
