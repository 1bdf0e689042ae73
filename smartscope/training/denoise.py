"""``smartscope train denoise``: data in, a package that a run takes out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from smartscope.errors import Refused
from smartscope.training.curves import Shown
from smartscope.training.denoise_report import figures_of, limits_of, told_of
from smartscope.training.export import export
from smartscope.training.folder import (
    CHECKPOINT,
    PACKAGE,
    begun_with,
    drawn_and_told,
    held_in_memory,
    read_record,
    write_record,
)
from smartscope.training.learning import Course, Learner
from smartscope.training.net import in_units, net_of, step_of
from smartscope.training.provenance import (
    Imprint,
    model_readme,
    packed_record,
    record_of,
)
from smartscope.training.samples import Floats, Samples
from smartscope.training.settings import TrainSettings
from smartscope.training.start import Start

OF_ITS_OWN = ("mean", "scale")
_SHOWN = 5  # patches on the page
SIZES = ("width", "levels", "widths")


@dataclass(frozen=True)
class Trained:
    """A model that was made.

    Attributes
    ----------
    package : Path
        Of bioimage.io; what 'smartscope validate' and a run take.
    course : Course
        How the training went.
    figures : dict
        On images it did not learn from.
    """

    package: Path
    course: Course
    figures: dict[str, Any]


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
    *,
    name: str = "",
    begin_with: str | Path | None = None,
    resume: bool = False,
    finish: bool = False,
    authors: tuple[str, ...] = ("unknown",),
    license_id: str | None = None,
    told: Callable[[Course], None] | None = None,
    ticked: Callable[[Course], None] | None = None,
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
    name : str
        Of the model; default: that of the data and the method.
    begin_with : path or str, optional
        What it begins with, see ``Start.read``; the network has its size, unless
        another one was named. Mean and scale of the counts, which are part of the
        network, are those of the new data: what it has learned it has learned in units
        of the scale, so it holds for a camera of another offset and gain. (The shipped
        denoiser has neither: it goes by each frame itself.)
    resume : bool
        Go on with the checkpoint in `out`.
    finish : bool
        Make the package of what is there, without another step.
    authors, license_id
        For the package. What a resumed training does not say again is as it was.
    told : Callable, optional
        Called after each look at validation.
    ticked : Callable, optional
        Called before the first step and after each.

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
    imprint = Imprint(name, authors, license_id)
    settings = begun_with(out, settings, resume=resume)
    start = None if resume or begin_with is None else Start.read(begin_with)
    if start is not None:
        settings = start.sized(settings, SIZES)
    if settings.widths is not None and settings.frames > 1:
        raise Refused(
            f"{begin_with} sees one frame, and {settings.frames} were asked for.",
            rule="The shipped denoiser restores each frame by itself.",
            way_out="Leave --frames away, or --begin-with.",
        )
    imprint = imprint.or_that_of(read_record(out))
    with held_in_memory(data):
        samples = Samples.read(data, settings)
    task = Denoising(samples, settings)
    learner = Learner(task, settings)
    if start is not None:
        learner.begin_with(start.fitted(learner.net, own=OF_ITS_OWN))
    out.mkdir(parents=True, exist_ok=True)
    learner.keep(out / CHECKPOINT)

    def record(**more: Any) -> dict[str, Any]:
        return record_of(
            data,
            {"train": len(samples.train), "validation": len(samples.watch)},
            samples.sha256,
            settings,
            learner.course,
            imprint,
            begun_with=None if start is None else start.source,
            mean=samples.mean,
            scale=samples.scale,
            clean_gain=samples.gain,
            clean_offset=samples.offset,
            pixel_size_um=samples.pixel_size_um,
            **more,
        )

    write_record(out, record())
    if finish:
        learner.finish()
    else:
        examples = partial(task.shown, learner)
        learner.learn(drawn_and_told(out, told, examples), ticked)
    net = learner.best_net()
    figures = figures_of(net, samples, settings, learner.watched())
    whole = record(figures=figures)
    card = _card(imprint.name, samples, settings)
    figures["deviation_of_export"] = export(
        net,
        out / PACKAGE,
        card,
        channels=settings.frames,
        around=(samples.mean, samples.scale),
        readme=model_readme(
            card["name"], whole, told_of(figures, settings), limits_of(settings)
        ),
        record=packed_record(whole),
        authors=imprint.authors,
        license_id=imprint.license_id,
    )
    write_record(out, whole)
    return Trained(out / PACKAGE, learner.course, figures)


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
