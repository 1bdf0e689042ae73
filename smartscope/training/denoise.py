"""``smartscope train denoise``: data in, a package that a run takes out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Unpack

import numpy as np
import torch
from torch import nn

from smartscope.errors import Refused
from smartscope.training.curves import Shown
from smartscope.training.denoise_report import figures_of, limits_of, told_of
from smartscope.training.export import export
from smartscope.training.folder import held_in_memory
from smartscope.training.learning import Learner
from smartscope.training.net import in_units, net_of, step_of
from smartscope.training.samples import Floats, Samples
from smartscope.training.settings import TrainSettings
from smartscope.training.sitting import Asked, MadeOf, Sitting, Trained

OF_ITS_OWN = ("mean", "scale")
_SHOWN = 5  # patches on the page
SIZES = ("width", "levels", "widths")


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
        return net_of(self.settings, self.samples.mean, self.samples.scale)

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
        made = in_units(net, given)
        return ((made - wanted) ** 2 * weight).sum() / weight.sum()

    def shown(self, learner: Learner) -> list[Shown]:
        """Return patches of a look as the best network so far makes them."""
        given, wanted, _ = (part[:_SHOWN].cpu() for part in next(learner.watched()))
        blind = self.settings.method == "n2v"
        if blind:  # nothing hidden: as in a run
            given = torch.cat([given[:, :-1], wanted], dim=1)
        with torch.no_grad():
            made = in_units(learner.best_net(), given)
        wanted_as = {"care": "clean", "n2n": "another noisy one"}
        found = []
        for i in range(len(given)):
            images = {"noisy": given[i, -1].numpy(), "restored": made[i, 0].numpy()}
            if not blind:
                images[wanted_as[self.settings.method]] = wanted[i, 0].numpy()
            found.append(Shown(images))
        return found


def train_denoise(
    data: str | Path,
    out: str | Path,
    settings: TrainSettings,
    **asked: Unpack[Asked],
) -> Trained:
    """Train a denoising model and make a package of it.

    Parameters
    ----------
    data : path
        Folder of pairs; of n2v also a movie, an image or a folder of images.
    out : path
        Folder to be made: ``model`` (the package), ``curves.html`` and ``curves.png``,
        ``training.json``, ``checkpoint.pt``.
    settings : TrainSettings
        How.
    **asked
        See ``Asked``. Mean and scale of the counts, which are part of the network, are
        those of the new data also where it begins with another one: what that has
        learned it has learned in units of the scale, so it holds for a camera of
        another offset and gain. (The shipped denoiser has neither: it goes by each
        frame itself.)

    Raises
    ------
    smartscope.errors.Refused
        If data or folder are not what they should be.
    smartscope.errors.BrokenOff
        If the loss is no number any more or memory is not enough.
    KeyboardInterrupt
        After the checkpoint is written; ``resume`` goes on with it.
    """
    data = Path(data)
    sitting = Sitting.opened(out, settings, SIZES, **asked)
    settings = sitting.settings
    if settings.widths is not None and settings.frames > 1:
        raise Refused(
            f"{asked.get('begin_with')} sees one frame, and {settings.frames} were "
            "asked for.",
            rule="The shipped denoiser restores each frame by itself.",
            way_out="Leave --frames away, or --begin-with.",
        )
    with held_in_memory(data):
        samples = Samples.read(data, settings)
    task = Denoising(samples, settings)
    made_of = MadeOf(
        data,
        {"train": len(samples.train), "validation": len(samples.watch)},
        samples.sha256,
        {
            "mean": samples.mean,
            "scale": samples.scale,
            "clean_gain": samples.gain,
            "clean_offset": samples.offset,
            "pixel_size_um": samples.pixel_size_um,
        },
    )
    learner = sitting.learned(task, made_of, own=OF_ITS_OWN, examples=task.shown)
    net = learner.best_net()
    figures = figures_of(net, samples, settings, learner.watched())
    card = _card(sitting.imprint.name, samples, settings)
    package = sitting.packed(
        partial(
            export,
            net,
            card=card,
            channels=settings.frames,
            around=(samples.mean, samples.scale),
        ),
        card["name"],
        sitting.record(made_of, learner.course, figures=figures),
        told=told_of(figures, settings),
        limits=limits_of(settings),
    )
    return Trained(package, learner.course, figures)


def _card(name: str, samples: Samples, settings: TrainSettings) -> dict[str, Any]:
    data = samples.source.name
    card: dict[str, Any] = {
        "name": name or f"{data.split('.')[0]} {settings.method}",
        "description": f"Denoises by {settings.method}, trained on {data}; for "
        "images of that specimen on that microscope.",
        "axes": "bcyx",
        "step": step_of(settings),
    }
    if settings.frames > 1:
        card["channels_are"] = "frames"
    if samples.pixel_size_um is not None:
        card["pixel_size_um"] = samples.pixel_size_um
    return card
