"""Tiles put together are the whole."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from smartscope.bench.u_net import save_u_net, with_size
from smartscope.errors import Refused
from smartscope.inference import DetectSettings, ModelPackage, Pipeline
from smartscope.inference.receptive_field import ReceptiveField
from smartscope.inference.tiling import Cutting, Tiles, run_tiled


@given(
    st.integers(1, 6).map(lambda n: 64 + 16 * n),
    st.integers(1, 6).map(lambda n: 64 + 16 * n),
    st.integers(0, 6).map(lambda n: 4 * n),
    st.sampled_from([1, 2, 4]),
)
def test_tiles_of_what_changes_nothing_are_the_image(
    rows: int, columns: int, halo: int, stride: int
) -> None:
    image = np.arange(rows * columns).reshape(1, rows, columns)
    cuts = [Tiles(n, 64, halo, 16) for n in (rows, columns)]
    inner = dict.fromkeys((0, 1), halo // stride)

    def run(tile: np.ndarray) -> list[np.ndarray]:
        """Every stride-th pixel; near the edges of a tile, not of the frame, wrong."""
        assert tile.shape == (1, 64, 64)
        out = tile[:, ::stride, ::stride].copy()
        top, left = divmod(int(tile[0, 0, 0]), columns)
        for axis, (start, length) in enumerate(((top, rows), (left, columns))):
            margin = inner[axis]
            plane = np.moveaxis(out, axis + 1, 0)
            if start > 0:
                plane[:margin] = -1
            if start + 64 < length and margin:
                plane[-margin:] = -1
        return [out.transpose(0, 2, 1), -out.transpose(0, 2, 1)]

    whole, other = run_tiled(image, *cuts, ("cyx", "cxy"), stride, run)
    np.testing.assert_array_equal(
        whole, image[:, ::stride, ::stride].transpose(0, 2, 1)
    )
    np.testing.assert_array_equal(other, -whole)


@pytest.fixture(scope="module")
def nets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A U-Net of 256 pixels, and the same one of other sizes, with cards."""
    folder = tmp_path_factory.mktemp("nets")
    save_u_net(folder / "u_256.onnx", 256)
    for size in (320, 448):
        with_size(folder / "u_256.onnx", folder / f"u_{size}.onnx", size)
    for path in folder.glob("*.onnx"):
        path.with_suffix(".yaml").write_text(
            "normalisation: zero_mean_unit_variance\npostprocessing: sigmoid\n"
        )
    return folder


@pytest.mark.parametrize("size", [320, 448])
@pytest.mark.parametrize("head", ["components", "peaks"])
def test_a_tiled_u_net_gives_what_the_whole_gives(
    nets: Path, size: int, head: str
) -> None:
    # brighter on one side: normalised tile by tile it would be another image
    image = np.random.default_rng(size).poisson(50, (size, size)).astype(np.uint16)
    image += np.arange(size, dtype=np.uint16)
    tiled, whole = (
        Pipeline.load(
            DetectSettings(model=str(nets / f"u_{n}.onnx"), head=head, device="cpu"),
            threads=1,
        )
        for n in (256, size)
    )
    got, expected = tiled.run(image), whole.run(image)
    assert "in tiles" in tiled.unfused
    assert whole.unfused == ""
    if head == "components":
        np.testing.assert_allclose(got.map, expected.map, rtol=1e-4, atol=1e-5)
    else:
        found, there = (
            {tuple(p) for p in x.candidates.positions.tolist()} for x in (got, expected)
        )
        assert len(found & there) > 0.99 * len(there) > 0


def test_frames_of_any_size_come_back_in_their_size(nets: Path) -> None:
    settings = DetectSettings(
        model=str(nets / "u_256.onnx"), head="components", device="cpu"
    )
    pipeline = Pipeline.load(settings, threads=1)
    for shape in ((257, 256), (300, 123)):
        seen = pipeline.run(np.ones(shape, np.uint16))
        assert seen.map is not None
        assert seen.map.shape == shape


def test_the_radius_of_a_u_net_is_no_less_than_it_sees(nets: Path) -> None:
    field = ReceptiveField.of(onnx.load(str(nets / "u_256.onnx")))
    assert field is not None
    pipeline = Pipeline.load(
        DetectSettings(model=str(nets / "u_256.onnx"), head="components", device="cpu"),
        fuse=False,
        threads=1,
    )
    image = np.random.default_rng(0).normal(size=(1, 1, 256, 256)).astype(np.float32)
    other = image.copy()
    other[0, 0, 128, 128] += 100
    model = pipeline.detect
    changed = np.argwhere(model.predict(other)[0, 0] != model.predict(image)[0, 0])
    seen = np.abs(changed - 128).max()
    assert seen <= field.radius <= 2 * seen


