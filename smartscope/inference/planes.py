"""What goes into the models at once: planes of one moment and place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Plane = npt.NDArray[np.generic]


@dataclass(frozen=True, slots=True, eq=False)
class Planes:
    """Frames that one model looks at together.

    Attributes
    ----------
    pixels : tuple of np.ndarray
        Each ``(Y, X)``, raw counts, all of one shape and dtype; channel after channel
        in the order of the net, within a channel the oldest first.
    channels : tuple of str
        Of each channel its key: the preset, or the camera. Dark and flat field and the
        statistics of a series belong to it.
    pixel_size_um : float or None
        Edge of a pixel in the specimen; None if nobody knows: nothing is resampled.
    """

    pixels: tuple[Plane, ...]
    channels: tuple[str, ...] = ("",)
    pixel_size_um: float | None = None

    def __post_init__(self) -> None:
        if not self.pixels or len(self.pixels) % len(self.channels):
            raise ValueError(
                f"{len(self.pixels)} planes are no whole number of frames of "
                f"{len(self.channels)} channels"
            )
        kinds = {(p.shape, p.dtype) for p in self.pixels}
        if len(kinds) > 1 or self.pixels[0].ndim != 2:
            raise ValueError(f"planes are (Y, X) and of one kind, got {kinds}")

    @classmethod
    def of(cls, image: Plane | Planes) -> Planes:
        """Return planes as they are, and one image as one plane."""
        return image if isinstance(image, Planes) else cls((image,))

    @property
    def frames(self) -> int:
        """Planes of each channel."""
        return len(self.pixels) // len(self.channels)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        rows, columns = self.pixels[0].shape
        return rows, columns

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the counts."""
        return self.pixels[0].dtype


@dataclass(frozen=True, slots=True, eq=False)
class Corrections:
    """Dark and flat field of a camera: ``(counts - dark) / flat``.

    Attributes
    ----------
    dark : np.ndarray or None
        ``(Y, X)``, float32, counts of the camera without light.
    flats : dict
        By channel ``(Y, X)``, float32, of mean 1: how bright an even specimen is there.
        A channel that is not there is not flattened; the key ``""`` is every other.
    """

    dark: npt.NDArray[np.float32] | None
    flats: dict[str, npt.NDArray[np.float32]]

    def flat(self, channel: str) -> npt.NDArray[np.float32] | None:
        """Return the flat field of a channel, None if it has none."""
        return self.flats.get(channel, self.flats.get(""))

    def fields_of(self, channels: Sequence[str]) -> tuple[str, ...]:
        """Return which flat field each channel has: those alike are corrected alike."""
        return tuple(c if c in self.flats else "" for c in channels)
