"""Who answered, of the lit and of the spared: counted by track, with intervals."""

from __future__ import annotations

from typing import Any

import numpy as np

from smartscope.validation.stimulation_answers import compare_answers


def told(
    treated: list[tuple[int, float, str]],
    answers: list[tuple[int, float]],
    ended_s: float = 1e6,
    **more: Any,
) -> dict[str, Any]:
    """Compare: cells as track, time, verdict; answers as track, time."""
    decisions, outcomes = [], []
    for i, (track_id, time_s, verdict) in enumerate(treated):
        wish = {"kind": "stimulate", "targets": [{"track_id": track_id}]}
        decisions.append(
            {
                "decision_id": str(i),
                "time_s": time_s,
                "policy": "stimulate",
                "verdict": verdict,
                "wish": wish,
            }
        )
        if verdict == "granted":
            outcomes.append({"decision_id": str(i), "frames": 1})
    occurrences = [
        {"name": name, "track_ids": [track_id], "seen_s": t}
        for track_id, t in answers
        for name in ("answer", "other")
    ]
    keys: dict[str, Any] = {
        "policies": {"stimulate"},
        "answer": "answer",
        "within_s": 60.0,
        **more,
    }
    return compare_answers(
        [{"time_s": ended_s}], occurrences, decisions, outcomes, **keys
    )


def test_answers_are_counted_by_track_and_in_time() -> None:
    got = told(
        [(1, 0, "granted"), (2, 0, "granted"), (3, 0, "granted"), (4, 0, "sham")],
        # in time; too late; before it; nobody's
        [(1, 60), (2, 60.1), (3, 0), (9, 5)],
    )
    assert (got["stimulated"]["answered"], got["stimulated"]["cells"]) == (1, 3)
    assert (got["sham"]["answered"], got["sham"]["cells"]) == (0, 1)
    assert got["says"] == (
        "1 of 3 (1-91 %) stimulated cells answered (answer) within 60 s, "
        "0 of 1 (0-98 %) sham."
    )


def test_what_cannot_be_told_is_left_out_and_said() -> None:
    got = told(
        [
            (1, 0, "granted"),
            (1, 30, "sham"),
            (2, 950, "granted"),
            (3, 0, "refused"),
            (-1, 0, "sham"),
            (4, 0, "sham"),
            (4, 61, "granted"),
        ],
        [(4, 70)],
        ended_s=1000,
    )
    assert (got["too_late"], got["treated_again"]) == (1, 2)
    assert (got["stimulated"]["answered"], got["stimulated"]["cells"]) == (1, 1)
    assert (got["sham"]["answered"], got["sham"]["cells"]) == (0, 1)
    assert "Left out: 1 too late in the run, 2 treated again meanwhile." in got["says"]
    assert told([], [])["says"].startswith("none of 0 stimulated")


def test_other_policies_and_what_was_never_taken_do_not_count() -> None:
    got = told([(1, 0, "granted")], [(1, 5)], policies={"another"})
    assert got["stimulated"]["cells"] == 0


def test_the_intervals_hold_what_the_records_were_made_with() -> None:
    rng = np.random.default_rng(4)
    held = 0
    for _ in range(200):
        treated = [
            (i, 1000.0 * i, "sham" if rng.random() < 0.4 else "granted")
            for i in range(60)
        ]
        share = {"granted": 0.6, "sham": 0.1}
        answers = [(i, t + 20) for i, t, how in treated if rng.random() < share[how]]
        got = told(treated, answers)
        held += (
            got["stimulated"]["interval"][0] <= 0.6 <= got["stimulated"]["interval"][1]
        )
    assert held >= 185
