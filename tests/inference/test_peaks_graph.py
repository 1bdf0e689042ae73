"""The head in the graph gives what the head in numpy gives."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from smartscope.errors import AnalysisFailed
from smartscope.inference import Model, ModelPackage, ModelSession
from smartscope.inference.graph import GraphTail
from smartscope.inference.heads import peaks
from smartscope.inference.heads.class_peaks import (
    PEAK_CLASSES,
    PEAK_CROSSES,
    PEAK_OFFSETS,
    PEAK_POSITIONS,
    ClassPeakHead,
)
from smartscope.inference.heads.peaks import (
    CROSSES,
    LIMIT,
    POSITIONS,
    THRESHOLD,
    Candidates,
    append_peaks,
    find_candidates,
)
from smartscope.inference.padding import Padding

MakeOnnx = Callable[..., Path]


@pytest.fixture(scope="module")
def identity(tmp_path_factory: pytest.TempPathFactory) -> Model:
    from onnx import TensorProto, helper, save

    graph = helper.make_graph(
        [helper.make_node("Identity", ["a"], ["b"])],
        "identity",
        [helper.make_tensor_value_info("a", TensorProto.FLOAT, [1, 1, "y", "x"])],
        [helper.make_tensor_value_info("b", TensorProto.FLOAT, [1, 1, "y", "x"])],
    )
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9
    )
    path = tmp_path_factory.mktemp("peaks") / "identity.onnx"
    save(model, str(path))
    fused = Model(ModelPackage.load(path), device="cpu", gives="peaks")
    assert fused.fused
    return fused


@given(
    hnp.arrays(
        np.float32,
        hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=20),
        # few values, so that equal neighbours occur
        elements=st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0]),
    ),
    st.sampled_from([0.0, 0.3, 0.6, 1.0]),
)
def test_graph_and_numpy_find_the_same(
    identity: Model, image: np.ndarray, threshold: float
) -> None:
    got = identity.candidates(image[None, None], image.shape, threshold)
    expected = find_candidates(image, threshold)
    # equal scores may come in another order
    order, other = (
        np.lexsort((c.positions[:, 1], c.positions[:, 0], -c.crosses[:, 0]))
        for c in (got, expected)
    )
    np.testing.assert_array_equal(got.positions[order], expected.positions[other])
    np.testing.assert_array_equal(got.crosses[order], expected.crosses[other])
    assert (np.diff(got.crosses[:, 0]) <= 0).all()


def test_candidates_are_limited_to_the_best(identity: Model) -> None:
    image = np.zeros((300, 300), np.float32)
    image[::3, ::3] = 0.5 + np.arange(10_000).reshape(100, 100) / 40_000
    for found in (
        identity.candidates(image[None, None], image.shape, 0.1),
        find_candidates(image, 0.1),
    ):
        assert len(found) == LIMIT
        assert found.crosses[-1, 0] == np.sort(image.ravel())[-LIMIT]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_map_that_never_leaves_the_graph_still_tells_that_it_is_broken(
    identity: Model, value: float
) -> None:
    image = np.zeros((16, 16), np.float32)
    image[5, 5] = value
    with pytest.raises(AnalysisFailed, match="not finite"):
        identity.candidates(image[None, None], image.shape, 0.5)


def test_graphs_that_cannot_be_extended_are_read_outside(
    make_onnx: MakeOnnx,
) -> None:
    path = make_onnx("old.onnx", opset=12, shape=("y", "x"))
    path.with_suffix(".yaml").write_text("axes: yx", encoding="utf-8")
    model = Model(ModelPackage.load(path), device="cpu", gives="peaks")
    assert not model.fused
    image = np.zeros((9, 9), np.float32)
    image[3, 4] = 0.9
    assert model.candidates(image, (9, 9), 0.5).positions.tolist() == [[3, 4]]


few_values = hnp.arrays(
    np.float32,
    hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=20),
    elements=st.sampled_from([-0.5, 0.0, 0.25, 0.5, 0.75, 1.0]),
)


def _searched(
    image: np.ndarray, threshold: float, *, known: bool
) -> tuple[Candidates, list[np.ndarray]]:
    tail = GraphTail(18)
    name = tail.input("map", [1, 1, *image.shape])
    append_peaks(tail, name, (image.shape[0], image.shape[1]) if known else None)
    session = ModelSession(tail.serialized(), name="peaks", device="cpu", threads=1)
    arrays = session.run(
        {"map": image[None, None], THRESHOLD: np.array([threshold], np.float32)},
        [POSITIONS, CROSSES],
    )
    return Candidates.read(*arrays), arrays


@settings(max_examples=60)
@given(few_values, st.sampled_from([-1.0, 0.0, 0.3, 0.6, 1.0]))
def test_both_forms_find_the_same_in_the_same_order(
    image: np.ndarray, threshold: float
) -> None:
    """Also where many are equal, more are there than are kept, and rows are short."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(peaks, "LIMIT", 5)
        patch.setattr(peaks, "_ROW", 12)
        listed, _ = _searched(image, threshold, known=False)
        ordered, arrays = _searched(image, threshold, known=True)
    np.testing.assert_array_equal(ordered.positions, listed.positions)
    np.testing.assert_array_equal(ordered.crosses, listed.crosses)
    # as many rows as ever, whatever is in the map
    assert [len(a) for a in arrays] == [min(5, image.size)] * 2
    expected = find_candidates(image, threshold, limit=5)
    np.testing.assert_array_equal(ordered.crosses[:, 0], expected.crosses[:, 0])


