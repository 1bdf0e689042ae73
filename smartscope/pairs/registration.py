"""How far two images of one field lie apart."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Image = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]

# what is finer is noise, what is coarser is uneven light, in pixels
_FINE_PX, _COARSE_PX = 1.5, 12.0
_UPSAMPLE = 50
_EDGE_PX = 32
# images of noise alone (512 x 512) reach 8, those that show something 25 and more
_LEAST_CONTRAST = 12.0


class Shift(NamedTuple):
    """Of an image against another one.

    Attributes
    ----------
    rows, columns : float
        In pixels: what lies at (y, x) in the reference lies at (y + rows,
        x + columns) in the image.
    contrast : float
        Height of the correlation's peak over its scatter.
    """

    rows: float
    columns: float
    contrast: float

    @property
    def px(self) -> float:
        """Its length in pixels."""
        return math.hypot(self.rows, self.columns)

    @property
    def known(self) -> bool:
        """False if the images show too little for it to be told."""
        return self.contrast >= _LEAST_CONTRAST


def shift_between(image: Image, reference: Image) -> Shift:
    """Return how far an image lies from its reference, to a fraction of a pixel.

    Parameters
    ----------
    image, reference : np.ndarray
        Shape ``(Y, X)``, at least 32 pixels a side; they may differ in brightness and
        noise.

    Notes
    -----
    ``phase_cross_correlation`` of scikit-image (M. Guizar-Sicairos et al., Opt. Lett.
    33 (2008) 156), refined to 1/50 pixel. The phases are weighted by the band in which
    fluorescence images differ from noise and from uneven light, as weights of equal
    size would let the noise of a short exposure decide.
    """
    from skimage.registration import phase_cross_correlation

    a, b = banded(reference), banded(image)
    if not (a.any() and b.any()):
        return Shift(0.0, 0.0, 0.0)
    (rows, columns), _, _ = phase_cross_correlation(  # type: ignore[no-untyped-call]  # untyped
        a, b, upsample_factor=_UPSAMPLE, normalization=None
    )
    across = np.fft.ifft2(np.fft.fft2(a) * np.fft.fft2(b).conj()).real
    scatter = float(across.std())
    contrast = float((across.max() - across.mean()) / scatter) if scatter > 0 else 0.0
    # skimage gives the way back
    return Shift(-float(rows) + 0.0, -float(columns) + 0.0, contrast)


def banded(image: Image) -> Floats:
    """Return what of an image is neither noise nor uneven light, faded at the edges."""
    from scipy.ndimage import gaussian_filter

    given = np.asarray(image, np.float64)
    fine = gaussian_filter(given, _FINE_PX, mode="reflect")
    band = fine - gaussian_filter(given, _COARSE_PX, mode="reflect")
    window = np.outer(*(_faded(length) for length in given.shape))
    return np.asarray((band - band.mean()) * window, np.float64)


def _faded(length: int) -> Floats:
    """Return 1, faded to 0 at both ends: what leaves on one side enters on no other."""
    margin = max(1, min(_EDGE_PX, length // 4))
    away = np.minimum(np.arange(length), np.arange(length)[::-1]) + 0.5
    return np.asarray(np.sin(0.5 * np.pi * np.minimum(away / margin, 1)) ** 2)
