"""What is wrong with a graph, told before any runtime sees it: operators, weights."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from smartscope.errors import Refused

_STANDARD = ("", "ai.onnx")
# what onnxruntime brings along beyond the standard
_RUNTIME = frozenset(
    {
        "ai.onnx.ml",
        "ai.onnx.preview.training",
        "ai.onnx.training",
        "com.microsoft",
        "com.microsoft.nchwc",
        "com.ms.internal.nhwc",
    }
)
_SURE_OPSET, _SURE_IR = 21, 10  # every onnxruntime that can be installed takes these
_FLOATS = frozenset({"FLOAT", "FLOAT16", "DOUBLE", "BFLOAT16"})


def all_nodes(graph: Any) -> Iterator[Any]:
    """Yield the nodes of a graph and of the graphs within its nodes."""
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            for inner in (attribute.g, *attribute.graphs):
                yield from all_nodes(inner)


def all_tensors(graph: Any) -> Iterator[Any]:
    """Yield the constants of a graph, those within its nodes too."""
    yield from graph.initializer
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t
            yield from attribute.tensors
            for inner in (attribute.g, *attribute.graphs):
                yield from all_tensors(inner)


def check_operators(model: Any, path: Path) -> None:
    """Refuse operators that nobody here has.

    Raises
    ------
    smartscope.errors.Refused
        If some belong to a domain of somebody's own, or are in no standard.
    """
    import onnx

    opsets = {o.domain: o.version for o in model.opset_import}
    opset = next((opsets[d] for d in _STANDARD if d in opsets), 0)
    own = {(f.domain, f.name) for f in model.functions}
    known = {*_STANDARD, *_RUNTIME}
    custom, unknown = set(), set()
    for node in all_nodes(model.graph):
        if (node.domain, node.op_type) in own:
            continue
        if node.domain not in known:
            custom.add(f"{node.domain}.{node.op_type}")
        # a graph newer than the onnx here may use what that does not know
        elif (
            node.domain in _STANDARD
            and opset <= onnx.defs.onnx_opset_version()
            and not onnx.defs.has(node.op_type, opset, "")
        ):
            unknown.add(node.op_type)
    if custom:
        raise Refused(
            f"onnxruntime cannot take {path}: it uses the custom operators "
            f"{', '.join(sorted(custom))}.",
            rule="A model is made of the operators of the ONNX standard.",
            way_out="Export it without custom operators; what they do after the last "
            "layer is often done by a head here.",
        )
    if unknown:
        raise Refused(
            f"onnxruntime cannot take {path}: opset {opset} has no operator "
            f"{', '.join(sorted(unknown))}.",
            rule="A model is made of the operators of the ONNX standard.",
            way_out="Export it again; the file says another opset than it uses.",
        )


def check_weights(model: Any, path: Path) -> None:
    """Refuse weights that are not numbers.

    Raises
    ------
    smartscope.errors.Refused
        If a weight is NaN, or its data are shorter than its shape.
    """
    import onnx

    for tensor in all_tensors(model.graph):
        if onnx.TensorProto.DataType.Name(tensor.data_type) not in _FLOATS:
            continue
        try:
            values = onnx.numpy_helper.to_array(tensor, base_dir=str(path.parent))
        except Exception as e:  # its own and numpy's, which share no base class
            raise Refused(
                f"The weights '{tensor.name}' of {path} cannot be read: {e}.",
                rule="A model has all its weights.",
                way_out="Copy or export it again, its external data too.",
            ) from e
        if values.size == 1:
            continue  # a single NaN may be meant: to fill what is masked
        wrong = int(np.isnan(values.astype(np.float32, copy=False)).sum())
        if wrong:
            raise Refused(
                f"{wrong} of {values.size} values of the weights '{tensor.name}' of "
                f"{path} are NaN.",
                rule="Weights are numbers: with NaN among them nothing comes out.",
                way_out="The training has diverged or the file was damaged: take an "
                "earlier state, or copy it again.",
            )


def check_opset(path: Path, opset: int, ir_version: int) -> None:
    """Refuse a graph that is newer than the installed onnxruntime.

    Raises
    ------
    smartscope.errors.Refused
        If onnxruntime takes neither its opset nor its IR version.
    """
    if opset <= _SURE_OPSET and ir_version <= _SURE_IR:
        return
    import onnxruntime  # type: ignore[import-untyped]  # it has no stubs

    newest_opset = _newest("opset", opset)
    newest_ir = _newest("IR version", ir_version)
    for what, has, newest in (
        ("opset", opset, newest_opset),
        ("IR version", ir_version, newest_ir),
    ):
        if has > newest:
            raise Refused(
                f"onnxruntime cannot take {path}: it is written in {what} {has}, and "
                f"the installed onnxruntime {onnxruntime.__version__} knows up to "
                f"{newest}.",
                rule="A model is not newer than the onnxruntime that runs it.",
                way_out=f"Install a newer onnxruntime, or export the model with {what} "
                f"{newest} or lower.",
            )


@cache
def _newest(what: str, upto: int) -> int:
    """Return the newest version that a graph of one node may have, at most `upto`."""
    sure = _SURE_OPSET if what == "opset" else _SURE_IR
    return next((v for v in range(upto, sure, -1) if _takes(what, v)), min(upto, sure))


def _takes(what: str, version: int) -> bool:
    import onnx
    import onnxruntime

    info = onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1])
    out = onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [1])
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("Relu", ["x"], ["y"])], "g", [info], [out]
    )
    model = onnx.helper.make_model(
        graph,
        opset_imports=[
            onnx.helper.make_opsetid("", version if what == "opset" else _SURE_OPSET)
        ],
        ir_version=version if what == "IR version" else _SURE_IR,
    )
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    try:
        onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
    except Exception:  # noqa: BLE001  # any refusal is the answer
        return False
    return True
