"""Rewrites of a model's graph that change its speed and not what it says.

Four patterns of U-Nets are known. All results equal the original up to the rounding of
float32.

A 1 × 1 convolution after an upsampling
    Interpolation takes the same weights, of sum 1, in every channel, so the two may
    change places: the convolution then has a fourth of the pixels, and the upsampling
    the channels that come out.
A convolution after a concatenation
    It is the sum of the convolutions of the parts, and the parts need not be copied
    side by side.
Two convolutions of the image with nothing between them
    They are one; see `pairs.py`.
A sigmoid before the choice of a plane
    The other way round; else onnxruntime takes it with the convolution before and
    computes it for the channels, often 15 of 16, that it adds to fill a block.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from smartscope.inference.net_graph import NetGraph, attributes
from smartscope.inference.pairs import compose_pair

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


def quicken(model: Any, shape: Sequence[int] | None = None) -> int:
    """Rewrite a model in place.

    Parameters
    ----------
    model : onnx.ModelProto
        Any; what is not known is left as it is.
    shape : Sequence of int, optional
        Of its input, if the model will only see that and runs on a CPU; pairs of
        convolutions need it.

    Returns
    -------
    int
        How many places were rewritten.
    """
    graph = NetGraph(model.graph)
    done = 0
    for node in list(model.graph.node):
        if node.op_type == "Conv" and not node.domain:
            done += (
                _before_upsampling(graph, node)
                or _of_parts(graph, node)
                or compose_pair(graph, node, shape)
            )
    if done:
        graph.tidy()
    return done


def choose_first(model: Any) -> int:
    """Let each sigmoid come after the choice of a plane that follows it; in place.

    Returns
    -------
    int
        How often they changed places.
    """
    graph = NetGraph(model.graph)
    done = 0
    for gather in list(model.graph.node):
        if gather.op_type != "Gather" or gather.domain:
            continue
        sigmoid = graph.maker(gather.input[0], "Sigmoid")
        if sigmoid is None:
            continue
        between = sigmoid.output[0]
        gather.input[0], sigmoid.input[0] = sigmoid.input[0], between
        sigmoid.output[0], gather.output[0] = gather.output[0], between
        graph.makers[between], graph.makers[sigmoid.output[0]] = gather, sigmoid
        done += 1
    if done:
        graph.tidy()
    return done


def _before_upsampling(graph: NetGraph, conv: Any) -> bool:
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


def _of_parts(graph: NetGraph, conv: Any) -> bool:
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


def _channels(graph: NetGraph, name: str) -> int | None:
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
