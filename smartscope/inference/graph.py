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
_AXES_ARE_INPUTS = 18  # of ReduceMean
_FUSED = frozenset({"sigmoid", "ensure_dtype"})


class GraphTail:
    """The end of a graph, to be extended.

    Parameters
    ----------
    onnx : OnnxFile, int or onnx.ModelProto
        A model, whose file is not changed; or the opset of a graph that begins empty;
        or a model in memory, which is extended itself.
    """

    def __init__(self, onnx: OnnxFile | int | Any) -> None:
        import onnx as onnx_package

        self._onnx = onnx_package
        if isinstance(onnx, int):
            helper = onnx_package.helper
            self._model = helper.make_model(
                helper.make_graph([], "smartscope", [], []),
                opset_imports=[helper.make_opsetid("", onnx)],
            )
            self._model.ir_version = helper.find_min_ir_version_for(
                self._model.opset_import
            )
        elif isinstance(onnx, OnnxFile):
            self._model = onnx_package.load(str(onnx.path))
        else:
            self._model = onnx
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

    def cast(self, name: str, dtype: str) -> str:
        """Append a change of dtype, named as numpy names it."""
        kind = self._onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
        return self.node("Cast", [name], to=kind)

    def mean(self, name: str, axes: Sequence[int]) -> str:
        """Append the mean over some axes, which are kept with length 1."""
        if self.opset >= _AXES_ARE_INPUTS:
            places = self.constant(np.asarray(axes, np.int64))
            return self.node("ReduceMean", [name, places], keepdims=1)
        return self.node("ReduceMean", [name], axes=list(axes), keepdims=1)

    @property
    def opset(self) -> int:
        """Version of the standard operators."""
        return next(
            int(o.version)
            for o in self._model.opset_import
            if o.domain in ("", "ai.onnx")
        )

    def constant(self, value: npt.NDArray[Any]) -> str:
        """Add a constant; return its name."""
        name = self._name("constant")
        self._graph.initializer.append(self._onnx.numpy_helper.from_array(value, name))
        return name

    def input(self, name: str, shape: Sequence[int], dtype: str = "float32") -> str:
        """Add an input."""
        self._graph.input.append(
            self._onnx.helper.make_tensor_value_info(
                name,
                self._onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype)),
                list(shape),
            )
        )
        return name

    def include(
        self, model: Any, prefix: str, source: str, weights_of: str | None = None
    ) -> list[str]:
        """Take over all nodes of a model with one input; return its outputs.

        Parameters
        ----------
        model : onnx.ModelProto
            Of the same opset; it is not changed.
        prefix : str
            Put before each of its names, so that two models never share one.
        source : str
            Name of the tensor that becomes its input.
        weights_of : str, optional
            Prefix under which the same model is there already: it shares the weights.

        Raises
        ------
        ValueError
            If it and what is here ask for different versions of the same operators.
        """
        model = self._onnx.compose.add_prefix(model, prefix)
        ours = {o.domain: o.version for o in self._model.opset_import}
        for asked in model.opset_import:
            if ours.setdefault(asked.domain, asked.version) != asked.version:
                raise ValueError(
                    f"opset {asked.version} of '{asked.domain}' is asked for beside "
                    f"{ours[asked.domain]}"
                )
        del self._model.opset_import[:]
        self._model.opset_import.extend(
            self._onnx.helper.make_opsetid(d, v) for d, v in ours.items()
        )
        self._model.ir_version = max(self._model.ir_version, model.ir_version)
        weights = {t.name for t in model.graph.initializer}
        (taken,) = (i.name for i in model.graph.input if i.name not in weights)
        plain = not any(a.HasField("g") for n in model.graph.node for a in n.attribute)
        if weights_of is not None and plain:
            for node in model.graph.node:
                node.input[:] = [
                    weights_of + n[len(prefix) :] if n in weights else n
                    for n in node.input
                ]
            del model.graph.initializer[:]
        self._graph.node.append(
            self._onnx.helper.make_node("Identity", [source], [taken])
        )
        for part in ("node", "initializer", "sparse_initializer"):
            getattr(self._graph, part).extend(getattr(model.graph, part))
        self._model.functions.extend(model.functions)
        return [str(o.name) for o in model.graph.output]

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

    @property
    def model(self) -> Any:
        """The extended model itself, an ``onnx.ModelProto``."""
        return self._model

    def serialized(self) -> bytes:
        """Return the extended model."""
        return bytes(self._model.SerializeToString())

    def _name(self, what: str) -> str:
        self._count += 1
        return f"{_PREFIX}{what}_{self._count}"


def can_extend(package: ModelPackage, *, one_map: bool = True) -> bool:
    """Return True if the output of a model can be read by nodes appended to its graph.

    It can if the output is ``(1, 1, Y, X)`` (``one_map``), or else what an image of
    channels or a table has, in float32, the processing after it is known here, and the
    operators needed exist in the graph's opset.
    """
    output = package.output
    if one_map:
        fits = output.letters == "bcyx" and output.channels == 1
    else:
        fits = output.letters in ("bcyx", "byxc") or not {*"yx"} <= {*output.letters}
    return (
        fits
        and all(p.dtype == "float32" for p in package.onnx.outputs)
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
