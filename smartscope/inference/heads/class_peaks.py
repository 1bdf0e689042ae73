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
from smartscope.inference.heads.head import append_health, channels_first, told_limit
from smartscope.inference.heads.peaks import (
    FLOOR,
    LIMIT,
    WINDOW,
    crosses_at,
    find_candidates,
    listed,
    ordered,
    peaks_of,
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
    shape : tuple of int or None
        Rows and columns of the maps, for nodes whose shapes are all known; see
        ``peaks.py``.
    """

    letters: str
    classes: tuple[int, ...]
    offsets: tuple[int, int] | None = None
    threshold: float = 0.5
    shape: tuple[int, int] | None = None

    @property
    def maps(self) -> int:
        """The first output, all its channels."""
        return 1

    @property
    def names(self) -> tuple[str, ...]:
        """As `Candidates` has them; `find` gives the best `LIMIT` of all classes."""
        names = (PEAK_POSITIONS, PEAK_CLASSES, PEAK_CROSSES)
        return names if self.offsets is None else (*names, PEAK_OFFSETS)

    def append(self, tail: GraphTail, given: Sequence[str]) -> None:
        """Append the search to a graph of opset 13 or later."""
        image = channels_first(tail, given[0], self.letters)
        maps = _taken(tail, image, self.classes)
        width = 2 * WINDOW + 1
        largest = tail.node(
            "MaxPool", [maps], kernel_shape=[width, width], pads=[WINDOW] * 4
        )
        threshold = tail.constant(np.array([self.threshold], np.float32))
        peak = peaks_of(tail, maps, largest, threshold)
        count = None
        if self.shape is None:
            best = listed(tail, maps, peak)  # batch, class, row, column
            crosses = crosses_at(tail, maps, best)
            kind, y, x = (
                tail.node("Gather", [best, _ints(tail, i)], axis=1) for i in (1, 2, 3)
            )
        else:
            shape = (len(self.classes), *self.shape)
            (kind, y, x), crosses, count = ordered(tail, maps, peak, shape)
        two = tail.node("Concat", [y, x], axis=1)
        tail.output(two, PEAK_POSITIONS, "int64", [count, 2])
        flat = tail.node("Reshape", [kind, _ints(tail, -1)])
        tail.output(flat, PEAK_CLASSES, "int64", [count])
        tail.output(crosses, PEAK_CROSSES, "float32", [count, 5])
        if self.offsets is not None:
            fields = _taken(tail, image, self.offsets)
            shifts = self._shifts(tail, fields, y, x)
            tail.output(shifts, PEAK_OFFSETS, "float32", [count, 2])
        append_health(tail, given[:1])

    def _shifts(self, tail: GraphTail, fields: str, y: str, x: str) -> str:
        """Append the two offsets at each place, ``(n, 2)``."""
        if self.shape is None:
            last = tail.node("Transpose", [fields], perm=[0, 2, 3, 1])
            none = tail.node("Sub", [y, y])  # the batch, which has one image
            at = tail.node("Concat", [none, y, x], axis=1)
            return tail.node("GatherND", [last, at])
        line = tail.node("Mul", [y, _ints(tail, self.shape[1])])
        at = tail.node("Reshape", [tail.node("Add", [line, x]), _ints(tail, -1)])
        flat = tail.node("Reshape", [fields, _ints(tail, 2, -1)])
        both = tail.node("Gather", [flat, at], axis=1)
        return tail.node("Transpose", [both], perm=[1, 0])

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
        found = {n: a[found[PEAK_CROSSES][:, 0] > FLOOR] for n, a in found.items()}
        last = np.asarray(padding.map_shape, np.int64) - 1
        moved = found[PEAK_POSITIONS] - np.asarray(padding.map_offset, np.int64)
        kept = ((moved >= -1) & (moved <= last + 1)).all(axis=1)
        told = {name: array[kept] for name, array in found.items()}
        told[PEAK_POSITIONS] = moved[kept].clip(0, last)
        return told

    def cut(self, found: Mapping[str, Array]) -> str:
        """Return whether there are as many as are kept."""
        count = int(np.count_nonzero(found[PEAK_CROSSES][:, 0] > FLOOR))
        return told_limit("peaks", count, LIMIT)


def _taken(tail: GraphTail, image: str, channels: Sequence[int]) -> str:
    return tail.node("Gather", [image, _ints(tail, *channels)], axis=1)


def _ints(tail: GraphTail, *values: int) -> str:
    return tail.constant(np.array(values, np.int64))


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
