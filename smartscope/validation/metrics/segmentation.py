"""Things found against true things: by their masks, or by their centres."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Labels = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]
Points = npt.NDArray[np.floating[Any]]

THRESHOLDS = (0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9)


@dataclass(frozen=True, slots=True)
class Matched:
    """How true and found things fit, one to one.

    Attributes
    ----------
    pairs : tuple of tuple of int
        Row of the true and of the found thing of each pair.
    overlaps : tuple of float
        IoU of each pair; for centres 1 less distance over tolerance.
    truths, found : int
        How many there are.
    """

    pairs: tuple[tuple[int, int], ...]
    overlaps: tuple[float, ...]
    truths: int
    found: int

    @property
    def tp(self) -> int:
        """True things that were found."""
        return len(self.pairs)

    @property
    def fp(self) -> int:
        """Found things that are none."""
        return self.found - self.tp

    @property
    def fn(self) -> int:
        """True things that were not found."""
        return self.truths - self.tp

    @property
    def precision(self) -> float:
        """TP / (TP + FP); 1 if nothing was found."""
        return self.tp / self.found if self.found else 1.0

    @property
    def recall(self) -> float:
        """TP / (TP + FN); 1 if there is nothing to find."""
        return self.tp / self.truths if self.truths else 1.0

    @property
    def f1(self) -> float:
        """2 TP / (2 TP + FP + FN), the harmonic mean of both; 1 if all is empty."""
        both = self.truths + self.found
        return 2 * self.tp / both if both else 1.0

    @property
    def ap(self) -> float:
        """TP / (TP + FP + FN): average precision as the Data Science Bowl has it.

        1 if there is nothing and nothing was found. M. Weigert et al., WACV 2020
        (StarDist 3D), and J. C. Caicedo et al., Nature Methods 16 (2019) 1247.
        """
        every = self.truths + self.found - self.tp
        return self.tp / every if every else 1.0

    @property
    def panoptic_quality(self) -> float:
        """Sum of the pairs' IoU over TP + FP/2 + FN/2; 1 if all is empty.

        A. Kirillov et al., CVPR 2019, for one class; meant for a threshold of 0.5.
        """
        both = self.truths + self.found
        return 2 * float(sum(self.overlaps)) / both if both else 1.0

    @property
    def mean_overlap(self) -> float | None:
        """Mean IoU of the pairs; None without one."""
        return float(np.mean(self.overlaps)) if self.pairs else None

    def record(self) -> dict[str, Any]:
        """Return all of it as plain values."""
        return {
            "tp": self.tp,
            "fp": self.fp,
            "fn": self.fn,
            "precision": self.precision,
            "recall": self.recall,
            "f1": self.f1,
            "ap": self.ap,
            "panoptic_quality": self.panoptic_quality,
            "mean_overlap": self.mean_overlap,
        }


def iou(truth: Labels, found: Labels) -> float:
    """Return the intersection over union of two masks; 1 if both are empty.

    Parameters
    ----------
    truth, found : np.ndarray
        Of one shape; what is not 0 belongs to the mask.
    """
    a, b = _masks(truth, found)
    union = np.count_nonzero(a | b)
    return np.count_nonzero(a & b) / union if union else 1.0


def dice(truth: Labels, found: Labels) -> float:
    """Return twice the intersection over the sum of two masks; 1 if both are empty.

    L. R. Dice, Ecology 26 (1945) 297. It is 2 IoU / (1 + IoU).

    Parameters
    ----------
    truth, found : np.ndarray
        Of one shape; what is not 0 belongs to the mask.
    """
    a, b = _masks(truth, found)
    both = np.count_nonzero(a) + np.count_nonzero(b)
    return 2 * np.count_nonzero(a & b) / both if both else 1.0


def hausdorff(truth: Labels, found: Labels) -> float:
    """Return the Hausdorff distance of two masks, in pixels.

    The longest way from a pixel of one mask to the nearest of the other. 0 if both are
    empty, infinite if one is.

    Parameters
    ----------
    truth, found : np.ndarray
        Of one shape; what is not 0 belongs to the mask.

    Notes
    -----
    ``hausdorff_distance`` of scikit-image.
    """
    from skimage.metrics import hausdorff_distance

    a, b = _masks(truth, found)
    return float(hausdorff_distance(a, b))  # type: ignore[no-untyped-call]  # untyped


def iou_matrix(truth: Labels, found: Labels) -> Floats:
    """Return the intersection over union of each true thing with each found one.

    Parameters
    ----------
    truth, found : np.ndarray
        Label images of one shape, integers: 0 is background, each other number a thing.
        Numbers may have gaps.

    Returns
    -------
    np.ndarray
        Shape ``(true things, found things)``, in the order of their numbers.
    """
    a, n_truth = _numbered(truth)
    b, n_found = _numbered(found)
    if a.shape != b.shape:
        raise ValueError(f"label images have one shape, got {a.shape} and {b.shape}")
    counts = np.bincount(
        a.ravel() * (n_found + 1) + b.ravel(), minlength=(n_truth + 1) * (n_found + 1)
    ).reshape(n_truth + 1, n_found + 1)
    both = counts[1:, 1:].astype(np.float64)
    area = counts.sum(axis=1)[1:, None] + counts.sum(axis=0)[None, 1:] - both
    return np.asarray(both / np.maximum(area, 1), np.float64)


def match(overlaps: Floats, threshold: float = 0.5) -> Matched:
    """Pair true and found things one to one: most pairs, then most overlap.

    Parameters
    ----------
    overlaps : np.ndarray
        As `iou_matrix` gives it.
    threshold : float
        A pair overlaps at least so much; above 0. From 0.5 on, where the true things
        do not overlap among each other, a thing has one partner at most.

    Notes
    -----
    The linear assignment problem (Hungarian method) as scipy solves it.
    """
    if not threshold > 0:
        raise ValueError(f"a threshold is above 0, got {threshold}")
    rows, columns = _assigned(overlaps, overlaps >= threshold)
    return Matched(
        tuple(zip(rows, columns, strict=True)),
        tuple(float(overlaps[i, j]) for i, j in zip(rows, columns, strict=True)),
        *(int(n) for n in overlaps.shape),
    )


def average_precision(
    truth: Labels, found: Labels, thresholds: Iterable[float] = THRESHOLDS
) -> dict[float, float]:
    """Return TP / (TP + FP + FN) at each IoU threshold; see `Matched.ap`."""
    overlaps = iou_matrix(truth, found)
    return {float(t): match(overlaps, t).ap for t in thresholds}


def match_points(truth: Points, found: Points, tolerance: float) -> Matched:
    """Pair true and found centres one to one: most pairs, then the nearest.

    Parameters
    ----------
    truth, found : np.ndarray
        Shapes ``(n, 2)`` and ``(m, 2)``, in any one unit.
    tolerance : float
        A pair is at most so far apart, in that unit.
    """
    if not tolerance > 0:
        raise ValueError(f"a tolerance is above 0, got {tolerance}")
    a, b = np.reshape(truth, (-1, 2)), np.reshape(found, (-1, 2))
    apart = np.hypot(*(a[:, None, k] - b[None, :, k] for k in (0, 1)))
    near = 1 - apart / tolerance
    rows, columns = _assigned(near, apart <= tolerance)
    return Matched(
        tuple(zip(rows, columns, strict=True)),
        tuple(float(near[i, j]) for i, j in zip(rows, columns, strict=True)),
        len(a),
        len(b),
    )


def match_centres(truth: Labels, centres: Points) -> Matched:
    """Pair the true things of a label image with found centres that lie in them.

    Parameters
    ----------
    truth : np.ndarray
        Label image ``(Y, X)``.
    centres : np.ndarray
        Shape ``(n, 2)``, row and column.

    Returns
    -------
    Matched
        A second centre in a thing is false; all overlaps are 1.
    """
    numbered, n = _numbered(truth)
    at = np.rint(np.reshape(centres, (-1, 2))).astype(np.intp)
    inside = (at >= 0).all(axis=1) & (at < numbered.shape).all(axis=1)
    seen: dict[int, int] = {}
    for j in np.flatnonzero(inside):
        thing = int(numbered[at[j, 0], at[j, 1]])
        if thing:
            seen.setdefault(thing - 1, int(j))
    return Matched(tuple(seen.items()), (1.0,) * len(seen), n, len(at))


def _assigned(gain: Floats, fits: npt.NDArray[np.bool_]) -> tuple[list[int], list[int]]:
    """Return rows and columns of the pairs that fit: most of them, then most gain."""
    from scipy.optimize import linear_sum_assignment

    if not gain.size:
        return [], []
    # a pair is worth more than all that overlaps can differ by
    worth = np.where(fits, 1.0 + gain / (2 * min(gain.shape)), 0.0)
    rows, columns = linear_sum_assignment(worth, maximize=True)
    kept = fits[rows, columns]
    return rows[kept].tolist(), columns[kept].tolist()


def _numbered(labels: Labels) -> tuple[npt.NDArray[np.int64], int]:
    """Return labels without gaps, 0 kept, and how many things there are."""
    given = np.asarray(labels)
    if given.dtype.kind not in "uib" or (given.size and given.min() < 0):
        raise ValueError(
            f"labels are whole numbers from 0 on, got {given.dtype} from "
            f"{given.min() if given.size else 0}"
        )
    names, numbered = np.unique(given, return_inverse=True)
    if not len(names) or names[0] != 0:
        names, numbered = np.append(0, names), numbered + 1
    return numbered.reshape(given.shape).astype(np.int64), len(names) - 1


def _masks(
    truth: Labels, found: Labels
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    a, b = np.asarray(truth) != 0, np.asarray(found) != 0
    if a.shape != b.shape:
        raise ValueError(f"masks have one shape, got {a.shape} and {b.shape}")
    return a, b
