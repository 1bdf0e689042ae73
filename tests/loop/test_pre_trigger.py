"""The baseline before a hit made data, in whole runs: stored, told, replayed."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from smartscope.cli.tables import print_summary
from smartscope.errors import Refused
from smartscope.loop import run
from smartscope.replay import replay
from smartscope.settings import Experiment
from smartscope.storage import Run, draw_summary, summarise

HERE = Path(__file__).parent
Make = Callable[..., Experiment]
SOME: dict[str, Any] = {
    "detect": "dog",
    "rounds": 25,
    "interval_s": 60,
    "places": 2,
    "specimen": {
        "cells": 30,
        "area_um": [1800, 400],
        "divisions_per_hour": 0.5,
        "mitosis_s": 300,
    },
    "analysis": {
        "occurrences": {
            "mitosis": {"kind": "brighten", "factor": 1.4, "frames": 1, "of": 2}
        }
    },
}
KEEP = {"policy": "pre_trigger", "on": "mitosis", "before": 3, "after": 2}
BURST = {"policy": "burst", "on": "mitosis", "frames": 4, "cool_down_s": 300}


def visits(seen: Run, headers: list[dict[str, Any]]) -> dict[str, set[int]]:
    """Return the rounds of the survey that frames are of, by place."""
    found: dict[str, set[int]] = {}
    for frame in headers:
        if frame["origin"] == "survey":
            found.setdefault(frame["place"], set()).add(frame["index"][0])
    return found


def asked_for(seen: Run, rounds: int, before: int, after: int) -> dict[str, set[int]]:
    """Return the rounds that the hits of a run ask for, by place.

    Of a survey with one frame a visit.
    """
    survey = [f for f in seen.taken if f["origin"] == "survey"]
    at = {(f["place"], f["time_s"]): f["index"][0] for f in survey}
    wanted: dict[str, set[int]] = {}
    for hit in seen.occurrences:
        began = at[hit["place"], hit["onset_s"]]
        last = at[hit["place"], hit["seen_s"]] + after
        span = range(max(0, began - before), min(rounds - 1, last) + 1)
        wanted.setdefault(hit["place"], set()).update(span)
    return wanted


def test_the_survey_is_stored_about_hits_and_nothing_else(
    make_experiment: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    response = [KEEP, BURST]
    whole = run(make_experiment(**SOME, response=response), tmp_path / "all")
    some = run(
        make_experiment(
            **SOME,
            response=response,
            storage={"survey": "on_hit", "history_frames": 20, "reserve_mb": 0},
        ),
        tmp_path / "some",
    )
    assert (whole.exit_code, some.exit_code) == (0, 0), some.reason
    every, seen = Run.open(whole.folder), Run.open(some.folder)

    assert seen.occurrences, "the run must have had something to see"
    wanted = asked_for(seen, 25, 3, 2)
    assert visits(seen, seen.frames) == wanted
    assert sum(map(len, wanted.values())) < 45, "the run must have had quiet times"
    for header in seen.frames:
        assert (seen.read(header["frame_id"]) == every.read(header["frame_id"])).all()
    stored = {f["frame_id"] for f in seen.frames}
    unstored = {f["frame_id"] for f in seen.unstored}
    assert stored | unstored == {f["frame_id"] for f in every.frames}
    assert not stored & unstored
    assert not seen.missing

    # the microscope and the decisions know nothing of it
    def decided(of: Run) -> list[tuple[str, str, str]]:
        return [(d["decision_id"], d["policy"], d["verdict"]) for d in of.decisions]

    assert decided(seen) == decided(every)
    told, as_whole = summarise(seen), summarise(every)
    for same in ("light_ms_percent", "light_by_origin", "duration_s", "occurrences"):
        assert told[same] == as_whole[same]
    scored = {k: v for k, v in told["scores"].items() if k != "per_event"}
    assert scored == {k: v for k, v in as_whole["scores"].items() if k != "per_event"}
    assert told["frames"]["unstored"] == len(unstored) > 0
    ended = {o["decision_id"]: o for o in seen.outcomes}
    keeps = [d for d in seen.decisions if d["policy"] == "pre_trigger"]
    assert keeps
    for keep in keeps:
        assert ended[keep["decision_id"]]["status"] == "done"
        assert "frames that waited are stored" in ended[keep["decision_id"]]["reason"]

    print_summary(told)
    said = capsys.readouterr().out
    assert "not stored, by policy" in said
    assert "Of the survey only what a hit asks for is stored" in said
    draw_summary(seen, tmp_path / "picture.png")

    assert replay(whole.folder).identical
    replayed = replay(some.folder)
    assert replayed.identical
    first = min(unstored)
    note = replayed.missing[-1]
    assert f"frame {first} is not stored, by policy" in note
    # the things found in every stored frame are found again
    analysed = {a["frame_id"] for a in seen.analysed}
    assert replayed.compared == len(stored & analysed)


def test_a_replay_of_what_is_stored_tells_another_detection(
    make_experiment: Make, tmp_path: Path
) -> None:
    some = run(
        make_experiment(
            **SOME,
            response=[KEEP],
            storage={"survey": {"every_nth": 3}, "reserve_mb": 0},
        ),
        tmp_path / "run",
        in_process=True,
    )
    seen = Run.open(some.folder)
    rounds = visits(seen, seen.frames)
    assert {0, 3, 6, 9, 12, 15, 18, 21, 24} <= rounds["p0"]
    late = [f["frame_id"] for f in seen.frames][-1]
    path = some.folder / "journal.jsonl"
    lines = [json.loads(text) for text in path.read_text("utf-8").splitlines()]
    for line in lines:
        if line["kind"] == "analysed" and line["frame_id"] == late:
            line["detections"]["centers_px"][0][0] += 0.5
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")
    replayed = replay(some.folder)
    assert not replayed.identical
    assert replayed.first_difference is not None
    assert f"frame {late}, detections.centers_px" in replayed.first_difference


def test_without_the_analysis_everything_is_stored(
    make_experiment: Make, tmp_path: Path
) -> None:
    experiment = make_experiment(
        rounds=40,
        detect={
            "model": "faulty_parts:Fails",
            "options": {"how": "raises", "first": 0, "last": 999},
        },
        analysis={"occurrences": {"mitosis": {"kind": "appear"}}},
        response=[KEEP],
        storage={"survey": "on_hit", "reserve_mb": 0},
    )
    result = run(experiment, tmp_path / "run")
    assert result.exit_code == 3
    seen = Run.open(result.folder)
    # 20 frames in a row failed; the 20 still waited in memory
    assert len(seen.frames) == 80
    assert not seen.unstored
    assert any("Every frame is stored" in n for n in result.summary["notices"])


def refused(make_experiment: Make, tmp_path: Path, **how: Any) -> str:
    with pytest.raises(Refused) as told:
        run(make_experiment(**{**SOME, **how}), tmp_path / "run")
    assert not (tmp_path / "run").exists()
    return str(told.value)


def test_what_would_store_nothing_is_refused(
    make_experiment: Make, tmp_path: Path
) -> None:
    on_hit = {"survey": "on_hit", "reserve_mb": 0}
    told = refused(make_experiment, tmp_path, storage=on_hit)
    assert "stores what a policy asks for, and none does" in told
    told = refused(
        make_experiment, tmp_path, storage=on_hit, response=[KEEP], shadow=True
    )
    assert "in shadow would store nothing" in told


def test_a_memory_that_cannot_hold_the_baseline_is_refused(
    make_experiment: Make, tmp_path: Path
) -> None:
    on_hit = {"survey": "on_hit", "reserve_mb": 0}
    told = refused(
        make_experiment,
        tmp_path,
        storage={**on_hit, "history_frames": 3},
        response=[KEEP],
    )
    assert "storage.history_frames: 3 frames of a place wait for a hit, and 4" in told
    told = refused(
        make_experiment,
        tmp_path,
        storage={**on_hit, "history_mb": 1},
        response=[{**KEEP, "before": 30}],
    )
    assert "31 visits to each of 2 places take" in told
    told = refused(
        make_experiment,
        tmp_path,
        storage={**on_hit, "history_mb": 10**9},
        response=[KEEP],
    )
    assert "of memory that this computer has" in told


def test_pre_trigger_where_all_is_stored_is_told(
    make_experiment: Make, tmp_path: Path
) -> None:
    experiment = make_experiment(
        rounds=2,
        analysis={"occurrences": {"mitosis": {"kind": "appear"}}},
        response=[KEEP],
    )
    result = run(experiment, tmp_path / "run", in_process=True)
    assert any("'pre_trigger' adds nothing" in n for n in result.summary["notices"])


def test_the_demo_stores_the_baseline_of_each_division(tmp_path: Path) -> None:
    experiment = Experiment.load(HERE.parent.parent / "demos" / "on_hit.yaml")
    result = run(experiment, tmp_path / "run")
    assert (result.outcome, result.exit_code) == ("completed", 0), result.reason
    seen = Run.open(result.folder)
    divisions = [o for o in seen.occurrences if o["name"] == "division"]
    assert divisions
    stored = {f["frame_id"] for f in seen.frames}
    for division in divisions:
        before = [
            f["frame_id"]
            for f in seen.taken
            if f["place"] == division["place"]
            and f["origin"] == "survey"
            and f["time_s"] < division["onset_s"]
        ]
        assert set(before[-10:]) <= stored
    frames = result.summary["frames"]
    assert frames["unstored"] > frames["survey"] / 2
    assert "baseline_visits_missing" not in result.summary["counts"]


CODE = """
import sys
from smartscope import Experiment, run
run(Experiment.parse(__import__("json").load(open(sys.argv[1]))), sys.argv[2])
"""


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL is of POSIX")
def test_after_a_kill_what_was_not_wanted_is_not_called_lost(
    make_experiment: Make, tmp_path: Path
) -> None:
    experiment = make_experiment(
        rounds=10_000,
        interval_s=1,
        detect="dog",
        specimen={
            **SOME["specimen"],
            "divisions_per_hour": 3,
            "time": "real",
            "time_scale": 20,
        },
        analysis=SOME["analysis"],
        mode="free_run",
        response=[KEEP],
        storage={"survey": "on_hit", "reserve_mb": 0},
    )
    file = tmp_path / "experiment.json"
    file.write_text(experiment.model_dump_json())
    folder = tmp_path / "run"
    process = subprocess.Popen(
        [sys.executable, "-c", CODE, str(file), str(folder)], env=os.environ.copy()
    )
    journal = folder / "journal.jsonl"
    try:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            assert process.poll() is None
            if journal.exists() and b'"kind":"frame"' in journal.read_bytes():
                break
            time.sleep(0.02)
        time.sleep(random.Random(1).uniform(0, 1))
    finally:
        process.kill()
        process.wait()
    seen = Run.open(folder)
    assert seen.frames
    assert seen.unstored
    assert not seen.finished
    for header in seen.frames:
        assert seen.read(header["frame_id"]).any()
    ids = [f["frame_id"] for f in seen.taken]
    assert len(set(ids)) == len(ids)
    # only what was on its way to the journal can lack
    lost = set(range(seen.frames_known)) - set(ids)
    assert len(lost) < 50
    assert all(i > seen.unstored[0]["frame_id"] for i in lost)
    assert replay(folder).identical
    assert summarise(seen)["frames"]["unstored"] == len(seen.unstored)
