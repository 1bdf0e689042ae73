"""Every processing step as ONNX nodes, against the same step in numpy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smartscope.inference import operations
from smartscope.inference.fuse_statistics import Source
from smartscope.inference.fuse_steps import StepNodes
from smartscope.inference.graph import GraphTail
from smartscope.inference.normalize import UNPROCESSED, chain
from smartscope.inference.tensor import Step

SIZES = {"b": 1, "c": 2, "t": 3, "y": 9, "x": 7}
LETTERS = ("bcyx", "byxc", "bcxy", "yx", "cyx", "btcyx", "bcty")


def image(letters: str, dtype: str, seed: int = 0) -> np.ndarray:
    counts = np.random.default_rng(seed).normal(900, 200, [SIZES[a] for a in letters])
    if dtype == "uint8":
        counts = counts / 8
    return counts.clip(0, None).astype(dtype)


def in_graph(
    steps: Sequence[Step],
    letters: str,
    array: np.ndarray,
    references: Mapping[str, np.ndarray] | None = None,
) -> np.ndarray:
    """Run steps as a graph; references with axes are tensors, tables are values."""
    tail = GraphTail(18)
    feeds = {"image": array}
    name = tail.cast(tail.input("image", array.shape, array.dtype.name), "float32")
    sources = {}
    for key, reference in (references or {}).items():
        feeds[key] = reference
        if reference.ndim > 2:
            given = tail.input(key, reference.shape, reference.dtype.name)
            sources[key] = Source(tail.cast(given, "float32"), reference.shape)
    nodes = StepNodes(tail, letters, array.shape, array.dtype)
    tail.output(nodes.append(steps, name, sources), "out", "float32", array.shape)
    session = onnxruntime.InferenceSession(
        tail.serialized(), providers=["CPUExecutionProvider"]
    )
    (found,) = session.run(["out"], feeds)
    return found


def check(
    steps: Sequence[Step],
    letters: str,
    array: np.ndarray,
    references: Mapping[str, np.ndarray] | None = None,
) -> None:
    run = chain(steps, letters)
    expected = run(array, references or {}).astype(np.float64)
    found = in_graph(steps, letters, array, references).astype(np.float64)
    assert found.shape == expected.shape
    # what float32 loses in numpy too, where large numbers cancel, is no fault of it
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(operations, "_floating", lambda a: a.astype(np.float64))
        lost = float(np.abs(run(array, references or {}) - expected).max())
    scale = max(1e-12, float(np.abs(expected).max()))
    assert float(np.abs(found - expected).max()) <= 1e-4 * scale + 10 * lost


def test_the_graph_may_lose_no_more_than_float32_does() -> None:
    # standardised counts less the mean of the raw ones: few digits are left
    apart = [
        Step("zero_mean_unit_variance", {"axes": None}),
        Step(
            "zero_mean_unit_variance", {"axes": None, "reference_tensor": UNPROCESSED}
        ),
        Step(
            "scale_range", {"axes": ["x"], "min_percentile": 40, "max_percentile": 60}
        ),
    ]
    check(apart, "bcyx", image("bcyx", "uint16"))


AXES = st.sampled_from([None, ("y", "x"), ("x",), ("c", "y", "x"), ("b", "y", "x")])


def fitting(axes: Any, letters: str) -> Any:
    """Leave out what a tensor has not."""
    if axes is None:
        return None
    return [a for a in axes if a in letters] or None


@st.composite
def steps_of(draw: st.DrawFn, letters: str) -> list[Step]:
    """Draw up to three steps that leave numbers of an ordinary size."""

    def one() -> Step:
        kind = draw(
            st.sampled_from(["mean", "range", "clip", "cut", "linear", "dtype"])
        )
        kwargs: dict[str, Any] = {"axes": fitting(draw(AXES), letters)}
        if draw(st.booleans()):
            kwargs["reference_tensor"] = UNPROCESSED
        if kind == "mean":
            return Step("zero_mean_unit_variance", kwargs)
        low, high = draw(st.sampled_from([(0.0, 100.0), (1.0, 99.8), (40.0, 60.0)]))
        ends = {"min_percentile": low, "max_percentile": high}
        if kind == "range":
            return Step("scale_range", {**kwargs, **ends})
        if kind == "clip":
            return Step("clip", {**kwargs, **ends})
        if kind == "cut":
            return Step("clip", {"min": -0.5, "max": draw(st.sampled_from([1.5, 850]))})
        if kind == "linear":
            return Step("scale_linear", {"gain": 0.5, "offset": -3.0})
        return Step("ensure_dtype", {"dtype": "float32"})

    return [one() for _ in range(draw(st.integers(1, 3)))]


@settings(deadline=None, max_examples=120)
@given(st.data())
def test_any_chain_is_the_same_in_the_graph(data: st.DataObject) -> None:
    letters = data.draw(st.sampled_from(LETTERS))
    dtype = data.draw(st.sampled_from(["uint8", "uint16", "float32"]))
    steps = data.draw(steps_of(letters))
    check(steps, letters, image(letters, dtype, data.draw(st.integers(0, 99))))


@pytest.mark.parametrize("letters", ["bcyx", "byxc", "cyx"])
@pytest.mark.parametrize(
    "step",
    [
        Step("binarize", {"threshold": [800.0, 950.0], "axis": "c"}),
        Step("scale_linear", {"gain": [2.0, 3.0], "offset": [1.0, 0.0], "axis": "c"}),
        Step(
            "fixed_zero_mean_unit_variance",
            {"mean": [800.0, 900.0], "std": [9.0, 0.01], "axis": "channel"},
        ),
        Step("softmax", {"axis": "channel"}),
        Step("sigmoid"),
    ],
    ids=lambda s: s.id,
)
def test_a_step_along_the_channels(step: Step, letters: str) -> None:
    check([step], letters, image(letters, "float32"))


@pytest.mark.parametrize("have", ["bcyx", "byxc", "cxy", "bctyx"])
@pytest.mark.parametrize(
    "step",
    [
        Step("scale_range", {"axes": ["y", "x"], "min_percentile": 3.0}),
        Step("scale_range", {"axes": None}),
        Step("scale_mean_variance", {"axes": ["y", "x"]}),
        Step("scale_mean_variance", {"axes": ["c", "y", "x"], "eps": 0.01}),
        Step("zero_mean_unit_variance", {"axes": ["y", "x"]}),
        Step("clip", {"min_percentile": 10.0, "max_percentile": 70.0}),
    ],
    ids=lambda s: s.id,
)
def test_statistics_of_another_tensor_of_any_axes(step: Step, have: str) -> None:
    sizes = {**SIZES, "t": 1, "y": 5}  # of another size, too
    raw = np.random.default_rng(4).normal(3, 2, [sizes[a] for a in have])
    raw = raw.astype(np.float32)
    kwargs = {**step.kwargs, "reference_tensor": "raw", "reference_axes": have}
    check([Step(step.id, kwargs)], "bcyx", image("bcyx", "float32"), {"raw": raw})


def test_scaled_to_another_tensor_has_its_mean_and_deviation() -> None:
    raw = np.random.default_rng(4).normal(3, 2, (1, 2, 50, 40))
    step = Step(
        "scale_mean_variance",
        {"axes": ["y", "x"], "reference_tensor": "raw", "reference_axes": "bcyx"},
    )
    found = chain([step], "bcyx")(image("bcyx", "float32"), {"raw": raw})
    np.testing.assert_allclose(found.mean((2, 3)), raw.mean((2, 3)), rtol=1e-5)
    np.testing.assert_allclose(found.std((2, 3)), raw.std((2, 3)), rtol=1e-5)


@pytest.mark.parametrize("letters", LETTERS)
def test_values_of_a_series(letters: str) -> None:
    channels = SIZES["c"] if "c" in letters else 1
    table = np.array([[800, 950], [9.0, 110.0]], np.float32)[:, :channels]
    step = Step("series_scaling", {"input": "series"})
    check([step], letters, image(letters, "uint16"), {"series": table})
