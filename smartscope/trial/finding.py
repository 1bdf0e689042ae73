"""A detecting model on trial: what it finds against labels, beside a watershed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import useq

from smartscope.acquisition import Frame, FrameState
from smartscope.errors import Refused
from smartscope.inference import DetectSettings, ModelPackage
from smartscope.pairs import Example
from smartscope.recognition import Detections, Detector, ModelDetector, load_detector
from smartscope.validation import mean_interval
from smartscope.validation.metrics import (
    THRESHOLDS,
    average_precision,
    iou_matrix,
    match,
    match_centres,
)

Image = npt.NDArray[Any]

BASELINE = "watershed"
_FEW = 10


@dataclass(frozen=True)
class FoundExample:
    """What was found in one example.

    Attributes
    ----------
    name, position : str
        Of the example.
    figures : dict
        By way (``prediction``, ``watershed``): precision, recall, F1, AP and panoptic
        quality at IoU 0.5, ``ap_by_iou``; where no masks are given precision, recall
        and F1 of centres that lie in a true thing.
    image, truth : np.ndarray
        Shape ``(Y, X)``.
    found : Detections
        Of the model.
    """

    name: str
    position: str
    figures: dict[str, dict[str, Any]]
    image: Image
    truth: Image
    found: Detections


def judge_finding(
    model: str,
    examples: Sequence[Example],
    *,
    pixel_size_um: float | None = None,
    at_least: float = 0.7,
    seed: int = 0,
    progress: Callable[[str], None] | None = None,
) -> tuple[ModelPackage, list[FoundExample], dict[str, Any]]:
    """Compare what a model finds with labels, and with what a watershed finds.

    Parameters
    ----------
    model : str
        The detecting model.
    examples : sequence of Example
        With labels; checked.
    pixel_size_um : float, optional
        Of the images; default: what they say, else the model's.
    at_least : float
        F1 that the model must reach with its whole interval to pass.
    seed : int
        Of the bootstrap.
    progress : Callable, optional
        Told the name of each example before it is judged.

    Returns
    -------
    package : ModelPackage
        The model.
    judged : list of FoundExample
        One for each.
    told : dict
        ``passed``, ``says`` and the numbers.

    Raises
    ------
    smartscope.errors.SmartscopeError
        If the model cannot be loaded or fails on an image, or no pixel size is known.
    """
    package = ModelPackage.load(model)
    size_um = pixel_size_um or examples[0].pixel_size_um or package.pixel_size_um
    if size_um is None:
        raise Refused(
            f"The pixel size of the images is not known, nor that of {package.name}.",
            rule="Distances between things are in µm.",
            way_out="Give it with --pixel-size.",
        )
    detectors = {
        "prediction": with_labels(load_detector(DetectSettings(model=model))),
        BASELINE: load_detector(DetectSettings(model=BASELINE)),
    }
    judged = []
    for number, example in enumerate(examples):
        if progress is not None:
            progress(example.name)
        judged.append(_judge(detectors, example, number, size_um))
    return package, judged, conclude(package.name, judged, at_least, seed)


def conclude(
    model: str, judged: Sequence[FoundExample], at_least: float, seed: int = 0
) -> dict[str, Any]:
    """Return the verdict with its numbers: means over images, with intervals."""
    by_masks = all("ap" in e.figures["prediction"] for e in judged)
    told: dict[str, Any] = {
        "measure": "f1 at IoU 0.5" if by_masks else "f1 of centres in true things",
        "images": len(judged),
        "positions": len({e.position for e in judged}),
        "at_least": at_least,
    }
    names = ["precision", "recall", "f1", *(["ap", "panoptic_quality"] * by_masks)]
    for way in ("prediction", BASELINE):
        told[way] = {name: _mean(judged, way, name, seed) for name in names}
    if by_masks:
        told["ap_by_iou"] = {
            f"{t:g}": float(
                np.mean([e.figures["prediction"]["ap_by_iou"][t] for e in judged])
            )
            for t in THRESHOLDS
        }
    told["passed"] = told["prediction"]["f1"]["interval"][0] >= at_least
    return {**told, "says": _says(model, told, by_masks)}


def verdict_of(told: dict[str, Any]) -> str:
    """Return in words whether the F1 reaches what is asked for, with its interval."""
    if told["passed"]:
        return "finds what is there"
    if told["prediction"]["f1"]["interval"][1] >= told["at_least"]:
        return "is not shown to find what is there"
    return "does not find what is there"


def _says(model: str, told: dict[str, Any], by_masks: bool) -> str:
    mine, other = told["prediction"], told[BASELINE]
    few = (
        " Of so few images the interval is rather too narrow."
        if told["positions"] < _FEW
        else ""
    )
    ap = f", AP {mine['ap']['mean']:.2f}" if by_masks else ""
    return (
        f"{model} {verdict_of(told)}: F1 {_interval(mine['f1'])}{ap} "
        f"({'masks, IoU 0.5' if by_masks else 'centres'}), mean of {told['images']} "
        f"images; {told['at_least']:g} is asked for. A watershed without a net reaches "
        f"{_interval(other['f1'])}.{few}"
    )


def _interval(mean: dict[str, Any]) -> str:
    low, high = mean["interval"]
    return f"{mean['mean']:.2f} ({low:.2f} to {high:.2f})"


def _mean(
    judged: Sequence[FoundExample], way: str, name: str, seed: int
) -> dict[str, Any]:
    by_position: dict[str, list[float]] = {}
    for example in judged:
        by_position.setdefault(example.position, []).append(
            float(example.figures[way][name])
        )
    values = [float(np.mean(v)) for v in by_position.values()]
    return {"mean": float(np.mean(values)), "interval": mean_interval(values, seed)}


def _judge(
    detectors: dict[str, Detector], example: Example, number: int, size_um: float
) -> FoundExample:
    image, truth = np.ascontiguousarray(example.image.read(0)), example.truth()
    frame = frame_of(image, number, example.pixel_size_um or size_um)
    found = {way: detector.detect(frame) for way, detector in detectors.items()}
    masks = all(d.labels is not None for d in found.values())
    figures: dict[str, dict[str, Any]] = {}
    for way, detections in found.items():
        if masks and detections.labels is not None:
            figures[way] = {
                **match(iou_matrix(truth, detections.labels)).record(),
                "ap_by_iou": average_precision(truth, detections.labels),
            }
        else:
            pairs = match_centres(truth, detections.centers_px)
            figures[way] = {
                name: getattr(pairs, name)
                for name in ("tp", "fp", "fn", "precision", "recall", "f1")
            }
    return FoundExample(
        example.name, example.position, figures, image, truth, found["prediction"]
    )


def with_labels(detector: Detector) -> Detector:
    """Have a model give its masks too, which nobody needs in a run."""
    if isinstance(detector, ModelDetector):
        detector.keep_labels = True
    return detector


def frame_of(image: Image, number: int, pixel_size_um: float) -> Frame:
    """Return an image as a frame that a camera might have given."""
    bits = 8 if image.dtype.itemsize == 1 else 16
    return Frame(
        pixels=image,
        event=useq.MDAEvent(),
        frame_id=number,
        time_s=float(number),
        handed_over_s=0.0,
        place=f"p{number}",
        state=FrameState(
            x_um=0.0,
            y_um=0.0,
            z_um=0.0,
            exposure_ms=1.0,
            channel="",
            pixel_size_um=pixel_size_um,
        ),
        bit_depth=bits,
    )
