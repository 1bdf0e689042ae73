"""A denoising model on trial: raw, Gaussian and prediction against clean images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from smartscope.errors import Refused
from smartscope.pairs import Example
from smartscope.trial.restorer import Restorer
from smartscope.trial.tuned_gaussian import tuned_gaussian
from smartscope.validation import mean_interval
from smartscope.validation.metrics import resolution_scaled, restoration

WAYS = ("raw", "gaussian", "prediction")
MEASURE = "affine_psnr_db"
# of one position; more of the same field tell little
_MOST_REPEATS = 2
_FEW = 10


@dataclass(frozen=True)
class RestoredExample:
    """What was made of the images of one example.

    Attributes
    ----------
    name, position : str
        Of the example.
    sigma_px : float
        Of the Gaussian that is best for it, mean over its repeats.
    figures : dict
        By way (raw, gaussian, prediction) the numbers of `restoration`, each the mean
        over the repeats, and ``rse`` of the first one.
    images : dict
        Of the first repeat by way, and ``clean``; ``(Y, X)``.
    """

    name: str
    position: str
    sigma_px: float
    figures: dict[str, dict[str, float]]
    images: dict[str, npt.NDArray[Any]]

    def gain_db(self, over: str) -> float:
        """Return by how much the prediction is nearer to the truth than a way."""
        return self.figures["prediction"][MEASURE] - self.figures[over][MEASURE]


def judge_example(restorer: Restorer, example: Example) -> RestoredExample:
    """Restore the images of an example and compare.

    Raises
    ------
    smartscope.errors.SmartscopeError
        If they cannot be read or the model fails on them, or sees more frames at once
        than there are.
    """
    noisy, clean = example.noisy(), example.truth()
    if len(noisy) < restorer.window:
        raise Refused(
            f"{example.name} has {len(noisy)} noisy "
            f"{'frame' if len(noisy) == 1 else 'frames'}, and "
            f"{restorer.package.name} sees {restorer.window} at once.",
            rule="A model of several frames is judged on as many of one place, taken "
            "one after the other.",
            way_out=f"Take pairs with repeats ('pairs: repeats: {restorer.window}'), "
            "or judge a model of one frame.",
        )
    # the last ones: before them stands what a model of several frames wants to see
    first = max(restorer.window - 1, len(noisy) - _MOST_REPEATS)
    judged = range(first, len(noisy))
    restored = restorer.restore(noisy, example.pixel_size_um)
    collected: dict[str, list[dict[str, float]]] = {way: [] for way in WAYS}
    sigmas: list[float] = []
    images: dict[str, npt.NDArray[Any]] = {"clean": clean}
    for t in judged:
        tuned = tuned_gaussian(noisy[t], clean)
        sigmas.append(tuned.sigma_px)
        ways = {"raw": noisy[t], "gaussian": tuned.image, "prediction": restored[t]}
        for way, image in ways.items():
            figures = restoration(image, clean)
            collected[way].append(figures)
            images.setdefault(way, image)
    return RestoredExample(
        example.name,
        example.position,
        float(np.mean(sigmas)),
        {
            way: {**_mean(figures), "rse": resolution_scaled(images[way], clean).error}
            for way, figures in collected.items()
        },
        images,
    )


def judge_restoration(
    model: str,
    examples: Sequence[Example],
    *,
    seed: int = 0,
    progress: Callable[[str], None] | None = None,
) -> tuple[Restorer, list[RestoredExample], dict[str, Any]]:
    """Compare what a model makes of noisy images with a tuned Gaussian and the truth.

    Parameters
    ----------
    model : str
        The denoising model.
    examples : sequence of Example
        With clean images; checked.
    seed : int
        Of the bootstrap.
    progress : Callable, optional
        Told the name of each example before it is judged.

    Returns
    -------
    restorer : Restorer
        The model.
    judged : list of RestoredExample
        One for each.
    told : dict
        ``passed``, ``says`` and the numbers.

    Raises
    ------
    smartscope.errors.SmartscopeError
        If the model cannot be loaded or fails on an image.
    """
    restorer = Restorer(model)
    judged = []
    for example in examples:
        if progress is not None:
            progress(example.name)
        judged.append(judge_example(restorer, example))
    return restorer, judged, conclude(restorer.package.name, judged, seed)


def conclude(
    model: str, judged: Sequence[RestoredExample], seed: int = 0
) -> dict[str, Any]:
    """Return the verdict with its numbers.

    A model passes if the gain over the raw images, mean over positions, is above 0 with
    its whole interval. What a Gaussian would do stands beside it.
    """
    gains = {over: _by_position(judged, over) for over in ("raw", "gaussian")}
    told: dict[str, Any] = {
        "measure": MEASURE,
        "positions": len(gains["raw"]),
        "images": len(judged),
        "mean": {
            way: _mean([example.figures[way] for example in judged]) for way in WAYS
        },
        "gaussian_sigma_px": float(np.median([e.sigma_px for e in judged])),
        "worse_than_raw": [e.name for e in judged if e.gain_db("raw") < 0],
    }
    for over, by_position in gains.items():
        values = list(by_position.values())
        low, high = mean_interval(values, seed)
        told[f"gain_over_{over}_db"] = {
            "mean": float(np.mean(values)),
            "interval": (low, high),
            "worst": min(values),
        }
    told["passed"] = told["gain_over_raw_db"]["interval"][0] > 0
    told["beats_gaussian"] = told["gain_over_gaussian_db"]["interval"][0] > 0
    return {**told, "says": _says(model, told)}


def _says(model: str, told: dict[str, Any]) -> str:
    raw, gaussian = told["gain_over_raw_db"], told["gain_over_gaussian_db"]
    low, high = gaussian["interval"]
    if low > 0:
        beside = "better than a Gaussian tuned on the same truths"
    elif high < 0:
        beside = "worse than a Gaussian tuned on the same truths"
    else:
        beside = "as good as a Gaussian tuned on the same truths, as far as is told"
    begins = (
        f"{model} brings the data nearer to the truth"
        if told["passed"]
        else f"{model} does not bring the data nearer to the truth"
        if raw["interval"][1] > 0
        else f"{model} takes the data farther from the truth"
    )
    few = (
        " Of so few positions the interval is rather too narrow."
        if told["positions"] < _FEW
        else ""
    )
    worse = told["worse_than_raw"]
    away = (
        f" In {len(worse)} of {told['images']} images it is farther from the truth "
        f"than the raw one ({', '.join(worse[:5])})."
        if worse
        else ""
    )
    return (
        f"{begins}: {_db(raw)} against the raw images in PSNR after an affine fit, "
        f"mean of {told['positions']} positions. It is {beside}: {_db(gaussian)} "
        f"against that (σ {told['gaussian_sigma_px']:.2g} px).{away}{few}"
    )


def _db(gain: dict[str, Any]) -> str:
    low, high = gain["interval"]
    return f"{gain['mean']:+.2f} dB ({low:+.2f} to {high:+.2f})"


def _by_position(judged: Sequence[RestoredExample], over: str) -> dict[str, float]:
    gains: dict[str, list[float]] = {}
    for example in judged:
        gains.setdefault(example.position, []).append(example.gain_db(over))
    return {position: float(np.mean(values)) for position, values in gains.items()}


def _mean(figures: Sequence[dict[str, float]]) -> dict[str, float]:
    return {name: float(np.mean([f[name] for f in figures])) for name in figures[0]}
