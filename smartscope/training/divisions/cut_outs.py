"""Nuclei cut from labelled images, many in mitosis, as which drawn cells are seen.

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

Kind = Literal["round", "plate", "parting"]

_ALONE: dict[str, Kind] = {"round": "round", "plate": "plate"}
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
        ``parting`` (anaphase and telophase).
    at : tuple
        Row and column within each of its labels: one, of those that part two.
    """

    image: str
    kind: Kind
    at: tuple[tuple[int, int], ...]


@cache
def marked() -> tuple[Marked, ...]:
    """Return what is marked in the nuclei of the 2018 Data Science Bowl."""
    made = []
    with _TABLE.open(newline="") as file:
        for row in csv.DictReader(file):
            at = [(int(row["row"]), int(row["column"]))]
            if row["row2"]:
                at.append((int(row["row2"]), int(row["column2"])))
            kind: Kind = "parting" if row["row2"] else _ALONE[row["kind"]]
            made.append(Marked(row["image"], kind, tuple(at)))
    return tuple(made)


class CutOut(NamedTuple):
    """One mass of chromatin, cut from an image.

    Attributes
    ----------
    profile : np.ndarray
        ``(64, 64)`` float32 over its semi-axes, as the textures of parts: 1 is its own
        light.
    a, b : float
        Its semi-axes, in radii of a usual nucleus around it; of one that parts from
        another, across and along their way.
    light : float
        In that of a usual nucleus.
    """

    profile: Floats
    a: float
    b: float
    light: float


@dataclass(frozen=True, slots=True, eq=False)
class CutOuts:
    """What cells look like in interphase and in mitosis.

    Attributes
    ----------
    profiles : np.ndarray
        ``(n, 64, 64)``, see `CutOut`; ``Part.cut_out`` counts in them.
    sizes : np.ndarray
        ``(n, 3)``: semi-axes and light, see `CutOut`.
    resting, rounds, plates : tuple of int
        Which are in interphase, in prometaphase or seen from above, in metaphase.
    parting : tuple
        Which two part from each other, and how far they are apart, in radii of a usual
        nucleus.
    """

    profiles: Floats
    sizes: npt.NDArray[np.float64]
    resting: tuple[int, ...]
    rounds: tuple[int, ...]
    plates: tuple[int, ...]
    parting: tuple[tuple[int, int, float], ...]

    @property
    def mitoses(self) -> int:
        """How many cells in mitosis there are."""
        return len(self.rounds) + len(self.plates) + len(self.parting)

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
            Default: those of the table. Those of other images, those without a label
            or with one for both masses, and what the edge cuts off are left out.
        """
        masses: list[CutOut] = []
        which: dict[str, list[int]] = {"resting": [], "round": [], "plate": []}
        parting: list[tuple[int, int, float]] = []
        by_image: dict[str, list[Marked]] = {}
        for one in marked() if marks is None else marks:
            by_image.setdefault(one.image, []).append(one)
        for image in images:
            if not image.labels.any() or image.labels.all():
                continue
            cut, mitotic = _Cut(image), []
            for one in by_image.get(image.name, ()):
                labels = cut.labels_at(one.at)
                mitotic += labels
                new = cut.masses(labels)
                if new and one.kind == "parting":
                    apart = math.hypot(*cut.way(labels)) / cut.radius_px
                    parting.append((len(masses), len(masses) + 1, apart))
                elif new:
                    which[one.kind].append(len(masses))
                masses += new
            for label in cut.usual(but=set(mitotic)):
                if new := cut.masses([label]):
                    which["resting"].append(len(masses))
                    masses += new
        if not (parting and all(which.values())):
            return None
        return cls(
            np.stack([one.profile for one in masses]),
            np.array([one[1:] for one in masses], np.float64),
            tuple(which["resting"]),
            tuple(which["round"]),
            tuple(which["plate"]),
            tuple(parting),
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

    def labels_at(self, places: Sequence[tuple[int, int]]) -> list[int]:
        """Return the label at each place; none if one has none or two have the same."""
        rows, columns = self._labels.shape
        inside = [at for at in places if at[0] < rows and at[1] < columns]
        labels = [int(self._labels[at]) for at in inside]
        return labels if all(labels) and len(set(labels)) == len(places) else []

    def way(self, labels: Sequence[int]) -> tuple[float, float]:
        """Return rows and columns from the middle of the first to that of the last."""
        if len(labels) < 2:
            return 0.0, 0.0
        here, there = (
            np.argwhere(self._labels == one).mean(axis=0)
            for one in (labels[0], labels[-1])
        )
        return float(there[0] - here[0]), float(there[1] - here[1])

    def masses(self, labels: Sequence[int]) -> list[CutOut]:
        """Return one mass or two; none where one of them is cut off or too faint."""
        if self._usual <= 0:
            return []
        way = self.way(labels)
        made = [self._mass(one, way) for one in labels]
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

    def _mass(self, label: int, way: tuple[float, float]) -> CutOut | None:
        """Return one mass, its second axis along the way if there is one."""
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
        ring = ~near & (labels == 0)
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
        spread = np.cov([rows, columns], aweights=weights, ddof=0)
        if any(way):
            across = np.array(way) / math.hypot(*way)
            along = np.array([-across[1], across[0]])
        else:
            along = np.linalg.eigh(spread)[1][:, 1]
            across = np.array([along[1], -along[0]])  # as (u, v) lie in a part
        # an even ellipse has a variance of a quarter of its squared semi-axis
        a, b = (2 * math.sqrt(max(one @ spread @ one, 0.1)) for one in (along, across))
        steps = (np.arange(TEXTURE_PX) + 0.5) / TEXTURE_PX * 2 - 1
        u, v = steps[:, None] * TEXTURE_RADII * a, steps[None, :] * TEXTURE_RADII * b
        at = [middle[axis] + u * along[axis] + v * across[axis] for axis in (0, 1)]
        profile = ndimage.map_coordinates(signal, at, order=1, mode="constant")
        profile /= light * self._usual
        profile[[0, -1]] = 0.0
        profile[:, [0, -1]] = 0.0
        return CutOut(
            np.asarray(profile, np.float32),
            a / self.radius_px,
            b / self.radius_px,
            light,
        )