def net(*ops: tuple[str, dict[str, Any]], opset: int = 18) -> Any:
    nodes = [
        helper.make_node(
            op, [f"t{i}", "w"] if op == "Conv" else [f"t{i}"], [f"t{i + 1}"], **has
        )
        for i, (op, has) in enumerate(ops)
    ]
    ports = [
        helper.make_tensor_value_info(f"t{i}", TensorProto.FLOAT, [1, 1, 64, 64])
        for i in (0, len(ops))
    ]
    weight = numpy_helper.from_array(np.ones((1, 1, 5, 5), np.float32), "w")
    graph = helper.make_graph(nodes, "n", ports[:1], ports[1:], [weight])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])


@pytest.mark.parametrize(
    ("ops", "radius"),
    [
        ([("Relu", {})], 0),
        ([("Conv", {"pads": [2] * 4}), ("Sigmoid", {})], 2),
        ([("Conv", {"pads": [4] * 4, "dilations": [2, 2]})], 4),
        ([("MaxPool", {"kernel_shape": [3, 3], "pads": [1] * 4})] * 2, 2),
        ([("GlobalAveragePool", {})], None),
        ([("Softmax", {"axis": 3})], None),
        ([("Split", {"axis": 1, "num_outputs": 1}), ("Conv", {"pads": [2] * 4})], 2),
        ([("Split", {"axis": -1, "num_outputs": 1})], None),
    ],
)
def test_radius(ops: Any, radius: int | None) -> None:
    field = ReceptiveField.of(net(*ops))
    assert (None if field is None else field.radius) == radius


@pytest.mark.parametrize(("axis", "radius"), [(1, 0), (-3, 0), (2, None), (None, None)])
def test_a_slice_of_channels_sees_what_it_is_cut_from(
    axis: int | None, radius: int | None
) -> None:
    model = net(("Slice", {}))
    for name, value in (("from", 0), ("to", 1), ("along", axis)):
        model.graph.node[0].input.append(name)
        if value is not None:
            stored = numpy_helper.from_array(np.array([value]), name)
            model.graph.initializer.append(stored)
    field = ReceptiveField.of(model)
    assert (None if field is None else field.radius) == radius


@pytest.mark.parametrize(("axis", "opset", "whole"), [(1, 12, True), (1, 13, False)])
def test_an_old_softmax_goes_on_to_the_last_axis(
    axis: int, opset: int, whole: bool
) -> None:
    field = ReceptiveField.of(net(("Softmax", {"axis": axis}), opset=opset))
    assert (field is None) == whole


def test_a_halo_is_told_in_pixels_of_the_output(tmp_path: Path) -> None:
    made = net(
        ("MaxPool", {"kernel_shape": [2, 2], "strides": [2, 2]}),
        ("Conv", {"pads": [2] * 4}),
    )
    made.graph.output[0].type.tensor_type.shape.dim[2].dim_value = 32
    made.graph.output[0].type.tensor_type.shape.dim[3].dim_value = 32
    made.ir_version = 9
    path = tmp_path / "net.onnx"
    onnx.save(made, str(path))
    read = Cutting.of(ModelPackage.load(path))
    assert read == Cutting(halo=6, aligned=2, stride=2)
    path.with_suffix(".yaml").write_text("halo: 7\n", "utf-8")
    said = Cutting.of(ModelPackage.load(path))
    assert said == Cutting(halo=14, aligned=2, stride=2)


def test_what_sees_everything_is_refused(tmp_path: Path) -> None:
    made = net(("Relu", {}), ("InstanceNormalization", {}))
    made.graph.node[1].input.extend(["one", "one"])
    made.graph.initializer.append(
        numpy_helper.from_array(np.ones(1, np.float32), "one")
    )
    made.ir_version = 9
    path = tmp_path / "all.onnx"
    onnx.save(made, str(path))
    assert Cutting.of(ModelPackage.load(path)) is None
    with pytest.raises(Refused, match="cannot be put together"):
        Pipeline.load(DetectSettings(model=str(path), head="components", tile_px=64))
    pipeline = Pipeline.load(
        DetectSettings(model=str(path), head="components", device="cpu")
    )
    with pytest.raises(Refused, match=r"takes images of 64 pixels.*have 65"):
        pipeline.run(np.ones((65, 64), np.uint16))
