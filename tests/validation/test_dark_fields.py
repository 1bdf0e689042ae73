"""Lit against dark fields: the ratio, its interval, and what is left out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from smartscope.validation.dark_fields import compare_dark

FIELD = {"shape": (100, 100)}


def frame(
    frame_id: int,
    place: str,
    t: int,
    *,
    x_um: float | None = None,
    origin: str = "survey",
) -> dict[str, Any]:
    x_um = 1000.0 * int(place[1:]) if x_um is None else x_um
    state = {"x_um": x_um, "y_um": 0.0, "pixel_size_um": 1.0, "exposure_ms": 10.0}
    return {
        **FIELD,
        "frame_id": frame_id,
        "place": place,
        "time_s": 60.0 * t + 0.1 * int(place[1:]),
        "origin": origin,
        "index": (t, 0, 0),
        "state": state,
    }


def analysed(frame_id: int, n: int) -> dict[str, Any]:
    return {"frame_id": frame_id, "detections": {"score": [1.0] * n}}


def run(
    lit: list[int], dark: list[int]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]], set[str]]:
    """Two rounds; only the last one shows the dark places."""
    places = [f"p{i}" for i in range(len(lit) + len(dark))]
    is_dark = set(places[len(lit) :])
    frames, looks = [], []
    for t, shown in ((0, places[: len(lit)]), (1, places)):
        for place, n in zip(shown, [*lit, *dark], strict=False):
            frames.append(frame(len(frames), place, t))
            # what there was before must not count
            looks.append(analysed(frames[-1]["frame_id"], n if t else 50))
    return frames, looks, is_dark


def test_only_the_closing_round_is_compared() -> None:
    told = compare_dark(*run([10, 14], [16]))
    assert (told["things_lit"], told["lit_fields"]) == (24, 2)
    assert (told["things_dark"], told["dark_fields"]) == (16, 1)
    assert told["ratio"] == 0.75
    low, high = told["interval"]
    assert low < 0.75 < high
    assert "0.75 times as many things as dark ones" in told["says"]


@pytest.mark.parametrize("ratio", [0.4, 1.0])
def test_the_interval_covers_the_truth_in_95_of_100_runs(ratio: float) -> None:
    draw = np.random.default_rng(5)
    covered = 0
    for _ in range(400):
        lit = draw.poisson(15 * ratio, 6).tolist()
        dark = draw.poisson(15, 3).tolist()
        low, high = compare_dark(*run(lit, dark))["interval"]
        covered += low <= ratio <= (high or np.inf)
    # 400 draws at 0.95: below 0.92 in 4 of 1000 cases; the interval is never too short
    assert 0.92 <= covered / 400 <= 0.99


def test_a_dark_field_that_was_lit_before_is_left_out() -> None:
    frames, looks, dark = run([10, 14], [16, 3])
    burst = frame(99, "p1", 0, x_um=3040.0, origin="burst")
    told = compare_dark([*frames, burst], looks, dark)
    assert told["spilled"] == ["p3"]
    assert told["things_dark"] == 16
    assert "Left out" in told["says"]
    later = {**burst, "time_s": 500.0}
    assert compare_dark([*frames, later], looks, dark)["spilled"] == []


def test_what_was_never_lit_is_said() -> None:
    frames, looks, dark = run([10], [5])
    told = compare_dark(frames[:1], looks, dark)
    assert told["not_lit"] == ["p1"]
    assert told["interval"] is None
    assert "nothing to compare" in told["says"]
    failed = [{**look, "failures": ["no"]} for look in looks]
    assert compare_dark(frames, failed, dark)["interval"] is None


def test_clumped_things_are_told() -> None:
    assert "scatter" in compare_dark(*run([0, 60, 2, 55], [70, 1]))["says"]
    assert "scatter" not in compare_dark(*run([14, 15, 16, 14], [15, 17]))["says"]


def test_none_in_the_dark_leaves_the_upper_bound_open() -> None:
    told = compare_dark(*run([10], [0]))
    assert told["ratio"] is None
    assert told["interval"][1] is None
    assert "or more" in told["says"]
