"""Weights kept in half precision: half the size on disk, reckoned in single as before.

Eleven bits of a weight are more than a detector can tell apart. The network is rounded
first, so that what is judged, compared and packed is one and the same.
"""

from __future__ import annotations

import copy
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from torch import nn

Net = TypeVar("Net", bound=nn.Module)

_LARGEST = 65504.0  # of IEEE 754 binary16
_SMALL = 256  # numbers that are not worth a node of their own
_SUFFIX = "/half"


def rounded(net: Net) -> Net:
    """Return a copy whose convolution weights are rounded to half precision."""
    made = copy.deepcopy(net)
    with torch.no_grad():
        for weight in made.parameters():
            if weight.ndim == 4:
                weight.copy_(weight.clamp(-_LARGEST, _LARGEST).half().float())
    return made


def store_halves(path: Path) -> int:
    """Store the weights that half precision holds exactly in half precision.

    A cast brings each back to single precision; a runtime does that once, when it loads
    the graph. What does not fit exactly stays as it is, so nothing changes.

    Parameters
    ----------
    path : Path
        ONNX file, written anew.

    Returns
    -------
    int
        How many tensors are stored so.
    """
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    model = onnx.load(str(path))
    graph, casts = model.graph, []
    for tensor in graph.initializer:
        if tensor.data_type != TensorProto.FLOAT:
            continue
        values = numpy_helper.to_array(tensor)
        if values.size < _SMALL or np.abs(values).max() > _LARGEST:
            continue
        half = values.astype(np.float16)
        if not np.array_equal(half.astype(np.float32), values):
            continue
        name = tensor.name
        tensor.CopyFrom(numpy_helper.from_array(half, name + _SUFFIX))
        casts.append(
            helper.make_node("Cast", [name + _SUFFIX], [name], to=TensorProto.FLOAT)
        )
    if casts:
        nodes = [*casts, *graph.node]
        del graph.node[:]
        graph.node.extend(nodes)
        onnx.save(model, str(path))
    return len(casts)
