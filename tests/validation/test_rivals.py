"""Which points are the same ones, and what is said of detectors by their numbers."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smartscope.validation import f1, labels_of, matched, tell_rivals

point = st.tuples(st.integers(0, 12), st.integers(0, 12))


@given(st.lists(point, max_size=5), st.lists(point, max_size=5))
def test_as_many_as_can_be_are_matched_one_to_one(
    one: list[tuple[int, int]], other: list[tuple[int, int]]
) -> None:
    a, b = (np.array(p, float).reshape(-1, 2) for p in (one, other))
    short, long = sorted((a, b), key=len)
    best = max(
        sum(float(np.hypot(*(short[i] - long[j]))) <= 4 for i, j in enumerate(order))
        for order in permutations(range(len(long)), len(short))
    )
    assert matched(a, b, 4.0) == matched(b, a, 4.0) == best


def test_agreement_of_nothing_is_not_known() -> None:
    assert f1(0, 0, 0) is None
    assert f1(3, 4, 4) == pytest.approx(0.75)


def test_names_are_short_and_not_given_twice() -> None:
    assert labels_of(["dog", "/a/b/net.onnx", "otsu", "otsu", "c\\net.onnx"]) == [
        "dog", "net.onnx", "otsu", "otsu 2", "net.onnx 2",
    ]  # fmt: skip


def row(
    caught: int, false: int, *, things: float = 0.99, ms: float = 5
) -> dict[str, Any]:
    return {
        "frames": 50, "things_f1": things, "events": 20, "caught": caught,
        "missed": 20 - caught, "false": false, "ms_p50": ms,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("own", "rival", "begins"),
    [
        (row(18, 1), row(18, 2), "net adds nothing here, otsu does as well"),
        (
            row(18, 1),
            row(17, 1, ms=50),
            "otsu does as well as net here, and is the slow",
        ),
        (row(18, 1), row(9, 6), "net is needed here"),
        (row(9, 6), row(18, 1), "net is not needed here, otsu does better"),
    ],
)
def test_with_a_truth_it_is_said_which_is_needed(
    own: dict[str, Any], rival: dict[str, Any], begins: str
) -> None:
    rows = {"net": own, "log": row(0, 30), "otsu": rival}
    said = tell_rivals("net", rows, truth=True, frames=50)
    assert said.startswith(begins)
    assert f"otsu catches {rival['caught']} of 20 (and {rival['false']} false)" in said
    assert "50 frames" in said


def test_few_events_tell_nothing() -> None:
    few = {**row(2, 0), "events": 2, "missed": 0}
    said = tell_rivals("net", {"net": few, "otsu": few}, truth=True, frames=50)
    assert said.startswith("Too little happened")


def test_without_events_things_are_compared() -> None:
    none = {**row(0, 0), "events": 0, "missed": 0}
    said = tell_rivals("net", {"net": none, "otsu": none}, truth=True, frames=50)
    assert "find the same things" in said
    other = {**none, "things_f1": 0.4}
    said = tell_rivals("net", {"net": none, "otsu": other}, truth=False, frames=50)
    assert "do not find the same things" in said


def test_without_a_truth_nobody_is_called_right() -> None:
    same = tell_rivals(
        "net", {"net": row(20, 0), "otsu": row(19, 1)}, truth=False, frames=9
    )
    assert same.startswith("net adds nothing that would be seen here")
    differ = tell_rivals(
        "net", {"net": row(20, 0), "otsu": row(9, 9)}, truth=False, frames=9
    )
    assert "Which of them is right cannot be told" in differ


def test_a_rival_that_failed_is_not_compared() -> None:
    gone = {**row(0, 0), "frames": 0}
    said = tell_rivals("net", {"net": row(20, 0), "otsu": gone}, truth=True, frames=9)
    assert said == "No detector could be compared: none of them saw a frame."
