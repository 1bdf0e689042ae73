"""The folder of a training: what is in it, and how one is begun or gone on with."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import torch

from smartscope.errors import Refused
from smartscope.training.curves import draw_curves
from smartscope.training.learning import Course
from smartscope.training.settings import LearnSettings

CHECKPOINT, CURVES, PACKAGE, RECORD = (
    "checkpoint.pt",
    "curves.png",
    "model",
    "training.json",
)

Settings = TypeVar("Settings", bound=LearnSettings)


def begun_with(out: Path, settings: Settings, *, resume: bool) -> Settings:
    """Return the settings; when it is gone on with, those of its beginning.

    Raises
    ------
    smartscope.errors.Refused
        If a new training would be written over something, or there is none to go on
        with.
    """
    if not resume:
        if out.exists():
            raise Refused(
                f"The output folder {out} exists.",
                rule="A training is written into a new folder.",
                way_out="Name another, or go on with it by --resume.",
            )
        return settings
    if not (out / CHECKPOINT).is_file():
        raise Refused(
            f"{out} holds no training to go on with.",
            rule=f"It holds {CHECKPOINT}.",
            way_out="Begin one without --resume.",
        )
    if (out / PACKAGE).exists():
        raise Refused(
            f"The training in {out} has ended: {out / PACKAGE} is there.",
            rule="Only what has not ended can be gone on with.",
            way_out="Begin another one.",
        )
    held = torch.load(out / CHECKPOINT, map_location="cpu", weights_only=True)
    return type(settings).model_validate(held["settings"])


def drawn_and_told(
    out: Path, told: Callable[[Course], None] | None
) -> Callable[[Course], None]:
    """Return what is done at each look: the curves are drawn, and it is told."""

    def look(course: Course) -> None:
        draw_curves(out / CURVES, course)
        if told is not None:
            told(course)

    return look
