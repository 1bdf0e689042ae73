"""How near a restored image is to the clean one, in one number or pixel by pixel.

All take images ``(Y, X)`` of any real type. The *affine* variants first bring the
restored image to the clean one by the gain and offset that fit best (least squares), so
that a model which gives other units than the camera is judged by what it shows.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Image = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]

_SSIM = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
# the window of that Gaussian in scikit-image: 3.5 sigma to each side
_SSIM_LEAST_PX = 11


class Affine(NamedTuple):
    """``gain * image + offset``."""

    gain: float
    offset: float

    def of(self, image: Image) -> Floats:
        """Return the image with gain and offset, float64."""
        return self.gain * np.asarray(image, np.float64) + self.offset


def affine_fit(restored: Image, clean: Image) -> Affine:
    """Return gain and offset that bring the restored image nearest to the clean one.

    They minimise the sum of squares of ``gain * restored + offset - clean``. A restored
    image of one value has gain 0 and the mean of the clean one as offset.

    Parameters
    ----------
    restored, clean : np.ndarray
        Of one shape.

    Raises
    ------
    ValueError
        If their shapes differ, they are empty or not finite.
    """
    x, y = _checked(restored, clean)
    x_mean, y_mean = x.mean(), y.mean()
    x0 = x - x_mean
    power = _dot(x0, x0)
    # of a constant image only rounding is left
    if power <= 1e-20 * max(1.0, x_mean**2) * x.size:
        return Affine(0.0, float(y_mean))
    gain = _dot(x0, y - y_mean) / power
    return Affine(gain, float(y_mean - gain * x_mean))


def fitted(restored: Image, clean: Image) -> Floats:
    """Return the restored image brought to the clean one; see `affine_fit`."""
    return affine_fit(restored, clean).of(restored)


def mse(restored: Image, clean: Image, *, affine: bool = False) -> float:
    """Return the mean squared error, in squared units of the clean image.

    Parameters
    ----------
    restored, clean : np.ndarray
        Of one shape.
    affine : bool
        Fit the restored image onto the clean one first.
    """
    x, y = _pair(restored, clean, affine)
    return float(np.mean((x - y) ** 2))


def nrmse(restored: Image, clean: Image, *, affine: bool = False) -> float:
    """Return the root mean squared error over the range of the clean image.

    Parameters
    ----------
    restored, clean : np.ndarray
        Of one shape.
    affine : bool
        Fit the restored image onto the clean one first.

    Raises
    ------
    ValueError
        Also if the clean image has one value only.

    Notes
    -----
    ``normalized_root_mse(..., normalization="min-max")`` of scikit-image.
    """
    from skimage.metrics import normalized_root_mse

    x, y = _pair(restored, clean, affine)
    data_range(y)
    return float(normalized_root_mse(y, x, normalization="min-max"))


def psnr(restored: Image, clean: Image, *, affine: bool = False) -> float:
    """Return the peak signal-to-noise ratio in dB; infinite for equal images.

    10 · log10(R² / MSE) with R the range, maximum less minimum, of the clean image: not
    of its type, whose largest value no fluorescence image comes near.

    Parameters
    ----------
    restored, clean : np.ndarray
        Of one shape.
    affine : bool
        Fit the restored image onto the clean one first. Then it is a function of
        Pearson's correlation alone for a given clean image.

    Raises
    ------
    ValueError
        Also if the clean image has one value only.
    """
    x, y = _pair(restored, clean, affine)
    full = data_range(y)
    error = float(np.mean((x - y) ** 2))
    return float("inf") if error == 0 else float(10 * np.log10(full**2 / error))


def ssim(restored: Image, clean: Image, *, affine: bool = False) -> float:
    """Return the structural similarity, mean over its map; 1 for equal images.

    Parameters
    ----------
    restored, clean : np.ndarray
        Of one shape, at least 11 pixels a side.
    affine : bool
        Fit the restored image onto the clean one first.

    Raises
    ------
    ValueError
        Also if they are smaller, or the clean image has one value only.

    Notes
    -----
    Z. Wang et al., IEEE Trans. Image Process. 13 (2004) 600, as published: Gaussian
    window of sigma 1.5, K1 = 0.01, K2 = 0.03, with the range of the clean image;
    ``structural_similarity`` of scikit-image. The mean leaves out the edge that the
    window reaches over.
    """
    value, _ = _ssim(restored, clean, affine)
    return value


def ssim_map(restored: Image, clean: Image, *, affine: bool = False) -> Floats:
    """Return the structural similarity of each pixel, in [-1, 1]; see `ssim`."""
    _, full = _ssim(restored, clean, affine)
    return full


def pearson(restored: Image, clean: Image) -> float:
    """Return Pearson's correlation of the pixels, in [-1, 1]; 0 for a constant image.

    Parameters
    ----------
    restored, clean : np.ndarray
        Of one shape.
    """
    x, y = _checked(restored, clean)
    x, y = x - x.mean(), y - y.mean()
    both = math.sqrt(_dot(x, x) * _dot(y, y))
    if both == 0:
        return 0.0
    return min(1.0, max(-1.0, _dot(x, y) / both))


def restoration(restored: Image, clean: Image) -> dict[str, float]:
    """Return all of these numbers, plain and after the affine fit.

    Parameters
    ----------
    restored, clean : np.ndarray
        Of one shape, at least 11 pixels a side.

    Returns
    -------
    dict
        ``mse``, ``nrmse``, ``psnr_db``, ``ssim``, ``pearson``; ``affine_mse``,
        ``affine_nrmse``, ``affine_psnr_db``, ``affine_ssim``; ``gain`` and ``offset``
        of the fit.
    """
    gain, offset = fit = affine_fit(restored, clean)
    told: dict[str, float] = {}
    for prefix, image in (("", restored), ("affine_", fit.of(restored))):
        told |= {
            f"{prefix}mse": mse(image, clean),
            f"{prefix}nrmse": nrmse(image, clean),
            f"{prefix}psnr_db": psnr(image, clean),
            f"{prefix}ssim": ssim(image, clean),
        }
    return {**told, "pearson": pearson(restored, clean), "gain": gain, "offset": offset}


def data_range(clean: Image) -> float:
    """Return the range of an image, maximum less minimum.

    Raises
    ------
    ValueError
        If it has one value only: nothing can be measured against it.
    """
    full = float(np.max(clean)) - float(np.min(clean))
    if full <= 0:
        raise ValueError("the clean image has one value only")
    return full


def _ssim(restored: Image, clean: Image, affine: bool) -> tuple[float, Floats]:
    from skimage.metrics import structural_similarity

    x, y = _pair(restored, clean, affine)
    if min(y.shape) < _SSIM_LEAST_PX:
        size = " x ".join(map(str, y.shape))
        raise ValueError(f"SSIM needs {_SSIM_LEAST_PX} pixels a side, got {size}")
    mean, full = structural_similarity(  # type: ignore[no-untyped-call]  # untyped
        y, x, data_range=data_range(y), full=True, **_SSIM
    )
    return float(mean), np.asarray(full, np.float64)


def _dot(x: Floats, y: Floats) -> float:
    # not BLAS: its threads cost more than they bring beside a busy microscope
    return float(np.einsum("ij,ij", x, y))


def _pair(restored: Image, clean: Image, affine: bool) -> tuple[Floats, Floats]:
    x, y = _checked(restored, clean)
    return (fitted(x, y), y) if affine else (x, y)


def _checked(restored: Image, clean: Image) -> tuple[Floats, Floats]:
    x, y = np.asarray(restored, np.float64), np.asarray(clean, np.float64)
    if x.shape != y.shape or x.ndim != 2 or x.size == 0:
        raise ValueError(
            f"restored and clean are images (Y, X) of one shape, got {x.shape} and "
            f"{y.shape}"
        )
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise ValueError("an image holds values that are no number")
    return x, y
