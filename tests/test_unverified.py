"""A run on a package that does not do what it says: refused, or marked for ever."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from typer.testing import CliRunner

from smartscope.cli import app
from smartscope.inference import shipped_models
from smartscope.settings import Experiment
from smartscope.storage import Run, summarise

EXPERIMENT: dict[str, Any] = {
    "name": "doubtful",
    "mode": "synchronized",
    "specimen": {"time": "virtual", "cells": 10},
    "survey": {
        "channels": [{"config": "FITC", "exposure": 20}],
        "time_plan": {"interval": 60, "loops": 2},
    },
}


def call(*arguments: object) -> Any:
    return CliRunner().invoke(app, [str(a) for a in arguments])


@pytest.fixture
def experiment(tmp_path: Path) -> Path:
    """An experiment with the shipped detector, its test output falsified."""
    package = tmp_path / "models" / "doubtful"
    package.mkdir(parents=True)
    for file in shipped_models()["dog"].iterdir():
        (package / file.name).write_bytes(file.read_bytes())
    output = np.load(package / "test_output.npy")
    np.save(package / "test_output.npy", 1 - output)
    path = tmp_path / "e.yaml"
    content = {**EXPERIMENT, "analysis": {"detect": "models/doubtful"}}
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return path


def test_it_is_refused_before_anything_is_written(
    experiment: Path, tmp_path: Path
) -> None:
    done = call("run", experiment, "--out", tmp_path / "run")
    assert done.exit_code == 2
    assert "does not reproduce its own test output" in done.stderr
    assert "--unverified" in done.stderr
    assert not (tmp_path / "run").exists()


def test_unverified_runs_and_says_so_for_ever(experiment: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    done = call("run", experiment, "--out", out, "--unverified", "--json")
    assert done.exit_code == 0, done.stderr
    summary = json.loads(done.stdout)
    assert any("UNVERIFIED" in notice for notice in summary["notices"])
    record = json.loads((out / "run.json").read_text(encoding="utf-8"))
    assert record["experiment"]["analysis"]["unverified"] is True
    assert record["models"]["test_tensors"] == {"detect": "not reproduced"}
    assert any("UNVERIFIED" in notice for notice in record["notices"])
    assert any("UNVERIFIED" in n for n in summarise(Run.open(out))["notices"])
    assert call("replay", out).exit_code == 0


def test_the_key_of_the_experiment_file() -> None:
    content = {**EXPERIMENT, "analysis": {"unverified": True}}
    assert Experiment.parse(content).analysis.unverified is True
    assert Experiment.parse(EXPERIMENT).analysis.unverified is False
