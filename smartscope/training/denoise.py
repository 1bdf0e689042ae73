"""``smartscope train denoise``: data in, a package that a run takes out."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from smartscope.training.curves import draw_curves
from smartscope.training.export import export
from smartscope.training.folder import (
    CHECKPOINT,
    CURVES,
    PACKAGE,
    RECORD,
    begun_with,
    drawn_and_told,
)
from smartscope.training.learning import Course, Learner
from smartscope.training.net import Net
from smartscope.training.provenance import library_versions
from smartscope.training.samples import Floats, Samples
from smartscope.training.settings import TrainSettings


@dataclass(frozen=True)
class Trained:
    """A model that was made.

    Attributes
    ----------
    package : Path
        Of bioimage.io; what 'smartscope validate' and a run take.
    course : Course
        How the training went.
    deviation : float
        Largest one of the package from the trained network, over the largest value.
    """

    package: Path
    course: Course
    deviation: float


@dataclass(frozen=True)
class Denoising:
    """To say of noisy counts what they would be without noise.

    Attributes
    ----------
    samples : Samples
        What is learned from.
    settings : TrainSettings
        How.
    """

    samples: Samples
    settings: TrainSettings

    def new(self) -> nn.Module:
        """Return a network that knows nothing but the scale of the counts."""
        settings, samples = self.settings, self.samples
        return Net(settings.width, settings.levels, samples.mean, samples.scale)

    def batch(
        self, rng: np.random.Generator, *, watch: bool = False
    ) -> Sequence[Floats]:
        """Return what is given, what is wanted, and where it is asked."""
        return self.samples.batch(self.settings, rng, watch=watch)

    def loss(self, net: nn.Module, batch: Sequence[torch.Tensor]) -> torch.Tensor:
        """Return the mean squared error where it is asked.

        The best guess under it is the mean.
        """
        given, wanted, weight = batch
        assert isinstance(net, Net)
        return ((net.restore(given) - wanted) ** 2 * weight).sum() / weight.sum()


def train_denoise(
    data: str | Path,
    out: str | Path,
    settings: TrainSettings,
    *,
    resume: bool = False,
    told: Callable[[Course], None] | None = None,
) -> Trained:
    """Train a denoising model and make a package of it.

    Parameters
    ----------
    data : path
        Folder of pairs; of n2v also a movie, an image or a folder of images.
    out : path
        Folder to be made: ``model`` (the package), ``curves.png``, ``training.json``,
        ``checkpoint.pt``.
    settings : TrainSettings
        How.
    resume : bool
        Go on with the checkpoint in `out`.
    told : Callable, optional
        Called after each look at validation.

    Raises
    ------
    smartscope.errors.Refused
        If data or folder are not what they should be.
    smartscope.errors.BrokenOff
        If the loss is no number any more or memory is not enough.
    KeyboardInterrupt
        After the checkpoint is written; ``resume`` goes on with it.
    """
    data, out = Path(data), Path(out)
    settings = begun_with(out, settings, resume=resume)
    samples = Samples.read(data, settings)
    out.mkdir(parents=True, exist_ok=True)
    learner = Learner(Denoising(samples, settings), settings, out / CHECKPOINT)
    _record(out, samples, settings, learner.course)
    course = learner.learn(drawn_and_told(out, told))
    card: dict[str, Any] = {
        "name": f"{data.name.split('.')[0]} {settings.method}",
        "description": f"Denoises by {settings.method}, trained on {data.name}; for "
        "images of that specimen on that microscope.",
        "axes": "bcyx",
        "step": 2**settings.levels,
    }
    if samples.pixel_size_um is not None:
        card["pixel_size_um"] = samples.pixel_size_um
    deviation = export(
        learner.best_net(),
        out / PACKAGE,
        card,
        around=(samples.mean, samples.scale),
    )
    draw_curves(out / CURVES, course)
    _record(out, samples, settings, course, deviation=deviation)
    return Trained(out / PACKAGE, course, deviation)


def _record(
    out: Path,
    samples: Samples,
    settings: TrainSettings,
    course: Course,
    **more: Any,
) -> None:
    record = {
        "data": str(samples.source.resolve()),
        "images_sha256": list(samples.sha256),
        "fields": {"train": len(samples.train), "watch": len(samples.watch)},
        "mean": samples.mean,
        "scale": samples.scale,
        "pixel_size_um": samples.pixel_size_um,
        "settings": settings.model_dump(mode="json"),
        "versions": library_versions(),
        "course": {
            **vars(course),
            "best": course.best if course.watch else None,
            "overfits": course.overfits,
        },
        **more,
    }
    text = json.dumps(record, indent=1) + "\n"
    (out / RECORD).write_text(text, encoding="utf-8")
