"""A packed detector of points judged, as it would run at the microscope."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from smartscope.inference import DetectSettings, Planes
from smartscope.recognition import Detector, ModelDetector, load_detector
from smartscope.training.heat_source import Points, Source
from smartscope.trial import frame_of

THRESHOLDS = tuple(round(0.05 * n, 2) for n in range(1, 20))
_DRAWN = 7  # beside the seed, so that these are not the ones that were learned from


@dataclass(frozen=True, eq=False)
class Shown:
    """An image or a movie, and what is to be found in it.

    Attributes
    ----------
    name : str
        Of it.
    frames : np.ndarray
        ``(T, Y, X)``, counts; an image is one frame.
    points : np.ndarray
        ``(n, 3)`` float64: frame, row, column.
    looked : tuple of int
        Frames that are looked at, each as the newest of a window.
    slack : int
        An event may be found so many frames too early or too late.
    sha256 : str
        Of the frames; "" where they were drawn.
    """

    name: str
    frames: npt.NDArray[Any]
    points: Points
    looked: tuple[int, ...]
    slack: int = 0
    sha256: str = ""


@dataclass(frozen=True, eq=False)
class Finds:
    """What was found, against what is there.

    Attributes
    ----------
    score, true, apart_px : np.ndarray
        Of each find; ``true`` where it is one of the points, ``apart_px`` how far from
        that one it lies (NaN where it is none).
    truths : int
        Points there are.
    """

    score: npt.NDArray[np.float64]
    true: npt.NDArray[np.bool_]
    apart_px: npt.NDArray[np.float64]
    truths: int

    @classmethod
    def joined(cls, each: Iterable[Finds]) -> Finds:
        """Return those of several images together."""
        all_of = list(each)
        return cls(
            np.concatenate([one.score for one in all_of]),
            np.concatenate([one.true for one in all_of]),
            np.concatenate([one.apart_px for one in all_of]),
            sum(one.truths for one in all_of),
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
        kept = self.score > threshold
        tp = int(self.true[kept].sum())
        fp, fn = int(kept.sum()) - tp, self.truths - tp
        apart = self.apart_px[kept & self.true]
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
    model: Path | str | Detector, images: Sequence[Shown], distance_px: float
) -> Finds:
    """Look at images and return what was found above the lowest of `THRESHOLDS`.

    Parameters
    ----------
    model : path or Detector
        A packed model, or what else finds things.
    images : sequence of Shown
        With what is there.
    distance_px : float
        What is found at most so far from a point is that point.
    """
    if isinstance(model, (Path, str)):
        settings = DetectSettings(model=str(model), threshold=THRESHOLDS[0])
        model = load_detector(settings)
    return Finds.joined(
        _told(found_in(model, image), image, distance_px) for image in images
    )


def found_in(detector: Detector, image: Shown) -> npt.NDArray[np.float64]:
    """Return what a detector finds, ``(n, 4)``: frame, row, column, score.

    Until a movie has as many frames as a window, the oldest stands for those before it,
    as in a run.
    """
    window = detector.window if isinstance(detector, ModelDetector) else 1
    rows = []
    for t in image.looked:
        frame = frame_of(image.frames[t], t, 1.0)
        if isinstance(detector, ModelDetector) and window > 1:
            before = [max(0, t - k) for k in reversed(range(window))]
            planes = tuple(image.frames[k] for k in before)
            found = detector.look(frame, Planes(planes, ("",), 1.0))
        else:
            found = detector.detect(frame)
        rows.append(
            np.column_stack(
                [np.full(len(found.score), t), found.centers_px, found.score]
            )
        )
    return np.concatenate(rows).astype(np.float64)


def shown(
    source: Source, seed: int, number: int, edge: int, *, watch: bool = False
) -> list[Shown]:
    """Draw images to judge by, as 16-bit counts.

    Parameters
    ----------
    source : Source
        Of simulated images; each is drawn from its own seed.
    seed, number, edge : int
        Of all of them, how many, rows and columns in pixels.
    watch : bool
        As of the source; the two are never the same images.
    """
    made = []
    for i in range(number):
        rng = np.random.default_rng([seed, _DRAWN, 1 + watch, i])
        frames, points = source.draw(rng, edge, watch=watch)
        counts = np.clip(np.rint(frames), 0, 65535).astype(np.uint16)
        inside = ((points >= -0.5) & (points < edge - 0.5)).all(axis=1)
        newest = len(frames) - 1
        at = np.column_stack([np.full(int(inside.sum()), newest), points[inside]])
        made.append(Shown(f"{i}", counts, at.astype(np.float64), (newest,)))
    return made


def _told(found: npt.NDArray[np.float64], image: Shown, distance_px: float) -> Finds:
    """Pair finds and points one to one: the best find first, with its nearest point.

    An event that is found in neighbouring frames is found once. A find of a lower score
    changes nothing for those of higher ones, so that a threshold can be set afterwards.
    """
    found = found[np.argsort(-found[:, 3], kind="stable")]
    points, slack = image.points, image.slack
    free = np.ones(len(points), bool)
    kept: list[int] = []
    apart: list[float] = []
    for i, (t, y, x, _) in enumerate(found):
        if slack and kept:
            late, row, column = (found[kept, :3] - (t, y, x)).T
            near = np.hypot(row, column) <= distance_px
            if (near & (np.abs(late) <= 2 * slack) & (late != 0)).any():
                continue
        kept.append(i)
        apart.append(np.nan)
        if not free.any():
            continue
        distance = np.hypot(points[:, 1] - y, points[:, 2] - x)
        distance[~free | (np.abs(points[:, 0] - t) > slack)] = np.inf
        nearest = int(np.argmin(distance))
        if distance[nearest] <= distance_px:
            free[nearest] = False
            apart[-1] = float(distance[nearest])
    distances = np.asarray(apart, np.float64)
    return Finds(found[kept, 3], ~np.isnan(distances), distances, len(points))
