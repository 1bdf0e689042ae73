"""Boxes: the part of the head that ONNX can say, for detectors of the YOLO family.

With the nodes below at the end of a graph, the thousands of boxes a net proposes are
scored, sifted and thinned inside the runtime, and only the things leave it. A thing has
one class, so boxes of different classes compete: of two that overlap the better stays.
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
from smartscope.inference.onnx_file import Shape
from smartscope.inference.padding import Padding
from smartscope.inference.settings import BoxLayout

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float32]

BOX_LIMIT = 2048
"""Most boxes of one frame, the best ones."""

BOXES = "smartscope_boxes"
BOX_SCORES = "smartscope_box_scores"
BOX_CLASSES = "smartscope_box_classes"


@dataclass(frozen=True, slots=True)
class BoxHead:
    """How the boxes of a model are read.

    Attributes
    ----------
    layout : {"yolo8", "yolo8_rows", "yolo5", "nms_inside"}
        ``(1, 4 + classes, N)``, ``(1, N, 4 + classes)``, ``(1, N, 5 + classes)`` with
        objectness, or ``(1, N, 6)``: corners, score and class, already thinned.
    corners : bool
        x, y of two corners; else x, y of the middle, width and height.
    shares : bool
        Of the input's size, from 0 to 1; else its pixels.
    threshold : float
        Boxes above it are kept.
    overlap : float
        Of two boxes whose shared area is more than this part of their union the better
        one stays.
    """

    layout: BoxLayout
    corners: bool = False
    shares: bool = False
    threshold: float = 0.5
    overlap: float = 0.45

    @property
    def maps(self) -> int:
        """0: boxes are of the whole image."""
        return 0

    @property
    def names(self) -> tuple[str, ...]:
        """Boxes ``(n, 4)``: first row, first column, last row, last column; (n,)."""
        return (BOXES, BOX_SCORES, BOX_CLASSES)

    def append(self, tail: GraphTail, given: Sequence[str]) -> None:
        """Append the search to a graph of opset 13 or later."""
        rows = given[0]
        if self.layout == "yolo8":
            rows = tail.node("Transpose", [rows], perm=[0, 2, 1])
        boxes = self._append_corners(tail, rows)
        if self.layout == "nms_inside":
            score, kind = (_columns(tail, rows, i, i + 1) for i in (4, 5))
            above = tail.node(
                "Greater",
                [score, tail.constant(np.array([self.threshold], np.float32))],
            )
            flat = tail.constant(np.array([-1], np.int64))
            where = tail.node("NonZero", [tail.node("Reshape", [above, flat])])
            picks = tail.node("Reshape", [where, flat])
            kind = tail.node("Cast", [kind], to=_onnx_int64())
        else:
            scores = _columns(tail, rows, 4, None)
            if self.layout == "yolo5":
                scores = tail.node(
                    "Mul",
                    [_columns(tail, rows, 4, 5), _columns(tail, rows, 5, None)],
                )
            one = tail.constant(np.array([1], np.int64))
            score, kind = tail.nodes("TopK", [scores, one], outputs=2, axis=2)
            chosen = tail.node(
                "NonMaxSuppression",
                [
                    boxes,
                    tail.node("Transpose", [score], perm=[0, 2, 1]),
                    tail.constant(np.array([BOX_LIMIT], np.int64)),
                    tail.constant(np.array([self.overlap], np.float32)),
                    tail.constant(np.array([self.threshold], np.float32)),
                ],
            )
            # its rows are batch, class, box
            picks = tail.node(
                "Gather", [chosen, tail.constant(np.array(2, np.int64))], axis=1
            )
        for source, name, dtype, width in (
            (boxes, BOXES, "float32", 4),
            (score, BOX_SCORES, "float32", None),
            (kind, BOX_CLASSES, "int64", None),
        ):
            shape = [-1] if width is None else [-1, width]
            flat = tail.node(
                "Reshape", [source, tail.constant(np.array(shape, np.int64))]
            )
            tail.output(
                tail.node("Gather", [flat, picks], axis=0),
                name,
                dtype,
                [None] if width is None else [None, width],
            )
        append_health(tail, given[:1])

    def _append_corners(self, tail: GraphTail, rows: str) -> str:
        x, y, third, fourth = (_columns(tail, rows, i, i + 1) for i in range(4))
        if self.corners:
            return tail.node("Concat", [y, x, fourth, third], axis=2)
        half = tail.constant(np.array([0.5], np.float32))
        wide = tail.node("Mul", [third, half])
        high = tail.node("Mul", [fourth, half])
        sides = [
            tail.node("Sub", [y, high]),
            tail.node("Sub", [x, wide]),
            tail.node("Add", [y, high]),
            tail.node("Add", [x, wide]),
        ]
        return tail.node("Concat", sides, axis=2)

    def find(self, given: Sequence[Array]) -> dict[str, Array]:
        """Search an output without the graph."""
        rows = np.asarray(given[0], np.float32)[0]
        if self.layout == "yolo8":
            rows = rows.T
        x, y, third, fourth = rows[:, :4].T
        if self.corners:
            boxes = np.stack([y, x, fourth, third], axis=1)
        else:
            wide, high = third * np.float32(0.5), fourth * np.float32(0.5)
            boxes = np.stack([y - high, x - wide, y + high, x + wide], axis=1)
        if self.layout == "nms_inside":
            score, kind = rows[:, 4], rows[:, 5].astype(np.int64)
            picks = np.flatnonzero(score > np.float32(self.threshold))
        else:
            scores = rows[:, 4:]
            if self.layout == "yolo5":
                scores = rows[:, 4:5] * rows[:, 5:]
            kind = scores.argmax(axis=1)
            score = scores.max(axis=1)
            above = np.flatnonzero(score > np.float32(self.threshold))
            above = above[np.argsort(-score[above], kind="stable")]
            picks = above[thin_boxes(boxes[above], self.overlap)][:BOX_LIMIT]
        return {
            BOXES: boxes[picks],
            BOX_SCORES: score[picks],
            BOX_CLASSES: kind[picks].astype(np.int64),
        }

    def within(self, found: Mapping[str, Array], padding: Padding) -> dict[str, Array]:
        """Return the boxes in pixels of the frame, without those outside it.

        A thing that the frame's edge cuts has its middle, together with its mirror
        image, on that edge: up to one pixel beyond counts as on it.
        """
        boxes = np.asarray(found[BOXES], np.float64)
        if self.shares:
            boxes = boxes * np.tile(np.asarray(padding.padded_shape, float), 2)
        boxes = boxes - np.tile(np.asarray(padding.before, float), 2)
        middle = (boxes[:, :2] + boxes[:, 2:]) / 2
        shape = np.asarray(padding.shape)
        clipped = boxes.clip(0, np.tile(shape, 2))
        kept = ((middle >= -1) & (middle <= shape + 1)).all(axis=1) & (
            clipped[:, 2:] > clipped[:, :2]
        ).all(axis=1)
        return {
            BOXES: clipped[kept].astype(np.float32),
            BOX_SCORES: found[BOX_SCORES][kept],
            BOX_CLASSES: found[BOX_CLASSES][kept],
        }

    def cut(self, found: Mapping[str, Array]) -> str:
        """Return whether there are as many boxes as are kept."""
        if self.layout == "nms_inside":  # all of them
            return ""
        return told_limit("boxes", len(found[BOX_SCORES]), BOX_LIMIT)


def thin_boxes(boxes: Floats, overlap: float) -> npt.NDArray[np.intp]:
    """Return the rows that stay when each box, in order, drops its likes after it.

    Parameters
    ----------
    boxes : np.ndarray
        Shape ``(n, 4)``, best first: rows and columns of two corners.
    overlap : float
        Alike are boxes whose shared area is more than this part of their union.
    """
    low = np.minimum(boxes[:, :2], boxes[:, 2:])
    high = np.maximum(boxes[:, :2], boxes[:, 2:])
    area = (high - low).prod(axis=1)
    left = np.arange(len(boxes))
    kept = []
    while len(left):
        first, left = left[0], left[1:]
        kept.append(first)
        sides = np.minimum(high[first], high[left]) - np.maximum(low[first], low[left])
        shared = sides.clip(0).prod(axis=1)
        union = area[first] + area[left] - shared
        # boxes without area overlap nothing, as in the operator of ONNX
        alike = (shared > 0) & (shared > np.float32(overlap) * union)
        left = left[~alike]
    return np.asarray(kept, np.intp)


def guess_layout(
    shape: Shape | None,
    classes: int | None,
    image: tuple[int | None, int | None] = (None, None),
) -> BoxLayout | None:
    """Return the layout an output's shape tells, None where it could be several.

    Parameters
    ----------
    shape : tuple or None
        Of the graph's output; free dimensions are None.
    classes : int or None
        How many, where a card says it.
    image : tuple of int or None
        Rows and columns of the input, which tell how many boxes a net may propose.
    """
    if shape is None or len(shape) != 3:
        return None
    _, first, second = shape
    if first is not None and (second is None or first < second) and first > 4:
        fits = classes is None or first == 4 + classes
        return "yolo8" if fits else None
    if second is None or second < 5 or (first is not None and first <= second):
        return None
    fitting: set[BoxLayout] = set()
    if classes is None or second == 4 + classes:
        fitting.add("yolo8_rows")
    if second >= 6 and (classes is None or second == 5 + classes):
        fitting.add("yolo5")
    if second == 6:
        fitting.add("nms_inside")
    cells = _cells(image)
    if first is not None and cells is not None:
        if first == 3 * cells:  # three anchors in each: always with objectness
            fitting &= {"yolo5"}
        elif first == cells:
            fitting -= {"nms_inside"}
        elif 8 * first < cells:  # few are left after thinning
            fitting &= {"nms_inside"}
    return fitting.pop() if len(fitting) == 1 else None


def _cells(image: tuple[int | None, int | None]) -> int | None:
    """Return the cells of the three grids, of 8, 16 and 32 pixels, of YOLO nets."""
    rows, columns = image
    if rows is None or columns is None or rows % 32 or columns % 32:
        return None
    return sum((rows // n) * (columns // n) for n in (8, 16, 32))


_LAYOUTS: dict[BoxLayout, tuple[str, int]] = {
    "yolo8": ("(1, 4 + classes, boxes)", 4),
    "yolo8_rows": ("(1, boxes, 4 + classes)", 4),
    "yolo5": ("(1, boxes, 5 + classes)", 5),
    "nms_inside": ("(1, boxes, 6)", 5),
}
"""Of each layout its shape, and the numbers of a box beside the classes."""


def told_layouts() -> str:
    """Return all layouts with their shapes, in words."""
    *most, last = (f"{name} {told}" for name, (told, _) in _LAYOUTS.items())
    return f"{', '.join(most)} and {last}"


def check_layout(
    layout: BoxLayout, shape: Shape | None, classes: int | None, where: str
) -> int:
    """Return the number of classes an output of this shape has, 0 if it is free.

    Raises
    ------
    smartscope.errors.Refused
        If the layout does not fit the shape, or the classes do not.
    """
    if shape is None:
        return 0
    told, beside = _LAYOUTS[layout]
    size = None
    if len(shape) == 3:
        size = shape[1] if layout == "yolo8" else shape[2]
    wrong = len(shape) != 3 or (size is not None and size <= beside)
    if wrong or (layout == "nms_inside" and size not in (None, 6)):
        raise Refused(
            f"{where} gives an output of shape {shape}, and boxes are read as "
            f"{layout}.",
            rule=f"The layout {layout} is {told}.",
            way_out="Correct 'layout' in the card or the detect settings: "
            f"{', '.join(_LAYOUTS)}.",
        )
    if size is None or layout == "nms_inside":
        return 0
    have = size - beside
    if classes is not None and classes != have:
        raise Refused(
            f"{where} gives boxes of {have} classes, and {classes} are named.",
            rule="Every class of the output has a name, in the order of the output.",
            way_out="Correct 'classes' in the card or the detect settings.",
        )
    return have


def _columns(tail: GraphTail, rows: str, start: int, stop: int | None) -> str:
    """Return columns of ``(1, N, K)``."""
    end = np.iinfo(np.int64).max if stop is None else stop
    return tail.node(
        "Slice",
        [rows, *(tail.constant(np.array([v], np.int64)) for v in (start, end, 2))],
    )


def _onnx_int64() -> int:
    from onnx import TensorProto

    return int(TensorProto.INT64)
