"""Rewrites of a model's graph that change its speed and not what it says.

Two patterns of U-Nets are known. Both results equal the original up to the rounding of
float32.

A 1 × 1 convolution after an upsampling
    Interpolation takes the same weights, of sum 1, in every channel, so the two may
    change places: the convolution then has a fourth of the pixels, and the upsampling
    the channels that come out.
A convolution after a concatenation
    It is the sum of the convolutions of the parts, and the parts need not be copied
    side by side.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

_UPSAMPLING = frozenset({"linear", "nearest"})
_KEEPS_CHANNELS = frozenset(
    {
        "BatchNormalization",
        "Clip",
        "Dropout",
        "Elu",
        "Identity",
        "LeakyRelu",
        "MaxPool",
        "Relu",
        "Sigmoid",
        "Tanh",
    }
)


def quicken(model: Any) -> int:
    """Rewrite a model in place.

    Parameters
    ----------
    model : onnx.ModelProto
        Any; what is not known is left as it is.

    Returns
    -------
    int
        How many places were rewritten.
    """
    graph = _Graph(model.graph)
    done = 0
    for node in list(model.graph.node):
        if node.op_type == "Conv" and not node.domain:
            done += _before_upsampling(graph, node) or _of_parts(graph, node)
    if done:
        graph.tidy()
    return done


class _Graph:
    """A graph, with who makes and who takes each tensor."""

    def __init__(self, graph: Any) -> None:
        self.proto = graph
        self.weights = {t.name: t for t in graph.initializer}
        self.makers = {o: n for n in graph.node for o in n.output}
        self.takers = Counter(i for n in graph.node for i in n.input)
        self.takers.update(o.name for o in graph.output)
        # what a branch or loop takes from outside is not listed among its inputs
        self.plain = not any(a.HasField("g") for n in graph.node for a in n.attribute)

    def maker(self, name: str, op: str) -> Any:
        """Return the node that makes a tensor if it is that operator's alone."""
        node = self.makers.get(name)
        if not self.plain or node is None or node.op_type != op or node.domain:
            return None
        return node if self.takers[name] == 1 else None

    def array(self, name: str) -> np.ndarray[Any, Any] | None:
        """Return a constant, None if the tensor is none."""
        from onnx import numpy_helper

        if name in self.weights:
            return numpy_helper.to_array(self.weights[name])
        node = self.makers.get(name)
        if node is None or node.op_type != "Constant":
            return None
        value = attributes(node).get("value")
        return None if value is None else numpy_helper.to_array(value)

    def tidy(self) -> None:
        """Put the nodes in the order of the data and drop weights that nobody takes."""
        known = {i.name for i in self.proto.input} | set(self.weights) | {""}
        waiting, ordered = list(self.proto.node), []
        while waiting:
            later = []
            for node in waiting:
                if known.issuperset(node.input):
                    ordered.append(node)
                    known.update(node.output)
                else:
                    later.append(node)
            if len(later) == len(waiting):  # takes from outside: keep its order
                ordered += later
                break
            waiting = later
        del self.proto.node[:]
        self.proto.node.extend(ordered)
        taken = {i for n in self.proto.node for i in n.input}
        kept = [t for t in self.proto.initializer if t.name in taken]
        inputs = [
            i for i in self.proto.input if i.name in taken or i.name not in self.weights
        ]
        for field, values in (("initializer", kept), ("input", inputs)):
            del getattr(self.proto, field)[:]
            getattr(self.proto, field).extend(values)
        # shapes that were written down belong to the tensors as they were
        del self.proto.value_info[:]


def attributes(node: Any) -> dict[str, Any]:
    """Return the attributes of a node by name."""
    from onnx import helper

    return {a.name: helper.get_attribute_value(a) for a in node.attribute}


def _before_upsampling(graph: _Graph, conv: Any) -> bool:
    resize = graph.maker(conv.input[0], "Resize")
    weight = graph.array(conv.input[1])
    if resize is None or weight is None or weight.ndim != 4:
        return False
    how, conv_has = attributes(resize), attributes(conv)
    scales = graph.array(resize.input[2]) if len(resize.input) == 3 else None
    if (
        weight.shape[2:] != (1, 1)
        or weight.shape[0] > weight.shape[1]
        or conv_has.get("group", 1) != 1
        or any(conv_has.get("pads", [0]))
        or any(s != 1 for s in conv_has.get("strides", [1]))
        or conv_has.get("auto_pad", b"NOTSET") not in (b"NOTSET", b"VALID")
        or how.get("mode", b"nearest").decode() not in _UPSAMPLING
        or how.get("coordinate_transformation_mode") == b"tf_crop_and_resize"
        or "axes" in how
        or scales is None
        or scales.shape != (4,)
        or tuple(scales[:2]) != (1, 1)
        or (scales[2:] < 1).any()
    ):
        return False
    between = f"{conv.output[0]}_small"
    conv.input[0] = resize.input[0]
    resize.output[0] = conv.output[0]
    conv.output[0] = between
    resize.input[0] = between
    graph.makers[resize.output[0]] = resize
    graph.makers[between] = conv
    graph.takers[between] = 1
    return True


def _of_parts(graph: _Graph, conv: Any) -> bool:
    from onnx import helper, numpy_helper

    concat = graph.maker(conv.input[0], "Concat")
    weight = graph.array(conv.input[1])
    if (
        concat is None
        or weight is None
        or weight.ndim != 4
        or attributes(concat)["axis"] != 1
        or attributes(conv).get("group", 1) != 1
        or len(concat.input) != 2
    ):
        return False
    channels = [_channels(graph, name) for name in concat.input]
    if channels[0] is None and channels[1] is not None:
        channels[0] = weight.shape[1] - channels[1]
    first = channels[0]
    if first is None or not 0 < first < weight.shape[1]:
        return False
    out, has = conv.output[0], attributes(conv)
    parts = []
    for i, part in enumerate((weight[:, :first], weight[:, first:])):
        name = f"{conv.input[1]}_{out}_part{i}"
        graph.proto.initializer.append(
            numpy_helper.from_array(np.ascontiguousarray(part), name)
        )
        graph.weights[name] = graph.proto.initializer[-1]
        given = [concat.input[i], name]
        if i == 0:
            given += conv.input[2:]
        parts.append(f"{out}_part{i}")
        graph.proto.node.append(helper.make_node("Conv", given, [parts[-1]], **has))
    graph.proto.node.append(helper.make_node("Add", parts, [out]))
    graph.proto.node.remove(conv)
    graph.proto.node.remove(concat)
    return True


def _channels(graph: _Graph, name: str) -> int | None:
    """Return the channels of a tensor, found by going back to a convolution."""
    for _ in range(32):
        node = graph.makers.get(name)
        if node is None:
            return None
        if node.op_type == "Conv":
            weight = graph.array(node.input[1])
            return None if weight is None else int(weight.shape[0])
        scales = graph.array(node.input[2]) if node.op_type == "Resize" else None
        if node.op_type not in _KEEPS_CHANNELS and (
            scales is None or len(scales) < 2 or scales[1] != 1
        ):
            return None
        name = node.input[0]
    return None
