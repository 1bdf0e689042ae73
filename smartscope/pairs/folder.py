"""A folder of pairs, read and checked: nothing is judged or learned from wrong ones."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from smartscope.errors import Refused
from smartscope.pairs.example import SPLITS, Example, Split, check_different
from smartscope.pairs.manifest import Manifest
from smartscope.pairs.matching import labels_away, mixed_up
from smartscope.pairs.naming import find_named
from smartscope.pairs.registration import shift_between
from smartscope.storage import Movie

LEAST_POSITIONS = 4
MOST_SHIFT_PX = 1.0
MOST_SATURATED = 1e-3
_FULL_SCALES = tuple(2**bits - 1 for bits in (8, 10, 12, 14, 16))
_LEAST_PX = 32
_SHOWN = 5


@dataclass(frozen=True)
class PairFolder:
    """Examples of one kind.

    Attributes
    ----------
    path : Path
        The folder.
    kind : {"clean", "labels", "none"}
        What the truth is: a clean image, labels, or there is none.
    examples : tuple of Example
        By name.
    manifest : Manifest or None
        What 'smartscope pairs' has said of it.
    """

    path: Path
    kind: Literal["clean", "labels", "none"]
    examples: tuple[Example, ...]
    manifest: Manifest | None = None

    @classmethod
    def open(
        cls, path: str | Path, *, pixel_size_um: float | None = None
    ) -> PairFolder:
        """Find the pairs in a folder; no pixel is read.

        Parameters
        ----------
        path : str or Path
            See ``docs/validation.md`` for how it may look.
        pixel_size_um : float, optional
            Of all of them; default: what 'smartscope pairs' has written.

        Raises
        ------
        smartscope.errors.Refused
            If it is no such folder, or an image has no partner.
        """
        path = Path(path)
        if not path.is_dir():
            raise Refused(
                f"There is no folder {path}.",
                rule="Truths lie in a folder.",
                way_out="Check the path.",
            )
        manifest = Manifest.read(path)
        if manifest is not None:
            return cls._taken(path, manifest, pixel_size_um)
        kind, named = find_named(path)
        examples = []
        for name, image, truth in named:
            movie = Movie.open(truth)
            if len(movie) != 1:
                raise Refused(
                    f"{truth} holds {len(movie)} frames.",
                    rule="The truth of an image is one image.",
                    way_out="Average them, or give each its own image.",
                )
            examples.append(
                Example(
                    name,
                    Movie.open(image),
                    clean=movie if kind == "clean" else None,
                    labels=movie if kind == "labels" else None,
                    position=name,
                    pixel_size_um=pixel_size_um,
                )
            )
        return cls(path, kind, tuple(examples))

    @classmethod
    def _taken(
        cls, path: Path, manifest: Manifest, pixel_size_um: float | None
    ) -> PairFolder:
        examples = tuple(
            Example(
                pair.name,
                Movie.open(path / pair.noisy),
                clean=Movie.open(path / pair.clean) if pair.clean else None,
                position=pair.group or pair.name,
                split=pair.split,
                pixel_size_um=pixel_size_um or manifest.pixel_size_um,
            )
            for pair in manifest.pairs
            if pair.split is not None
        )
        kind: Literal["clean", "none"] = "clean" if manifest.high else "none"
        return cls(path, kind, examples, manifest)

    def of_split(self, split: Split | Literal["all"]) -> tuple[Example, ...]:
        """Return the examples of one split; all, where nobody has split them."""
        if split == "all" or all(e.split is None for e in self.examples):
            return self.examples
        return tuple(e for e in self.examples if e.split == split)

    def check_no_leak(self) -> None:
        """See that no image stands in two splits.

        Raises
        ------
        smartscope.errors.Refused
            If one does, whatever it is called there.
        """
        places: defaultdict[str, dict[Split, str]] = defaultdict(dict)
        for example in self.examples:
            if example.split is not None:
                places[example.sha256].setdefault(example.split, example.name)
        for found in places.values():
            if len(found) > 1:
                told = " and ".join(f"{found[s]} ({s})" for s in SPLITS if s in found)
                raise Refused(
                    f"The same image stands in several splits of {self.path}: {told}.",
                    rule="What a model is judged on it has never seen.",
                    way_out="Take it out of all but one.",
                )

    def check_different(self) -> None:
        """See that no image stands there twice, whatever it is called.

        Raises
        ------
        smartscope.errors.Refused
            If one does: where nobody has split them, it could be in two splits.
        """
        check_different(self.examples)


def checked(
    examples: Sequence[Example], *, least: int = LEAST_POSITIONS
) -> tuple[Example, ...]:
    """Read examples and return them, if something can be judged by them.

    Parameters
    ----------
    examples : sequence of Example
        With a clean image or labels.
    least : int
        Of positions.

    Raises
    ------
    smartscope.errors.Refused
        If they are too few, or one of them is not what it should be; all that is found
        is told at once.
    """
    positions = {e.position for e in examples}
    if len(positions) < least:
        raise Refused(
            f"There are too few images: {len(positions)} of different positions.",
            rule=f"At least {least} independent ones are needed for an interval.",
            way_out="Take more, at other positions. Of a folder that is split, "
            "--split all judges all of it; none of it must have trained the model.",
        )
    wrong = [(e.name, what) for e in examples for what in _wrong(e)]
    if not wrong:
        wrong = list(mixed_up([e for e in examples if e.clean is not None]))
    problems = [f"{name}: {what}" for name, what in wrong]
    if problems:
        more = (
            f"\n  and {len(problems) - _SHOWN} more" if len(problems) > _SHOWN else ""
        )
        listed = "\n".join(f"  {problem}" for problem in problems[:_SHOWN])
        raise Refused(
            f"These pairs cannot be used:\n{listed}{more}\n",
            rule="An image and its truth show the same, pixel by pixel, and the truth "
            "is not saturated.",
            way_out="Correct them, or take them out of the folder.",
        )
    return tuple(examples)


def _wrong(example: Example) -> Iterator[str]:
    image, truth = example.image, example.clean or example.labels
    if truth is None:
        yield "it has no truth."
        return
    if image.shape[1:] != truth.shape[1:]:
        yield (
            f"the shapes differ: {_size(image)} and the truth {_size(truth)} pixels."
        )
        return
    if min(image.shape[1:]) < _LEAST_PX:
        yield f"it is {_size(image)} pixels; {_LEAST_PX} a side are needed."
        return
    noisy, true = image.read(0), truth.read(0)
    if noisy.min() == noisy.max():
        yield "the image has one value only."
        return
    if example.labels is not None:
        yield from _wrong_labels(true, noisy)
        return
    if true.min() == true.max():
        yield "the clean image has one value only."
        return
    if np.array_equal(true, noisy):
        yield "the clean image is the noisy one."
        return
    if (share := saturated_share(true)) > MOST_SATURATED:
        yield (
            f"the clean image is saturated: {100 * share:.2g} % of its pixels are at "
            f"{true.max():g}. Take it with less light."
        )
    shift = shift_between(true, noisy)
    if shift.known and shift.px > MOST_SHIFT_PX:
        yield (
            f"the two are not registered: shifted by {shift.rows:.1f} rows and "
            f"{shift.columns:.1f} columns."
        )


def saturated_share(image: npt.NDArray[Any], full: float | None = None) -> float:
    """Return the share of pixels at a camera's largest count.

    Parameters
    ----------
    image : np.ndarray
        Of counts.
    full : float, optional
        The largest count; default: the image's largest value, if that is one of 8, 10,
        12, 14 or 16 bits.
    """
    if full is None:
        full = float(image.max())
        if full not in _FULL_SCALES:
            return 0.0
    return float(np.count_nonzero(image >= full)) / image.size


def _wrong_labels(labels: npt.NDArray[Any], image: npt.NDArray[Any]) -> Iterator[str]:
    from scipy.ndimage import label

    if labels.dtype.kind not in "ui" or labels.min() < 0:
        yield f"labels are whole numbers from 0 on, not {labels.dtype}."
        return
    names = np.unique(labels[labels > 0])
    if len(names) == 1:
        _, parts = label(labels)
        if parts > 1:
            yield (
                f"the labels are a mask: {parts} things have the one number "
                f"{names[0]}. Give each its own."
            )
    if len(names) and not (labels == 0).any():
        yield "the labels have no background."
    elif len(names):
        inside, outside = image[labels > 0], image[labels == 0]
        scatter = max(float(np.std(image)), 1e-12)
        if abs(float(inside.mean()) - float(outside.mean())) < _ALIKE * scatter:
            yield (
                "the labels do not match the image: inside and outside of them it is "
                "equally bright."
            )
        elif away := labels_away(labels, image):
            yield away


_ALIKE = 0.05


def _size(movie: Movie) -> str:
    return " x ".join(map(str, movie.shape[1:]))
