"""Small ONNX graphs, made on the spot, for tests of inference."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

MakeOnnx = Callable[..., Path]


@pytest.fixture
def make_onnx(tmp_path: Path) -> MakeOnnx:
    """Write a graph; by default one that passes a free-sized image on.

    ``ops`` are operators applied in turn to the image; ``constants`` are what they may
    take as their second input, by name.
    """

    def make(
        name: str = "model.onnx",
        *,
        shape: Sequence[int | str] = (1, 1, "y", "x"),
        out_shape: Sequence[int | str] | None = None,
        ops: Sequence[str | tuple[str, Any] | tuple[str, Any, dict[str, Any]]] = (
            "Identity",
        ),
        dtype: int = TensorProto.FLOAT,
        inputs: int = 1,
        opset: int = 18,
        folder: Path | None = None,
    ) -> Path:
        nodes, constants, last = [], [], "in0"
        for i, op in enumerate(ops):
            op_name, constant, attributes = (
                (op, None, {}) if isinstance(op, str) else (*op, {})[:3]
            )
            given = [last]
            if constant is not None:
                constants.append(numpy_helper.from_array(np.asarray(constant), f"c{i}"))
                given.append(f"c{i}")
            last = "out" if i == len(ops) - 1 else f"t{i}"
            nodes.append(helper.make_node(op_name, given, [last], **attributes))
        graph = helper.make_graph(
            nodes,
            "test",
            [
                helper.make_tensor_value_info(f"in{i}", dtype, list(shape))
                for i in range(inputs)
            ],
            [helper.make_tensor_value_info("out", dtype, list(out_shape or shape))],
            constants,
        )
        model = helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=9
        )
        path = (folder or tmp_path) / name
        onnx.save(model, str(path))
        return path

    return make


@pytest.fixture(scope="session")
def packages() -> ModuleType:
    """What writes bioimage.io packages: ``packages.py`` beside this file."""
    spec = importlib.util.spec_from_file_location(
        "smartscope_test_packages", Path(__file__).with_name("packages.py")
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
