"""The best that a filter for spots can do, with the truth in hand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from smartscope.pairs import Pointed
from smartscope.trial.pairing import Finds, paired

_SIGMAS_PX = tuple(round(0.7 * 1.35**n, 2) for n in range(11))  # 0.7 to 14
_MORE = 3  # times as many as there are points are looked at, the strongest first
_LEAST = 20


class TunedLog(NamedTuple):
    """A filter for spots and what it finds.

    Attributes
    ----------
    sigma_px : float
        Of its Gaussian.
    threshold : float
        In median absolute deviations of the filtered image.
    found : tuple of Finds
        Of each image, above the threshold.
    """

    sigma_px: float
    threshold: float
    found: tuple[Finds, ...]


def tuned_log(images: Sequence[Pointed], distance_px: float) -> TunedLog:
    """Return the Laplacian of a Gaussian that finds the points of images best.

    Width and threshold are those of the highest F1 over all images together. Bright
    spots are found where they are of one size: Lindeberg, Feature detection with
    automatic scale selection (IJCV 1998); a disc of radius r asks for a sigma of
    r / √2.

    Parameters
    ----------
    images : sequence of Pointed
        Of one frame each, with what is there.
    distance_px : float
        What is found at most so far from a point is that point.
    """
    best: tuple[float, TunedLog] | None = None
    for sigma in _SIGMAS_PX:
        each = [
            paired(_strongest(image, sigma, distance_px), image, distance_px)
            for image in images
        ]
        f1, threshold = _highest(Finds.joined(each))
        if best is None or f1 > best[0]:
            above = tuple(one.above(threshold) for one in each)
            best = f1, TunedLog(sigma, threshold, above)
    assert best is not None
    return best[1]


def _strongest(
    image: Pointed, sigma: float, distance_px: float
) -> npt.NDArray[np.float64]:
    from scipy.ndimage import gaussian_laplace
    from skimage.feature import peak_local_max

    pixels = np.asarray(image.frames[0], np.float64)
    answer = -gaussian_laplace(pixels, sigma, mode="reflect")
    answer -= np.median(answer)
    spread = float(np.median(np.abs(answer)))
    answer /= spread if spread > 0 else float(answer.max()) or 1.0
    at = peak_local_max(  # type: ignore[no-untyped-call]
        answer,
        min_distance=max(1, round(min(distance_px, sigma))),
        threshold_abs=0.0,
        exclude_border=False,
        num_peaks=_MORE * len(image.points) + _LEAST,
    )
    score = answer[tuple(at.T)]
    return np.column_stack([np.zeros(len(at)), at, score])


def _highest(finds: Finds) -> tuple[float, float]:
    """Return the highest F1 of all thresholds, and the threshold that gives it."""
    order = np.argsort(-finds.score)
    true = np.cumsum(finds.true[order])
    f1 = 2 * true / (np.arange(1, len(order) + 1) + finds.truths)
    # what has one score is found or lost together
    last = np.append(np.diff(finds.score[order]) != 0, True)[: len(order)]
    if not last.any():
        return 0.0, 0.0
    best = int(np.argmax(np.where(last, f1, -1.0)))
    here = float(finds.score[order[best]])
    below = finds.score[order[best + 1 :]]
    return float(f1[best]), (here + float(below[0])) / 2 if len(below) else here - 1e-9
