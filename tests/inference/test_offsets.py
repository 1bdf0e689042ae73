"""Nets without padding: the frame is mirrored so far that the map covers it."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import onnx
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper
from scipy.ndimage import correlate

from smartscope.errors import Refused
from smartscope.inference import (
    DenoiseSettings,
    DetectSettings,
    ModelPackage,
    Pipeline,
    pack,
)
from smartscope.inference.tensor import Axis, TensorSpec, with_offsets

KERNEL = np.random.default_rng(0).normal(size=(5, 5)).astype(np.float32)


def valid_net(path: Path, size: int | None = None, pooled: int = 1) -> Path:
    """Write a convolution of 5 × 5 without padding, and a pooling."""
    nodes = [
        helper.make_node("Conv", ["in", "k"], ["c"]),
        helper.make_node(
            "AveragePool",
            ["c"],
            ["out"],
            kernel_shape=[pooled] * 2,
            strides=[pooled] * 2,
        ),
    ]
    side: Any = size or "n"
    less: Any = (size - 4) // pooled if size else "m"
    graph = helper.make_graph(
        nodes,
        "valid",
        [helper.make_tensor_value_info("in", TensorProto.FLOAT, [1, 1, side, side])],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, [1, 1, less, less])],
        [numpy_helper.from_array(KERNEL[None, None], "k")],
    )
    if not size:  # rows and columns are free, each for itself
        for value, names in ((graph.input[0], "yx"), (graph.output[0], "vu")):
            for i, name in enumerate(names):
                value.type.tensor_type.shape.dim[2 + i].dim_param = name
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9
    )
    onnx.save(model, str(path))
    return path


def both(model: Path, image: np.ndarray) -> np.ndarray:
    asked = DetectSettings(model=str(model), head="components", device="cpu")
    fused, parts = (Pipeline.load(asked, threads=1, fuse=f) for f in (True, False))
    got, expected = fused.run(image).map, parts.run(image).map
    assert fused.unfused == ""
    assert got is not None
    assert expected is not None
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-2)
    return got


def expected_of(image: np.ndarray, pooled: int = 1) -> np.ndarray:
    """Return what the net sees in a frame that goes on mirrored beyond its edges."""
    whole = -(-np.asarray(image.shape) // pooled) * pooled
    wide = [(8, 8 + n - m) for n, m in zip(whole, image.shape, strict=True)]
    mirrored = np.pad(image.astype(float), wide, mode="reflect")
    made = correlate(mirrored, KERNEL.astype(float))[8:-8, 8:-8]
    rows, columns = (n // pooled for n in made.shape)
    return made.reshape(rows, pooled, columns, pooled).mean(axis=(1, 3))


@settings(max_examples=40, deadline=None)
@given(
    st.tuples(st.integers(9, 40), st.integers(9, 40)),
    st.sampled_from([1, 2]),
    st.sampled_from([None, 64]),
    st.integers(0, 2**32 - 1),
)
def test_the_map_covers_the_frame(
    tmp_path_factory: pytest.TempPathFactory,
    shape: tuple[int, int],
    pooled: int,
    size: int | None,
    seed: int,
) -> None:
    path = valid_net(tmp_path_factory.mktemp("valid") / "net.onnx", size, pooled)
    if size is None:
        card = {"offset": -4 // pooled, "stride": pooled, "step": pooled}
        path.with_suffix(".yaml").write_text(yaml.safe_dump(card), encoding="utf-8")
    image = np.random.default_rng(seed).integers(0, 900, shape).astype(np.uint16)
    got = both(path, image)
    expected = expected_of(image, pooled)
    assert got.shape == expected.shape
    # beyond a frame of odd length the pooling sees mirrored pixels, too
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=0.1)


@pytest.mark.parametrize("version", ["0.4", "0.5", "0.5 free"])
def test_packages_say_it_too(
    tmp_path: Path, packages: ModuleType, version: str
) -> None:
    size = None if "free" in version else 32
    valid_net(tmp_path / "weights.onnx", size)
    side = size or 36
    given_ = np.zeros((1, 1, side, side), np.float32)
    made = np.zeros((1, 1, side - 4, side - 4), np.float32)
    write = packages.write_0_4 if version == "0.4" else packages.write_0_5
    write(tmp_path, given_, made)
    file = tmp_path / ("rdf.yaml" if version == "0.4" else "bioimageio.yaml")
    described = yaml.safe_load(file.read_text("utf-8"))
    if version == "0.4":
        described["outputs"][0]["shape"] = {
            "reference_tensor": "raw",
            "scale": [1.0] * 4,
            "offset": [0, 0, -2, -2],
        }
    for axis in described["outputs"][0]["axes"] if version != "0.4" else ():
        if axis["type"] == "space":
            follows = {"tensor_id": "raw", "axis_id": axis["id"], "offset": -4}
            axis["size"] = follows
    for axis in described["inputs"][0]["axes"] if "free" in version else ():
        if axis["type"] == "space":
            axis["size"] = {"min": 8, "step": 4}
    file.write_text(yaml.safe_dump(described), encoding="utf-8")
    image = np.random.default_rng(1).integers(0, 900, (21, 27)).astype(np.uint16)
    np.testing.assert_allclose(
        both(tmp_path, image), expected_of(image), rtol=1e-4, atol=0.1
    )
    asked = DetectSettings(model=str(tmp_path), head="components", device="cpu")
    if size is not None:
        with pytest.raises(Refused, match="2 at either end are lost"):
            Pipeline.load(asked).check((29, 20))
    # the restored image has the frame's shape, too
    first = DenoiseSettings(model=str(tmp_path), device="cpu", store=True)
    for fuse in (True, False):
        restored = Pipeline.load(asked, first, fuse=fuse).run(image).restored
        assert restored is not None
        np.testing.assert_allclose(restored, expected_of(image), rtol=1e-4, atol=0.1)


def test_a_packed_net_without_padding_says_so(tmp_path: Path) -> None:
    path = valid_net(tmp_path / "valid.onnx")
    path.with_suffix(".yaml").write_text("head: components\noffset: -4\n", "utf-8")
    package = ModelPackage.load(pack(path, tmp_path / "packed"))
    assert [a.offset for a in package.output.axes] == [0, 0, -4, -4]


def test_sizes_that_divide_are_strides_and_others_offsets() -> None:
    def made(given_: int, size: int) -> tuple[float, int]:
        specs = [TensorSpec("t", (Axis("y", n), Axis("x", n))) for n in (given_, size)]
        axis = with_offsets(*specs).axis("y")
        assert axis is not None
        return axis.stride, axis.offset

    assert made(572, 388) == (1.0, -184)
    assert made(512, 256) == (1.0, 0)
    assert made(512, 1024) == (1.0, 0)
    assert made(132, 64) == (2.0, -2)
    assert made(33, 32) == (1.0, 0)
