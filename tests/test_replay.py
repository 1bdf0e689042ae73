"""A recorded run gives the same decisions again, and what differs is told."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smartscope import replay as replay_module
from smartscope.errors import Refused
from smartscope.loop import run
from smartscope.replay import Replayed, replay
from smartscope.settings import Experiment
from smartscope.storage import Run

SPECIMEN = {
    "time": "virtual",
    "cells": 60,
    "area_um": [600, 400],
    "divisions_per_hour": 2,
    "mitosis_s": 300,
}
SURVEY = {
    "channels": [{"config": "FITC", "exposure": 30}],
    "stage_positions": [[-100, 0], [150, 0]],
    "time_plan": {"interval": 60, "loops": 25},
}
BRIGHTEN = {"kind": "brighten", "factor": 1.4, "frames": 1, "of": 2}
REACTS: dict[str, Any] = {
    "name": "reacts",
    "mode": "synchronized",
    "specimen": SPECIMEN,
    "survey": SURVEY,
    "analysis": {
        "occurrences": {"mitosis": BRIGHTEN, "division": {"kind": "split"}},
    },
    "response": [
        {"policy": "follow", "on": ["mitosis", "division"], "priority": 2},
        {"policy": "burst", "on": "mitosis", "frames": 4, "cool_down_s": 200},
        {"policy": "interval", "on": "mitosis", "slow_s": 60, "fast_s": 20},
        {"policy": "adapt_exposure", "exposure_ms": [10, 60]},
    ],
}


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("replay") / "run"
    result = run(Experiment.parse(REACTS), folder)
    assert result.exit_code == 0, result.reason
    return folder


@pytest.fixture
def copy(recorded: Path, tmp_path: Path) -> Path:
    """A copy of the recorded run that a test may spoil."""
    return shutil.copytree(recorded, tmp_path / "copy")


def rewrite(folder: Path, change: Callable[[dict[str, Any]], bool | None]) -> None:
    """Write the journal again, each line changed; a line for which False comes goes."""
    path = folder / "journal.jsonl"
    kept = []
    for text in path.read_text(encoding="utf-8").splitlines():
        line = json.loads(text)
        if change(line) is not False:
            kept.append(json.dumps(line))
    path.write_text("\n".join(kept) + "\n", encoding="utf-8")


def test_it_decides_the_same_again(recorded: Path) -> None:
    before = {p: p.stat().st_mtime_ns for p in recorded.rglob("*")}
    replayed = replay(recorded)
    run_ = Run.open(recorded)
    assert replayed == Replayed(
        identical=True, compared=len(run_.analysed), decisions=len(run_.decisions)
    )
    assert replayed.exit_code == 0
    assert replayed.compared >= 50
    kinds = {d["wish"]["kind"] for d in run_.decisions}
    assert {"burst", "move_stage"} <= kinds, "the run must have had something to decide"
    assert {p: p.stat().st_mtime_ns for p in recorded.rglob("*")} == before


def test_a_changed_decision_is_the_first_difference(copy: Path) -> None:
    changed: list[dict[str, Any]] = []

    def change(line: dict[str, Any]) -> None:
        if line["kind"] == "decision" and len(changed) < 2:
            changed.append(dict(line))
            line["reason"] = "for fun"

    rewrite(copy, change)
    replayed = replay(copy)
    assert replayed.exit_code == 1
    first = changed[0]
    assert replayed.first_difference == (
        f"frame {first['frame_id']}, decisions[{first['decision_id']}].reason: "
        f"recorded 'for fun', replayed {first['reason']!r}"
    )


def test_a_decision_that_was_not_recorded_is_a_difference(copy: Path) -> None:
    gone: list[str] = []

    def change(line: dict[str, Any]) -> bool | None:
        if line["kind"] == "decision" and not gone:
            gone.append(line["decision_id"])
            return False
        return None

    rewrite(copy, change)
    told = replay(copy).first_difference
    assert told is not None
    assert f"recorded none {gone[0]}, replayed one" in told


def test_a_moved_detection_is_told_with_both_places(copy: Path) -> None:
    def change(line: dict[str, Any]) -> None:
        if line["kind"] == "analysed" and line["frame_id"] == 3:
            line["detections"]["centers_px"][0][0] += 0.01

    rewrite(copy, change)
    told = replay(copy).first_difference
    assert told is not None
    assert told.startswith("frame 3, detections.centers_px[0][0]: recorded ")


def test_inputs_are_given_back(copy: Path) -> None:
    """Without the outcomes the arbiter knows less: something must come out different.

    If this fails, the replay ignores what it is given.
    """
    run_ = Run.open(copy)
    assert any(line["input"] == "outcome" for line in run_.inputs)
    calls = []
    with pytest.MonkeyPatch.context() as patch:
        took = replay_module.Reflex.take

        def take(reflex: Any, outcome: Any) -> None:
            calls.append(outcome)
            took(reflex, outcome)

        patch.setattr(replay_module.Reflex, "take", take)
        assert replay(copy).identical
    assert [o.to_record() for o in calls] == [
        line["outcome"] for line in run_.inputs if line["input"] == "outcome"
    ]


def test_a_run_that_was_killed_is_compared_as_far_as_it_goes(
    copy: Path, recorded: Path
) -> None:
    path = copy / "journal.jsonl"
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * 0.4)])
    replayed = replay(copy)
    assert replayed.identical
    assert 0 < replayed.compared < len(Run.open(recorded).analysed)
    assert any("broken off" in said for said in replayed.missing)


def test_a_frame_that_is_not_stored_ends_the_comparison(copy: Path) -> None:
    run_ = Run.open(copy)
    lost = run_.analysed[10]["frame_id"]
    rewrite(copy, lambda line: (line["kind"], line.get("frame_id")) != ("frame", lost))
    replayed = replay(copy)
    assert replayed.identical
    assert replayed.compared == 10
    assert f"frame {lost} is not stored" in replayed.missing[-1]


def test_another_model_is_told_before_anything_is_compared(copy: Path) -> None:
    path = copy / "run.json"
    record = json.loads(path.read_text(encoding="utf-8"))
    record["models"]["sha256"] = "0" * 64
    path.write_text(json.dumps(record), encoding="utf-8")
    replayed = replay(copy)
    assert not replayed.identical
    assert replayed.compared == 0
    assert replayed.first_difference is not None
    assert "the model is another one" in replayed.first_difference


def test_another_device_is_a_notice(copy: Path) -> None:
    path = copy / "run.json"
    record = json.loads(path.read_text(encoding="utf-8"))
    record["models"]["providers"]["detect"]["obtained"] = "cuda"
    path.write_text(json.dumps(record), encoding="utf-8")
    replayed = replay(copy)
    assert replayed.identical
    assert "ran on cuda" in replayed.notices[0]


def test_without_its_settings_a_run_cannot_be_replayed(copy: Path) -> None:
    (copy / "run.json").unlink()
    with pytest.raises(Refused, match="is missing or broken"):
        replay(copy)


def test_what_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="is no run"):
        replay(tmp_path)


DIES = """
import os
from smartscope.recognition import Detections

