"""What was found in images, paired with what is there."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from smartscope.inference import DetectSettings, ModelPackage, Planes
from smartscope.pairs import Pointed
from smartscope.recognition import Detector, ModelDetector, load_detector
from smartscope.trial.finding import frame_of
from smartscope.validation.intervals import pooled_f1_interval

_DEVIATIONS = 1.96  # of an interval of 95 %, to each side
THRESHOLDS = tuple(round(0.05 * n, 2) for n in range(1, 20))


@dataclass(frozen=True, eq=False)
class Finds:
    """What was found, against what is there.

    Attributes
    ----------
    score, true, apart_px, late : np.ndarray
        Of each find; ``true`` where it is one of the points, ``apart_px`` how far from
        that one it lies, and ``late`` how many frames after it (NaN where it is none).
    truths : int
        Points there are.
    """

    score: npt.NDArray[np.float64]
    true: npt.NDArray[np.bool_]
    apart_px: npt.NDArray[np.float64]
    late: npt.NDArray[np.float64]
    truths: int

    @classmethod
    def joined(cls, each: Iterable[Finds]) -> Finds:
        """Return those of several images together."""
        all_of = list(each)
        return cls(
            np.concatenate([one.score for one in all_of]),
            np.concatenate([one.true for one in all_of]),
            np.concatenate([one.apart_px for one in all_of]),
            np.concatenate([one.late for one in all_of]),
            sum(one.truths for one in all_of),
        )

    def above(self, threshold: float) -> Finds:
        """Return those whose score is above a threshold."""
        kept = self.score > threshold
        return Finds(
            self.score[kept],
            self.true[kept],
            self.apart_px[kept],
            self.late[kept],
            self.truths,
        )

    def at(self, threshold: float) -> dict[str, Any]:
        """Return the figures of the finds whose score is above a threshold.

        Returns
        -------
        dict
            ``tp``, ``fp``, ``fn``; ``precision`` TP / (TP + FP), ``recall``
            TP / (TP + FN), ``f1`` 2 TP / (2 TP + FP + FN), each 1 if it is empty;
            ``error_px``, root mean square distance of the TP from their points.
        """
        kept = self.above(threshold)
        tp = int(kept.true.sum())
        fp, fn = len(kept.true) - tp, self.truths - tp
        apart = kept.apart_px[kept.true]
        return {
            "tp": tp,
            "fp": fp,
            "fn": fn,
            "precision": round(tp / (tp + fp), 4) if tp + fp else 1.0,
            "recall": round(tp / (tp + fn), 4) if tp + fn else 1.0,
            "f1": round(2 * tp / (2 * tp + fp + fn), 4) if tp + fp + fn else 1.0,
            "error_px": round(float(np.sqrt(np.mean(apart**2))), 3) if tp else None,
        }

    @cached_property
    def best_threshold(self) -> float:
        """The threshold of the highest F1; in the middle, where several have it."""
        f1 = np.array([self.at(t)["f1"] for t in THRESHOLDS])
        highest = np.flatnonzero(f1 == f1.max())
        return THRESHOLDS[int(highest[len(highest) // 2])]


def finds(
    model: Path | str | Detector,
    images: Sequence[Pointed],
    distance_px: float,
    pixel_size_um: float | None = None,
) -> Finds:
    """Return what was found in all images together, see ``finds_in_each``."""
    return Finds.joined(finds_in_each(model, images, distance_px, pixel_size_um))


def finds_in_each(
    model: Path | str | Detector,
    images: Sequence[Pointed],
    distance_px: float,
    pixel_size_um: float | None = None,
) -> list[Finds]:
    """Look at images and return what was found above the lowest of `THRESHOLDS`.

    Parameters
    ----------
    model : path or Detector
        A packed model, or what else finds things.
    images : sequence of Pointed
        With what is there.
    distance_px : float
        What is found at most so far from a point is that point.
    pixel_size_um : float, optional
        Of the images; default: that of the model, so that nothing is resampled.
    """
    if isinstance(model, (Path, str)):
        pixel_size_um = pixel_size_um or ModelPackage.load(model).pixel_size_um
        settings = DetectSettings(model=str(model), threshold=THRESHOLDS[0])
        model = load_detector(settings)
    pixel_um = pixel_size_um or 1.0
    return [
        paired(found_in(model, image, pixel_um), image, distance_px) for image in images
    ]


def lowest_threshold(each: Sequence[Finds], seed: int = 0) -> float:
    """Return the lowest threshold whose F1 is not told apart from the highest one.

    For events, which are rare: one that is missed is gone, one that is none costs a
    burst. Lower by at most one standard error, over whole images, is not told apart:
    the rule of Breiman et al., Classification and regression trees (1984), 3.4.3.

    Parameters
    ----------
    each : sequence of Finds
        Of each image.
    seed : int
        Of the bootstrap that the error is of.
    """
    together = Finds.joined(each)
    best = together.best_threshold
    counts = [(f["tp"], f["fp"], f["fn"]) for f in (one.at(best) for one in each)]
    low, high = pooled_f1_interval(counts, seed)
    least = together.at(best)["f1"] - (high - low) / (2 * _DEVIATIONS)
    return next(t for t in THRESHOLDS if together.at(t)["f1"] >= least)


def found_in(
    detector: Detector, image: Pointed, pixel_um: float
) -> npt.NDArray[np.float64]:
    """Return what a detector finds, ``(n, 4)``: frame, row, column, score.

    Until a movie has as many frames as a window, the oldest stands for those before it,
    as in a run.
    """
    window = detector.window if isinstance(detector, ModelDetector) else 1
    rows = []
    for t in image.looked:
        frame = frame_of(image.frames[t], t, pixel_um)
        if isinstance(detector, ModelDetector) and window > 1:
            before = [max(0, t - k) for k in reversed(range(window))]
            planes = tuple(image.frames[k] for k in before)
            found = detector.look(frame, Planes(planes, ("",), pixel_um))
        else:
            found = detector.detect(frame)
        rows.append(
            np.column_stack(
                [np.full(len(found.score), t), found.centers_px, found.score]
            )
        )
    return np.concatenate(rows).astype(np.float64)


def paired(found: npt.NDArray[np.float64], image: Pointed, distance_px: float) -> Finds:
    """Pair finds and points one to one: the best find first, with its nearest point.

    Parameters
    ----------
    found : np.ndarray
        As of ``found_in``.
    image : Pointed
        With what is there.
    distance_px : float
        What is found at most so far from a point is that point.

    Notes
    -----
    An event that is found in neighbouring frames is found once. A find of a lower score
    changes nothing for those of higher ones, so that a threshold can be set afterwards.
    """
    found = found[np.argsort(-found[:, 3], kind="stable")]
    points, slack = image.points, image.slack
    free = np.ones(len(points), bool)
    kept: list[int] = []
    apart: list[float] = []
    after: list[float] = []
    for i, (t, y, x, _) in enumerate(found):
        if slack and kept:
            late, row, column = (found[kept, :3] - (t, y, x)).T
            near = np.hypot(row, column) <= distance_px
            if (near & (np.abs(late) <= 2 * slack) & (late != 0)).any():
                continue
        kept.append(i)
        apart.append(np.nan)
        after.append(np.nan)
        if not free.any():
            continue
        distance = np.hypot(points[:, 1] - y, points[:, 2] - x)
        distance[~free | (np.abs(points[:, 0] - t) > slack)] = np.inf
        nearest = int(np.argmin(distance))
        if distance[nearest] <= distance_px:
            free[nearest] = False
            apart[-1] = float(distance[nearest])
            after[-1] = float(t - points[nearest, 0])
    distances = np.asarray(apart, np.float64)
    late = np.asarray(after, np.float64)
    return Finds(found[kept, 3], ~np.isnan(distances), distances, late, len(points))
