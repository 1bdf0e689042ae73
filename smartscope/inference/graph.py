"""Appending nodes to the end of a model's graph.

What is appended is said by the heads; here stands only how an ONNX graph is extended,
and which graphs can be.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from smartscope.inference.model_package import ModelPackage
from smartscope.inference.onnx_file import OnnxFile

_PREFIX = "smartscope_"
_OLDEST_OPSET = 13
_FUSED = frozenset({"sigmoid", "ensure_dtype"})


class GraphTail:
    """The end of a model's graph, to be extended.

    Parameters
    ----------
    onnx : OnnxFile
        The model; its file is not changed.
    """

    def __init__(self, onnx: OnnxFile) -> None:
        import onnx as onnx_package

        self._onnx = onnx_package
        self._model = onnx_package.load(str(onnx.path))
        self._graph: Any = self._model.graph
        self._count = 0

    def node(self, op: str, inputs: Sequence[str], **attributes: Any) -> str:
        """Append an operator with one output; return the output's name."""
        return self.nodes(op, inputs, outputs=1, **attributes)[0]

    def nodes(
        self, op: str, inputs: Sequence[str], *, outputs: int, **attributes: Any
    ) -> list[str]:
        """Append an operator; return the names of its outputs."""
        names = [self._name(op) for _ in range(outputs)]
        self._graph.node.append(
            self._onnx.helper.make_node(
                op, list(inputs), names, name=names[0], **attributes
            )
        )
        return names

    def constant(self, value: npt.NDArray[Any]) -> str:
        """Add a constant; return its name."""
        name = self._name("constant")
        self._graph.initializer.append(self._onnx.numpy_helper.from_array(value, name))
        return name

    def input(self, name: str, shape: Sequence[int]) -> str:
        """Add a float32 input."""
        self._graph.input.append(
            self._onnx.helper.make_tensor_value_info(
                name, self._onnx.TensorProto.FLOAT, list(shape)
            )
        )
        return name

    def output(
        self, source: str, name: str, dtype: str, shape: Sequence[int | None]
    ) -> None:
        """Make a tensor of the graph an output under a name of its own."""
        self._graph.node.append(
            self._onnx.helper.make_node("Identity", [source], [name], name=name)
        )
        self._graph.output.append(
            self._onnx.helper.make_tensor_value_info(
                name,
                self._onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype)),
                list(shape),
            )
        )

    def serialized(self) -> bytes:
        """Return the extended model."""
        return bytes(self._model.SerializeToString())

    def _name(self, what: str) -> str:
        self._count += 1
        return f"{_PREFIX}{what}_{self._count}"


def can_extend(package: ModelPackage) -> bool:
    """Return True if the map of a model can be read by nodes appended to its graph.

    It can if the map is ``(1, 1, Y, X)`` in float32, the processing after it is known
    here, and the operators needed exist in the graph's opset.
    """
    output = package.output
    return (
        output.letters == "bcyx"
        and output.channels == 1
        and output.dtype == "float32"
        and package.onnx.opset >= _OLDEST_OPSET
        and all(s.id in _FUSED for s in output.steps)
        and all(s.kwargs.get("dtype", "float32") == "float32" for s in output.steps)
    )


def append_processing(tail: GraphTail, package: ModelPackage) -> str:
    """Append the processing after the graph; return the name of the finished map."""
    name = package.onnx.outputs[0].name
    for step in package.output.steps:
        if step.id == "sigmoid":
            name = tail.node("Sigmoid", [name])
    return name
