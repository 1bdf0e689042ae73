"""Graphs read with their weights as the operators take them.

A package may keep weights in half precision, each with a cast behind it. Whoever looks
at what an operator is made of, or takes operators together, finds plain weights here.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np


def read_graph(path: Path) -> Any:
    """Return the model of a file, its weights in the precision they are reckoned in.

    Parameters
    ----------
    path : Path
        ONNX file, looked at before (see ``OnnxFile.read``).

    Returns
    -------
    onnx.ModelProto
        Casts of stored weights from half to single precision are done.
    """
    import onnx

    model = onnx.load(str(path))
    widen(model.graph)
    return model


def widen(graph: Any) -> None:
    """Do the casts of stored weights from half to single precision, in place."""
    from onnx import TensorProto, numpy_helper

    stored = {
        t.name: t for t in graph.initializer if t.data_type == TensorProto.FLOAT16
    }
    if not stored:
        return
    takers = Counter(name for node in graph.node for name in node.input)
    shown = {value.name for value in (*graph.input, *graph.output)}
    for node in list(graph.node):
        if node.op_type != "Cast" or node.domain or node.input[0] not in stored:
            continue
        name = node.input[0]
        wide = any(a.name == "to" and a.i == TensorProto.FLOAT for a in node.attribute)
        if not wide or takers[name] > 1 or shown & {name, node.output[0]}:
            continue
        values = numpy_helper.to_array(stored[name]).astype(np.float32)
        stored[name].CopyFrom(numpy_helper.from_array(values, node.output[0]))
        graph.node.remove(node)
