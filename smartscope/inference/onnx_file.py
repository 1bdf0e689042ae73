"""An ONNX file on disk: is it one, is it whole, what goes in and out.

Only ``onnx`` is asked here, so that a broken file is told before any runtime sees it.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from smartscope.errors import Refused
from smartscope.inference.onnx_checks import (
    all_tensors,
    check_operators,
    check_weights,
)

Shape = tuple[int | None, ...]

_LAYOUT = frozenset({"Cast", "Identity", "Transpose"})


@dataclass(frozen=True, slots=True)
class Port:
    """One input or output of a graph: free dimensions are None, as is unknown rank."""

    name: str
    dtype: str
    shape: Shape | None


@dataclass(frozen=True, slots=True)
class OnnxFile:
    """What the graph in a file says about itself.

    Attributes
    ----------
    path : Path
        The ``.onnx`` file.
    inputs, outputs : tuple of Port
        Initializers are no inputs.
    opset : int
        Of the standard operators.
    ir_version : int
        Of the file's own format.
    last_op : str
        Operator that makes the values of the first output; a Sigmoid tells a
        probability.
    sha256 : str
        Over the file and, in order of name, the files of its external data.
    """

    path: Path
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    opset: int
    last_op: str
    sha256: str
    ir_version: int = 0

    @classmethod
    def read(cls, path: Path) -> OnnxFile:
        """Look at a file without running it.

        Raises
        ------
        smartscope.errors.Refused
            If it is missing, not ONNX, broken off, or its external data are missing;
            if it has operators that onnxruntime does not, or NaN among its weights.
        """
        model, raw = _parse(path)
        digest = hashlib.sha256(raw)
        for extra in _external_files(model, path):
            digest.update(extra.read_bytes())
        check_operators(model, path)
        check_weights(model, path)
        graph = model.graph
        weights = {t.name for t in graph.initializer}
        inputs = tuple(_port(v) for v in graph.input if v.name not in weights)
        outputs = tuple(_port(v) for v in graph.output)
        if not inputs or not outputs:
            raise Refused(
                f"The graph in {path} has {len(inputs)} inputs and {len(outputs)} "
                "outputs.",
                rule="A model takes an image and gives one.",
                way_out="Export the model again.",
            )
        opset = next((o.version for o in model.opset_import if not o.domain), 0)
        return cls(
            path=path,
            inputs=inputs,
            outputs=outputs,
            opset=opset,
            last_op=_last_op(graph, outputs[0].name),
            sha256=digest.hexdigest(),
            ir_version=int(model.ir_version),
        )


def _last_op(graph: Any, output: str) -> str:
    """Return what makes an output, before it is laid out: TensorFlow's ends so."""
    makers = {o: n for n in graph.node for o in n.output}
    name, passed = output, set[str]()
    while (node := makers.get(name)) and node.op_type in _LAYOUT and name not in passed:
        passed.add(name)
        name = node.input[0]
    return str(node.op_type) if node else ""


def _parse(path: Path) -> tuple[Any, bytes]:
    import onnx

    try:
        raw = path.read_bytes()
    except OSError as e:
        raise Refused(
            f"The model {path} cannot be read: {e.strerror}.",
            rule="A model is an ONNX file.",
            way_out="Check the path.",
        ) from e
    try:
        model = onnx.load_model_from_string(raw)
    except Exception as e:  # protobuf's own, which shares no base class
        raise Refused(
            f"{path} is not ONNX, or was broken off while it was copied "
            f"({len(raw)} bytes).",
            rule="A model is an ONNX file.",
            way_out="Copy or export it again and compare sizes.",
        ) from e
    if not model.graph.node or not model.opset_import:
        raise Refused(
            f"{path} holds no ONNX graph ({len(raw)} bytes).",
            rule="A model is an ONNX file with at least one operator.",
            way_out="Copy or export it again.",
        )
    return model, raw


def _external_files(model: Any, path: Path) -> list[Path]:
    """Return the files of external data; all of them are there and beside the model."""
    from onnx.external_data_helper import ExternalDataInfo, uses_external_data

    names = {
        ExternalDataInfo(t).location
        for t in all_tensors(model.graph)
        if uses_external_data(t)
    }
    found = []
    for name in sorted(names):
        file = (path.parent / name).resolve()
        if not file.is_relative_to(path.parent.resolve()):
            raise Refused(
                f"The weights of {path} lie outside its folder, at '{name}'.",
                rule="A model and its external data lie in one folder.",
                way_out="Export the model into one file.",
            )
        if not file.is_file():
            raise Refused(
                f"The model {path} keeps weights in '{name}', and there is no such "
                "file beside it.",
                rule="External data of an ONNX file travel with it.",
                way_out="Copy that file too, or export the model into one file.",
            )
        found.append(file)
    return found


def _port(value: Any) -> Port:
    import onnx

    tensor = value.type.tensor_type
    shape: Shape | None = None
    if tensor.HasField("shape"):
        shape = tuple(
            d.dim_value if d.HasField("dim_value") else None for d in tensor.shape.dim
        )
    try:
        dtype = str(onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type))
    except KeyError:
        dtype = "unknown"
    if tensor.elem_type == onnx.TensorProto.STRING:
        dtype = "string"  # numpy's word is object
    return Port(value.name, dtype, shape)
