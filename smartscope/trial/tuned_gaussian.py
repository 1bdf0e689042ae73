"""The best that a Gaussian can do, with the truth in hand: what a model must beat."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from smartscope.validation.metrics import pearson

Image = npt.NDArray[Any]

_TRIED_PX = (0.0, 0.5, 0.8, 1.2, 1.8, 2.7, 4.0, 6.0, 9.0)


class Tuned(NamedTuple):
    """A Gaussian and what it makes of an image."""

    sigma_px: float
    image: npt.NDArray[np.float64]


def tuned_gaussian(noisy: Image, clean: Image) -> Tuned:
    """Return an image smoothed by the Gaussian that brings it nearest to its truth.

    Nearest is the highest PSNR after the affine fit, which is the highest correlation.

    Parameters
    ----------
    noisy, clean : np.ndarray
        Shape ``(Y, X)``.
    """
    from scipy.ndimage import gaussian_filter
    from scipy.optimize import minimize_scalar

    given = np.asarray(noisy, np.float64)

    def of(sigma: float) -> npt.NDArray[np.float64]:
        if sigma <= 0:
            return given
        return np.asarray(gaussian_filter(given, sigma, mode="reflect"), np.float64)

    def away(sigma: float) -> float:
        return -pearson(of(float(sigma)), clean)

    tried = [away(sigma) for sigma in _TRIED_PX]
    best = int(np.argmin(tried))
    low = _TRIED_PX[max(best - 1, 0)]
    high = _TRIED_PX[min(best + 1, len(_TRIED_PX) - 1)]
    found = minimize_scalar(
        away, bounds=(low, high), method="bounded", options={"xatol": 0.02}
    )
    sigma = float(found.x) if float(found.fun) < tried[best] else _TRIED_PX[best]
    return Tuned(sigma, of(sigma))
