"""The processing steps against their formulas, written out another way."""

from __future__ import annotations

from typing import Any, get_args

import numpy as np
import pytest
from bioimageio.spec.model import v0_4, v0_5
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import special

from smartscope.errors import Refused
from smartscope.inference.normalize import chain, resolve
from smartscope.inference.tensor import Step

RNG = np.random.default_rng(3)
IMAGE = RNG.integers(90, 4000, (1, 2, 7, 5)).astype(np.uint16)
FLOAT = IMAGE.astype(np.float64)


def column(values: list[float]) -> np.ndarray:
    return np.asarray(values).reshape(1, 2, 1, 1)


CASES: dict[str, tuple[dict[str, Any], np.ndarray]] = {
    "ensure_dtype": ({"dtype": "float32"}, FLOAT),
    "scale_linear": ({"gain": 0.5, "offset": -3}, FLOAT * 0.5 - 3),
    "scale_linear ": (
        {"axis": "channel", "gain": [1.0, 2.0], "offset": [0.0, 5.0]},
        FLOAT * column([1, 2]) + column([0, 5]),
    ),
    "zero_mean_unit_variance": (
        {"axes": ["y", "x"]},
        (FLOAT - FLOAT.mean((2, 3), keepdims=True))
        / (FLOAT.std((2, 3), keepdims=True) + 1e-6),
    ),
    "fixed_zero_mean_unit_variance": ({"mean": 10, "std": 4}, (FLOAT - 10) / 4),
    "fixed_zero_mean_unit_variance ": (
        {"mean": [10, 20], "std": [4, 2], "axis": "channel"},
        (FLOAT - column([10, 20])) / column([4, 2]),
    ),
    "scale_range": (
        {"axes": ["y", "x"], "min_percentile": 10, "max_percentile": 90},
        (FLOAT - np.quantile(FLOAT, 0.1, axis=(2, 3), keepdims=True))
        / (
            np.quantile(FLOAT, 0.9, axis=(2, 3), keepdims=True)
            - np.quantile(FLOAT, 0.1, axis=(2, 3), keepdims=True)
            + 1e-6
        ),
    ),
    "clip": ({"min": 500, "max": 1000}, FLOAT.clip(500, 1000)),
    "clip ": (
        {"min_percentile": 20, "max_percentile": 80, "axes": ["c", "y", "x"]},
        FLOAT.clip(*np.percentile(FLOAT, [20, 80], method="inverted_cdf")),
    ),
    "clip  ": (
        {"min_percentile": 20, "max_percentile": 80},
        np.trunc(FLOAT.clip(*np.percentile(FLOAT, [20, 80]))),
    ),
    "binarize ": (
        {"threshold": [1000.0, 2000.0], "axis": "channel"},
        (FLOAT > column([1000, 2000])).astype(float),
    ),
    "binarize": ({"threshold": 1000}, (FLOAT > 1000).astype(float)),
    "sigmoid": ({}, special.expit(FLOAT)),
    "softmax": ({"axis": "channel"}, special.softmax(FLOAT, axis=1)),
}


@pytest.mark.parametrize("case", CASES)
def test_step(case: str) -> None:
    kwargs, expected = CASES[case]
    got = chain([Step(case.strip(), kwargs)], "bcyx")(IMAGE)
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-4)


@given(hnp.arrays(np.float32, (1, 1, 4, 4), elements=st.floats(-1e4, 1e4, width=32)))
def test_sigmoid_never_overflows(image: np.ndarray) -> None:
    got = chain([Step("sigmoid")], "bcyx")(image)
    assert got.dtype == np.float32
    assert ((got >= 0) & (got <= 1)).all()
    np.testing.assert_allclose(got, special.expit(image), atol=1e-6)


@given(st.floats(0.01, 100), st.floats(-1000, 1000))
def test_zero_mean_unit_variance_forgets_gain_and_offset(
    gain: float, offset: float
) -> None:
    run = chain([Step("zero_mean_unit_variance", {"axes": ["y", "x"]})], "bcyx")
    np.testing.assert_allclose(run(FLOAT * gain + offset), run(FLOAT), atol=1e-5)


def test_chain_runs_in_order_and_leaves_its_input_alone() -> None:
    before = IMAGE.copy()
    steps = [
        Step("scale_linear", {"gain": 2.0, "offset": 0.0}),
        Step("clip", {"min": 0.0, "max": 1000.0}),
    ]
    got = chain(steps, "bcyx")(IMAGE)
    np.testing.assert_array_equal(got, (FLOAT * 2).clip(0, 1000))
    np.testing.assert_array_equal(IMAGE, before)


def test_every_operation_of_the_specification_is_known() -> None:
    """Arithmetic on arrays here, StarDist by its head, two refused with words."""
    named = {
        kind.implemented_id
        for union in (v0_5.PreprocessingDescr, v0_5.PostprocessingDescr)
        for kind in get_args(get_args(union)[0])
    }
    named |= {
        kind.implemented_name
        for union in (v0_4.PreprocessingDescr, v0_4.PostprocessingDescr)
        for kind in get_args(get_args(union)[0])
    }
    elsewhere = {"stardist_postprocessing", "cellpose_flow_dynamics", "custom"}
    for name in named - elsewhere:
        with pytest.raises(Refused, match="wrong arguments"):
            resolve(Step(name, {"nonsense": 1}), "bcyx")
    assert "scale_mean_variance" in named
