"""Labelled images to train and judge a detector with, parted by their names."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from smartscope.errors import Refused
from smartscope.pairs import PairFolder, Split, checked
from smartscope.training.settings import PartedSettings

_PERCENTILES = (1.0, 99.8)
_LEAST = 4  # images


@dataclass(frozen=True, eq=False)
class Labelled:
    """One image with its things.

    Attributes
    ----------
    name : str
        Of its file.
    image : np.ndarray
        ``(Y, X)``, as in the file.
    labels : np.ndarray
        ``(Y, X)`` int32, 0 is background.
    sha256 : str
        Of its pixels.
    """

    name: str
    image: npt.NDArray[Any]
    labels: npt.NDArray[np.int32]
    sha256: str

    @property
    def diameter_px(self) -> float:
        """Median diameter of discs of the same area; NaN without things."""
        areas = np.bincount(self.labels.ravel())[1:]
        areas = areas[areas > 0]
        return float(np.sqrt(4 * np.median(areas) / np.pi)) if len(areas) else np.nan


def read_labelled(data: Path, settings: PartedSettings) -> dict[Split, list[Labelled]]:
    """Read ``images/`` and ``labels/`` of a folder, checked and parted.

    Raises
    ------
    smartscope.errors.Refused
        If files do not pair, are too few, hold no labels, or stand there twice.
    """
    folder = PairFolder.open(data)
    if folder.kind != "labels":
        raise Refused(
            f"{data} holds no labels.",
            rule="A detector learns from images/ and labels/ with files of the same "
            "name.",
            way_out="Label some images; 0 is background, each thing has a number.",
        )
    if len(folder.examples) < _LEAST:
        raise Refused(
            f"There are too few images in {data}: {len(folder.examples)}.",
            rule=f"At least {_LEAST} labelled images: most are learned from, one "
            "watches, and one judges.",
            way_out="Label more; ten or twenty are a beginning.",
        )
    folder.check_different()
    parts: dict[Split, list[Labelled]] = {"train": [], "validation": [], "test": []}
    shares = (settings.validation, settings.test)
    for example in checked(folder.examples):
        one = Labelled(
            example.name,
            np.ascontiguousarray(example.image.read(0)),
            example.truth().astype(np.int32),
            example.sha256,
        )
        parts[example.split or part_of(one.name, settings.seed, shares)].append(one)
    if not any(one.labels.any() for of in parts.values() for one in of):
        raise Refused(
            f"None of the labels in {data} holds a thing.",
            rule="0 is background, each thing has a number from 1 on.",
            way_out="Check how they were exported.",
        )
    if not parts["validation"] and len(parts["train"]) > 1:
        parts["validation"].append(parts["train"].pop())
    if not (parts["train"] and parts["validation"]):
        raise Refused(
            f"Of {len(folder.examples)} images none is left to train on, or to "
            "judge by.",
            rule="The parts are drawn by a hash of the names.",
            way_out="Add images, or give another --seed.",
        )
    return parts


def part_of(name: str, seed: int, shares: tuple[float, float]) -> Split:
    """Return which part an image belongs to, by a hash of its name and a seed.

    It does not depend on which others there are, so that a folder that grows leaves the
    test images what they were.

    Parameters
    ----------
    name : str
        Of the image.
    seed : int
        Of the split.
    shares : tuple of float
        Of validation and test; the rest is for training.
    """
    digest = hashlib.sha256(f"{seed}/{name}".encode()).digest()
    drawn = int.from_bytes(digest[:8], "big") / 2**64
    validation, test = shares
    if drawn < test:
        return "test"
    return "validation" if drawn < test + validation else "train"


def scaled(image: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """Return an image with its percentiles 1 and 99.8 at 0 and 1, as the model's is."""
    low, high = np.percentile(image, _PERCENTILES)
    made: npt.NDArray[np.float32] = (
        (image.astype(np.float32) - np.float32(low)) / np.float32(high - low + 1e-6)
    ).astype(np.float32)
    return made


def hashes(images: Sequence[Labelled]) -> list[str]:
    """Return the hashes of images, for the record."""
    return [one.sha256 for one in images]
