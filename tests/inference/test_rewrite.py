"""Nets whose graphs were rewritten for speed say what they said."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime as ort
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from smartscope.inference import pairs
from smartscope.inference.rewrite import choose_first, quicken

SAME = {"pads": [1, 1, 1, 1]}
DEVIATION = 1e-4


@pytest.fixture(autouse=True)
def everywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pairs are made one at any size and on any machine, to see whether it is right."""
    monkeypatch.setattr(pairs, "_SMALLEST", 0)
    monkeypatch.setattr(pairs.platform, "machine", lambda: "x86_64")


def net(
    nodes: list[Any], weights: dict[str, Any], channels: int = 1, rank: int = 4
) -> Any:
    """A model of these nodes, from ``image`` to ``out``, for images of any size."""
    graph = helper.make_graph(
        nodes,
        "net",
        [
            helper.make_tensor_value_info(
                "image", TensorProto.FLOAT, [1, channels, "y", "x"]
            )
        ],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, [None] * rank)],
        [numpy_helper.from_array(v, k) for k, v in weights.items()],
    )
    return helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9
    )


def pair(
    rng: np.random.Generator,
    *,
    channels: int = 1,
    between: int = 16,
    out: int = 16,
    biases: bool = True,
    first: dict[str, Any] = SAME,
    second: dict[str, Any] = SAME,
) -> Any:
    """Two convolutions with nothing between them, then a Relu."""
    weights = {
        "w1": rng.normal(0, 1 / 3, (between, channels, 3, 3)).astype(np.float32),
        "w2": rng.normal(0, 0.1, (out, between, 3, 3)).astype(np.float32),
    }
    if biases:
        weights["b1"] = rng.normal(0, 2, between).astype(np.float32)
        weights["b2"] = rng.normal(0, 2, out).astype(np.float32)
    b1, b2 = (["b1"], ["b2"]) if biases else ([], [])
    nodes = [
        helper.make_node("Conv", ["image", "w1", *b1], ["a"], **first),
        helper.make_node("Conv", ["a", "w2", *b2], ["b"], **second),
        helper.make_node("Relu", ["b"], ["out"]),
    ]
    return net(nodes, weights, channels)


def run(model: Any, image: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    session = ort.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    (gave,) = session.run(None, {"image": image})
    return np.asarray(gave)


def assert_same(model: Any, image: npt.NDArray[np.float32], rewritten: int) -> None:
    before = run(model, image)
    assert quicken(model, image.shape) == rewritten
    onnx.checker.check_model(model, full_check=True)
    after = run(model, image)
    assert after.shape == before.shape
    assert np.abs(after - before).max() <= DEVIATION * np.abs(before).max()


def image_of(
    rng: np.random.Generator, rows: int, columns: int, channels: int = 1
) -> npt.NDArray[np.float32]:
    return rng.normal(1, 2, (1, channels, rows, columns)).astype(np.float32)


@settings(max_examples=40, deadline=None)
@given(
    rows=st.integers(2, 40),
    columns=st.integers(2, 40),
    channels=st.integers(1, 2),
    between=st.sampled_from([16, 24, 32]),
    out=st.sampled_from([16, 32]),
    biases=st.booleans(),
    seed=st.integers(0, 2**16),
)
def test_a_pair_that_became_one_says_the_same(
    rows: int,
    columns: int,
    channels: int,
    between: int,
    out: int,
    biases: bool,
    seed: int,
) -> None:
    rng = np.random.default_rng(seed)
    model = pair(rng, channels=channels, between=between, out=out, biases=biases)
    few = 3 * 25 * channels * out <= 9 * between * (channels + out)
    assert_same(model, image_of(rng, rows, columns, channels), int(few))
    convs = [n for n in model.graph.node if n.op_type == "Conv"]
    kernels = {t.name: tuple(t.dims[2:]) for t in model.graph.initializer}
    assert ((5, 5) in [kernels[c.input[1]] for c in convs]) is few


@pytest.mark.parametrize("corner", [(0, 0), (0, -1), (-1, 0), (-1, -1)])
def test_the_corners_are_counted_once(corner: tuple[int, int]) -> None:
    rng = np.random.default_rng(3)
    image = np.zeros((1, 1, 12, 17), np.float32)
    image[0, 0][corner] = 1
    assert_same(pair(rng), image, 1)


def test_padding_in_words_is_understood() -> None:
    rng = np.random.default_rng(4)
    words = {"auto_pad": "SAME_UPPER"}
    assert_same(pair(rng, first=words, second=words), image_of(rng, 14, 9), 1)


@pytest.mark.parametrize(
    "attributes",
    [
        {"pads": [0, 0, 0, 0]},
        {"pads": [1, 1, 1, 1], "strides": [2, 2]},
        {"pads": [2, 2, 2, 2], "dilations": [2, 2]},
        {"pads": [1, 1, 2, 2]},
    ],
)
@pytest.mark.parametrize("which", ["first", "second"])
def test_other_pairs_are_left_alone(which: str, attributes: dict[str, Any]) -> None:
    rng = np.random.default_rng(5)
    assert_same(pair(rng, **{which: attributes}), image_of(rng, 15, 18), 0)


def test_a_pair_is_left_alone_where_it_would_cost_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rng = np.random.default_rng(6)
    image = image_of(rng, 15, 18)
    assert_same(pair(rng, channels=8), image_of(rng, 15, 18, 8), 0)
    assert_same(pair(rng, out=12), image, 0)  # does not fill a block of channels
    assert quicken(pair(rng)) == 0  # nobody says what the size will be
    monkeypatch.setattr(pairs.platform, "machine", lambda: "arm64")
    assert_same(pair(rng), image, 0)
    monkeypatch.undo()
    assert_same(pair(rng), image, 0)  # small


def test_what_lies_between_is_given_to_others_too() -> None:
    rng = np.random.default_rng(7)
    model = pair(rng)
    model.graph.output.append(
        helper.make_tensor_value_info("a", TensorProto.FLOAT, None)
    )
    assert quicken(model, (1, 1, 30, 30)) == 0


def chosen(taken_twice: bool = False) -> Any:
    """A map of 3 channels, its sigmoid, and the choice of one plane."""
    rng = np.random.default_rng(8)
    nodes = [
        helper.make_node("Conv", ["image", "w"], ["map"]),
        helper.make_node("Sigmoid", ["map"], ["score"]),
        helper.make_node("Gather", ["score", "one"], ["plane"], axis=1),
        helper.make_node("Gather", ["plane", "zero"], ["out"], axis=0),
    ]
    if taken_twice:
        nodes[-1].output[0] = "whole"
        nodes.append(helper.make_node("Add", ["whole", "score"], ["out"]))
    weights = {
        "w": rng.normal(size=(3, 1, 1, 1)).astype(np.float32),
        "one": np.array(1, np.int64),
        "zero": np.array(0, np.int64),
    }
    return net(nodes, weights, rank=4 if taken_twice else 2)


def test_the_plane_is_chosen_before_the_sigmoid() -> None:
    image = image_of(np.random.default_rng(9), 6, 7)
    model = chosen()
    before = run(model, image)
    assert choose_first(model) == 2
    onnx.checker.check_model(model, full_check=True)
    np.testing.assert_array_equal(run(model, image), before)
    ops = [n.op_type for n in model.graph.node]
    assert ops == ["Conv", "Gather", "Gather", "Sigmoid"]


def test_a_sigmoid_that_others_read_stays() -> None:
    model = chosen(taken_twice=True)
    before = model.SerializeToString()
    assert choose_first(model) == 0
    assert model.SerializeToString() == before
