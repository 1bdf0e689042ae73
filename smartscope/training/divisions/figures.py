"""Mitotic figures cut from labelled images, as which drawn cells are seen.

No ellipse looks like a plate or like two masses in anaphase: their sizes, their light
and their outlines are taken from cells that were caught in mitosis. The table
``mitoses.csv`` says where they are, marked by eye; what moves, and when, is drawn.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal, NamedTuple, Self

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from smartscope.training.divisions.part import TEXTURE_PX, TEXTURE_RADII
from smartscope.training.heat_source import Floats
from smartscope.training.labelled import Labelled

Kind = Literal["resting", "round", "plate", "pair"]

_TABLE = Path(__file__).with_name("mitoses.csv")
_RESTING = 3  # of an image
_AROUND_PX = 2  # of a label, the soft edge of what it marks
_GROUND_PX = 4  # beyond that, by which it is set off
_LEAST_PX = 10  # of area


class Marked(NamedTuple):
    """Where a mitotic figure is.

    Attributes
    ----------
    image : str
        Its name.
    kind : str
        ``plate`` (metaphase, from aside), ``round`` (before it, or from above), or
        ``pair`` (anaphase and telophase).
    at : tuple
        Row and column within each of its labels: one, of a pair two.
    """

    image: str
    kind: Kind
    at: tuple[tuple[int, int], ...]


@cache
def marked() -> tuple[Marked, ...]:
    """Return the figures marked in the nuclei of the 2018 Data Science Bowl."""
    made = []
    with _TABLE.open(newline="") as file:
        for row in csv.DictReader(file):
            at = [(int(row["row"]), int(row["column"]))]
            if row["row2"]:
                at.append((int(row["row2"]), int(row["column2"])))
            made.append(Marked(row["image"], row["kind"], tuple(at)))  # type: ignore[arg-type]
    return tuple(made)


class Look(NamedTuple):
    """One mass of chromatin, cut from an image.

    Attributes
    ----------
    profile : np.ndarray
        ``(64, 64)`` float32 over its semi-axes, as the textures of parts: 1 is its own
        light.
    a, b : float
        Its semi-axes, in radii of a usual nucleus around it.
    light : float
        In that of a usual nucleus.
    """

    profile: Floats
    a: float
    b: float
    light: float


@dataclass(frozen=True, slots=True, eq=False)
class Figures:
    """What cells look like in interphase and in mitosis.

    Attributes
    ----------
    profiles : np.ndarray
        ``(n, 64, 64)``, see `Look`; ``Part.figure`` counts in them.
    sizes : np.ndarray
        ``(n, 3)``: semi-axes and light, see `Look`.
    resting, rounds, plates : tuple of int
        Which are in interphase, in prometaphase or seen from above, in metaphase.
    pairs : tuple
        Which two belong together, and how far they are apart, in radii of a usual
        nucleus.
    """

    profiles: Floats
    sizes: npt.NDArray[np.float64]
    resting: tuple[int, ...]
    rounds: tuple[int, ...]
    plates: tuple[int, ...]
    pairs: tuple[tuple[int, int, float], ...]

    @classmethod
    def of(
        cls, images: Sequence[Labelled], marks: Iterable[Marked] | None = None
    ) -> Self | None:
        """Cut them out; None where not each kind is among them.

        Parameters
        ----------
        images : sequence of Labelled
            With things.
        marks : iterable of Marked, optional
            Default: those of the table. Those of other images, and those without a
            label, are left out.
        """
        looks: list[Look] = []
        which: dict[Kind, list[int]] = {"resting": [], "round": [], "plate": []}
        pairs: list[tuple[int, int, float]] = []
        by_image: dict[str, list[Marked]] = {}
        for one in marked() if marks is None else marks:
            by_image.setdefault(one.image, []).append(one)
        for image in images:
            if not image.labels.any() or image.labels.all():
                continue
            cut, mitotic = _Cut(image), by_image.get(image.name, [])
            for one in mitotic:
                labels = [int(image.labels[place]) for place in one.at]
                cuts = cut.looks(labels) if all(labels) else []
                if cuts and one.kind == "pair":
                    apart = math.hypot(*cut.way(labels)) / cut.radius_px
                    pairs.append((len(looks), len(looks) + 1, apart))
                elif cuts:
                    which[one.kind].append(len(looks))
                looks += cuts
            marked_here = {int(image.labels[at]) for one in mitotic for at in one.at}
            for label in cut.usual(but=marked_here):
                if cuts := cut.looks([label]):
                    which["resting"].append(len(looks))
                    looks += cuts
        if not (pairs and all(which.values())):
            return None
        return cls(
            np.stack([look.profile for look in looks]),
            np.array([look[1:] for look in looks], np.float64),
            tuple(which["resting"]),
            tuple(which["round"]),
            tuple(which["plate"]),
            tuple(pairs),
        )


class _Cut:
    """Cuts masses out of one image."""

    def __init__(self, image: Labelled) -> None:
        self._labels = image.labels
        self._pixels = image.image.astype(np.float32)
        self._boxes = ndimage.find_objects(image.labels)
        ground = np.median(self._pixels[image.labels == 0])
        self._usual = float(np.median(self._pixels[image.labels > 0]) - ground)
        self.radius_px = image.diameter_px / 2

    def way(self, labels: Sequence[int]) -> tuple[float, float]:
        """Return rows and columns from the middle of the first to that of the last."""
        here, there = (
            np.argwhere(self._labels == one).mean(axis=0)
            for one in (labels[0], labels[-1])
        )
        return float(there[0] - here[0]), float(there[1] - here[1])

    def looks(self, labels: Sequence[int]) -> list[Look]:
        """Return one mass or a pair; none where one of them is cut off or too faint."""
        if self._usual <= 0:
            return []
        way = self.way(labels)
        made = [self._look(one, way) for one in labels]
        return [one for one in made if one is not None] if all(made) else []

    def usual(self, *, but: set[int]) -> list[int]:
        """Return labels whose size and light are the most usual."""
        pixels = np.bincount(self._labels.ravel())
        light = np.bincount(self._labels.ravel(), self._pixels.ravel())
        area = math.pi * self.radius_px**2
        there = [n for n in np.flatnonzero(pixels)[1:].tolist() if n not in but]
        mean = {n: light[n] / pixels[n] for n in there}
        middle = float(np.median(list(mean.values()))) if mean else 0.0

        def odd(n: int) -> float:
            return abs(math.log(pixels[n] / area)) + abs(mean[n] / (middle or 1) - 1)

        return sorted(there, key=odd)[:_RESTING]

    def _look(self, label: int, way: tuple[float, float]) -> Look | None:
        """Return one mass, its second axis not against the way."""
        box = self._boxes[label - 1]
        more = _AROUND_PX + _GROUND_PX
        if any(
            at.start == 0 or at.stop == size
            for at, size in zip(box, self._labels.shape, strict=True)
        ):
            return None
        around = tuple(slice(max(0, at.start - more), at.stop + more) for at in box)
        pixels, labels = self._pixels[around], self._labels[around]
        own = labels == label
        if own.sum() < _LEAST_PX:
            return None
        near = ndimage.binary_dilation(own, iterations=_AROUND_PX)
        near &= own | (labels == 0)
        ring = ~ndimage.binary_dilation(own, iterations=_AROUND_PX) & (labels == 0)
        if not ring.any():
            return None
        signal = np.maximum(pixels - np.median(pixels[ring]), 0)
        light = float(signal[own].mean()) / self._usual
        signal = signal * ndimage.gaussian_filter(near.astype(np.float32), 0.7)
        if light <= 0:
            return None
        rows, columns = np.indices(own.shape).reshape(2, -1)
        weights = (signal * own).ravel().astype(np.float64)
        middle = np.average([rows, columns], axis=1, weights=weights)
        squares, axes = np.linalg.eigh(np.cov([rows, columns], aweights=weights))
        # an even ellipse has a variance of a quarter of its squared semi-axis
        b, a = 2 * np.sqrt(np.maximum(squares, 0.1))
        along = axes[:, 1]
        across = np.array([along[1], -along[0]])  # as (u, v) lie in a part
        if across @ np.array(way) < 0:
            along, across = -along, -across
        steps = (np.arange(TEXTURE_PX) + 0.5) / TEXTURE_PX * 2 - 1
        u, v = steps[:, None] * TEXTURE_RADII * a, steps[None, :] * TEXTURE_RADII * b
        at = [middle[axis] + u * along[axis] + v * across[axis] for axis in (0, 1)]
        profile = ndimage.map_coordinates(signal, at, order=1, mode="constant")
        profile /= light * self._usual
        profile[[0, -1]] = 0.0
        profile[:, [0, -1]] = 0.0
        return Look(
            np.asarray(profile, np.float32),
            float(a) / self.radius_px,
            float(b) / self.radius_px,
            light,
        )
