"""Models of a few nodes, one for each head, for tests: they say what they are told.

``python tiny_models.py FOLDER`` writes one of each kind, with its card, into a folder.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import yaml
from onnx import TensorProto, helper, numpy_helper


def write_saying(
    path: Path,
    outputs: Sequence[np.ndarray],
    card: Mapping[str, Any] | None = None,
    size: Sequence[int | str] = ("y", "x"),
    *,
    broken: bool = False,
) -> Path:
    """Write a model that takes any image and gives these arrays, and its card.

    A broken one gives NaN in their place.
    """
    nodes = [
        helper.make_node("Cast", ["image"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMin", ["float"], ["low"], keepdims=0),
        helper.make_node("Mul", ["low", "zero"], ["nought"]),
        helper.make_node("Div", ["nought", "by"], ["nothing"]),
    ]
    by = np.float32(0 if broken else 1)
    weights = [
        numpy_helper.from_array(np.float32(0), "zero"),
        numpy_helper.from_array(by, "by"),
    ]
    given = []
    for i, array in enumerate(outputs):
        weights.append(numpy_helper.from_array(array, f"said{i}"))
        if array.dtype == np.float32:
            nodes.append(helper.make_node("Add", [f"said{i}", "nothing"], [f"out{i}"]))
        else:
            nodes.append(helper.make_node("Identity", [f"said{i}"], [f"out{i}"]))
        kind = helper.np_dtype_to_tensor_dtype(array.dtype)
        given.append(helper.make_tensor_value_info(f"out{i}", kind, array.shape))
    taken = helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 1, *size])
    _save(path, helper.make_graph(nodes, "saying", [taken], given, weights))
    if card is not None:
        path.with_suffix(".yaml").write_text(yaml.safe_dump(dict(card)), "utf-8")
    return path


def write_star_net(path: Path, n_rays: int, radius: float, grid: int = 1) -> Path:
    """Write a net that sees a disc of `radius` wherever a pixel is bright.

    The probability is the pixel over 100, the rays are all the same.
    """
    nodes = [
        helper.make_node("Cast", ["image"], ["float"], to=TensorProto.FLOAT),
        helper.make_node(
            "MaxPool",
            ["float"],
            ["pooled"],
            kernel_shape=[grid] * 2,
            strides=[grid] * 2,
        ),
        helper.make_node("Mul", ["pooled", "share"], ["probability"]),
        helper.make_node("Mul", ["probability", "nothing"], ["zeros"]),
        helper.make_node("Add", ["zeros", "radii"], ["rays"]),
        helper.make_node("Concat", ["probability", "rays"], ["out"], axis=1),
    ]
    weights = [
        numpy_helper.from_array(np.float32(0.01), "share"),
        numpy_helper.from_array(np.float32(0), "nothing"),
        numpy_helper.from_array(
            np.full((1, n_rays, 1, 1), radius, np.float32), "radii"
        ),
    ]
    taken = helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 1, "y", "x"])
    given = helper.make_tensor_value_info(
        "out", TensorProto.FLOAT, [1, 1 + n_rays, "v", "u"]
    )
    _save(path, helper.make_graph(nodes, "stars", [taken], [given], weights))
    card = {"head": "stardist", "grid": grid, "step": grid}
    path.with_suffix(".yaml").write_text(yaml.safe_dump(card), "utf-8")
    return path


def write_map_net(path: Path, channels: int, card: Mapping[str, Any]) -> Path:
    """Write a net whose channel c is 1 where a pixel is 100 (c + 1), 0 far from it."""
    nodes = [
        helper.make_node("Cast", ["image"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("Sub", ["float", "steps"], ["less"]),
        helper.make_node("Abs", ["less"], ["off"]),
        helper.make_node("Mul", ["off", "share"], ["scaled"]),
        helper.make_node("Sub", ["high", "scaled"], ["near"]),
        helper.make_node("Clip", ["near", "low", "high"], ["out"]),
    ]
    steps = 100 * np.arange(1, channels + 1, dtype=np.float32).reshape(1, -1, 1, 1)
    weights = [
        numpy_helper.from_array(steps, "steps"),
        numpy_helper.from_array(np.float32(0.01), "share"),
        numpy_helper.from_array(np.float32(0), "low"),
        numpy_helper.from_array(np.float32(1), "high"),
    ]
    taken = helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 1, "y", "x"])
    given = helper.make_tensor_value_info(
        "out", TensorProto.FLOAT, [1, channels, "y", "x"]
    )
    _save(path, helper.make_graph(nodes, "maps", [taken], [given], weights))
    path.with_suffix(".yaml").write_text(yaml.safe_dump(dict(card)), "utf-8")
    return path


def _save(path: Path, graph: onnx.GraphProto) -> None:
    opset = [helper.make_opsetid("", 18)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=9), str(path))


def write_all(folder: Path) -> None:
    """Write one model for each head."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = np.array([[30, 20, 10, 8, 0.9, 0.1], [80, 90, 12, 12, 0.2, 0.8]], np.float32)
    write_saying(
        folder / "yolo8.onnx",
        [np.tile(rows.T, (1, 1, 4))],
        {"head": "boxes", "layout": "yolo8", "classes": ["round", "long"]},
    )
    write_saying(
        folder / "classes.onnx",
        [np.array([[0.1, 0.7, 0.2]], np.float32)],
        {"head": "classes", "classes": ["empty", "some", "dense"]},
    )
    labels = np.zeros((1, 1, 64, 64), np.int32)
    labels[0, 0, 10:20, 10:20] = 3
    write_saying(
        folder / "labels.onnx", [labels], {"head": "labels"}, size=labels.shape[2:]
    )
    write_star_net(folder / "stardist.onnx", 32, 8.0)
    write_map_net(folder / "peaks.onnx", 1, {"head": "peaks"})
    write_map_net(folder / "components.onnx", 1, {"head": "components"})


if __name__ == "__main__":
    write_all(Path(sys.argv[1]))
