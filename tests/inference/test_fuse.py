"""One graph from counts to the head gives what the parts give."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from smartscope.errors import AnalysisFailed
from smartscope.inference import DenoiseSettings, DetectSettings, Pipeline
from smartscope.inference.rewrite import quicken

_SPEC = importlib.util.spec_from_file_location(
    "tiny_models", Path(__file__).with_name("tiny_models.py")
)
assert _SPEC is not None
assert _SPEC.loader is not None
tiny_models = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(tiny_models)

RNG = np.random.default_rng(5)


def blur_net(letters: str, *, size: int | None = None, opset: int = 18) -> Any:
    """A convolution of 3 × 3 between the transposes that its layout needs."""
    dims = {"b": 1, "c": 1, "y": size or "y", "x": size or "x"}
    shape = [dims[a] for a in letters]
    to, back = (
        [x.index(a) for a in y] for x, y in ((letters, "bcyx"), ("bcyx", letters))
    )
    kernel = np.float32([[1, 2, 1], [2, 4, 2], [1, 2, 1]])[None, None] / 16
    graph = helper.make_graph(
        [
            helper.make_node("Transpose", ["a"], ["t"], perm=to),
            helper.make_node("Conv", ["t", "k"], ["u"], pads=[1, 1, 1, 1]),
            helper.make_node("Transpose", ["u"], ["b"], perm=back),
        ],
        "blur",
        [helper.make_tensor_value_info("a", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("b", TensorProto.FLOAT, shape)],
        [numpy_helper.from_array(kernel, "k")],
    )
    return helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=9
    )


def write(folder: Path, model: Any, name: str = "net", **card: Any) -> str:
    path = folder / f"{name}.onnx"
    onnx.save(model, str(path))
    path.with_suffix(".yaml").write_text(yaml.safe_dump(card), encoding="utf-8")
    return str(path)


def both(
    image: np.ndarray, detect: str, head: str, denoise: str | None = None
) -> tuple[Any, Any]:
    """Return what the fused and the unfused pipeline give, the first surely fused."""
    given_ = DetectSettings(model=detect, head=head, device="cpu", threshold=0.4)
    first = (
        DenoiseSettings(model=denoise, device="cpu", store=True) if denoise else None
    )
    fused = Pipeline.load(given_, first, threads=1)
    seen = fused.run(image)
    assert fused.unfused == ""
    return seen, Pipeline.load(given_, first, threads=1, fuse=False).run(image)


def same(fused: Any, parts: Any) -> None:
    """Maps agree to 1e-4 of their range, candidates to the pixel."""
    for name in ("restored", "map"):
        got, expected = getattr(fused, name), getattr(parts, name)
        assert (got is None) == (expected is None)
        if expected is not None:
            assert got.shape == expected.shape
            assert got.dtype == expected.dtype == np.float32
            scale = max(1e-6, float(np.abs(expected).max()))
            np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-4 * scale)
    if parts.candidates is not None:
        got, expected = (
            {
                tuple(p): c
                for p, c in zip(
                    x.candidates.positions, x.candidates.crosses, strict=True
                )
            }
            for x in (fused, parts)
        )
        assert got.keys() == expected.keys()
        for place, cross in expected.items():
            np.testing.assert_allclose(got[place], cross, rtol=1e-4, atol=1e-4)


STEPS: dict[str, Sequence[Any]] = {
    "none": [],
    "zmuv": ["zero_mean_unit_variance"],
    "zmuv axes": [{"id": "zero_mean_unit_variance", "kwargs": {"axes": ["y", "x"]}}],
    "fixed": [
        {"id": "fixed_zero_mean_unit_variance", "kwargs": {"mean": 40, "std": 9}}
    ],
    "linear": [{"id": "scale_linear", "kwargs": {"gain": 0.01, "offset": -0.3}}],
    "range": [
        {
            "id": "scale_range",
            "kwargs": {
                "axes": ["y", "x"],
                "min_percentile": 1.0,
                "max_percentile": 99.8,
            },
        }
    ],
    "range middle": [
        {"id": "scale_range", "kwargs": {"min_percentile": 30, "max_percentile": 61.7}}
    ],
    "clip": [
        {"id": "clip", "kwargs": {"min": 20, "max": 60}},
        "zero_mean_unit_variance",
    ],
    # on whole numbers: what is cut to a percentile is cut to a whole number too
    "clip percentile": [
        {"id": "clip", "kwargs": {"min_percentile": 7.3, "max_percentile": 93.1}},
        {"id": "scale_linear", "kwargs": {"gain": 0.02}},
    ],
    "dtypes": [
        {"id": "ensure_dtype", "kwargs": {"dtype": "float32"}},
        {"id": "scale_linear", "kwargs": {"gain": 0.37}},
        {"id": "ensure_dtype", "kwargs": {"dtype": "int16"}},
        {"id": "binarize", "kwargs": {"threshold": 9}},
        {"id": "ensure_dtype", "kwargs": {"dtype": "float32"}},
    ],
}
AFTER: dict[str, Sequence[Any]] = {
    "none": [],
    "sigmoid": ["sigmoid"],
    "softmax": [{"id": "softmax", "kwargs": {"axis": "channel"}}],
    "clip": [{"id": "clip", "kwargs": {"min": 0.1, "max": 0.9}}],
}


@pytest.mark.parametrize("steps", STEPS)
@pytest.mark.parametrize("letters", ["bcyx", "byxc", "bcxy", "yx"])
def test_processing_before(tmp_path: Path, steps: str, letters: str) -> None:
    net = blur_net("bcyx") if letters == "yx" else blur_net(letters)
    if letters == "yx":
        net = plain_net()
    model = write(tmp_path, net, axes=letters, step=8, normalisation=STEPS[steps])
    image = RNG.poisson(40, (37, 29)).astype(np.uint16)
    same(*both(image, model, "components"))


def plain_net() -> Any:
    graph = helper.make_graph(
        [helper.make_node("Abs", ["a"], ["b"])],
        "plain",
        [helper.make_tensor_value_info("a", TensorProto.FLOAT, ["y", "x"])],
        [helper.make_tensor_value_info("b", TensorProto.FLOAT, ["y", "x"])],
    )
    return helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9
    )


@pytest.mark.parametrize("after", AFTER)
@pytest.mark.parametrize("letters", ["bcyx", "byxc"])
def test_processing_after(tmp_path: Path, after: str, letters: str) -> None:
    model = write(
        tmp_path,
        blur_net(letters),
        axes=letters,
        normalisation=STEPS["zmuv"],
        postprocessing=AFTER[after],
    )
    image = RNG.poisson(40, (40, 31)).astype(np.uint16)
    same(*both(image, model, "components"))


@pytest.fixture(scope="module")
def models(
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[tuple[str, int | None], str]:
    """Blurring nets by layout and size."""
    folder = tmp_path_factory.mktemp("nets")
    return {
        (letters, size): write(
            folder,
            blur_net(letters, size=size),
            f"{letters}{size}",
            axes=letters,
            step=1 if size else 4,
            normalisation=STEPS["range"],
            postprocessing=["sigmoid"],
        )
        for letters in ("bcyx", "byxc")
        for size in (None, 64)
    }


@settings(max_examples=40, deadline=None)
@given(
    st.tuples(st.integers(1, 64), st.integers(1, 64)),
    st.sampled_from([np.uint8, np.uint16, np.int32, np.float32]),
    st.sampled_from([("bcyx", None), ("byxc", 64), ("bcyx", 64), ("byxc", None)]),
    st.integers(0, 2**32 - 1),
)
def test_any_size_dtype_and_layout(
    models: dict[tuple[str, int | None], str],
    shape: tuple[int, int],
    dtype: Any,
    kind: tuple[str, int | None],
    seed: int,
) -> None:
    top = 256 if dtype == np.uint8 else 60_000
    image = np.random.default_rng(seed).integers(0, top, shape).astype(dtype)
    # a restored image that is all but flat would have its rounding stretched to a range
    for denoise in (None, models["bcyx", None]) if min(shape) > 4 else (None,):
        same(*both(image, models[kind], "components", denoise))


def blobs(shape: tuple[int, int], seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    rows, columns = np.indices(shape)
    image = np.full(shape, 100.0)
    for row, column in rng.uniform(0, shape, (12, 2)):
        image += 400 * np.exp(-((rows - row) ** 2 + (columns - column) ** 2) / 50)
    return rng.poisson(image).astype(np.uint16)


@pytest.mark.parametrize("denoise", [None, "gaussian"])
@pytest.mark.parametrize("head", ["peaks", "components"])
@pytest.mark.parametrize("shape", [(512, 512), (190, 211)])
def test_shipped_models(shape: tuple[int, int], head: str, denoise: str | None) -> None:
    image = blobs(shape)
    image = (image // 4).astype(np.uint8) if head == "peaks" else image
    fused, parts = both(image, "dog", head, denoise)
    same(fused, parts)
    if head == "peaks":
        assert len(fused.candidates) > 3


def test_models_of_two_opsets_become_one_graph(tmp_path: Path) -> None:
    old = write(tmp_path, blur_net("bcyx", opset=13), "old")
    new = write(tmp_path, blur_net("byxc", opset=19), "new", axes="byxc")
    image = blobs((33, 47))
    same(*both(image, new, "components", old))
    same(*both(image, old, "components", new))


def test_what_cannot_be_fused_runs_as_parts_and_says_why(tmp_path: Path) -> None:
    model = write(tmp_path, blur_net("bcyx"))
    pipeline = Pipeline.load(
        DetectSettings(model=model, head="components", device="cpu")
    )
    assert pipeline.run(blobs((32, 32)).astype(np.float64)).map is not None
    assert "frames of float64 have no place in a graph" in pipeline.unfused


def test_a_broken_map_is_told_by_the_net_that_made_it(tmp_path: Path) -> None:
    def net(value: float) -> Any:
        made = blur_net("bcyx")
        made.graph.initializer[0].CopyFrom(
            numpy_helper.from_array(np.full((1, 1, 3, 3), value, np.float32), "k")
        )
        return made

    good, bad = (write(tmp_path, net(v), f"net{v:.0e}") for v in (0.1, 1e38))
    for detect, denoise in ((good, bad), (bad, good)):
        pipeline = Pipeline.load(
            DetectSettings(model=detect, head="components", device="cpu"),
            DenoiseSettings(model=denoise, device="cpu"),
        )
        with pytest.raises(AnalysisFailed, match=r"net1e\+38 gave values"):
            pipeline.run(blobs((16, 16)))


def u_net(rng: np.random.Generator, mode: str) -> Any:
    """Two levels with an upsampling, a 1 × 1 convolution and a concatenation."""

    def weight(name: str, *shape: int) -> str:
        values = rng.normal(0, 0.3, shape).astype(np.float32)
        weights.append(numpy_helper.from_array(values, name))
        return name

    weights: list[Any] = [numpy_helper.from_array(np.float32([1, 1, 2, 2]), "scales")]
    same_size = {"pads": [1, 1, 1, 1]}
    nodes = [
        helper.make_node("Conv", ["a", weight("w0", 4, 1, 3, 3)], ["c0"], **same_size),
        helper.make_node("Relu", ["c0"], ["skip"]),
        helper.make_node(
            "MaxPool", ["skip"], ["small"], kernel_shape=[2, 2], strides=[2, 2]
        ),
        helper.make_node(
            "Conv", ["small", weight("w1", 6, 4, 3, 3)], ["deep"], **same_size
        ),
        helper.make_node(
            "Resize",
            ["deep", "", "scales"],
            ["large"],
            mode=mode,
            coordinate_transformation_mode="half_pixel",
        ),
        helper.make_node(
            "Conv", ["large", weight("w2", 3, 6, 1, 1), weight("b2", 3)], ["up"]
        ),
        helper.make_node("Concat", ["skip", "up"], ["sides"], axis=1),
        helper.make_node(
            "Conv",
            ["sides", weight("w3", 1, 7, 3, 3), weight("b3", 1)],
            ["b"],
            **same_size,
        ),
    ]
    graph = helper.make_graph(
        nodes,
        "u",
        [helper.make_tensor_value_info("a", TensorProto.FLOAT, [1, 1, "y", "x"])],
        [helper.make_tensor_value_info("b", TensorProto.FLOAT, [1, 1, "y", "x"])],
        weights,
    )
    return helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9
    )


@pytest.mark.parametrize("mode", ["linear", "nearest"])
@pytest.mark.parametrize("seed", range(3))
def test_a_rewritten_net_says_the_same(mode: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    net = u_net(rng, mode)
    image = rng.normal(size=(1, 1, 20, 26)).astype(np.float32)
    run = [ort.InferenceSession(net.SerializeToString()).run(None, {"a": image})[0]]
    assert quicken(net) == 2
    onnx.checker.check_model(net, full_check=True)
    run.append(ort.InferenceSession(net.SerializeToString()).run(None, {"a": image})[0])
    np.testing.assert_allclose(run[1], run[0], atol=1e-5 * np.abs(run[0]).max())
    ops = [n.op_type for n in net.graph.node]
    assert "Concat" not in ops
    assert ops.index("Resize") > ops.index("Conv")


def test_what_others_read_too_is_not_rewritten() -> None:
    net = u_net(np.random.default_rng(0), "linear")
    for name in ("large", "sides"):
        net.graph.output.append(
            helper.make_tensor_value_info(
                name, TensorProto.FLOAT, [1, None, None, None]
            )
        )
    before = net.SerializeToString()
    assert quicken(net) == 0
    assert net.SerializeToString() == before


def test_the_graph_is_made_once_for_each_kind_of_frame() -> None:
    pipeline = Pipeline.load(DetectSettings(model="dog", device="cpu"), threads=1)
    for size in (64, 80, 64, 96, 112, 128, 64):
        pipeline.run(blobs((size, size)))
        pipeline.run(blobs((size, size)))
        assert pipeline._graphs is not None
        assert len(pipeline._graphs) <= 4


@pytest.mark.parametrize("name", ["yolo8", "classes", "labels", "stardist"])
def test_heads_of_their_own_nodes(tmp_path: Path, name: str) -> None:
    tiny_models.write_all(tmp_path)
    image = (blobs((64, 64), 3) // 4).astype(np.uint16)
    for denoise in (None, "gaussian"):
        settings_ = DetectSettings(model=str(tmp_path / f"{name}.onnx"), device="cpu")
        first = DenoiseSettings(model=denoise, device="cpu") if denoise else None
        fused = Pipeline.load(settings_, first, threads=1)
        seen = fused.run(image)
        assert fused.unfused == ("" if name != "labels" else fused.unfused)
        parts = Pipeline.load(settings_, first, threads=1, fuse=False).run(image)
        assert seen.outputs.keys() == parts.outputs.keys() != set()
        for key, expected in parts.outputs.items():
            np.testing.assert_allclose(seen.outputs[key], expected, rtol=1e-4)
