"""The head in the graph gives what the head in numpy gives."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from smartscope.errors import AnalysisFailed
from smartscope.inference import Model, ModelPackage
from smartscope.inference.heads.peaks import LIMIT, find_candidates

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
