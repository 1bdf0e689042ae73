"""How many operations a net needs for an image, counted from its graph."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from pathlib import Path
from typing import Any


def operations_of(net: Path, shape: Sequence[int]) -> int | None:
    """Count the multiplications and additions of a net as it was published.

    Convolutions and products of matrices only, which are nearly all.

    Parameters
    ----------
    net : Path
        The ``.onnx`` file.
    shape : Sequence of int
        Of its one input.

    Returns
    -------
    int or None
        None if the shapes inside are not all known before the run.
    """
    import onnx

    model = onnx.load(str(net))
    graph = model.graph
    weights = {t.name: tuple(t.dims) for t in graph.initializer}
    (image,) = (i for i in graph.input if i.name not in weights)
    for dim, length in zip(image.type.tensor_type.shape.dim, shape, strict=True):
        dim.Clear()
        dim.dim_value = length
    for output in graph.output:
        output.type.tensor_type.ClearField("shape")
    del graph.value_info[:]
    try:
        inferred = onnx.shape_inference.infer_shapes(model, data_prop=True).graph
    except onnx.shape_inference.InferenceError:
        return None
    shapes = {
        v.name: tuple(int(d.dim_value) for d in v.type.tensor_type.shape.dim)
        for v in (*inferred.value_info, *inferred.input, *inferred.output)
    }
    shapes.update(weights)
    total = 0
    for node in graph.node:
        each = _multiplications(node, shapes)
        if each is None:
            return None
        total += 2 * each
    return total


def _multiplications(node: Any, shapes: dict[str, tuple[int, ...]]) -> int | None:
    if node.op_type not in ("Conv", "ConvTranspose", "MatMul", "Gemm"):
        return 0
    first, second, out = (
        shapes.get(name, ()) for name in (*node.input[:2], node.output[0])
    )
    if not all((first, second, out)) or 0 in (*first, *second, *out):
        return None
    if node.op_type == "Conv":
        return prod(out) * prod(second[1:])
    if node.op_type == "ConvTranspose":
        return prod(first) * prod(second[1:])
    turned = node.op_type == "Gemm" and any(
        a.name == "transA" and a.i for a in node.attribute
    )
    return prod(out) * (first[0] if turned else first[-1])
