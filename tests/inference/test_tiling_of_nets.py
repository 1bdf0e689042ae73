"""Nets of any make give in tiles what they give of the whole, under dense heads."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from smartscope.errors import Refused
from smartscope.inference import (
    PEAK_CLASSES,
    PEAK_POSITIONS,
    STAR_POINTS,
    STAR_RAYS,
    STAR_SCORES,
    DenoiseSettings,
    DetectSettings,
    ModelPackage,
    Pipeline,
)
from smartscope.inference.tiling import Cutting

CONVS = st.sampled_from(
    [
        {"kernel": 1, "pads": [0] * 4},
        {"kernel": 3, "pads": [1] * 4},
        {"kernel": 5, "pads": [2] * 4},
        {"kernel": 3, "pads": [2] * 4, "dilations": [2, 2]},
        {"kernel": 2, "pads": [0, 0, 1, 1]},
        {"kernel": 4, "pads": [2, 2, 1, 1]},
        {"kernel": 3, "auto_pad": "SAME_UPPER"},
        {"kernel": 3, "around": [1, 1, 1, 1]},
    ]
)
DOWNS = st.sampled_from(
    ["MaxPool", "AveragePool", "even", "one side", "wide", "padded"]
)
UPS = st.sampled_from(["transposed", "transposed wide", "nearest", "linear"])


class Net:
    """A net of random weights, built node by node."""

    def __init__(self, seed: int) -> None:
        self.random = np.random.default_rng(seed)
        self.nodes: list[Any] = []
        self.weights: list[Any] = []

    def add(self, op: str, *given: str, **has: Any) -> str:
        name = f"t{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, list(given), [name], **has))
        return name

    def weight(self, *shape: int) -> str:
        name = f"w{len(self.weights)}"
        values = self.random.normal(0, 1 / np.sqrt(np.prod(shape[1:])), shape)
        self.weights.append(numpy_helper.from_array(values.astype(np.float32), name))
        return name

    def constant(self, values: list[float]) -> str:
        name = f"w{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(np.float32(values), name))
        return name

    def pad(self, name: str, around: list[int]) -> str:
        """Mirror rows and columns outward: top, left, bottom, right."""
        pads = np.array([0, 0, *around[:2], 0, 0, *around[2:]], np.int64)
        self.weights.append(numpy_helper.from_array(pads, f"w{len(self.weights)}"))
        return self.add("Pad", name, self.weights[-1].name, mode="reflect")

    def conv(self, name: str, taken: int, given: int, kernel: int, **has: Any) -> str:
        if around := has.pop("around", None):
            name = self.pad(name, around)
        weight = self.weight(given, taken, kernel, kernel)
        made = self.add("Conv", name, weight, kernel_shape=[kernel] * 2, **has)
        return self.add("LeakyRelu", made, alpha=0.1)

    def down(self, name: str, how: str) -> str:
        if how == "padded":
            return self.conv(name, 2, 2, 3, around=[0, 0, 1, 1], strides=[2, 2])
        if how.endswith("Pool"):
            return self.add(how, name, kernel_shape=[2, 2], strides=[2, 2])
        kernel, pads = {
            "even": (3, [1] * 4),
            "one side": (3, [0, 0, 1, 1]),
            "wide": (5, [2] * 4),
        }[how]
        return self.conv(name, 2, 2, kernel, pads=pads, strides=[2, 2])

    def up(self, name: str, how: str) -> str:
        if how.startswith("transposed"):
            kernel, pad = (4, 1) if how.endswith("wide") else (2, 0)
            weight = self.weight(2, 2, kernel, kernel)
            return self.add(
                "ConvTranspose", name, weight, strides=[2, 2], pads=[pad] * 4
            )
        scales = self.constant([1, 1, 2, 2])
        return self.add("Resize", name, "", scales, mode=how)


def write_net(
    path: Path,
    seed: int,
    convs: list[dict[str, Any]],
    levels: list[tuple[str, str]],
    stays: int,
    outputs: tuple[int, ...],
    card: dict[str, Any],
    last: bool = False,
) -> Path:
    """Write a U-Net whose last `stays` upsamplings are left out.

    With `last` the channels are the last axis of what goes in and comes out.
    """
    net = Net(seed)
    name = net.add("Transpose", "image", perm=[0, 3, 1, 2]) if last else "image"
    name = net.conv(name, 1, 2, **convs[0])
    ways = []
    for i, (down, _) in enumerate(levels):
        ways.append(name)
        name = net.conv(net.down(name, down), 2, 2, **convs[(i + 1) % len(convs)])
    for way, (_, up) in reversed([*zip(ways, levels, strict=True)][stays:]):
        name = net.add("Concat", net.up(name, up), way, axis=1)
        name = net.conv(name, 4, 2, **convs[-1])
    size = ["y", "x"]
    made = []
    for i, count in enumerate(outputs):
        out = net.add("Conv", name, net.weight(count, 2, 1, 1))
        out = net.add("Sigmoid", net.add("Mul", out, net.constant([4])))
        if last:
            net.add("Transpose", out, perm=[0, 2, 3, 1])
        net.nodes[-1].output[0] = f"out{i}"
        lengths = [1, count, f"v{i}", f"u{i}"]
        if last:
            lengths.append(lengths.pop(1))
        made.append(
            helper.make_tensor_value_info(f"out{i}", TensorProto.FLOAT, lengths)
        )
    lengths = [1, *size, 1] if last else [1, 1, *size]
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, lengths)
    graph = helper.make_graph(net.nodes, "net", [image], made, net.weights)
    opset = [helper.make_opsetid("", 18)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=9), str(path))
    both = {
        "normalisation": "zero_mean_unit_variance",
        "step": 2 ** len(levels),
        "stride": 2**stays,
        "axes": "byxc" if last else "bcyx",
    }
    path.with_suffix(".yaml").write_text(yaml.safe_dump(both | card), "utf-8")
    return path


@st.composite
def nets(draw: st.DrawFn) -> dict[str, Any]:
    levels = draw(st.lists(st.tuples(DOWNS, UPS), max_size=2))
    return {
        "seed": draw(st.integers(0, 999)),
        "convs": draw(st.lists(CONVS, min_size=1, max_size=3)),
        "levels": levels,
        "stays": draw(st.integers(0, len(levels))),
        "last": draw(st.booleans()),
    }


def both(path: Path, tile_px: int, **more: Any) -> tuple[Pipeline, Pipeline]:
    return tuple(  # type: ignore[return-value]  # two of them
        Pipeline.load(
            DetectSettings(model=str(path), device="cpu", tile_px=n, **more), threads=1
        )
        for n in (tile_px, None)
    )


def smallest(path: Path) -> int:
    cutting = Cutting.of(ModelPackage.load(path))
    assert cutting is not None
    return cutting.shortest + cutting.aligned


def pixels(seed: int, rows: int, columns: int) -> np.ndarray:
    return np.random.default_rng(seed).poisson(50, (rows, columns)).astype(np.uint16)


SIZES = st.integers(70, 180)


@given(nets(), SIZES, SIZES, st.integers(0, 40))
@settings(max_examples=25)
def test_a_map_of_tiles_is_that_of_the_whole(
    made: dict[str, Any], rows: int, columns: int, more: int
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = write_net(
            Path(folder) / "net.onnx", outputs=(1,), card={"head": "components"}, **made
        )
        tile = max(64, smallest(path)) + more
        tiled, whole = both(path, tile)
        image = pixels(made["seed"], rows, columns)
        got, expected = tiled.run(image), whole.run(image)
        assert ("in tiles" in tiled.unfused) == (tiled.detect.tiled((rows, columns)))
        assert tiled.unfused or max(rows, columns) <= tile
        np.testing.assert_allclose(got.map, expected.map, rtol=1e-4, atol=1e-6)


def test_a_frame_restored_in_tiles_is_that_of_the_whole(tmp_path: Path) -> None:
    path = write_net(
        tmp_path / "net.onnx",
        seed=2,
        convs=[{"kernel": 3, "pads": [1] * 4}],
        levels=[("even", "linear")],
        stays=0,
        outputs=(1,),
        card={},
    )
    image = pixels(2, 150, 90)
    tiled, whole = (
        Pipeline.load(
            DetectSettings(model="dog", device="cpu"),
            DenoiseSettings(model=str(path), device="cpu", tile_px=n, store=True),
            threads=1,
        )
        for n in (64, None)
    )
    got, expected = tiled.run(image).restored, whole.run(image).restored
    assert "in tiles" in tiled.unfused
    assert got is not None
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-6)


@given(nets(), SIZES, SIZES, st.booleans(), st.booleans())
@settings(max_examples=20)
def test_stars_of_tiles_are_those_of_the_whole(
    made: dict[str, Any], rows: int, columns: int, apart: bool, rays_first: bool
) -> None:
    outputs = ((5, 1) if rays_first else (1, 5)) if apart else (6,)
    with tempfile.TemporaryDirectory() as folder:
        path = write_net(
            Path(folder) / "net.onnx",
            outputs=outputs,
            card={"head": "stardist", "n_rays": 5},
            **made,
        )
        tile = max(64, smallest(path))
        tiled, whole = both(path, tile)
        image = pixels(made["seed"], rows, columns)
        got, expected = (p.run(image).outputs for p in (tiled, whole))
        assert tiled.detect.tiled((rows, columns)) or max(rows, columns) <= tile
        for these, those in ((got, expected), (expected, got)):
            sure = these[STAR_SCORES] > 0.5 + 1e-4
            there = np.full((rows, columns, 5), np.nan, np.float32)
            there[tuple(those[STAR_POINTS].astype(int).T)] = those[STAR_RAYS]
            np.testing.assert_allclose(
                there[tuple(these[STAR_POINTS][sure].astype(int).T)],
                these[STAR_RAYS][sure],
                rtol=1e-4,
                atol=1e-6,
            )


def test_peaks_of_classes_in_tiles_are_those_of_the_whole(tmp_path: Path) -> None:
    path = write_net(
        tmp_path / "net.onnx",
        seed=1,
        convs=[{"kernel": 3, "pads": [1] * 4}],
        levels=[("MaxPool", "linear")],
        stays=0,
        outputs=(4,),
        card={"head": "peaks", "classes": ["a", "b"], "offsets": [2, 3]},
    )
    tiled, whole = both(path, 64)
    image = pixels(0, 200, 130)
    got, expected = (
        {
            (*p, k)
            for p, k in zip(
                o[PEAK_POSITIONS].tolist(), o[PEAK_CLASSES].tolist(), strict=True
            )
        }
        for o in (p.run(image).outputs for p in (tiled, whole))
    )
    assert tiled.detect.tiled((200, 130))
    assert len(got & expected) > 0.99 * max(len(got), len(expected)) > 10


def test_what_cannot_be_cut_is_refused_before_the_run(tmp_path: Path) -> None:
    plain: dict[str, Any] = {
        "seed": 0,
        "convs": [{"kernel": 5, "pads": [2] * 4}],
        "levels": [("MaxPool", "nearest")] * 2,
        "stays": 0,
    }
    path = write_net(
        tmp_path / "net.onnx", outputs=(1,), card={"head": "components"}, **plain
    )
    with pytest.raises(Refused, match=r"sees up to \d+ pixels") as refused:
        both(path, smallest(path) - 1)
    assert f"'tile_px' to {smallest(path)} or more" in refused.value.way_out
    labels = write_net(
        tmp_path / "labels.onnx", outputs=(1,), card={"head": "labels"}, **plain
    )
    with pytest.raises(Refused, match="boxes, labels or classes"):
        both(labels, 128)
    fixed = tmp_path / "fixed.onnx"
    model = onnx.load(str(path))
    for axis, size in zip((2, 3), (128, 128), strict=True):
        model.graph.input[0].type.tensor_type.shape.dim[axis].dim_value = size
        model.graph.output[0].type.tensor_type.shape.dim[axis].dim_value = size
    onnx.save(model, str(fixed))
    fixed.with_suffix(".yaml").write_text("head: components\n", "utf-8")
    with pytest.raises(Refused, match="takes images of 128 along y"):
        both(fixed, 256)
    tiled = both(fixed, 128)[0]
    assert tiled.detect.tiled((200, 100))


def test_a_constant_as_large_as_the_image_cannot_be_cut(tmp_path: Path) -> None:
    path = write_net(
        tmp_path / "net.onnx",
        seed=0,
        convs=[{"kernel": 3, "pads": [1] * 4}],
        levels=[],
        stays=0,
        outputs=(1,),
        card={"head": "components"},
    )
    assert Cutting.of(ModelPackage.load(path)) is not None
    model = onnx.load(str(path))
    place = np.linspace(0, 1, 64, dtype=np.float32).reshape(1, 1, 1, 64)
    model.graph.initializer.append(numpy_helper.from_array(place, "place"))
    model.graph.node.insert(0, helper.make_node("Add", ["image", "place"], ["placed"]))
    model.graph.node[1].input[0] = "placed"
    onnx.save(model, str(path))
    assert Cutting.of(ModelPackage.load(path)) is None
