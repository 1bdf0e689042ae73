"""Weights stored in half precision are found as the operators take them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from smartscope.inference.receptive_field import ReceptiveField
from smartscope.inference.stored_weights import read_graph

WEIGHTS = np.random.default_rng(0).normal(size=(1, 1, 3, 3)).astype(np.float16)


def write(path: Path, *, to: int = TensorProto.FLOAT, shown: bool = False) -> Path:
    """Write a convolution whose weights are cast, or that also gives them out."""
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 1, "y", "x"])
    made = helper.make_tensor_value_info("made", TensorProto.FLOAT, [1, 1, "y", "x"])
    nodes = [helper.make_node("Cast", ["kept"], ["weights"], to=to)]
    if to != TensorProto.FLOAT:
        nodes.append(
            helper.make_node("Cast", ["weights"], ["again"], to=TensorProto.FLOAT)
        )
    last = nodes[-1].output[0]
    nodes.append(
        helper.make_node("Conv", ["image", last], ["made"], pads=[1] * 4, name="net")
    )
    outputs = [made]
    if shown:
        outputs.append(
            helper.make_tensor_value_info("weights", TensorProto.FLOAT, [1, 1, 3, 3])
        )
    graph = helper.make_graph(
        nodes, "g", [image], outputs, [numpy_helper.from_array(WEIGHTS, "kept")]
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    onnx.save(model, str(path))
    return path


def test_they_are_plain_weights_and_the_net_is_seen_through(tmp_path: Path) -> None:
    model = read_graph(write(tmp_path / "net.onnx"))
    onnx.checker.check_model(model)
    assert [node.op_type for node in model.graph.node] == ["Conv"]
    (weights,) = model.graph.initializer
    found = numpy_helper.to_array(weights)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, WEIGHTS.astype(np.float32))
    field = ReceptiveField.of(model)
    assert field is not None
    assert field.radius == 1


@pytest.mark.parametrize("other", [{"to": TensorProto.DOUBLE}, {"shown": True}])
def test_other_casts_stay(tmp_path: Path, other: dict[str, int]) -> None:
    path = write(tmp_path / "net.onnx", **other)
    model = read_graph(path)
    assert model.SerializeToString() == onnx.load(str(path)).SerializeToString()
