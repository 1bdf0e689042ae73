"""A detecting model on trial: what it finds against points and events."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from smartscope.errors import Refused
from smartscope.inference import DetectSettings, ModelPackage, Planes
from smartscope.pairs import Pointed
from smartscope.recognition import Detector, ModelDetector, load_detector
from smartscope.trial.finding import frame_of, verdict_of
from smartscope.validation.intervals import pooled_f1_interval, share_interval

POINT_BASELINE = "dog"
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


@dataclass(frozen=True, eq=False)
class PointedExample:
    """What was found in one image or movie.

    Attributes
    ----------
    name, position : str
        Of it; each is a position of its own.
    figures : dict
        By way (``prediction``, and ``dog`` for points): ``tp``, ``fp``, ``fn``,
        precision, recall and F1.
    image : Pointed
        With what is there.
    found : np.ndarray
        ``(n, 4)``: frame, row, column, score, above the threshold.
    """

    name: str
    position: str
    figures: dict[str, dict[str, Any]]
    image: Pointed
    found: npt.NDArray[np.float64]


def judge_pointing(
    model: str,
    images: Sequence[Pointed],
    *,
    distance_px: float,
    pixel_size_um: float | None = None,
    at_least: float = 0.7,
    seed: int = 0,
    progress: Callable[[str], None] | None = None,
) -> tuple[list[PointedExample], dict[str, Any]]:
    """Compare what a model finds with points or events that somebody has marked.

    Parameters
    ----------
    model : str
        The detecting model.
    images : sequence of Pointed
        With what is there.
    distance_px : float
        What is found at most so far from a point is that point.
    pixel_size_um : float, optional
        Of the images; default: the model's.
    at_least : float
        F1 that the model must reach with its whole interval to pass.
    seed : int
        Of the bootstrap.
    progress : Callable, optional
        Told the name of each image before it is judged.

    Returns
    -------
    judged : list of PointedExample
        One for each image.
    told : dict
        ``passed``, ``says`` and the numbers: of all images together, precision and
        recall with the interval of Clopper and Pearson, F1 with a bootstrap over the
        images.

    Raises
    ------
    smartscope.errors.SmartscopeError
        If the model finds nothing, cannot be loaded or fails on an image.
    """
    package = ModelPackage.load(model)
    if package.head.head is None:
        raise Refused(
            f"{package.name} restores images, and the truths are points.",
            rule="Points judge models that find, clean images those that restore.",
            way_out="Name a detecting model, or a folder with clean images.",
        )
    pixel_um = pixel_size_um or package.pixel_size_um or 1.0
    ways = {"prediction": load_detector(DetectSettings(model=model))}
    moving = any(image.slack for image in images)
    if not moving:  # a filter knows no events
        ways[POINT_BASELINE] = load_detector(DetectSettings(model=POINT_BASELINE))
    judged = []
    after: list[float] = []
    for image in images:
        if progress is not None:
            progress(image.name)
        figures, shown = {}, np.empty((0, 4))
        for way, detector in ways.items():
            found = found_in(detector, image, pixel_um)
            pairs = paired(found, image, distance_px)
            figures[way] = pairs.at(-np.inf)
            if way == "prediction":
                shown = found
                after += pairs.late[pairs.true].tolist()
        judged.append(PointedExample(image.name, image.name, figures, image, shown))
    told: dict[str, Any] = {
        "measure": f"f1 of {'events' if moving else 'points'} within {distance_px:g} "
        "px" + (" and a frame" if moving else ""),
        "images": len(judged),
        "positions": len(judged),
        "at_least": at_least,
        **{way: _pooled(judged, way, seed) for way in ways},
    }
    if moving:
        told["late_frames"] = (
            {"median": float(np.median(after)), "max": float(max(after))}
            if after
            else {"median": None, "max": None}
        )
    told["passed"] = told["prediction"]["f1"]["interval"][0] >= at_least
    return judged, {**told, "says": _says(package.name, told, moving)}


def _pooled(judged: Sequence[PointedExample], way: str, seed: int) -> dict[str, Any]:
    counts = [(f["tp"], f["fp"], f["fn"]) for f in (one.figures[way] for one in judged)]
    tp, fp, fn = (int(n) for n in np.sum(counts, axis=0))
    return {
        "precision": _share(tp, tp + fp),
        "recall": _share(tp, tp + fn),
        "f1": {
            "mean": 2 * tp / (2 * tp + fp + fn) if tp + fp + fn else 1.0,
            "interval": pooled_f1_interval(counts, seed),
        },
    }


def _share(k: int, n: int) -> dict[str, Any]:
    return {"mean": k / n if n else 1.0, "interval": share_interval(k, n)}


def _says(model: str, told: dict[str, Any], moving: bool) -> str:
    def of(name: str, way: str = "prediction") -> str:
        mean, (low, high) = told[way][name]["mean"], told[way][name]["interval"]
        return f"{mean:.2f} ({low:.2f} to {high:.2f})"

    late = ""
    if moving and told["late_frames"]["median"] is not None:
        late = f", {told['late_frames']['median']:g} frames late (median)"
    beside = (
        ""
        if moving
        else f" A difference of Gaussians, for nuclei of 12 µm, reaches "
        f"{of('f1', POINT_BASELINE)}."
    )
    measure = told["measure"][0].upper() + told["measure"][1:]
    return (
        f"{model} {verdict_of(told)}: {measure} "
        f"{of('f1')}, precision {of('precision')}, recall {of('recall')}{late}, of "
        f"{told['images']} {'movies' if moving else 'images'} together; "
        f"{told['at_least']:g} is asked for.{beside}"
    )


def finds(
    model: Path | str | Detector,
    images: Sequence[Pointed],
    distance_px: float,
    pixel_size_um: float | None = None,
) -> Finds:
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
    return Finds.joined(
        paired(found_in(model, image, pixel_um), image, distance_px) for image in images
    )


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
