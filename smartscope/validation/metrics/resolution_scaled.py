"""The resolution-scaled error: what a sharper image gets wrong, not that it is sharper.

A restored image may be sharper than its reference. It is first blurred to the
reference's resolution; only what is then left is an error.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from smartscope.validation.metrics.restoration import (
    Affine,
    Floats,
    Image,
    affine_fit,
    pearson,
)

MOST_BLUR_PX = 8.0


@dataclass(frozen=True, slots=True, eq=False)
class ResolutionScaled:
    """A restored image at the resolution of its reference.

    Attributes
    ----------
    error : float
        Root mean square of the map: the RSE, in units of the reference.
    pearson : float
        Correlation of the blurred image with the reference: the RSP.
    sigma_px : float
        Of the Gaussian blur that fits best.
    gain, offset : float
        Of the fit.
    map : np.ndarray
        Shape ``(Y, X)``, absolute difference in each pixel.
    """

    error: float
    pearson: float
    sigma_px: float
    gain: float
    offset: float
    map: Floats


def resolution_scaled(
    restored: Image, reference: Image, *, most_px: float = MOST_BLUR_PX
) -> ResolutionScaled:
    """Return the resolution-scaled error and its map.

    The restored image I becomes a · (I * G(σ)) + b with the a, b and σ that minimise
    the squared difference from the reference R; the map is |R − a · (I * G(σ)) − b|.

    Parameters
    ----------
    restored : np.ndarray
        Shape ``(Y, X)``.
    reference : np.ndarray
        Of the same shape: the clean image, or where there is none the raw one, whose
        noise then stays in the map.
    most_px : float
        Widest blur that is tried.

    Raises
    ------
    ValueError
        If the shapes differ, or an image is empty or not finite.

    Notes
    -----
    S. Culley et al., Nature Methods 15 (2018) 263 (SQUIRREL), with a round Gaussian as
    the resolution scaling function. For a given σ, a and b are linear; σ is found by
    bounded minimisation (Brent), and σ = 0 is taken if nothing is better.
    """
    from scipy.optimize import minimize_scalar

    x, y = np.asarray(restored, np.float64), np.asarray(reference, np.float64)
    tried: dict[float, tuple[float, Affine, Floats]] = {}

    def error(sigma: float) -> float:
        blurred = _blurred(x, sigma)
        fit = affine_fit(blurred, y)
        left = float(np.mean((fit.of(blurred) - y) ** 2))
        tried[sigma] = (left, fit, blurred)
        return left

    error(0.0)
    minimize_scalar(
        lambda s: error(float(s)),
        bounds=(0.0, most_px),
        method="bounded",
        options={"xatol": 0.01},
    )
    sigma = min(tried, key=lambda s: tried[s][0])
    left, fit, blurred = tried[sigma]
    return ResolutionScaled(
        error=float(np.sqrt(left)),
        pearson=pearson(blurred, y),
        sigma_px=sigma,
        gain=fit.gain,
        offset=fit.offset,
        map=np.abs(y - fit.of(blurred)),
    )


def _blurred(image: Floats, sigma: float) -> Floats:
    from scipy.ndimage import gaussian_filter

    if sigma <= 0:
        return image
    return np.asarray(gaussian_filter(image, sigma, mode="reflect"), np.float64)
