"""A model tried on a folder of truths, whatever these are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

from smartscope.errors import Refused
from smartscope.inference import ModelPackage, training_record
from smartscope.pairs import (
    Example,
    Manifest,
    PairFolder,
    Pointed,
    Split,
    checked,
    pointed_kind,
    read_pointed,
)
from smartscope.pairs.folder import LEAST_POSITIONS
from smartscope.trial.finding import FoundExample, judge_finding
from smartscope.trial.picture import draw_finding, draw_restoration
from smartscope.trial.pointing import PointedExample, judge_pointing
from smartscope.trial.pointing_picture import draw_pointing
from smartscope.trial.restoration import RestoredExample, judge_restoration

WITHIN_PX = 6.0
"""What is found at most so far from a point is that point, if nobody says otherwise."""

_LEAST_POINTED = 2  # images with points: things in them are what is counted
_Judged = Sequence[RestoredExample] | Sequence[FoundExample] | Sequence[PointedExample]
_Given = TypeVar("_Given", Example, Pointed)


@dataclass(frozen=True)
class Trial:
    """A model and how it is to be tried; see ``validate``."""

    model: str
    package: ModelPackage
    split: Split | Literal["all"]
    pixel_size_um: float | None
    within_px: float | None
    at_least: float
    seed: int
    progress: Callable[[str], None] | None

    @property
    def finding(self) -> dict[str, Any]:
        """How what is found is judged."""
        return {
            "pixel_size_um": self.pixel_size_um,
            "at_least": self.at_least,
            "seed": self.seed,
            "progress": self.progress,
        }


@dataclass(frozen=True)
class Tried:
    """What came of a trial.

    Attributes
    ----------
    role : {"denoise", "detect"}
        Of the model.
    judged : sequence
        One for each image: ``name``, ``position``, ``figures``.
    told : dict
        Verdict and numbers.
    draw : Callable
        Writes the picture to a path.
    sha256 : sequence of str
        Of the images that judged.
    left_out : sequence of str
        Names of those that the model has learned from.
    split_up : bool
        Whether the folder says which part an image belongs to.
    manifest : Manifest or None
        What 'smartscope pairs' has said of them.
    """

    role: Literal["denoise", "detect"]
    judged: _Judged
    told: dict[str, Any]
    draw: Callable[[Path], None]
    sha256: Sequence[str]
    left_out: Sequence[str] = ()
    split_up: bool = False
    manifest: Manifest | None = None


def tried(path: Path, trial: Trial) -> Tried:
    """Try a model on what a folder holds.

    Raises
    ------
    smartscope.errors.SmartscopeError
        If model or truths are not what they should be.
    """
    made = _by_points(path, trial) if pointed_kind(path) else _by_pairs(path, trial)
    if n := len(made.left_out):
        which = "One image" if n == 1 else f"{n} images"
        made.told["says"] += (
            f" {which} that it has learned from {'was' if n == 1 else 'were'} left out."
        )
    return made


def _by_pairs(path: Path, trial: Trial) -> Tried:
    pairs = PairFolder.open(path, pixel_size_um=trial.pixel_size_um)
    if pairs.kind == "none":
        raise Refused(
            f"{pairs.path} holds noisy images only.",
            rule="A model is judged against the truth: clean images or labels.",
            way_out="Take pairs with a high exposure (pairs: high_ms).",
        )
    pairs.check_no_leak()
    split_up = any(e.split is not None for e in pairs.examples)
    given = pairs.of_split(trial.split)
    unseen = _unseen(trial, given, leave_out=not split_up)
    left_out = [e.name for e in given if e not in unseen]
    if left_out:
        positions = len({e.position for e in unseen})
        _check_enough(trial, positions, LEAST_POSITIONS, left_out)
    examples = checked(unseen)
    common: dict[str, Any] = {
        "sha256": [e.sha256 for e in examples],
        "left_out": left_out,
        "split_up": split_up,
        "manifest": pairs.manifest,
    }
    if pairs.kind == "clean":
        _, restored, told = judge_restoration(
            trial.model, examples, seed=trial.seed, progress=trial.progress
        )
        return Tried(
            "denoise",
            restored,
            told,
            lambda to: draw_restoration(to, restored, told),
            **common,
        )
    _, found, told = judge_finding(trial.model, examples, **trial.finding)
    return Tried(
        "detect",
        found,
        told,
        lambda to: draw_finding(to, found, told),
        **common,
    )


def _by_points(path: Path, trial: Trial) -> Tried:
    images = read_pointed(path)
    unseen = _unseen(trial, images, leave_out=True)
    left_out = [one.name for one in images if one not in unseen]
    _check_enough(trial, len(unseen), _LEAST_POINTED, left_out)
    settings = training_record(trial.package).get("settings") or {}
    within_px = trial.within_px or settings.get("distance_px") or WITHIN_PX
    judged, told = judge_pointing(
        trial.model, unseen, distance_px=float(within_px), **trial.finding
    )
    return Tried(
        "detect",
        judged,
        told,
        lambda to: draw_pointing(to, judged, told),
        sha256=[one.sha256 for one in unseen],
        left_out=left_out,
    )


def _check_enough(trial: Trial, left: int, least: int, left_out: Sequence[str]) -> None:
    if left >= least:
        return
    raise Refused(
        f"{trial.package.name} was trained on {len(left_out)} of these images; "
        f"{left} of other places are left."
        if left_out
        else f"There are too few images: {left}.",
        rule=f"At least {least} that it has never seen are needed for an interval.",
        way_out="Add others that it was not trained on.",
    )


def _unseen(trial: Trial, images: Sequence[_Given], *, leave_out: bool) -> list[_Given]:
    """Return what the model was not trained on, where its package tells.

    Of a folder that nobody has split the others are left out; of one that is split, or
    if all of it was asked for, one that was seen is an error.
    """
    learned = training_record(trial.package).get("learned_from") or ()
    if not learned:
        return list(images)
    first = min(len(one) for one in learned)
    seen_hashes = {one[:first] for one in learned}
    unseen = [one for one in images if one.sha256[:first] not in seen_hashes]
    seen = [one.name for one in images if one.sha256[:first] in seen_hashes]
    if seen and not (leave_out and unseen and trial.split == "test"):
        more = " …" if len(seen) > 5 else ""
        raise Refused(
            f"{trial.package.name} was trained on {len(seen)} of these images "
            f"({', '.join(seen[:5])}{more}).",
            rule="What a model is judged on it has never seen.",
            way_out="Leave them out, judge it on others, or on --split test of the "
            "pairs that it was trained with.",
        )
    return unseen
