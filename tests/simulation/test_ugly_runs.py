"""Whole runs on the ugly microscope and on specimens that flash, scored."""

import json
from pathlib import Path
from typing import Any

import pytest

import smartscope
from smartscope.replay import replay
from smartscope.settings import Experiment
from smartscope.storage import Run

DEMOS = Path(__file__).parents[2] / "demos"


@pytest.fixture(scope="module")
def ugly(tmp_path_factory: pytest.TempPathFactory) -> Run:
    out = tmp_path_factory.mktemp("ugly") / "run"
    done = smartscope.run(DEMOS / "ugly.yaml", out)
    assert (done.outcome, done.exit_code) == ("completed", 0)
    return Run.open(out)


def scores(run: Run) -> Any:
    return run.record["scores"]


def test_divisions_are_caught_on_a_bad_day(ugly: Run) -> None:
    division = scores(ugly)["by_name"]["division"]
    assert division["events"] >= 15
    assert division["recall"] >= 0.85
    assert division["precision"] >= 0.85
    assert [f for f in ugly.frames if f["origin"] == "burst"]


def test_the_well_that_dries_out_is_told_and_no_other(ugly: Run) -> None:
    blurred = [o for o in ugly.occurrences if o["name"] == "blurred"]
    assert {o["place"] for o in blurred} == {"p3"}
    # its first frame without focus, told one round later
    assert 1800 < blurred[0]["onset_s"] < 1860
    assert [d for d in ugly.decisions if d["policy"] == "bookmark"]


def test_a_bad_day_is_replayed_to_the_same_decisions(ugly: Run) -> None:
    assert replay(ugly.path).identical


def test_flashes_are_seen_where_and_when_they_are(tmp_path: Path) -> None:
    experiment = Experiment.parse(
        {
            "microscope": "simulated",
            "seed": 1,
            "specimen": {
                "time": "virtual",
                "cells": 30,
                "area_um": [300, 300],
                "divisions_per_hour": 0,
                "flashes_per_hour": 24,
                "flash_factor": 5,
                "duration_s": 200,
                "tolerance_s": 3,
            },
            "survey": {
                "stage_positions": [[0, 0]],
                "channels": [{"config": "FITC", "exposure": 30}],
                "time_plan": {"interval": 1, "loops": 120},
            },
            "analysis": {
                "detect": {"model": "dog", "min_distance_um": 6},
                "occurrences": {"flash": {"kind": "flash", "factor": 2}},
            },
            "mode": "synchronized",
        }
    )
    smartscope.run(experiment, tmp_path / "run")
    run = Run.open(tmp_path / "run")
    flash = scores(run)["by_name"]["flash"]
    assert flash["events"] >= 10
    assert flash["recall"] >= 0.9
    assert flash["precision"] >= 0.9
    assert flash["delay_s"]["max"] <= 3
    truth = json.loads((run.path / "truth.json").read_text())
    assert all(
        e["ends_s"] - e["t_s"] == pytest.approx(5)
        for e in truth["events"]
        if e["kind"] == "flash"
    )
