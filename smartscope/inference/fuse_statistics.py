"""Means and percentiles as ONNX nodes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from smartscope.inference.graph import GraphTail


@dataclass(frozen=True, slots=True)
class Source:
    """A float32 tensor of a graph whose lengths are known.

    Attributes
    ----------
    name : str
        In the graph.
    lengths : tuple of int
        Of its axes.
    """

    name: str
    lengths: tuple[int, ...]


def append_aligned(tail: GraphTail, source: Source, have: str, letters: str) -> Source:
    """Append what gives a tensor the axes of another one, as `normalize.aligned`."""
    sizes = dict(zip(have, source.lengths, strict=True))
    lengths = tuple(sizes.get(a, 1) for a in letters)
    if have == letters:
        return source
    # axes that the other has not are 1 long: the reshape drops them
    order = [a for a in letters if a in have] + [a for a in have if a not in letters]
    name = tail.node("Transpose", [source.name], perm=[have.index(a) for a in order])
    shape = tail.constant(np.asarray(lengths, np.int64))
    return Source(tail.node("Reshape", [name, shape]), lengths)


def append_mean(
    tail: GraphTail, source: Source, axes: tuple[int, ...] | None
) -> tuple[str, str]:
    """Append the mean over some axes, which are kept with length 1.

    Returns
    -------
    mean, rest : str
        The mean is the sum of both: float32 sums of large counts are a little off,
        those of what is left around zero are not. Subtract one after the other.
    """
    every = tuple(range(len(source.lengths))) if axes is None else axes
    mean = tail.mean(source.name, every)
    return mean, tail.mean(tail.node("Sub", [source.name, mean]), every)


def append_less(tail: GraphTail, name: str, mean: tuple[str, str]) -> str:
    """Append the subtraction of an `append_mean`."""
    for part in mean:
        name = tail.node("Sub", [name, part])
    return name


def append_std(
    tail: GraphTail, centred: str, axes: tuple[int, ...] | None, rank: int
) -> str:
    """Append the standard deviation of a tensor whose mean is 0."""
    every = tuple(range(rank)) if axes is None else axes
    squares = tail.node("Mul", [centred, centred])
    return tail.node("Sqrt", [tail.mean(squares, every)])


def append_percentile(
    tail: GraphTail,
    source: Source,
    percentile: float,
    axes: tuple[int, ...] | None,
    *,
    between: bool = True,
) -> str:
    """Append a percentile over some axes, which are kept with length 1.

    Between its two neighbours in order; without `between` it is one of the values, the
    first that this many are not above. The values are put in order from the nearer end,
    so that the usual percentiles (1, 99.8) order few of them.
    """
    lengths = source.lengths
    over = range(len(lengths)) if axes is None else axes
    kept = [i for i in range(len(lengths)) if i not in over]
    size = math.prod(lengths[i] for i in over)
    rank = percentile / 100 * (size - 1)
    if not between:
        rank = max(0, math.ceil(percentile / 100 * size) - 1)
    below = min(int(rank), size - 1)
    above = min(below + 1, size - 1)
    from_top = below > size // 2
    count = size - below if from_top else above + 1
    name = source.name
    if any(lengths[i] > 1 for i in kept):
        name = tail.node("Transpose", [name], perm=[*kept, *over])
    rows = math.prod(lengths[i] for i in kept)
    name = tail.node("Reshape", [name, _ints(tail, [rows, size])])
    ordered, _ = tail.nodes(
        "TopK", [name, _ints(tail, [count])], outputs=2, largest=int(from_top), axis=1
    )
    at = (count - 1, size - 1 - above) if from_top else (below, above)
    first, second = (
        tail.node("Gather", [ordered, _ints(tail, [i])], axis=1) for i in at
    )
    share = tail.constant(np.asarray(rank - below, np.float32))
    step = tail.node("Mul", [tail.node("Sub", [second, first]), share])
    found = tail.node("Add", [first, step])
    shape = [1 if i in over else n for i, n in enumerate(lengths)]
    return tail.node("Reshape", [found, _ints(tail, shape)])


def _ints(tail: GraphTail, values: Sequence[int]) -> str:
    return tail.constant(np.asarray(values, np.int64))
