"""Other detectors look at a run when it is over; nothing else changes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from smartscope.cli.app import app
from smartscope.errors import Refused
from smartscope.loop import compare, run
from smartscope.replay import replay
from smartscope.settings import AnalysisSettings, Experiment
from smartscope.storage import Run, summarise

DETECT = {"model": "dog", "min_distance_um": 6}
EXPERIMENT: dict[str, Any] = {
    "name": "rivals",
    "seed": 4,
    "mode": "synchronized",
    "specimen": {
        "time": "virtual", "cells": 20, "area_um": [300, 160], "divisions_per_hour": 2,
    },
    "survey": {
        "axis_order": "tpc",
        "stage_positions": [[-75, 0], [75, 0]],
        "channels": [{"config": "FITC", "exposure": 40}],
        "time_plan": {"interval": 60, "loops": 14},
    },
    "analysis": {
        "channel": "FITC",
        "detect": DETECT,
        "track": {"max_distance_um": 12},
        "occurrences": {"division": {"kind": "split", "max_distance_um": 14}},
        "rivals": [{"otsu": {"min_distance_um": 6}}, {"log": {}}],
    },
    "response": [{"policy": "burst", "on": "division", "frames": 2}],
}  # fmt: skip


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("rivals") / "run"
    result = run(Experiment.parse(EXPERIMENT), folder, in_process=True)
    assert result.exit_code == 0, result.reason
    return folder


def test_every_detector_has_its_row_and_the_summary_a_sentence(compared: Path) -> None:
    told = summarise(Run.open(compared))["rivals"]
    assert told == json.loads((compared / "run.json").read_text())["rivals"]
    assert list(told["detectors"]) == ["dog", "otsu", "log"]
    assert (told["frames"], told["of"], told["places"], told["truth"]) == (
        28,
        28,
        2,
        True,
    )
    own, otsu, log = told["detectors"].values()
    assert own["things_f1"] == 1
    assert 0.9 < otsu["things_f1"] < 1
    assert log["things_f1"] < otsu["things_f1"]
    assert own["events"] == otsu["events"] > 0
    assert own["caught"] + own["missed"] == own["events"]
    assert own["ms_p95"] >= own["ms_p50"] > 0
    assert "otsu" in told["says"]


def test_rivals_steer_nothing(compared: Path, tmp_path: Path) -> None:
    alone = {**EXPERIMENT, "analysis": {**EXPERIMENT["analysis"], "rivals": []}}
    run(Experiment.parse(alone), tmp_path / "alone", in_process=True)
    one, other = Run.open(compared), Run.open(tmp_path / "alone")
    assert [d["decision_id"] for d in one.decisions] == [
        d["decision_id"] for d in other.decisions
    ]
    assert len(one.frames) == len(other.frames)
    assert summarise(other)["rivals"] == {}
    assert replay(compared).identical
    with pytest.raises(Refused, match="no other detector"):
        compare(other)


def test_fewer_frames_are_spread_over_the_places(compared: Path) -> None:
    told = compare(Run.open(compared), frames=24)
    assert (told["frames"], told["of"], told["places"]) == (24, 28, 2)
    told = compare(Run.open(compared), frames=12)
    assert (told["frames"], told["places"]) == (12, 1)


def test_without_a_truth_the_main_detector_is_the_measure(
    compared: Path, tmp_path: Path
) -> None:
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(compared, copy)
    next(copy.glob("truth*")).unlink()
    told = compare(Run.open(copy))
    assert told["truth"] is False
    own = told["detectors"]["dog"]
    assert (own["caught"], own["missed"], own["false"]) == (own["events"], 0, 0)


def test_the_command_compares_any_run_later(compared: Path) -> None:
    watershed = "{watershed: {min_distance_um: 6}}"
    asked = ["compare", str(compared), "--detect", "adaptive", "--detect", watershed]
    done = CliRunner().invoke(app, [*asked, "--json"])
    assert done.exit_code == 0, done.output
    assert list(json.loads(done.stdout)["detectors"]) == [
        "dog",
        "adaptive",
        "watershed",
    ]
    assert CliRunner().invoke(app, ["compare", str(compared)]).exit_code == 0
    wrong = CliRunner().invoke(app, ["compare", str(compared), "--detect", "{otsu: 3"])
    assert wrong.exit_code == 2


def test_a_detector_that_cannot_be_loaded_is_told_and_the_others_compared(
    compared: Path,
) -> None:
    rivals = AnalysisSettings(rivals=["otsu", "nowhere:Detector"]).rivals  # type: ignore[arg-type]
    told = compare(Run.open(compared), rivals, frames=12)
    assert "nowhere" in told["detectors"]["nowhere:Detector"]["failed"]
    assert told["detectors"]["otsu"]["frames"] == 12


def test_rivals_are_written_like_a_detector(tmp_path: Path) -> None:
    ways = ["otsu", {"model": "otsu"}, {"otsu": {}}, {"otsu": {"min_area_um2": 5.0}}]
    rivals = AnalysisSettings(rivals=ways).rivals  # type: ignore[arg-type]
    assert [r.model for r in rivals] == ["otsu"] * 4
    assert rivals[0] == rivals[1] == rivals[2]
    assert rivals[3].min_area_um2 == 5
    beside = {**EXPERIMENT, "analysis": {"rivals": "net.onnx"}}
    (model,) = Experiment.parse(beside, base=tmp_path).analysis.rivals
    assert model.model == str(tmp_path / "net.onnx")
    again = Experiment.parse(Experiment.parse(EXPERIMENT).model_dump(mode="json"))
    assert again == Experiment.parse(EXPERIMENT)


def test_a_rival_that_there_is_not_is_refused_before_the_run(tmp_path: Path) -> None:
    wrong = {**EXPERIMENT, "analysis": {**EXPERIMENT["analysis"], "rivals": ["ostu"]}}
    with pytest.raises(Refused, match=r"analysis\.rivals\.0"):
        run(Experiment.parse(wrong), tmp_path / "run")
    assert not (tmp_path / "run").exists()
