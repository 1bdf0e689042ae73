"""Placebo and sham: the intervals cover what the records were made with."""

from __future__ import annotations

from typing import Any

import numpy as np

from smartscope.validation.burst_controls import (
    Course,
    compare_placebo,
    compare_sham,
)


def header(frame_id: int, time_s: float) -> dict[str, Any]:
    state = {"x_um": 0.0, "y_um": 0.0, "pixel_size_um": 1.0, "exposure_ms": 10.0}
    return {
        "frame_id": frame_id,
        "place": "p0",
        "time_s": time_s,
        "shape": (100, 100),
        "state": state,
        "event": {},
    }


def course(
    bursts: list[tuple[str, str, bool]],
    *,
    within_s: float = 100.0,
    roi_um: float | None = None,
    **more: Any,
) -> Course:
    """Return records of bursts, one every 1000 s: policy, verdict, what follows."""
    frames, decisions, outcomes, occurrences = [], [], [], []
    for i, (policy, verdict, follows) in enumerate(bursts):
        time_s = 1000.0 * i
        frames.append(header(i, time_s))
        wish = {"kind": "burst", "x_um": 20.0, "y_um": 0.0, "roi_um": roi_um}
        key = f"{i}/0"
        decisions.append(
            {
                "decision_id": key,
                "frame_id": i,
                "time_s": time_s,
                "policy": policy,
                "verdict": verdict,
                "wish": wish,
            }
        )
        if verdict == "granted":
            outcomes.append({"decision_id": key, "frames": 5, "status": "done"})
        # what the burst answers was there before it, and is no sign
        occurrences.append(sign(time_s, "mitosis"))
        if follows:
            occurrences.append(sign(time_s + 60.0, "division"))
    analysed = [{"time_s": 1000.0 * len(bursts)}]
    keys = {"frames": frames, "analysed": analysed, "occurrences": occurrences}
    return Course(
        **{
            **keys,
            "decisions": decisions,
            "outcomes": outcomes,
            "within_s": within_s,
            **more,
        }
    )


def sign(seen_s: float, name: str, x_um: float = 0.0) -> dict[str, Any]:
    return {"name": name, "seen_s": seen_s, "x_um": x_um, "y_um": 0.0}


REAL, PLACEBO = ("burst", "granted"), ("placebo of burst", "granted")
SHAM = ("burst", "sham")
NAMES = {"burst": "placebo of burst"}


def test_what_follows_is_counted_for_each_kind() -> None:
    told = compare_placebo(
        course([(*REAL, True), (*REAL, True), (*PLACEBO, False), (*SHAM, True)]), NAMES
    )
    assert (told["real"]["happened"], told["real"]["bursts"]) == (2, 2)
    assert (told["placebo"]["happened"], told["placebo"]["bursts"]) == (0, 1)
    assert told["says"] == (
        "In 0 of 1 (0-98 %) placebo bursts something happened within 100 s, in 2 of 2 "
        "(16-100 %) real ones."
    )
    sham = compare_sham(course([(*REAL, True), (*SHAM, False), (*PLACEBO, 1)]), NAMES)
    assert (sham["taken"]["happened"], sham["taken"]["bursts"]) == (1, 1)
    assert (sham["sham"]["happened"], sham["sham"]["bursts"]) == (0, 1)
    assert "0 of 1 (0-98 %) bursts that were withheld" in sham["says"]


def test_what_comes_late_elsewhere_or_is_no_sign_does_not_count() -> None:
    def counted(**more: Any) -> tuple[int, int, int]:
        real = compare_placebo(course([(*REAL, True)], **more), NAMES)["real"]
        return real["happened"], real["bursts"], real["too_late"]

    assert counted() == (1, 1, 0)
    assert counted(within_s=50.0) == (0, 1, 0)
    assert counted(signs=("mitosis",)) == (0, 1, 0)
    assert counted(signs=("division",)) == (1, 1, 0)
    # the burst is centred at x = 20 and shows 100 µm
    assert counted(within_um=20.5) == (1, 1, 0)
    assert counted(within_um=19.5) == (0, 1, 0)
    assert counted(occurrences=[sign(60, "division", 69)]) == (1, 1, 0)
    assert counted(occurrences=[sign(60, "division", -31)]) == (0, 1, 0)
    assert counted(roi_um=60.0, occurrences=[sign(60, "division", 69)]) == (0, 1, 0)
    assert counted(roi_um=60.0, occurrences=[sign(60, "division", 49)]) == (1, 1, 0)
    assert counted(analysed=[{"time_s": 90.0}]) == (0, 0, 1)
    assert counted(outcomes=[]) == (0, 0, 0)
    assert counted(frames=[]) == (0, 0, 0)


def test_the_intervals_cover_the_truth_in_95_of_100_runs() -> None:
    draw = np.random.default_rng(11)
    truth = {"burst": 0.6, "placebo of burst": 0.15}
    covered = dict.fromkeys(truth, 0)
    for _ in range(300):
        bursts = [
            (policy, "granted", bool(draw.random() < truth[policy]))
            for policy in ["burst"] * 20 + ["placebo of burst"] * 15
        ]
        told = compare_placebo(course(bursts), NAMES)
        for part, name in (("real", "burst"), ("placebo", "placebo of burst")):
            low, high = told[part]["interval"]
            covered[name] += low <= truth[name] <= high
    # at least 0.95 is promised; 300 draws at 0.95 fall below 0.915 in 5 of 1000 cases
    assert all(0.915 <= n / 300 for n in covered.values()), covered


def test_without_any_burst_it_says_so() -> None:
    told = compare_sham(course([]), NAMES)
    assert "none of 0 bursts that were withheld" in told["says"]
