"""What the bench of a model counts and reads is right."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from smartscope.bench.memory import bench_memory
from smartscope.bench.operations import operations_of
from smartscope.bench.profile import read_profile
from smartscope.bench.u_net import save_u_net
from smartscope.errors import Refused


def saved(path: Path, nodes: list[Any], weights: dict[str, Any]) -> Path:
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 2, "y", "x"])],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(v, k) for k, v in weights.items()],
    )
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9
    )
    onnx.save(model, str(path))
    return path


OPERATIONS: dict[str, tuple[list[Any], dict[str, tuple[int, ...]], int]] = {
    "convolution": (
        [helper.make_node("Conv", ["image", "w"], ["out"])],
        {"w": (3, 2, 3, 3)},
        2 * (3 * 8 * 10) * (2 * 9),
    ),
    "of groups": (
        [helper.make_node("Conv", ["image", "w"], ["out"], group=2)],
        {"w": (4, 1, 3, 3)},
        2 * (4 * 8 * 10) * 9,
    ),
    "transposed": (
        [helper.make_node("ConvTranspose", ["image", "w"], ["out"], strides=[2, 2])],
        {"w": (2, 3, 2, 2)},
        2 * (2 * 10 * 12) * (3 * 4),
    ),
    "product": (
        [helper.make_node("MatMul", ["image", "w"], ["out"])],
        {"w": (12, 5)},
        2 * (2 * 10 * 5) * 12,
    ),
    "none": ([helper.make_node("Relu", ["image"], ["out"])], {}, 0),
}


@pytest.mark.parametrize("case", OPERATIONS)
def test_operations_are_counted(case: str, tmp_path: Path) -> None:
    nodes, shapes, expected = OPERATIONS[case]
    weights = {k: np.zeros(v, np.float32) for k, v in shapes.items()}
    net = saved(tmp_path / "net.onnx", nodes, weights)
    assert operations_of(net, (1, 2, 10, 12)) == expected


def test_operations_grow_with_the_pixels(tmp_path: Path) -> None:
    save_u_net(tmp_path / "net.onnx", 64)
    one, four = (operations_of(tmp_path / "net.onnx", (1, 1, n, n)) for n in (64, 128))
    assert one is not None
    assert four == 4 * one > 0


def test_shapes_that_only_the_run_knows_are_not_counted(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("NonZero", ["image"], ["places"]),
        helper.make_node("Cast", ["places"], ["numbers"], to=TensorProto.FLOAT),
        helper.make_node("MatMul", ["w", "numbers"], ["out"]),
    ]
    net = saved(tmp_path / "net.onnx", nodes, {"w": np.zeros((3, 4), np.float32)})
    assert operations_of(net, (1, 2, 10, 12)) is None


def event(name: str, began: int, took: int, moved: int = 0) -> dict[str, Any]:
    whole = name == "model_run"
    return {
        "name": name if whole else f"{name}_kernel_time",
        "cat": "Session" if whole else "Node",
        "ts": began,
        "dur": took,
        "args": {"output_size": str(moved), "activation_size": "8"},
    }


def test_a_profile_is_parted_at_the_net(tmp_path: Path) -> None:
    """Operators without our names belong to the net if they lie within it."""
    one = [
        ("smartscope_Cast_1", 100, 4),
        ("net0_conv", 2000, 100),
        ("ReorderOutput", 300, 4),
        ("net0_last", 700, 4),
        ("smartscope_TopK_9", 400, 4),
    ]
    events = []
    for run in range(3):
        begin = run * 10_000
        events.append(event("model_run", begin, 4000))
        events += [event(n, begin + i, t, m) for i, (n, t, m) in enumerate(one, 1)]
    (tmp_path / "a.json").write_text(json.dumps([event("model_run", 0, 5)]))
    (tmp_path / "b.json").write_text(json.dumps(events))
    told = read_profile(tmp_path)
    assert told is not None
    assert told.parts_ms == {"normalise": 0.1, "net": 3.0, "after": 0.4, "runtime": 0.5}
    assert told.bytes_moved == 116 + 5 * 8


def test_without_a_fused_graph_there_is_no_profile(tmp_path: Path) -> None:
    assert read_profile(tmp_path) is None
    events = [event("model_run", 0, 9), event("conv", 1, 5)]
    (tmp_path / "a.json").write_text(json.dumps(events))
    assert read_profile(tmp_path) is None


def test_memory_is_looked_at_along_the_way() -> None:
    told = bench_memory(frames=1200, size=32)
    assert told["fused"]
    assert len(told["marks_mb"]) == 10
    assert told["most_mb"] >= told["growth_mb"]
    json.dumps(told)


def test_memory_needs_more_frames_than_are_left_out() -> None:
    with pytest.raises(Refused, match="too few"):
        bench_memory(frames=1000)
