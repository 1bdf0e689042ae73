"""Two convolutions with nothing between them, made one.

Published U-Nets have such pairs: ``Conv → Conv → Relu``. Where the first sees the
image, with its one channel, the two are one convolution of 5 × 5 that costs a sixth of
them. Only at the edge of the image do they differ: the second takes what lies outside
the first's output as zero, and the one sees there what the first would have given
outside. This is taken off again:

    out = w₅ * x − w₂ * (what the first gives in the ring of one pixel around the image)

The ring's part is computed on four lines of the image and then put in its place by a
convolution whose taps are as far apart as the image is wide or high. onnxruntime's
convolutions on x86 leave out the taps that lie outside their input, so that this costs
little more than writing the output once; where they do not, and on a GPU, the pair is
left as it is.
"""

from __future__ import annotations

import platform
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from smartscope.inference.net_graph import NetGraph, attributes

Array = npt.NDArray[Any]

_LEAVES_OUT = frozenset({"x86_64", "AMD64"})
_BLOCK = 16  # channels that are computed side by side
_SMALLEST = 160 * 160  # pixels; below, the pair takes less than what is added
_SAVES = 3  # times fewer operations
_FAR = 2**62


def compose_pair(graph: NetGraph, conv: Any, shape: Sequence[int] | None) -> bool:
    """Make a convolution and the one before it, which sees the image, one.

    Parameters
    ----------
    graph : NetGraph
        Whose nodes are changed.
    conv : onnx.NodeProto
        The second of the two.
    shape : Sequence of int, optional
        Of the model's input, if all its lengths are known; None: nothing is done.

    Returns
    -------
    bool
        Whether it was one of a pair and became one with it.
    """
    first = graph.maker(conv.input[0], "Conv")
    if first is None or shape is None or len(shape) != 4 or shape[0] != 1:
        return False
    if graph.image != first.input[0] or platform.machine() not in _LEAVES_OUT:
        return False
    given = [graph.array(name) for name in (*first.input[1:2], *conv.input[1:2])]
    if any(w is None or w.dtype != np.float32 or w.ndim != 4 for w in given):
        return False
    w1, w2 = (w.astype(np.float64) for w in given if w is not None)
    into, between, out = w1.shape[1], w1.shape[0], w2.shape[0]
    rows, columns = shape[2:]
    if (
        not (_keeps_size(first, w1) and _keeps_size(conv, w2))
        or out % _BLOCK
        or rows * columns < _SMALLEST
        or min(rows, columns) < 2
        or _SAVES * 25 * into * out > 9 * between * (into + out)
    ):
        return False
    biases = [_bias(graph, node, len(w)) for node, w in ((first, w1), (conv, w2))]
    if biases[0] is None or biases[1] is None:
        return False
    _Pair(graph, first.input[0], conv, w1, biases[0], w2, biases[1]).build(
        rows, columns
    )
    graph.proto.node.remove(first)
    graph.proto.node.remove(conv)
    return True


