"""One example of what is true: an image as the camera gives it, and the truth of it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from smartscope.errors import Refused
from smartscope.storage import Movie

Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = ("train", "validation", "test")


@dataclass(frozen=True)
class Example:
    """An image and its truth, read when they are asked for.

    Attributes
    ----------
    name : str
        Unique in its folder.
    image : Movie
        As the camera gives it; its frames are repeats of the same field.
    clean : Movie or None
        One image: the same field with little noise.
    labels : Movie or None
        One image: 0 is background, each other number a thing.
    position : str
        Examples of one position are not independent.
    split : {"train", "validation", "test"} or None
        What it may be used for; None if nobody said.
    pixel_size_um : float or None
        Edge of a pixel in the specimen, where it is known.
    """

    name: str
    image: Movie
    clean: Movie | None = None
    labels: Movie | None = None
    position: str = ""
    split: Split | None = None
    pixel_size_um: float | None = None

    @property
    def paths(self) -> tuple[Path, ...]:
        """Of the image and its truth."""
        both = (self.image, self.clean, self.labels)
        return tuple(movie.path for movie in both if movie is not None)

    def noisy(self) -> npt.NDArray[Any]:
        """Return the image and its repeats, shape ``(T, Y, X)``.

        Raises
        ------
        smartscope.errors.Refused
            If it cannot be read.
        """
        return np.stack([self.image.read(t) for t in range(len(self.image))])

    def truth(self) -> npt.NDArray[Any]:
        """Return the clean image or the labels, shape ``(Y, X)``.

        Raises
        ------
        smartscope.errors.Refused
            If it cannot be read.
        ValueError
            If there is none.
        """
        movie = self.clean or self.labels
        if movie is None:
            raise ValueError(f"{self.name} has no truth")
        return movie.read(0)

    @cached_property
    def sha256(self) -> str:
        """Hash of the image's pixels, whatever the file is called."""
        return pixels_sha256(self.image.read(t) for t in range(len(self.image)))


def pixels_sha256(frames: Iterable[npt.NDArray[Any]]) -> str:
    """Return a hash over the pixels of frames, in their order."""
    found = hashlib.sha256()
    for frame in frames:
        found.update(f"{frame.shape} {frame.dtype.str}".encode())
        found.update(np.ascontiguousarray(frame).tobytes())
    return found.hexdigest()


class _Hashed(Protocol):
    @property
    def name(self) -> str: ...

    @property
    def sha256(self) -> str: ...


def check_different(images: Iterable[_Hashed]) -> None:
    """See that no image stands there twice, whatever it is called.

    Raises
    ------
    smartscope.errors.Refused
        If one does: where nobody has split them, it could be in two splits.
    """
    first: dict[str, str] = {}
    for one in images:
        other = first.setdefault(one.sha256, one.name)
        if other != one.name:
            raise Refused(
                f"{one.name} and {other} are the same image.",
                rule="What a model is judged on it has never seen.",
                way_out="Take one of them out.",
            )
