"""Peaks: the part of the head that ONNX can say.

A candidate is a pixel of the map that is above the threshold and the largest of its
5 × 5 neighbourhood. With the nodes below at the end of a detecting graph only the
candidates leave the runtime; ``find_candidates`` is the same in numpy, for graphs that
cannot be extended and for the tests.

There are two forms of the nodes, which find the same. One lists the candidates: as many
rows come out as there are things. The other orders the pixels and always gives `LIMIT`
rows, those that are no candidates with a score of `FLOOR`: all its shapes are known
before the run, as a CUDA graph needs them. On a CPU both take the same time, and the
first one's results need no sorting out.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from smartscope.inference.graph import GraphTail
from smartscope.inference.heads.head import append_health, told_limit

_ROW = 32_768  # pixels that one block of a GPU orders; it takes them one row at a time

WINDOW = 2
"""Half width, in pixels of the map, of the neighbourhood a candidate is largest in."""

LIMIT = 2048
"""Most candidates of one frame, the best ones."""

FLOOR = -1e30
"""Score of a row that is no candidate. It is finite: onnxruntime fills up what it
orders on a GPU with the smallest float, which is above minus infinity."""

POSITIONS = "smartscope_peak_positions"
CROSSES = "smartscope_peak_crosses"
HEALTH = "smartscope_map_health"
THRESHOLD = "smartscope_threshold"


@dataclass(frozen=True, slots=True, eq=False)
class Candidates:
    """Local maxima of a map, best first.

    Attributes
    ----------
    positions : np.ndarray
        Shape ``(n, 2)``, int64. Row, column in the map.
    crosses : np.ndarray
        Shape ``(n, 5)``, float32. The map there, above, below, left and right of it;
        beyond the edge of the map its last pixel is repeated.
    cut : str
        In words, that the whole map had so many that there may be more.
    """

    positions: npt.NDArray[np.int64]
    crosses: npt.NDArray[np.float32]
    cut: str = ""

    @classmethod
    def read(
        cls, positions: npt.NDArray[np.int64], crosses: npt.NDArray[np.float32]
    ) -> Candidates:
        """Read what either form of the nodes gave."""
        count = int(np.count_nonzero(crosses[:, 0] > FLOOR))  # they are the first
        cut = told_limit("peaks", count, LIMIT)
        return cls(positions[:count, -2:], crosses[:count], cut)

    def __len__(self) -> int:
        return len(self.positions)

    def inside(self, offset: tuple[int, int], shape: tuple[int, int]) -> Candidates:
        """Return those within a part of the map, counted from its first pixel.

        A thing that the edge of the frame cuts has its top, together with its mirror
        image, on that edge, and the largest pixel may be the one just beyond: up to one
        pixel beyond the part counts as on its edge.
        """
        last = np.asarray(shape, np.int64) - 1
        moved = self.positions - np.asarray(offset, np.int64)
        kept = ((moved >= -1) & (moved <= last + 1)).all(axis=1)
        return Candidates(moved[kept].clip(0, last), self.crosses[kept], self.cut)


def find_candidates(
    image: npt.NDArray[np.float32], threshold: float, limit: int = LIMIT
) -> Candidates:
    """Find the candidates of a map ``(Y, X)`` without the graph.

    Parameters
    ----------
    image : np.ndarray
        The map.
    threshold : float
        A candidate is above it.
    limit : int
        Only the best so many.
    """
    from scipy.ndimage import maximum_filter

    largest = maximum_filter(image, size=2 * WINDOW + 1, mode="constant", cval=-np.inf)
    positions = np.argwhere((image == largest) & (image > np.float32(threshold)))
    order = np.argsort(-image[tuple(positions.T)], kind="stable")[:limit]
    positions = positions[order].astype(np.int64)
    rows, columns = positions[:, 0] + 1, positions[:, 1] + 1
    padded = np.pad(image, 1, mode="edge")
    crosses = np.stack(
        [
            padded[rows, columns],
            padded[rows - 1, columns],
            padded[rows + 1, columns],
            padded[rows, columns - 1],
            padded[rows, columns + 1],
        ],
        axis=1,
    )
    cut = told_limit("peaks", len(positions), limit)
    return Candidates(positions, crosses.astype(np.float32), cut)


def append_peaks(
    tail: GraphTail, image: str, shape: tuple[int, int] | None = None
) -> None:
    """Append the search for candidates to a graph.

    Parameters
    ----------
    tail : GraphTail
        The end of the graph.
    image : str
        Name of the map in it, float32 of shape ``(1, 1, Y, X)``.
    shape : tuple of int, optional
        Rows and columns of the map, for the form whose shapes are all known.
    """
    width = 2 * WINDOW + 1
    threshold = tail.input(THRESHOLD, [1])
    across = tail.node(
        "MaxPool", [image], kernel_shape=[1, width], pads=[0, WINDOW, 0, WINDOW]
    )
    largest = tail.node(
        "MaxPool", [across], kernel_shape=[width, 1], pads=[WINDOW, 0, WINDOW, 0]
    )
    peak = peaks_of(tail, image, largest, threshold)
    if shape is None:
        best = listed(tail, image, peak)
        crosses = crosses_at(tail, image, best)
        tail.output(best, POSITIONS, "int64", [None, 4])
        tail.output(crosses, CROSSES, "float32", [None, 5])
    else:
        places, crosses, count = ordered(tail, image, peak, (1, *shape))
        two = tail.node("Concat", list(places[1:]), axis=1)
        tail.output(two, POSITIONS, "int64", [count, 2])
        tail.output(crosses, CROSSES, "float32", [count, 5])
    append_health(tail, [image], HEALTH)


def peaks_of(tail: GraphTail, image: str, largest: str, threshold: str) -> str:
    """Append which pixels are candidates: the largest around, above the threshold."""
    return tail.node(
        "And",
        [
            tail.node("Equal", [image, largest]),
            tail.node("Greater", [image, threshold]),
        ],
    )


def listed(tail: GraphTail, image: str, peak: str) -> str:
    """Append the list of the best `LIMIT` candidates, ``(n, 4)``, best first."""
    where = tail.node("Transpose", [tail.node("NonZero", [peak])], perm=[1, 0])
    scores = tail.node("GatherND", [image, where])
    count = tail.node("Min", [tail.node("Shape", [scores]), _ints(tail, LIMIT)])
    _, order = tail.nodes("TopK", [scores, count], outputs=2, axis=0)
    return tail.node("Gather", [where, order], axis=0)


def crosses_at(tail: GraphTail, image: str, best: str) -> str:
    """Append the map at each of ``(n, 4)`` places and beside it, ``(n, 5)``."""
    # with a border of one pixel every neighbour can be gathered
    border = _ints(tail, 0, 0, 1, 1, 0, 0, 1, 1)
    padded = tail.node("Pad", [image, border], mode="edge")
    steps = np.zeros((1, 5, 4), np.int64)
    steps[0, :, 2:] = [[1, 1], [0, 1], [2, 1], [1, 0], [1, 2]]
    each = tail.node("Reshape", [best, _ints(tail, -1, 1, 4)])
    around = tail.node("Add", [each, tail.constant(steps)])
    return tail.node("GatherND", [padded, around])


def ordered(
    tail: GraphTail, image: str, peak: str, shape: tuple[int, int, int]
) -> tuple[tuple[str, str, str], str, int]:
    """Append the order of all pixels, those that are no candidates behind the others.

    Of equal candidates the first ones are kept where there are more than `LIMIT`; a GPU
    may keep others of them.

    Parameters
    ----------
    tail : GraphTail
        The end of the graph.
    image, peak : str
        Maps ``(1, C, Y, X)``, float32, and which pixels are candidates.
    shape : tuple of int
        Channels, rows and columns.

    Returns
    -------
    places : tuple of str
        Channel, row and column of the best, each ``(count, 1)``.
    crosses : str
        Their values and neighbours, ``(count, 5)``; `FLOOR` is the value of a row that
        is no candidate.
    count : int
        How many come out: `LIMIT`, or all pixels of a smaller map.
    """
    channels, rows, columns = shape
    size = channels * rows * columns
    count = min(LIMIT, size)
    floor = tail.constant(np.array(FLOOR, np.float32))
    masked = tail.node("Where", [peak, image, floor])
    values = tail.node("Reshape", [masked, _ints(tail, -1)])
    at = ""
    # Of many rows the best of each, then the best of those: the same in the end, and
    # a GPU orders the rows side by side
    while size > _ROW:
        lines = -(-size // _ROW)
        more = lines * _ROW - size
        if more:
            values = tail.node("Pad", [values, _ints(tail, 0, more), floor])
            nowhere = tail.constant(np.zeros(more, np.int64))
            at = at and tail.node("Concat", [at, nowhere], axis=0)  # CUDA pads floats
        table = tail.node("Reshape", [values, _ints(tail, lines, _ROW)])
        best, order = tail.nodes("TopK", [table, _ints(tail, count)], outputs=2, axis=1)
        begins = np.arange(lines, dtype=np.int64)[:, None] * _ROW
        order = tail.node("Add", [order, tail.constant(begins)])
        at = _of(tail, at, tail.node("Reshape", [order, _ints(tail, -1)]))
        values = tail.node("Reshape", [best, _ints(tail, -1)])
        size = lines * count
    scores, order = tail.nodes("TopK", [values, _ints(tail, count)], outputs=2, axis=0)
    column = _ints(tail, -1, 1)
    at = tail.node("Reshape", [_of(tail, at, order), column])
    line = tail.node("Div", [at, _ints(tail, columns)])
    x = tail.node("Sub", [at, tail.node("Mul", [line, _ints(tail, columns)])])
    channel = tail.node("Div", [line, _ints(tail, rows)])
    y = tail.node("Sub", [line, tail.node("Mul", [channel, _ints(tail, rows)])])
    border = _ints(tail, 0, 0, 1, 1, 0, 0, 1, 1)
    padded = tail.node("Pad", [image, border], mode="edge")
    wide = columns + 2
    # where they lie in the padded maps, one pixel after the other
    line = tail.node("Add", [line, tail.node("Mul", [channel, _ints(tail, 2)])])
    middle = tail.node("Mul", [line, _ints(tail, wide)])
    middle = tail.node("Add", [tail.node("Add", [middle, x]), _ints(tail, wide + 1)])
    beside = tail.node("Add", [middle, _ints(tail, -wide, wide, -1, 1)])
    flat = tail.node("Reshape", [padded, _ints(tail, -1)])
    crosses = tail.node(
        "Concat",
        [
            tail.node("Reshape", [scores, column]),
            tail.node("Gather", [flat, beside], axis=0),
        ],
        axis=1,
    )
    return (channel, y, x), crosses, count


def _of(tail: GraphTail, values: str, places: str) -> str:
    return tail.node("Gather", [values, places], axis=0) if values else places


def _ints(tail: GraphTail, *values: int) -> str:
    return tail.constant(np.array(values, np.int64))
