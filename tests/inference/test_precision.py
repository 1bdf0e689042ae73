"""Nets in half precision: what changes, what does not, and how far it is off."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from onnx import TensorProto, helper, numpy_helper

from smartscope.errors import Refused
from smartscope.inference import (
    DenoiseSettings,
    DetectSettings,
    ModelPackage,
    ModelSession,
    Pipeline,
)
from smartscope.inference.precision import Half, halved

MakeOnnx = Callable[..., Path]


def _net(weight: np.ndarray, *, weight_is_input: bool = False) -> onnx.ModelProto:
    """Return a convolution, an upsampling and a sum with the image."""
    taken = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 1, "v", "u"])
    inputs = [taken]
    if weight_is_input:  # as old exporters wrote them
        inputs.append(
            helper.make_tensor_value_info("w", TensorProto.FLOAT, weight.shape)
        )
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["a"], pads=[1] * 4, strides=[2, 2]),
        helper.make_node(
            "Resize", ["a", "", "s"], ["b"], mode="linear", name="upsampling"
        ),
        helper.make_node("Relu", ["b"], ["c"]),
        helper.make_node("Max", ["c", "x"], ["y"]),  # has no half precision
    ]
    weights = [
        numpy_helper.from_array(weight, "w"),
        numpy_helper.from_array(np.array([1, 1, 2, 2], np.float32), "s"),
    ]
    given = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 1, "v", "u"])
    graph = helper.make_graph(nodes, "net", inputs, [given], weights)
    opset = [helper.make_opsetid("", 18)]
    model = helper.make_model(graph, opset_imports=opset, ir_version=9)
    onnx.checker.check_model(model)
    return model


@settings(max_examples=15)
@given(
    hnp.arrays(np.float32, (1, 1, 3, 3), elements=st.floats(-2, 2, width=16)),
    st.booleans(),
)
def test_a_half_net_gives_about_the_same(
    weight: np.ndarray, weight_is_input: bool
) -> None:
    net = _net(weight, weight_is_input=weight_is_input)
    before = net.SerializeToString()
    half = halved(net)
    assert net.SerializeToString() == before
    assert [i.type.tensor_type.elem_type for i in half.graph.input] == [1]
    assert [o.type.tensor_type.elem_type for o in half.graph.output] == [1]
    kinds = {t.name: t.data_type for t in half.graph.initializer}
    assert kinds["w"] == TensorProto.FLOAT16
    assert kinds["s"] == TensorProto.FLOAT  # scales have no half precision
    image = np.random.default_rng(0).normal(size=(1, 1, 8, 6)).astype(np.float32)
    exact, rough = (
        ModelSession(m.SerializeToString(), name="m", device="cpu", threads=1).run(
            {"x": image}, ["y"]
        )[0]
        for m in (net, half)
    )
    assert rough.dtype == np.float32
    assert np.abs(exact - rough).max() <= 0.01 * np.abs(exact).max()


def test_the_deviation_is_measured_on_the_test_image() -> None:
    half = Half.of(ModelPackage.load("gaussian"), device="cpu", threads=1)
    assert 0 < half.deviation < 1e-2
    assert half.sample == "its test image"
    assert "half precision" in half.notice
    assert f"{half.deviation:.2g}" in half.notice
    assert "saves no time" in half.notice


def test_the_deviation_is_that_of_the_numbers(make_onnx: MakeOnnx) -> None:
    """1 + 2^-11 lies halfway between two numbers of half precision: 1 is even."""
    path = make_onnx(
        ops=[("Mul", np.float32(0)), ("Add", np.float32(1 + 2**-11)), "Identity"]
    )
    half = Half.of(ModelPackage.load(path), device="cpu", threads=1)
    assert half.deviation == pytest.approx(2**-11 / (1 + 2**-11))
    assert half.sample == "an image of bright spots"


def test_axes_in_any_order_and_fixed_sizes_are_measured(make_onnx: MakeOnnx) -> None:
    path = make_onnx(shape=(1, 32, 40, 1), ops=["Relu"])
    path.with_suffix(".yaml").write_text("axes: byxc", encoding="utf-8")
    half = Half.of(ModelPackage.load(path), device="cpu", threads=1)
    assert half.deviation < 1e-3


def test_numbers_that_are_too_large_are_refused(make_onnx: MakeOnnx) -> None:
    # a transposition has half precision on a CPU too; what it is given here is 1e5
    path = make_onnx(shape=(1, 1, 16, 16), ops=["Transpose"])
    package = ModelPackage.load(path)
    np.save(path.with_suffix(".npy"), np.full((1, 1, 16, 16), 1e5, np.float32))
    package = replace(package, test_input=path.with_suffix(".npy"))
    with pytest.raises(Refused, match=r"not finite in half.*65504.*precision: float32"):
        Half.of(package, device="cpu", threads=1)


def test_a_net_that_cannot_be_converted_is_refused() -> None:
    net = _net(np.ones((1, 1, 3, 3), np.float32))
    net.graph.node[0].op_type = "Unheard"
    with pytest.raises(Refused, match=r"net of odd cannot be brought.*float32"):
        halved(net, "odd")


def test_a_package_whose_test_image_does_not_fit_is_refused(
    tmp_path: Path, make_onnx: MakeOnnx
) -> None:
    path = make_onnx(shape=(1, 1, 16, 16), ops=["Relu"])
    package = ModelPackage.load(path)
    np.save(tmp_path / "test.npy", np.zeros((1, 1, 20, 16), np.float32))
    wrong = replace(package, test_input=tmp_path / "test.npy")
    with pytest.raises(Refused, match=r"cannot run on \(1, 1, 20, 16\) values"):
        Half.of(wrong, device="cpu", threads=1)


def test_a_test_image_that_is_none_is_refused(
    tmp_path: Path, make_onnx: MakeOnnx
) -> None:
    (tmp_path / "test.npy").write_bytes(b"none")
    package = ModelPackage.load(make_onnx(ops=["Relu"]))
    with pytest.raises(Refused, match=r"test.npy of .* cannot be read.*float32"):
        Half.of(replace(package, test_input=tmp_path / "test.npy"), device="cpu")


@pytest.mark.parametrize("denoise", [False, True])
def test_a_pipeline_in_half_precision(denoise: bool) -> None:
    """Fused and as parts it gives the same, near to float32, and it says so."""

    def loaded(precision: str, *, fuse: bool) -> Pipeline:
        return Pipeline.load(
            DetectSettings(
                model="dog", head="components", device="cpu", precision=precision
            ),
            DenoiseSettings(model="gaussian", device="cpu", precision=precision)
            if denoise
            else None,
            threads=1,
            fuse=fuse,
        )

    frame = np.random.default_rng(3).poisson(60, (50, 70)).astype(np.uint16)
    frame[20:24, 30:34] += 400
    fused, parts = loaded("float16", fuse=True), loaded("float16", fuse=False)
    maps = [p.run(frame).map for p in (fused, parts, loaded("float32", fuse=True))]
    assert fused.unfused == ""
    got, expected, exact = (m for m in maps if m is not None)
    largest = np.abs(exact).max()
    assert np.abs(got - expected).max() <= 1e-4 * largest
    assert 0 < np.abs(got - exact).max() <= 0.05 * largest
    told = [n for n in fused.notices if "half precision" in n]
    assert len(told) == 1 + denoise
    for facts in fused.facts.values():
        assert facts["precision"] == "float16"
        assert facts["deviation"] > 0