class _Pair:
    """Writes the nodes that stand for two convolutions of 3 × 3.

    Weights are ``(out, in, 3, 3)``, float64; offset 0 of a kernel is its index 1.
    """

    def __init__(
        self,
        graph: NetGraph,
        image: str,
        conv: Any,
        w1: Array,
        b1: Array,
        w2: Array,
        b2: Array,
    ) -> None:
        self._graph, self._image = graph, image
        self._out = conv.output[0]
        self._w1, self._b1, self._w2, self._b2 = w1, b1, w2, b2
        self._count = 0

    def build(self, rows: int, columns: int) -> None:
        """Append the nodes; the last one has the output's name."""
        w1, b1, w2, b2 = self._w1, self._b1, self._w2, self._b2
        whole = self._conv(
            self._image, _composed(w1, w2), b2 + np.einsum("ocyx,c->o", w2, b1), 2, 2
        )
        above = self._line(2, rows)
        # with the corners: the line is longer than the image by a pixel at each end
        above = self._conv(
            above,
            _side_by_side(
                -_composed(w1[:, :, 2:], w2[:, :, :1]),
                -_composed(w1[:, :, :1], w2[:, :, 2:]),
            ),
            np.concatenate([-np.einsum("ocx,c->o", w2[:, :, k], b1) for k in (0, 2)]),
            0,
            2,
        )
        whole = self._node("Add", [whole, self._placed(above, 2, rows)])
        beside = self._line(3, columns)
        # without the corners: cut to the image's rows before the second
        beside = self._conv(
            beside,
            _side_by_side(w1[:, :, :, 2:], w1[:, :, :, :1]),
            np.concatenate([b1, b1]),
            1,
            0,
        )
        beside = self._conv(
            beside, _blocks(-w2[:, :, :, :1], -w2[:, :, :, 2:]), None, 1, 0
        )
        self._node("Add", [whole, self._placed(beside, 3, columns)], output=self._out)

    def _line(self, axis: int, length: int) -> str:
        """Append the first and last line along an axis, as channels of one line.

        Of each channel the first line and then the last.
        """
        ends = [
            self._constant(np.array([n], np.int64)) for n in (0, _FAR, axis, length - 1)
        ]
        lines = self._node("Slice", [self._image, *ends])
        if axis == 3:
            lines = self._node("Transpose", [lines], perm=[0, 1, 3, 2])
        channels = 2 * self._w1.shape[1]
        shape = [1, channels, 1, -1] if axis == 2 else [1, channels, -1, 1]
        return self._node("Reshape", [lines, self._constant(np.array(shape, np.int64))])

    def _placed(self, lines: str, axis: int, length: int) -> str:
        """Append an image of zeros but for its first and last line along an axis."""
        out = len(self._w2)
        taps = np.zeros((out, 2 * out, 2))
        taps[:, :out, 1] = np.eye(out)  # the line that is the image's first
        taps[:, out:, 0] = np.eye(out)
        far = [length - 1, 0] if axis == 2 else [0, length - 1]
        kernel = self._weight(np.expand_dims(taps, 5 - axis))
        return self._node(
            "Conv",
            [lines, kernel],
            pads=[*far, *far],
            dilations=[max(f, 1) for f in far],
        )

    def _conv(
        self, source: str, weight: Array, bias: Array | None, rows: int, columns: int
    ) -> str:
        given = [source, self._weight(weight)]
        if bias is not None:
            given.append(self._weight(bias))
        return self._node("Conv", given, pads=[rows, columns, rows, columns])

    def _weight(self, value: Array) -> str:
        return self._constant(np.ascontiguousarray(value, np.float32))

    def _constant(self, value: Array) -> str:
        from onnx import numpy_helper

        name = self._name()
        self._graph.proto.initializer.append(numpy_helper.from_array(value, name))
        self._graph.weights[name] = self._graph.proto.initializer[-1]
        return name

    def _node(
        self, op: str, inputs: list[str], *, output: str = "", **attributes: Any
    ) -> str:
        from onnx import helper

        name = output or self._name()
        self._graph.proto.node.append(
            helper.make_node(op, inputs, [name], name=name, **attributes)
        )
        return name

    def _name(self) -> str:
        self._count += 1
        return f"{self._out}_pair{self._count}"


def _keeps_size(conv: Any, weight: Array) -> bool:
    has = attributes(conv)
    auto = has.get("auto_pad", b"NOTSET")
    mirrored = auto in (b"SAME_UPPER", b"SAME_LOWER")
    return (
        weight.shape[2:] == (3, 3)
        and has.get("group", 1) == 1
        and all(s == 1 for s in has.get("strides", [1]))
        and all(d == 1 for d in has.get("dilations", [1]))
        and (mirrored or (auto == b"NOTSET" and has.get("pads") == [1, 1, 1, 1]))
    )


def _bias(graph: NetGraph, conv: Any, channels: int) -> Array | None:
    """Return the bias, zeros if there is none, None if it is not a constant."""
    if len(conv.input) < 3 or not conv.input[2]:
        return np.zeros(channels)
    found = graph.array(conv.input[2])
    return None if found is None else found.astype(np.float64)


def _composed(first: Array, second: Array) -> Array:
    """Return the kernel of one convolution after another."""
    (_, into, h1, v1), (out, _, h2, v2) = first.shape, second.shape
    kernel = np.zeros((out, into, h1 + h2 - 1, v1 + v2 - 1))
    for y in range(h2):
        for x in range(v2):
            kernel[:, :, y : y + h1, x : x + v1] += np.einsum(
                "oc,ciyx->oiyx", second[:, :, y, x], first
            )
    return kernel


def _side_by_side(one: Array, other: Array) -> Array:
    """Return a kernel: `one` of even channels, and below it `other` of odd ones."""
    out, into, *rest = one.shape
    kernel = np.zeros((2 * out, 2 * into, *rest))
    kernel[:out, 0::2], kernel[out:, 1::2] = one, other
    return kernel


def _blocks(one: Array, other: Array) -> Array:
    """Return a kernel: `one` of the first half, and below it `other` of the second."""
    out, into, *rest = one.shape
    kernel = np.zeros((2 * out, 2 * into, *rest))
    kernel[:out, :into], kernel[out:, into:] = one, other
    return kernel
