"""Peaks: the part of the head that ONNX can say.

A candidate is a pixel of the map that is above the threshold and the largest of its
5 × 5 neighbourhood. With the nodes below at the end of a detecting graph only the
candidates leave the runtime; ``find_candidates`` is the same in numpy, for graphs that
cannot be extended and for the tests.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from smartscope.inference.graph import GraphTail

WINDOW = 2
"""Half width, in pixels of the map, of the neighbourhood a candidate is largest in."""

LIMIT = 2048
"""Most candidates of one frame, the best ones."""

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
    """

    positions: npt.NDArray[np.int64]
    crosses: npt.NDArray[np.float32]

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
        return Candidates(moved[kept].clip(0, last), self.crosses[kept])


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
    return Candidates(positions, crosses.astype(np.float32))


def append_peaks(tail: GraphTail, image: str) -> None:
    """Append the search for candidates to a graph.

    Parameters
    ----------
    tail : GraphTail
        The end of the graph.
    image : str
        Name of the map in it, float32 of shape ``(1, 1, Y, X)``.
    """
    width = 2 * WINDOW + 1
    threshold = tail.input(THRESHOLD, [1])
    across = tail.node(
        "MaxPool", [image], kernel_shape=[1, width], pads=[0, WINDOW, 0, WINDOW]
    )
    largest = tail.node(
        "MaxPool", [across], kernel_shape=[width, 1], pads=[WINDOW, 0, WINDOW, 0]
    )
    peak = tail.node(
        "And",
        [
            tail.node("Equal", [image, largest]),
            tail.node("Greater", [image, threshold]),
        ],
    )
    where = tail.node("Transpose", [tail.node("NonZero", [peak])], perm=[1, 0])
    scores = tail.node("GatherND", [image, where])
    count = tail.node(
        "Min",
        [tail.node("Shape", [scores]), tail.constant(np.array([LIMIT], np.int64))],
    )
    _, order = tail.nodes("TopK", [scores, count], outputs=2, axis=0)
    best = tail.node("Gather", [where, order], axis=0)
    # with a border of one pixel every neighbour can be gathered
    padded = tail.node(
        "Pad",
        [image, tail.constant(np.array([0, 0, 1, 1, 0, 0, 1, 1], np.int64))],
        mode="edge",
    )
    steps = np.zeros((1, 5, 4), np.int64)
    steps[0, :, 2:] = [[1, 1], [0, 1], [2, 1], [1, 0], [1, 2]]
    each = tail.node("Reshape", [best, tail.constant(np.array([-1, 1, 4], np.int64))])
    around = tail.node("Add", [each, tail.constant(steps)])
    tail.output(best, POSITIONS, "int64", [None, 4])
    tail.output(tail.node("GatherND", [padded, around]), CROSSES, "float32", [None, 5])
    # 0 if every pixel is finite, else NaN: a map that never leaves the runtime must
    # still be able to say that it is broken
    zeros = tail.node("Mul", [image, tail.constant(np.array([0], np.float32))])
    tail.output(tail.node("ReduceSum", [zeros], keepdims=0), HEALTH, "float32", [])
