"""The best that a filter for spots can do, with the truth in hand."""

from __future__ import annotations

from collections.abc import Callable, Sequence
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
        In median absolute deviations of the filtered image, where it is not 0.
    found : tuple of Finds
        Of each image, above the threshold.
    """

    sigma_px: float
    threshold: float
    found: tuple[Finds, ...]


class _Best(NamedTuple):
    f1: float
    gap: float  # between what is found and what is not, a share
    threshold: float


def tuned_log(
    images: Sequence[Pointed],
    distance_px: float,
    progress: Callable[[str], None] | None = None,
) -> TunedLog:
    """Return the Laplacian of a Gaussian that finds the points of images best.

    Width and threshold are those of the highest F1 over all images together; of widths
    that are equal in that, the one that sets points off best. Bright spots are found
    where they are of one size: Lindeberg, Feature detection with automatic scale
    selection (IJCV 1998); a disc of radius r asks for a sigma of r / √2.

    Parameters
    ----------
    images : sequence of Pointed
        Of one frame each, with what is there.
    distance_px : float
        What is found at most so far from a point is that point.
    progress : Callable, optional
        Told of each width.
    """
    tried = []
    for sigma in _SIGMAS_PX:
        if progress is not None:
            progress(f"a filter of {sigma:g} px")
        each = [
            paired(_strongest(image, sigma, distance_px), image, distance_px)
            for image in images
        ]
        tried.append((_best(Finds.joined(each)), sigma, each))
    best, sigma, each = max(tried, key=lambda one: one[0][:2])
    above = tuple(one.above(best.threshold) for one in each)
    return TunedLog(sigma, best.threshold, above)


def _strongest(
    image: Pointed, sigma: float, distance_px: float
) -> npt.NDArray[np.float64]:
    from scipy.ndimage import gaussian_laplace
    from skimage.feature import peak_local_max

    pixels = np.asarray(image.frames[0], np.float64)
    answer = -gaussian_laplace(pixels, sigma, mode="reflect")
    answer -= np.median(answer)
    away = np.abs(answer[answer != 0])  # where the ground is cut to 0, most of all is
    answer /= float(np.median(away)) if away.size else 1.0
    at = peak_local_max(  # type: ignore[no-untyped-call]  # untyped
        answer,
        min_distance=max(1, round(min(distance_px, sigma))),
        threshold_abs=0.0,
        exclude_border=False,
        num_peaks=_MORE * len(image.points) + _LEAST,
    )
    score = answer[tuple(at.T)]
    return np.column_stack([np.zeros(len(at)), at, score])


def _best(finds: Finds) -> _Best:
    """Return the highest F1 of all thresholds, of which one is to find nothing."""
    order = np.argsort(-finds.score)
    score = finds.score[order]
    true = np.append(0, np.cumsum(finds.true[order]))
    both = np.arange(len(score) + 1) + finds.truths
    f1 = np.divide(2 * true, both, out=np.ones(len(both)), where=both > 0)
    # what has one score is found or lost together
    parts = np.concatenate([[True], np.diff(score) != 0, [True]])[: len(both)]
    best = int(np.argmax(np.where(parts, f1, -1.0)))
    below = float(score[best]) if best < len(score) else 0.0  # no peak is below 0
    if not best:
        return _Best(float(f1[0]), 0.0, below)
    above = float(score[best - 1])
    return _Best(float(f1[best]), (above - below) / above, (above + below) / 2)
