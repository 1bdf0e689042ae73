"""A detecting model on trial: what it finds against points and events."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from smartscope.errors import Refused
from smartscope.inference import DetectSettings, ModelPackage
from smartscope.pairs import Pointed
from smartscope.recognition import load_detector
from smartscope.trial.finding import verdict_of
from smartscope.trial.pairing import found_in, paired
from smartscope.trial.tuned_log import tuned_log
from smartscope.validation.intervals import pooled_f1_interval, share_interval

POINT_BASELINE = "tuned_log"


@dataclass(frozen=True, eq=False)
class PointedExample:
    """What was found in one image or movie.

    Attributes
    ----------
    name, position : str
        Of it; each is a position of its own.
    figures : dict
        By way (``prediction``, and ``tuned_log`` for points): ``tp``, ``fp``, ``fn``,
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
        Told the name of each image before it is judged, and then of each width that
        the filter beside it is tried with.

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
    detector = load_detector(DetectSettings(model=model))
    moving = any(image.slack for image in images)
    judged = []
    after: list[float] = []
    for image in images:
        if progress is not None:
            progress(image.name)
        found = found_in(detector, image, pixel_um)
        pairs = paired(found, image, distance_px)
        after += pairs.late[pairs.true].tolist()
        figures = {"prediction": pairs.at(-np.inf)}
        judged.append(PointedExample(image.name, image.name, figures, image, found))
    ways = ["prediction"]
    tuned = None
    if not moving:  # it knows no events
        tuned = tuned_log(images, distance_px, progress)
    if tuned is not None:
        ways.append(POINT_BASELINE)
        for example, pairs in zip(judged, tuned.found, strict=True):
            example.figures[POINT_BASELINE] = pairs.at(-np.inf)
    told: dict[str, Any] = {
        "measure": f"f1 of {'events' if moving else 'points'} within {distance_px:g} "
        "px" + (" and a frame" if moving else ""),
        "images": len(judged),
        "positions": len(judged),
        "at_least": at_least,
        **{way: _pooled(judged, way, seed) for way in ways},
    }
    if tuned is not None:
        told["tuned"] = {"sigma_px": tuned.sigma_px, "threshold": tuned.threshold}
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
        else " A Laplacian of a Gaussian, its width and threshold chosen with these "
        f"truths in hand, reaches {of('f1', POINT_BASELINE)}."
    )
    measure = told["measure"][0].upper() + told["measure"][1:]
    return (
        f"{model} {verdict_of(told)}: {measure} "
        f"{of('f1')}, precision {of('precision')}, recall {of('recall')}{late}, of "
        f"{told['images']} {'movies' if moving else 'images'} together; "
        f"{told['at_least']:g} is asked for.{beside}"
    )
