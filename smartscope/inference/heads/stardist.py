"""StarDist: the part of the head that ONNX can say.

A net of that kind gives, for each point of a grid, the probability that it lies in a
thing and the lengths of rays to the thing's edge. The rays are the bulk of the output
(32 or more floats a point); with the nodes below only those of likely points leave the
runtime. Which of them are the same thing is decided by recognition.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from smartscope.errors import Refused
from smartscope.inference.graph import GraphTail
from smartscope.inference.heads.head import append_health, told_limit
from smartscope.inference.model_package import ModelPackage
from smartscope.inference.onnx_file import Port
from smartscope.inference.padding import Padding

Array = npt.NDArray[Any]

STAR_LIMIT = 65536
"""Most likely points of one frame, the best ones."""

_FEWEST_RAYS = 8

STAR_POINTS = "smartscope_star_points"
STAR_SCORES = "smartscope_star_scores"
STAR_RAYS = "smartscope_star_rays"


@dataclass(frozen=True, slots=True)
class StarHead:
    """How the output of a StarDist net is read.

    Attributes
    ----------
    letters : {"bcyx", "byxc"}
        Axes of the outputs.
    n_rays : int
        Rays of an outline.
    probability, rays : int
        Which output of the graph holds them; if it is the same, the probability is its
        first channel.
    threshold : float
        Likely points are above it.
    """

    letters: str
    n_rays: int
    probability: int = 0
    rays: int = 0
    threshold: float = 0.5

    @property
    def maps(self) -> int:
        """Probability and rays: one output or two."""
        return 1 + max(self.probability, self.rays)

    @property
    def names(self) -> tuple[str, ...]:
        """Points ``(n, 2)``: row, column of the grid; ``(n,)``; rays ``(n, n_rays)``.

        Rays are in pixels of the model's input; ray k points to the angle
        ``2 π k / n_rays``, from the direction of the columns toward that of the rows.
        """
        return (STAR_POINTS, STAR_SCORES, STAR_RAYS)

    def append(self, tail: GraphTail, given: Sequence[str]) -> None:
        """Append the search to a graph of opset 13 or later."""
        last = self.letters[-1] == "c"
        channels = 3 if last else 1
        probability, rays = given[self.probability], given[self.rays]
        if self.probability == self.rays:
            probability = _part(tail, probability, 0, 1, channels)
            rays = _part(tail, rays, 1, 1 + self.n_rays, channels)
        flat = tail.constant(np.array([-1], np.int64))
        scores = tail.node("Reshape", [probability, flat])
        threshold = tail.constant(np.array([self.threshold], np.float32))
        above = tail.node("Greater", [scores, threshold])
        where = tail.node("Reshape", [tail.node("NonZero", [above]), flat])
        likely = tail.node("Gather", [scores, where], axis=0)
        count = tail.node(
            "Min",
            [
                tail.node("Shape", [likely]),
                tail.constant(np.array([STAR_LIMIT], np.int64)),
            ],
        )
        best, order = tail.nodes("TopK", [likely, count], outputs=2, axis=0)
        picks = tail.node("Gather", [where, order], axis=0)
        width = tail.node(
            "Gather",
            [
                tail.node("Shape", [probability]),
                tail.constant(np.array([2 if last else 3], np.int64)),
            ],
            axis=0,
        )
        column = tail.constant(np.array([-1, 1], np.int64))
        points = tail.node(
            "Concat",
            [
                tail.node("Reshape", [tail.node(op, [picks, width]), column])
                for op in ("Div", "Mod")
            ],
            axis=1,
        )
        # gathered where they lie: turning the whole map would copy it
        shape = [-1, self.n_rays] if last else [self.n_rays, -1]
        table = tail.node("Reshape", [rays, tail.constant(np.array(shape, np.int64))])
        lengths = tail.node("Gather", [table, picks], axis=0 if last else 1)
        if not last:
            lengths = tail.node("Transpose", [lengths], perm=[1, 0])
        tail.output(points, STAR_POINTS, "int64", [None, 2])
        tail.output(best, STAR_SCORES, "float32", [None])
        tail.output(lengths, STAR_RAYS, "float32", [None, self.n_rays])
        append_health(tail, [probability, lengths])

    def find(self, given: Sequence[Array]) -> dict[str, Array]:
        """Search outputs without the graph."""
        order = [self.letters.index(a) for a in "byxc"]
        probability = given[self.probability].transpose(order)[0]
        rays = given[self.rays].transpose(order)[0]
        if self.probability == self.rays:
            probability, rays = probability[..., :1], rays[..., 1 : 1 + self.n_rays]
        scores = probability[..., 0]
        points = np.argwhere(scores > np.float32(self.threshold))
        values = scores[tuple(points.T)]
        best = np.argsort(-values, kind="stable")[:STAR_LIMIT]
        points = points[best]
        return {
            STAR_POINTS: points.astype(np.int64),
            STAR_SCORES: values[best].astype(np.float32),
            STAR_RAYS: rays[tuple(points.T)].astype(np.float32),
        }

    def within(self, found: Mapping[str, Array], padding: Padding) -> dict[str, Array]:
        """Return points in pixels of the frame, without those outside it.

        A point of the grid is the first of the pixels it stands for, not their middle.
        """
        points = found[STAR_POINTS] * np.asarray(padding.stride) - np.asarray(
            padding.origin
        )
        kept = ((points >= 0) & (points < np.asarray(padding.shape))).all(axis=1)
        return {
            STAR_POINTS: points[kept].astype(np.float32),
            STAR_SCORES: found[STAR_SCORES][kept],
            STAR_RAYS: found[STAR_RAYS][kept],
        }

    def cut(self, found: Mapping[str, Array]) -> str:
        """Return whether there are as many points as are kept."""
        return told_limit("points of outlines", len(found[STAR_SCORES]), STAR_LIMIT)


def gives_rays(outputs: Sequence[Port], letters: str) -> bool:
    """Return whether two outputs look like a probability and the rays to it."""
    shapes = [p.shape for p in outputs[:2]]
    if letters not in ("bcyx", "byxc") or len(shapes) < 2:
        return False
    at = letters.index("c")
    sizes = [s[at] if s is not None and len(s) == 4 else None for s in shapes]
    return 1 in sizes and max(s or 0 for s in sizes) >= _FEWEST_RAYS


def star_head(package: ModelPackage, threshold: float) -> StarHead:
    """Return how a package's outputs are read as stars.

    Probability and rays are channels of one output, the probability first, or two
    outputs of the graph, in either order.

    Raises
    ------
    smartscope.errors.Refused
        If they are neither.
    """
    where = f"The model {package.name}"
    letters, wanted = package.output.letters, package.head.n_rays
    rule = "StarDist gives a probability and n_rays lengths for each point of a grid."
    if letters not in ("bcyx", "byxc"):
        raise Refused(
            f"{where} gives an output with the axes '{letters}'.",
            rule=rule,
            way_out="Write 'output_axes: bcyx' or 'byxc' into the card.",
        )
    at = letters.index("c")
    sizes = [
        p.shape[at] if p.shape is not None and len(p.shape) == 4 else None
        for p in package.onnx.outputs
    ]
    if sizes[0] is not None and sizes[0] > 3:
        head = StarHead(letters, sizes[0] - 1, threshold=threshold)
        if len(sizes) > 1 and sizes[1] == 1:
            head = StarHead(letters, sizes[0], 1, 0, threshold)
    elif sizes[0] == 1 and len(sizes) > 1 and sizes[1] is not None and sizes[1] >= 3:
        head = StarHead(letters, sizes[1], 0, 1, threshold)
    else:
        raise Refused(
            f"{where} gives outputs of {', '.join(map(str, sizes))} channels.",
            rule=rule,
            way_out="Export both as one output, the probability first, or as two.",
        )
    if wanted is not None and wanted != head.n_rays:
        raise Refused(
            f"{where} gives {head.n_rays} rays and its card says {wanted}.",
            rule="The card must agree with the graph.",
            way_out="Correct 'n_rays', or leave it out.",
        )
    stride = {a.stride for a in package.output.axes if a.letter in "yx"}
    if package.head.grid is not None and stride != {float(package.head.grid)}:
        raise Refused(
            f"{where} has a grid of {package.head.grid} by its card and of "
            f"{', '.join(f'{s:g}' for s in sorted(stride))} by its description.",
            rule="The grid is the number of input pixels per output pixel.",
            way_out="Correct 'grid', or leave it out.",
        )
    return head


def _part(tail: GraphTail, name: str, start: int, stop: int, axis: int) -> str:
    return tail.node(
        "Slice",
        [name, *(tail.constant(np.array([v], np.int64)) for v in (start, stop, axis))],
    )