@pytest.mark.parametrize("side", [40, 300])
def test_the_ordered_form_of_a_map_larger_than_a_row(side: int) -> None:
    image = np.random.default_rng(side).random((side, side + 7)).astype(np.float32)
    found, arrays = _searched(image, 0.5, known=True)
    expected = find_candidates(image, 0.5)
    np.testing.assert_array_equal(found.positions, expected.positions)
    np.testing.assert_array_equal(found.crosses, expected.crosses)
    assert len(arrays[0]) == min(LIMIT, image.size)


@settings(max_examples=30)
@given(
    hnp.arrays(
        np.float32,
        st.tuples(st.just(1), st.just(5), st.integers(1, 9), st.integers(1, 9)),
        elements=st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0]),
    )
)
def test_both_forms_of_several_classes_with_offsets(output: np.ndarray) -> None:
    shape = (output.shape[2], output.shape[3])
    named = (PEAK_POSITIONS, PEAK_CLASSES, PEAK_CROSSES, PEAK_OFFSETS)
    whole = Padding(shape, (0, 0), (0, 0), (1.0, 1.0))
    found = []
    for known in (None, shape):
        head = ClassPeakHead("bcyx", (0, 2, 4), (1, 3), 0.3, shape=known)
        tail = GraphTail(18)
        head.append(tail, [tail.input("out", list(output.shape))])
        session = ModelSession(tail.serialized(), name="m", device="cpu", threads=1)
        arrays = session.run({"out": output}, named)
        found.append(head.within(dict(zip(named, arrays, strict=True)), whole))
    found.append(head.within(head.find([output]), whole))
    for name in named:
        for other in found[1:]:
            np.testing.assert_array_equal(found[0][name], other[name])


# operators and dtypes for which onnxruntime 1.31 has CUDA kernels, from its list
# (docs/OperatorKernels.md), as far as the ordered search needs them
ON_CUDA = {
    "Add": {"int64"},
    "And": {"bool"},
    "Concat": {"float32", "int64"},
    "Div": {"int64"},
    "Equal": {"float32"},
    "Gather": {"float32", "int64"},
    "Greater": {"float32"},
    "Identity": {"float32", "int64"},
    "MaxPool": {"float32"},
    "Mul": {"float32", "int64"},
    "Pad": {"float32"},
    "ReduceSum": {"float32"},
    "Reshape": {"float32", "int64"},
    "Sub": {"int64"},
    "TopK": {"float32"},
    "Transpose": {"float32"},
    "Where": {"bool"},
}


@pytest.mark.parametrize("head", ["one map", "classes with offsets"])
def test_the_ordered_form_has_kernels_on_cuda_and_known_shapes(head: str) -> None:
    """One operator that had none would keep the whole graph from being recorded."""
    import onnx

    tail, shape = GraphTail(18), (700, 500)
    if head == "one map":
        append_peaks(tail, tail.input("map", [1, 1, *shape]), shape)
    else:
        reader = ClassPeakHead("bcyx", (0, 2), (1, 3), shape=shape)
        reader.append(tail, [tail.input("map", [1, 4, *shape])])
    whole = onnx.shape_inference.infer_shapes(
        onnx.load_from_string(tail.serialized()), data_prop=True, strict_mode=True
    ).graph
    known = {t.name: t.data_type for t in whole.initializer}
    for value in (*whole.input, *whole.value_info, *whole.output):
        known[value.name] = value.type.tensor_type.elem_type
        dims = value.type.tensor_type.shape.dim
        assert all(d.HasField("dim_value") for d in dims), value.name
    for node in whole.node:
        dtype = onnx.helper.tensor_dtype_to_np_dtype(known[node.input[0]]).name
        assert dtype in ON_CUDA.get(node.op_type, ()), f"{node.op_type} of {dtype}"
