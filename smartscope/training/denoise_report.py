"""What a trained denoiser is measured by on what watched over it, and its limits."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from smartscope.training.net import in_units, step_of
from smartscope.training.samples import Floats, Samples
from smartscope.training.settings import TrainSettings
from smartscope.validation.metrics import restoration

_MEASURE = "affine_psnr_db"
_MOST_IMAGES = 8


def figures_of(
    net: nn.Module,
    samples: Samples,
    settings: TrainSettings,
    looks: Iterable[Sequence[torch.Tensor]],
) -> dict[str, Any]:
    """Measure a network on images that watched over its training.

    Parameters
    ----------
    net : nn.Module
        On the CPU, ready to be run.
    samples : Samples
        What it was trained on.
    settings : TrainSettings
        How.
    looks : iterable of batches
        Those of a look at validation.

    Returns
    -------
    dict
        ``error`` and ``error_of_input``, roots of the mean squared errors in counts, of
        what the network makes and of what goes into it, both where and against what the
        method asks; with clean images also ``affine_psnr_db`` and
        ``affine_psnr_db_of_input``, mean over (at most 8 of) the images.
    """
    made: list[float] = []
    given: list[float] = []
    with torch.no_grad():
        for batch in looks:
            shown, wanted, weight = (part.cpu() for part in batch)
            n = weight.sum()
            for image, squares in (
                (in_units(net, shown), made),
                (shown[:, -1:], given),
            ):
                squares.append(float(((image - wanted) ** 2 * weight).sum() / n))
    error, of_input = (samples.scale * float(np.mean(s)) ** 0.5 for s in (made, given))
    figures: dict[str, Any] = {
        "judged_on": "validation",
        "images": len(samples.watch),
        "error": float(f"{error:.4g}"),
        "error_of_input": float(f"{of_input:.4g}"),
    }
    if settings.method == "care":
        figures |= _against_clean(net, samples, settings)
    return figures


def told_of(figures: dict[str, Any], settings: TrainSettings) -> str:
    """Return the figures in words."""
    asked = {
        "care": "against the clean image",
        "n2n": "against another noisy image of the same, whose own noise is part of "
        "both numbers",
        "n2v": "of hidden pixels, told from their surroundings, against their noisy "
        "value, whose noise is part of both numbers; what goes in is a pixel near by",
    }[settings.method]
    n = figures["images"]
    said = (
        f"On {n} {'image' if n == 1 else 'images'} that watched over the training and "
        f"were not learned from: root of the mean squared error {figures['error']:.4g} "
        f"counts, of what goes in {figures['error_of_input']:.4g} ({asked})."
    )
    if _MEASURE in figures:
        said += (
            f" PSNR after an affine fit to the clean image: "
            f"{figures[f'{_MEASURE}_of_input']:.2f} dB raw, "
            f"{figures[_MEASURE]:.2f} dB restored."
        )
    return f"{said} What a model is worth on other places 'smartscope validate' tells."


def limits_of(settings: TrainSettings) -> str:
    """Return what a model so trained is not for."""
    limits = [
        "For the specimen, label, objective, camera and exposure that it was trained "
        "on. What the noise hides altogether it cannot know: it gives what is usual "
        "there, and that may be wrong."
    ]
    if settings.method == "n2v":
        limits.append(
            "Only noise that is another in each pixel goes away: stripes, and noise "
            "that binning or resampling has spread over pixels, are restored as if "
            "they were structure."
        )
    if settings.frames > 1:
        limits.append(
            f"It sees {settings.frames} frames of one place, the last ones, taken as "
            "fast as those it was trained on; the first of a series stand for those "
            "that are missing before them."
        )
    return " ".join(limits)


def _against_clean(
    net: nn.Module, samples: Samples, settings: TrainSettings
) -> dict[str, float]:
    figures: dict[str, list[float]] = {_MEASURE: [], f"{_MEASURE}_of_input": []}
    step = step_of(settings)
    for field in samples.watch[:_MOST_IMAGES]:
        if field.clean is None:
            continue
        rows, columns = (n // step * step for n in field.clean.shape)
        clean = field.clean[:rows, :columns]
        noisy: Floats = field.noisy[-settings.frames :, :rows, :columns].astype(
            np.float32
        )
        with torch.no_grad():
            made = net(torch.from_numpy(noisy[None]))[0, 0].numpy()
        for key, image in zip(figures, (made, noisy[-1]), strict=True):
            figures[key].append(float(restoration(image, clean)[_MEASURE]))
    return {key: round(float(np.mean(v)), 2) for key, v in figures.items() if v}
