"""The folder of a training: what is in it, and how one is begun or gone on with."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import torch

from smartscope.errors import Refused
from smartscope.training.curves import Shown, draw_curves, write_page
from smartscope.training.learning import Course
from smartscope.training.settings import LearnSettings

CHECKPOINT, CURVES, PAGE, PACKAGE, RECORD = (
    "checkpoint.pt",
    "curves.png",
    "curves.html",
    "model",
    "training.json",
)

# what may be another after a training was stopped
_MAY_CHANGE = frozenset({"steps", "minutes", "rate", "batch", "patience"})

Settings = TypeVar("Settings", bound=LearnSettings)


def begun_with(out: Path, settings: Settings, *, resume: bool) -> Settings:
    """Return the settings; when it is gone on with, those of its beginning.

    How long it goes on, its rate and its batch are what is named now, if they are.

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
    held = read_checkpoint(out)
    if (out / PACKAGE).exists():
        raise Refused(
            f"The training in {out} has ended: {out / PACKAGE} is there.",
            rule="Only what has not ended can be gone on with.",
            way_out="Begin another one, with the weights of this one: "
            f"--begin-with {out}.",
        )
    named = settings.model_dump(include=settings.model_fields_set & _MAY_CHANGE)
    return type(settings).model_validate({**held["settings"], **named})


@contextlib.contextmanager
def held_in_memory(data: Path) -> Iterator[None]:
    """Tell if images that are read do not fit.

    Raises
    ------
    smartscope.errors.Refused
        In place of ``MemoryError``.
    """
    try:
        yield
    except MemoryError as e:
        raise Refused(
            f"The images of {data} do not fit into memory.",
            rule="All that is learned from is held in memory, as it is on disk.",
            way_out="Give fewer images, or parts of them.",
        ) from e


def read_checkpoint(out: Path) -> dict[str, Any]:
    """Read what a training has kept, to the CPU.

    Raises
    ------
    smartscope.errors.Refused
        If there is none, or it is broken.
    """
    path = out / CHECKPOINT if out.is_dir() else out
    if not path.is_file():
        raise Refused(
            f"{out} holds no training to go on with.",
            rule=f"It holds {CHECKPOINT}, which is written at each look.",
            way_out="Begin one without --resume, in another folder.",
        )
    try:
        held: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        missing = {"settings", "best"} - held.keys()
        if missing:
            raise ValueError(f"it holds no {' and no '.join(sorted(missing))}")
    except Exception as e:  # what a broken pickle raises is not said anywhere
        raise Refused(
            f"{path} cannot be read: {str(e).splitlines()[0]:.200}",
            rule="It is as a training has written it.",
            way_out="Bring it back from a copy, or train again.",
        ) from e
    return held


def read_record(out: Path) -> dict[str, Any]:
    """Return what ``training.json`` says; nothing where there is none."""
    try:
        held = json.loads((out / RECORD).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return held if isinstance(held, dict) else {}


def write_record(out: Path, record: Mapping[str, Any]) -> None:
    """Write ``training.json``.

    Raises
    ------
    OSError
        If it cannot be written.
    """
    text = json.dumps(record, indent=1) + "\n"
    (out / RECORD).write_text(text, encoding="utf-8")


def drawn_and_told(
    out: Path,
    told: Callable[[Course], None] | None,
    shown: Callable[[], Sequence[Shown]] | None = None,
) -> Callable[[Course], None]:
    """Return what is done at each look: the curves are drawn, and it is told.

    Parameters
    ----------
    out : Path
        Folder of the training; there are the curves before the first look already.
    told : Callable, optional
        Called when they are drawn.
    shown : Callable, optional
        Returns patches as the best network so far makes them.
    """

    def draw(course: Course) -> None:
        draw_curves(out / CURVES, course)
        examples = shown() if shown is not None and course.watch else ()
        write_page(out / PAGE, f"Training in {out.name}", course, examples)

    def look(course: Course) -> None:
        draw(course)
        if told is not None:
            told(course)

    draw(Course())
    return look
