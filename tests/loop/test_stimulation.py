"""Cells are stimulated in a run, some only in pretence; who answers is told."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from smartscope.cli.tables import print_summary
from smartscope.loop import run
from smartscope.loop.progress import RunResult
from smartscope.microscope import Microscope
from smartscope.replay import replay
from smartscope.settings import Experiment
from smartscope.storage import Run

SPECIMEN = {
    "cells": 40,
    "area_um": [330, 330],
    "speed_um_per_min": 1.5,
    "divisions_per_hour": 0,
    "flash_s": 50,
    "stimulation_response": 0.75,
    "stimulation_dose_ms_percent": 15000,
    "stimulation_delay_s": 10,
    "truth_map": {"response": "answer"},
    "tolerance_s": 15,
}
OCCURRENCES = {
    "wandered": {"kind": "displacement", "above": 3},
    "answer": {"kind": "flash", "factor": 1.8, "rise_s": 25, "refractory_s": 60},
}
STIMULATE = {
    "policy": "stimulate",
    "on": "wandered",
    "radius_um": 7,
    "channel": "Stimulation",
    "exposure_ms": 200,
}


CONTENT: dict[str, Any] = {
    "name": "stimulate",
    "specimen": {"time": "virtual", **SPECIMEN},
    "survey": {
        "axis_order": "tpc",
        "stage_positions": [[0, 0, 0]],
        "channels": [{"config": "FITC", "exposure": 10}],
        "time_plan": {"interval": 10, "loops": 70},
    },
    "analysis": {
        "detect": {"model": "dog", "min_distance_um": 6},
        "track": {"max_distance_um": 8},
        "occurrences": OCCURRENCES,
    },
    "response": [STIMULATE],
    "controls": {"sham": {"share": 0.4, "answer": "answer", "within_s": 60}},
    "storage": {"reserve_mb": 0},
    "mode": "synchronized",
    "seed": 1,
}


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> RunResult:
    result = run(Experiment.parse(CONTENT), tmp_path_factory.mktemp("stim") / "run")
    assert (result.outcome, result.exit_code) == ("completed", 0), result.reason
    return result


def by_verdict(seen: Run) -> tuple[list[Any], list[Any]]:
    lit = [d for d in seen.decisions if d["granted"]]
    sham = [d for d in seen.decisions if d["verdict"] == "sham"]
    assert len(lit) >= 12
    assert len(sham) >= 5
    return lit, sham


def responded(seen: Run, decision: Any) -> bool:
    """Whether the truth has a response where and when a decision has it."""
    ((corner,),) = [spot["outline_um"] for spot in decision["wish"]["targets"]]
    return any(
        event["kind"] == "response"
        and 0 <= event["t_s"] - decision["time_s"] <= 20
        and math.dist(corner, (event["x_um"], event["y_um"])) < 6
        for event in seen.truth["events"]
    )


def test_lit_cells_answer_and_spared_ones_do_not(ran: RunResult) -> None:
    seen = Run.open(ran.folder)
    lit, sham = by_verdict(seen)
    truly = [responded(seen, d) for d in lit]
    # 0.75 of the cells can; a pattern is a few µm late on a cell that goes on
    assert 0.5 < sum(truly) / len(truly) < 0.95
    assert not any(responded(seen, d) for d in sham)
    # one wish a cell
    tracks = [d["wish"]["track_id"] for d in (*lit, *sham)]
    assert len(set(tracks)) == len(tracks)


def test_the_summary_tells_it_with_intervals(
    ran: RunResult, capsys: pytest.CaptureFixture[str]
) -> None:
    seen = Run.open(ran.folder)
    lit, sham = by_verdict(seen)
    told = ran.summary["controls"]["stimulation"]
    assert list(ran.summary["controls"]) == ["stimulation"]
    judged = told["stimulated"]["cells"] + told["sham"]["cells"] + told["too_late"]
    assert judged == len(lit) + len(sham)
    truly = sum(responded(seen, d) for d in lit)
    assert truly - told["too_late"] - 3 <= told["stimulated"]["answered"] <= truly + 1
    assert told["sham"]["answered"] <= 1
    low, high = told["stimulated"]["interval"]
    assert low <= truly / len(lit) <= high
    assert told["sham"]["interval"][1] < low, "it is the light"
    print_summary(ran.summary)
    out = capsys.readouterr().out
    assert "stimulated cells answered (answer) within 60 s" in out
    assert "by stimulation" in out


def test_each_pulse_has_its_frame_in_an_image_of_its_own(ran: RunResult) -> None:
    seen = Run.open(ran.folder)
    lit, _ = by_verdict(seen)
    frames = [f for f in seen.frames if f["origin"] == "stimulation"]
    assert len(frames) == len(lit) == ran.summary["frames"]["stimulation"]
    assert [f["image"] for f in frames] == [
        f"stimulation_{i + 1:04d}" for i in range(len(frames))
    ]
    analysed = {a["frame_id"] for a in seen.analysed}
    assert not analysed & {f["frame_id"] for f in frames}
    bright = seen.frame(frames[0]["frame_id"]).pixels > 300
    assert 20 < bright.sum() < 2000, "a cell and no more"
    assert {f["event"].get("slm_image") for f in frames} == {None}


def test_the_light_goes_to_the_track(ran: RunResult) -> None:
    seen = Run.open(ran.folder)
    lit, sham = by_verdict(seen)
    last = {t["track_id"]: t for a in seen.analysed for t in a["tracks"]}
    ended_s = seen.analysed[-1]["time_s"]

    def beyond(decision: Any) -> float:
        """What its track has more than the survey's frames since it was first seen."""
        track = last[decision["wish"]["track_id"]]
        survey = sum(
            f["time_s"] >= track["first_seen_s"]
            for f in seen.frames
            if f["origin"] == "survey" and f["time_s"] <= track["last_seen_s"]
        )
        return float(track["light_ms_percent"] - 1000 * survey)

    early = [d for d in lit if d["time_s"] < ended_s - 60]
    for decision in early:
        # and the shares of others in the field, some hundredths of a pulse each
        assert 20000 <= beyond(decision) + 7000
        assert beyond(decision) < 25000
    assert all(beyond(d) < 10000 for d in sham)
    place = seen.frames[-1]["light_ms_percent"]
    share = lit[0]["wish"]["share"]
    assert place == pytest.approx(70 * 1000 + 20000 * share * len(lit))


def test_a_replay_decides_the_same(ran: RunResult) -> None:
    replayed = replay(ran.folder)
    assert replayed.identical, replayed.first_difference
    assert replayed.decisions >= 17


def test_the_modulator_is_dark_when_a_run_has_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[int] = []
    close = Microscope.close

    def look(scope: Microscope) -> None:
        if not scope._closed and scope.simulation is not None:
            slm = scope.simulation.stand.slm
            assert slm is not None
            shown.append(int(slm.shown().max()))
        close(scope)

    monkeypatch.setattr(Microscope, "close", look)
    always = {**STIMULATE, "on": (), "choose": "brightest", "again_after_s": 1}
    survey = {**CONTENT["survey"], "time_plan": {"interval": 10, "loops": 4}}
    content = {**CONTENT, "response": [always], "controls": {}, "survey": survey}
    result = run(Experiment.parse(content), tmp_path / "run", in_process=True)
    assert result.summary["frames"]["stimulation"] >= 3
    assert shown == [0]
