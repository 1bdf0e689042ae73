"""Graphs that cannot run, each refused with a clear word before it does."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto

from smartscope.errors import Refused
from smartscope.inference import Model, ModelPackage

MakeOnnx = Callable[..., Path]
IMAGE = np.arange(16 * 20, dtype=np.float32).reshape(1, 1, 16, 20)


def custom(make_onnx: MakeOnnx, tmp_path: Path) -> Path:
    path = make_onnx(ops=[("CropAndWarp", None, {"domain": "my.lab"})])
    model = onnx.load(str(path))
    model.opset_import.append(onnx.helper.make_opsetid("my.lab", 1))
    onnx.save(model, str(path))
    return path


def future_opset(make_onnx: MakeOnnx, tmp_path: Path) -> Path:
    return make_onnx(ops=["Relu"], opset=99)


def future_format(make_onnx: MakeOnnx, tmp_path: Path) -> Path:
    path = make_onnx(ops=["Relu"])
    model = onnx.load(str(path))
    model.ir_version = 99
    onnx.save(model, str(path))
    return path


def nan_weights(make_onnx: MakeOnnx, tmp_path: Path) -> Path:
    weights = np.ones((1, 1, 4, 4), np.float32)
    weights[0, 0, 1] = np.nan
    return make_onnx(ops=[("Add", weights)], shape=(1, 1, 4, 4))


def nan_in_external_data(make_onnx: MakeOnnx, tmp_path: Path) -> Path:
    path = nan_weights(make_onnx, tmp_path)
    onnx.save(
        onnx.load(str(path)),
        str(path),
        save_as_external_data=True,
        location="w.bin",
        size_threshold=0,
    )
    return path


def short_external_data(make_onnx: MakeOnnx, tmp_path: Path) -> Path:
    path = nan_in_external_data(make_onnx, tmp_path)
    data = path.with_name("w.bin")
    data.write_bytes(data.read_bytes()[:-8])
    return path


def constant_outside(make_onnx: MakeOnnx, tmp_path: Path) -> Path:
    """External data of a Constant node, which is no initializer."""
    tensor = onnx.numpy_helper.from_array(np.ones(1, np.float32), "c")
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "gone.bin"
    path = make_onnx(ops=["Relu"])
    model = onnx.load(str(path), load_external_data=False)
    model.graph.node.append(onnx.helper.make_node("Constant", [], ["k"], value=tensor))
    path.write_bytes(model.SerializeToString())
    return path


GRAPHS: dict[str, tuple[Callable[[MakeOnnx, Path], Path], str]] = {
    "custom operator": (custom, r"my\.lab\.CropAndWarp"),
    "operator of no opset": (
        lambda make, _: make(ops=["NoSuchOperator"]),
        "has no operator NoSuchOperator",
    ),
    "operator newer than the opset": (
        lambda make, _: make(ops=["Gelu"], opset=13),
        "opset 13 has no operator Gelu",
    ),
    "opset of the future": (future_opset, "opset 99.*knows up to"),
    "format of the future": (future_format, "IR version 99.*knows up to"),
    "NaN": (nan_weights, "4 of 16 values .* are NaN"),
    "NaN in external data": (nan_in_external_data, "4 of 16 values .* are NaN"),
    "external data cut off": (short_external_data, "cannot be read"),
    "external data of a constant": (constant_outside, "no such file"),
}


@pytest.mark.parametrize("case", GRAPHS)
def test_a_graph_that_cannot_run_is_refused_before_it_does(
    case: str, make_onnx: MakeOnnx, tmp_path: Path
) -> None:
    make, words = GRAPHS[case]
    with pytest.raises(Refused, match=words) as refused:
        ModelPackage.load(make(make_onnx, tmp_path))
    assert refused.value.rule
    assert refused.value.way_out


def test_the_newest_opset_that_onnxruntime_knows_is_taken(make_onnx: MakeOnnx) -> None:
    with pytest.raises(Refused) as refused:
        ModelPackage.load(make_onnx(ops=["Relu"], opset=99))
    newest = int(str(refused.value).split("knows up to ")[1].split(".")[0])
    path = make_onnx("newest.onnx", ops=["Relu"], opset=newest)
    model = Model(ModelPackage.load(path), device="cpu")
    assert model.predict(model.prepare(IMAGE[0, 0])).shape == IMAGE.shape


def test_infinity_may_be_a_weight(make_onnx: MakeOnnx) -> None:
    """Masks are made of it."""
    weights = np.full((1, 1, 4, 4), -np.inf, np.float32)
    assert ModelPackage.load(make_onnx(ops=[("Max", weights)], shape=(1, 1, 4, 4)))
