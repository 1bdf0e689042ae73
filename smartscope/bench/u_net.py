"""A U-Net of the size of a published one, for machines that do not have that."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

_CHANNELS = (16, 32, 64, 128)
_OPSET = 18


def save_u_net(path: Path, size: int, *, seed: int = 0) -> None:
    """Write a U-Net of four levels with drawn weights.

    Parameters
    ----------
    path : Path
        The ``.onnx`` file.
    size : int
        Rows and columns of its image, a multiple of 8.
    seed : int
        Of the weights.
    """
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    rng = np.random.default_rng(seed)
    nodes: list[Any] = []
    weights = [numpy_helper.from_array(np.array([1, 1, 2, 2], np.float32), "twice")]

    def node(op: str, given: list[str], **attributes: Any) -> str:
        nodes.append(helper.make_node(op, given, [f"t{len(nodes)}"], **attributes))
        return f"t{len(nodes) - 1}"

    def conv(name: str, into: int, out: int, width: int = 3) -> str:
        spread = np.sqrt(2 / (into * width * width))
        kernel = rng.normal(0, spread, (out, into, width, width)).astype(np.float32)
        key = f"w{len(weights)}"
        weights.append(numpy_helper.from_array(kernel, key))
        return node("Conv", [name, key], pads=[width // 2] * 4)

    def block(name: str, into: int, out: int) -> str:
        return node("Relu", [conv(conv(name, into, out), out, out)])

    skips: list[tuple[str, int]] = []
    name, into = "image", 1
    for out in _CHANNELS[:-1]:
        name = block(name, into, out)
        skips.append((name, out))
        name = node("MaxPool", [name], kernel_shape=[2, 2], strides=[2, 2])
        into = out
    name, into = block(name, into, _CHANNELS[-1]), _CHANNELS[-1]
    for skip, out in reversed(skips):
        name = node(
            "Resize",
            [name, "", "twice"],
            mode="linear",
            coordinate_transformation_mode="half_pixel",
        )
        name = node("Concat", [skip, conv(name, into, out, 1)], axis=1)
        name, into = block(name, 2 * out, out), out
    last = conv(name, into, 1, 1)
    shape = [1, 1, size, size]
    graph = helper.make_graph(
        nodes,
        "u_net",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(last, TensorProto.FLOAT, shape)],
        weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)])
    model.ir_version = helper.find_min_ir_version_for(model.opset_import)
    onnx.save(model, str(path))


def with_size(source: Path, path: Path, size: int) -> None:
    """Write a net that takes square images again, for another size.

    Parameters
    ----------
    source : Path
        A net of convolutions with fixed sizes ``(1, 1, Y, X)``.
    path : Path
        The new ``.onnx`` file.
    size : int
        Rows and columns.
    """
    import onnx

    model = onnx.load(str(source))
    for port in (*model.graph.input, *model.graph.output):
        for dim in port.type.tensor_type.shape.dim[2:]:
            dim.dim_value = size
    del model.graph.value_info[:]  # shapes of the old size
    onnx.save(model, str(path))