class Dies:
    def detect(self, frame):
        if frame.frame_id == 5:
            os._exit(7)
        return Detections.empty()
"""


def test_a_run_whose_analysis_died_on_the_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a_detector_that_dies.py").write_text(DIES)
    monkeypatch.syspath_prepend(tmp_path)
    survey = {**SURVEY, "time_plan": {"interval": 60, "loops": 5}}
    wish = {
        **REACTS,
        "survey": survey,
        "analysis": {"detect": "a_detector_that_dies:Dies"},
    }
    result = run(Experiment.parse({**wish, "response": []}), tmp_path / "run")
    assert result.exit_code == 3
    replayed = replay(tmp_path / "run")
    assert replayed.identical
    assert replayed.compared == 9, "all but the frame that died with its process"


plain = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner)
    ),
    max_leaves=8,
)


@given(then=plain, now=plain)
def test_a_difference_is_found_if_and_only_if_there_is_one(then: Any, now: Any) -> None:
    assert replay_module._differs(then, then, "x") is None
    told = replay_module._differs(then, now, "x")
    assert (told is None) == (_bare(then) == _bare(now))


def _bare(value: Any) -> Any:
    """A key that is not there and one that holds None are the same in a record."""
    if isinstance(value, dict):
        return {k: _bare(v) for k, v in value.items() if v is not None}
    return [_bare(v) for v in value] if isinstance(value, list) else value
