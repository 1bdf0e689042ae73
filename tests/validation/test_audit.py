"""Audit looks: what the survey misses of what they see."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from smartscope.validation.audit import compare_audit

Records = list[dict[str, Any]]


def occurrence(onset_s: float, x_um: float = 0.0, name: str = "flash") -> Any:
    return {
        "name": name,
        "place": "p0",
        "onset_s": onset_s,
        "seen_s": onset_s + 5,
        "x_um": x_um,
        "y_um": 0.0,
    }


def run(
    audited: Records, told: Records, *, visits: int = 10, tolerance_s: float = 20.0
) -> dict[str, Any]:
    """A visit a minute; one look of four frames that covers everything audited."""
    frames, analysed = [], []

    def take(time_s: float, origin: str, **line: Any) -> None:
        header = {
            "frame_id": len(frames),
            "place": "p0",
            "time_s": time_s,
            "origin": origin,
            "decision_id": "0/0" if origin == "audit" else "",
        }
        frames.append(header)
        analysed.append({"frame_id": header["frame_id"], **line})

    for i in range(visits):
        take(60.0 * i, "survey")
    for time_s in (61, 66, 71):
        take(time_s, "audit")
    take(76, "audit", audited=audited)
    return compare_audit(
        frames, analysed, told, tolerance_s=tolerance_s, tolerance_um=10.0
    )


def test_what_the_survey_told_too_is_not_missed() -> None:
    told = run([occurrence(65), occurrence(70, 50)], [occurrence(60)])
    assert (told["looks"], told["frames"], told["seen"]) == (1, 4, 2)
    assert (told["missed"], told["share"]) == (1, 0.5)
    assert "missed about 50 % (1-99 %): 1 of 2" in told["says"]


@pytest.mark.parametrize(
    ("other", "missed"),
    [
        (occurrence(65), 0),
        (occurrence(46), 0),
        (occurrence(44), 1),
        # the next visit, at 120 s, is the first that could show it
        (occurrence(139), 0),
        (occurrence(141), 1),
        (occurrence(65, x_um=9), 0),
        (occurrence(65, x_um=11), 1),
        (occurrence(65, name="split"), 1),
    ],
)
def test_how_near_it_must_be(other: Any, missed: int) -> None:
    assert run([occurrence(65)], [other])["missed"] == missed


def test_each_occurrence_of_the_survey_counts_once_and_as_many_as_can_be() -> None:
    # the first fits both, the second only the first of the survey's
    seen = [occurrence(65, 0), occurrence(65, 9)]
    assert run(seen, [occurrence(65, 4)])["missed"] == 1
    assert run(seen, [occurrence(65, 8), occurrence(65, -8)])["missed"] == 0


def test_what_the_survey_could_not_tell_is_left_out() -> None:
    seen = [occurrence(65)]
    assert run(seen, [], visits=4)["seen"] == 1
    late = run(seen, [], visits=3)
    assert (late["seen"], late["too_late"], late["share"]) == (0, 1, None)
    assert "nothing happened" in late["says"]
    assert run([occurrence(-5)], [])["seen"] == 0


def test_what_only_the_survey_told_is_said() -> None:
    told = run([], [occurrence(70), occurrence(200)])
    assert told["survey_only"] == 1
    assert "1 that it told in that time the looks did not see" in told["says"]


def test_the_interval_covers_the_truth_in_95_of_100_runs() -> None:
    draw = np.random.default_rng(2)
    truth, covered = 0.3, 0
    for _ in range(300):
        seen = [occurrence(65, 100.0 * i) for i in range(24)]
        told = [o for o in seen if draw.random() > truth]
        low, high = run(seen, told)["interval"]
        covered += low <= truth <= high
    # at least 0.95 is promised; 300 draws at 0.95 fall below 0.915 in 5 of 1000 cases
    assert covered / 300 >= 0.915
