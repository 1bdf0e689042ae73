"""What is lost between the frames of a pair, measured on the frames themselves."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from smartscope.validation.metrics import affine_fit, pearson

Floats = npt.NDArray[np.float64]
Image = npt.NDArray[Any]

# noise of a single frame would flatten the slopes
_SMOOTH_PX = 2.0
_LEAST_CORRELATION = 0.2


@dataclass(frozen=True, slots=True)
class Looked:
    """One frame beside the reference of its place.

    Attributes
    ----------
    high : bool
        One of the frames with much light.
    light : float
        Of its exposure, ms × %.
    dose : float
        Light that its place got until the middle of its exposure, ms × %.
    slope : float
        Of the frame against the reference, over pixels.
    offset : float
        Of that fit, counts.
    correlation : float
        Of both.
    """

    high: bool
    light: float
    dose: float
    slope: float
    offset: float
    correlation: float


@dataclass(frozen=True, slots=True)
class Bleaching:
    """How the specimen fades with the light it gets: exp(−rate · dose).

    Attributes
    ----------
    rate : float
        Per ms × %; 0 where nothing can be measured.
    error : float
        Standard error of the measured rate; infinite if it cannot be measured.
    measured : float
        What was measured, significant or not.
    linearity : float
        How bright high frames are over what low ones and their light say; 1 if the
        camera and the light are linear.
    by_place : Mapping of str to float
        Brightness before the first light over that of the reference, per light.
    span : float
        Light that a place gets between the middles of its first and last frame.
    """

    rate: float
    error: float
    measured: float
    linearity: float
    by_place: Mapping[str, float]
    span: float

    @property
    def known(self) -> bool:
        """Whether the frames could tell it, were it there."""
        return math.isfinite(self.error)

    def left(self, dose: float) -> float:
        """Return the share of brightness that is left after a dose."""
        return math.exp(-self.rate * dose)

    def says(self) -> str:
        """Return it in a sentence."""
        if not self.known:
            return (
                "Bleaching is not known: no two frames of one exposure stand before "
                "and after light (pairs: after, repeats)."
            )
        lost = 100 * (1 - math.exp(-self.measured * self.span))
        within = 196 * self.error * self.span
        if self.rate == 0:
            return (
                f"No bleaching can be seen: {lost:.1f} ± {within:.1f} % over the "
                "frames of a place."
            )
        return (
            f"Bleaching takes {lost:.1f} ± {within:.1f} % over the frames of a place; "
            "the clean images are brought to the brightness of the first noisy one."
        )


def look_at(
    frame: Image, reference: Image, *, high: bool, light: float, dose: float
) -> Looked:
    """Return how bright a frame is beside the reference of its place.

    Both are smoothed first: noise in the reference would make every slope too small.
    """
    from scipy.ndimage import gaussian_filter

    a, b = (
        gaussian_filter(np.asarray(image, np.float64), _SMOOTH_PX)
        for image in (reference, frame)
    )
    slope, offset = affine_fit(a, b)
    return Looked(high, light, dose, slope, offset, pearson(a, b))


def measure_bleaching(places: Mapping[str, Sequence[Looked]]) -> Bleaching:
    """Return how the specimen fades, over all places together.

    The logarithm of slope over light is a(place) + g (of high frames) − rate · dose,
    fitted by least squares with weights from the correlations. g takes what is not
    linear between the two exposures, so that only frames of one kind, before and after
    light, tell the rate. A rate below two standard errors, or below 0, counts as 0.

    Parameters
    ----------
    places : Mapping
        By place its frames, in the order they were taken.
    """
    usable = {
        name: [f for f in frames if f.slope > 0 and f.light > 0]
        for name, frames in places.items()
        if any(f.correlation >= _LEAST_CORRELATION for f in frames)
    }
    usable = {name: frames for name, frames in usable.items() if frames}
    names, rows = list(usable), [(n, f) for n, fs in usable.items() for f in fs]
    span = max((fs[-1].dose - fs[0].dose for fs in usable.values()), default=0.0)
    if not rows:
        return Bleaching(0.0, math.inf, 0.0, 1.0, {}, span)
    scale = span or 1.0
    matrix = np.zeros((len(rows), len(names) + 2))
    values, weights = np.empty(len(rows)), np.empty(len(rows))
    for i, (name, frame) in enumerate(rows):
        matrix[i, names.index(name)] = 1.0
        matrix[i, -2] = float(frame.high)
        matrix[i, -1] = -frame.dose / scale
        values[i] = math.log(frame.slope / frame.light)
        r2 = min(max(frame.correlation, 0.01) ** 2, 0.999)
        weights[i] = math.sqrt(r2 / (1 - r2))
    told = _tells(usable)
    if not any(f.high for _, f in rows):
        matrix[:, -2] = 0.0
    if not told:
        matrix[:, -1] = 0.0
    found, *_ = np.linalg.lstsq(matrix * weights[:, None], values * weights, rcond=None)
    rate, error = float(found[-1]) / scale, math.inf
    used = int(np.linalg.matrix_rank(matrix))
    if told and len(rows) > used:
        left = (values - matrix @ found) * weights
        spread = float(left @ left) / (len(rows) - used)
        inverse = np.linalg.pinv(
            (matrix * weights[:, None]).T @ (matrix * weights[:, None])
        )
        error = math.sqrt(max(spread * float(inverse[-1, -1]), 0.0)) / scale
    significant = math.isfinite(error) and rate > 2 * error
    used_rate = rate if significant else 0.0
    if not significant and told:
        # the places' own brightness, with nothing lost between frames
        matrix[:, -1] = 0.0
        found, *_ = np.linalg.lstsq(
            matrix * weights[:, None], values * weights, rcond=None
        )
    return Bleaching(
        used_rate,
        error,
        rate if told else 0.0,
        math.exp(float(found[-2])),
        {name: math.exp(float(found[i])) for i, name in enumerate(names)},
        span,
    )


def _tells(places: Mapping[str, Sequence[Looked]]) -> bool:
    """Whether frames of one kind stand at different doses anywhere."""
    return any(
        len({f.dose for f in frames if f.high == high}) > 1
        for frames in places.values()
        for high in (False, True)
    )


def camera_offset(places: Mapping[str, Sequence[Looked]]) -> float | None:
    """Return the counts that the camera gives without light, from the fits.

    A frame is slope · reference + c; where light is nothing both are the offset, so
    that it is c / (1 − slope). The median over the low frames whose slope is below
    one half; None without one.
    """
    found = [
        f.offset / (1 - f.slope)
        for frames in places.values()
        for f in frames
        if not f.high and f.slope < 0.5 and f.correlation >= _LEAST_CORRELATION
    ]
    return float(np.median(found)) if found else None
