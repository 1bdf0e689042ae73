"""Peaks of several classes, or with offsets: the part of the head that ONNX can say.

Each class has a channel, and a candidate is found in its own channel as in
``peaks.py``. A net may also say, in two more channels, how far from the middle of its
pixel a thing lies; then nothing is fitted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from smartscope.errors import Refused
from smartscope.inference.graph import GraphTail
from smartscope.inference.heads.head import append_health, channels_first
from smartscope.inference.heads.peaks import (
    LIMIT,
    WINDOW,
    Candidates,
    find_candidates,
)
from smartscope.inference.model_package import ModelPackage
from smartscope.inference.padding import Padding

Array = npt.NDArray[Any]

PEAK_POSITIONS = "smartscope_class_peak_positions"
PEAK_CLASSES = "smartscope_class_peak_classes"
PEAK_CROSSES = "smartscope_class_peak_crosses"
PEAK_OFFSETS = "smartscope_class_peak_offsets"


@dataclass(frozen=True, slots=True)
class ClassPeakHead:
    """How the channels of a model are read as peaks.

    Attributes
    ----------
    letters : str
        Axes of the output.
    classes : tuple of int
        Channels of the maps, one a class.
    offsets : tuple of int or None
        Channels that say how many pixels of the map a thing lies below and right of the
        middle of its pixel.
    threshold : float
        Candidates are above it.
    """

    letters: str
    classes: tuple[int, ...]
    offsets: tuple[int, int] | None = None
    threshold: float = 0.5

    @property
    def names(self) -> tuple[str, ...]:
        """As `Candidates` has them; `find` gives the best `LIMIT` of all classes."""
        names = (PEAK_POSITIONS, PEAK_CLASSES, PEAK_CROSSES)
        return names if self.offsets is None else (*names, PEAK_OFFSETS)

    def append(self, tail: GraphTail, given: Sequence[str]) -> None:
        """Append the search to a graph of opset 13 or later."""
        image = channels_first(tail, given[0], self.letters)

        def numbers(*values: int) -> str:
            return tail.constant(np.array(values, np.int64))

        maps = tail.node("Gather", [image, numbers(*self.classes)], axis=1)
        width = 2 * WINDOW + 1
        largest = tail.node(
            "MaxPool", [maps], kernel_shape=[width, width], pads=[WINDOW] * 4
        )
        threshold = tail.constant(np.array([self.threshold], np.float32))
        peak = tail.node(
            "And",
            [
                tail.node("Equal", [maps, largest]),
                tail.node("Greater", [maps, threshold]),
            ],
        )
        where = tail.node("Transpose", [tail.node("NonZero", [peak])], perm=[1, 0])
        scores = tail.node("GatherND", [maps, where])
        count = tail.node("Min", [tail.node("Shape", [scores]), numbers(LIMIT)])
        _, order = tail.nodes("TopK", [scores, count], outputs=2, axis=0)
        best = tail.node("Gather", [where, order], axis=0)  # batch, class, row, column
        border = numbers(0, 0, 1, 1, 0, 0, 1, 1)
        padded = tail.node("Pad", [maps, border], mode="edge")
        steps = np.zeros((1, 5, 4), np.int64)
        steps[0, :, 2:] = [[1, 1], [0, 1], [2, 1], [1, 0], [1, 2]]
        each = tail.node("Reshape", [best, numbers(-1, 1, 4)])
        around = tail.node("Add", [each, tail.constant(steps)])
        two = tail.node("Gather", [best, numbers(2, 3)], axis=1)
        kind = tail.node("Gather", [best, tail.constant(np.array(1))], axis=1)
        tail.output(two, PEAK_POSITIONS, "int64", [None, 2])
        tail.output(kind, PEAK_CLASSES, "int64", [None])
        crosses = tail.node("GatherND", [padded, around])
        tail.output(crosses, PEAK_CROSSES, "float32", [None, 5])
        if self.offsets is not None:
            fields = tail.node("Gather", [image, numbers(*self.offsets)], axis=1)
            last = tail.node("Transpose", [fields], perm=[0, 2, 3, 1])
            at = tail.node("Gather", [best, numbers(0, 2, 3)], axis=1)
            shifts = tail.node("GatherND", [last, at])
            tail.output(shifts, PEAK_OFFSETS, "float32", [None, 2])
        append_health(tail, given[:1])

    def find(self, given: Sequence[Array]) -> dict[str, Array]:
        """Search an output without the graph."""
        planes = given[0].transpose([self.letters.index(a) for a in "bcyx"])[0]
        planes = planes.astype(np.float32, copy=False)
        found = [find_candidates(planes[c], self.threshold) for c in self.classes]
        kinds = np.repeat(np.arange(len(found)), [len(f) for f in found])
        positions = np.concatenate([f.positions for f in found])
        crosses = np.concatenate([f.crosses for f in found])
        best = np.argsort(-crosses[:, 0], kind="stable")[:LIMIT]
        told = {
            PEAK_POSITIONS: positions[best],
            PEAK_CLASSES: kinds[best],
            PEAK_CROSSES: crosses[best],
        }
        if self.offsets is not None:
            rows, columns = positions[best].T
            told[PEAK_OFFSETS] = np.stack(
                [planes[c, rows, columns] for c in self.offsets], axis=1
            )
        return told

    def within(self, found: Mapping[str, Array], padding: Padding) -> dict[str, Array]:
        """Return the candidates of the frame, as `Candidates.inside` does."""
        last = np.asarray(padding.map_shape, np.int64) - 1
        moved = found[PEAK_POSITIONS] - np.asarray(padding.map_offset, np.int64)
        kept = ((moved >= -1) & (moved <= last + 1)).all(axis=1)
        told = {name: array[kept] for name, array in found.items()}
        told[PEAK_POSITIONS] = moved[kept].clip(0, last)
        return told


def class_candidates(found: Mapping[str, Array]) -> Candidates:
    """Return what a `ClassPeakHead` found as candidates, without their classes."""
    return Candidates(found[PEAK_POSITIONS], found[PEAK_CROSSES])


def class_peak_head(
    package: ModelPackage, threshold: float, classes: tuple[str, ...]
) -> ClassPeakHead | None:
    """Return how a package's channels are read as peaks; None if one is the only map.

    Raises
    ------
    smartscope.errors.Refused
        If channels, offsets and classes do not agree.
    """
    head, channels = package.head, package.output.channels
    if head.offsets is None and (head.channel is not None or len(classes) == 1):
        return None
    where = f"The model {package.name}"
    if channels is None:
        raise Refused(
            f"{where} does not say how many channels its output has.",
            rule="Peaks of several classes, or with offsets, are read from channels.",
            way_out="Export the model with a fixed number of channels.",
        )
    taken = head.offsets or ()
    if any(not 0 <= c < channels for c in taken) or len(set(taken)) != len(taken):
        raise Refused(
            f"{where} reads offsets from the channels {taken} and the output has "
            f"{channels}.",
            rule="Channels count from 0; rows and columns have one each.",
            way_out="Correct 'offsets' in the card.",
        )
    maps = tuple(
        c for c in range(channels) if c not in taken and head.channel in (None, c)
    )
    if len(maps) != len(classes):
        raise Refused(
            f"{where} gives {len(maps)} maps and names {len(classes)} classes "
            f"({', '.join(classes)}).",
            rule="Every class has one channel, in the order of the output.",
            way_out="Correct 'classes', or choose one map with 'channel'.",
        )
    return ClassPeakHead(package.output.letters, maps, head.offsets, threshold)
