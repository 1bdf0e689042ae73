"""Pairs taken on the simulated microscope, and a model judged on them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from typer.testing import CliRunner

from smartscope.cli import app
from smartscope.errors import Refused
from smartscope.pairs import PairFolder, Taken, shift_between, take_pairs
from smartscope.settings import Experiment
from smartscope.storage import Run
from smartscope.validation.metrics import affine_fit

POSITIONS = [[x, y] for y in (-400, 0, 400) for x in (-400, 0)]


def content(**keys: Any) -> dict[str, Any]:
    return {
        "name": "mine",
        "seed": 2,
        "specimen": {
            "time": "virtual",
            "cells": 150,
            "area_um": [1100, 1100],
            "bleach_ms_percent": 4e5,
            "divisions_per_hour": 0,
        },
        "survey": {
            "stage_positions": POSITIONS,
            "channels": [{"config": "FITC", "exposure": 10}],
            "time_plan": {"interval": 60, "loops": 20},
        },
        "analysis": {"detect": "not/there.onnx"},
        "storage": {"reserve_mb": 0},
        **keys,
    }


def experiment(places: int = len(POSITIONS), **keys: Any) -> Experiment:
    made = content(**keys)
    made["survey"]["stage_positions"] = POSITIONS[:places]
    return Experiment.parse(made)


@pytest.fixture(scope="module")
def taken(tmp_path_factory: pytest.TempPathFactory) -> Taken:
    out = tmp_path_factory.mktemp("pairs") / "pairs"
    return take_pairs(experiment(pairs={"high_ms": 200, "high_frames": 2}), out)


def test_each_place_is_taken_once_low_high_low(taken: Taken) -> None:
    assert taken.exit_code == 0
    run = Run.open(taken.folder / "run")
    assert [f["state"]["exposure_ms"] for f in run.frames[:5]] == [10, 10, 200, 200, 10]
    assert len(run.frames) == 5 * len(POSITIONS)
    assert run.analysed == []
    manifest = taken.manifest
    assert manifest.microscope == "simulated"
    assert (manifest.low["exposure_ms"], manifest.high) == (
        10,
        {"exposure_ms": 200.0, "power_percent": 100.0, "frames": 2.0},
    )
    assert json.loads((taken.folder / "pairs.json").read_text())["channel"] == "FITC"


def test_the_clean_image_is_the_noisy_one_without_noise(taken: Taken) -> None:
    pairs = PairFolder.open(taken.folder)
    assert len(pairs.examples) == len(POSITIONS)
    for example in pairs.examples:
        noisy, clean = example.noisy(), example.truth()
        assert noisy.shape == (3, 512, 512)
        assert noisy.dtype == np.uint16
        gain, offset = affine_fit(clean, noisy[0])
        # in the counts of the first noisy frame
        assert gain == pytest.approx(1, abs=0.04)
        assert offset == pytest.approx(0, abs=5)
        assert np.std(noisy[0] - clean) < np.std(noisy[0].astype(float) - noisy[1])
        assert shift_between(clean, noisy[0]).px < 0.1


def test_what_was_bleached_is_found(taken: Taken) -> None:
    told = taken.manifest.bleaching
    assert told["measured"] == pytest.approx(1 / 4e5, rel=0.15)
    assert told["standard_error"] < 0.1 * told["measured"]
    assert taken.manifest.offset == pytest.approx(100, abs=1)
    for pair in taken.manifest.pairs:
        first, second, last = pair.brightness
        assert first == 1 > second > last
        # 42 000 of 400 000 ms·% lie between the first and the last
        assert last == pytest.approx(np.exp(-0.105), rel=0.03)


def test_split_by_place(taken: Taken) -> None:
    splits = [pair.split for pair in taken.manifest.pairs]
    assert splits.count("test") == 4
    assert "train" in splits
    assert all(len(pair.sha256) == 64 for pair in taken.manifest.pairs)


@pytest.mark.timeout(180)  # half a minute of a core, if it is shared
def test_the_shipped_gaussian_is_judged_on_them(
    taken: Taken, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SMARTSCOPE_VERDICTS", str(tmp_path / "verdicts"))
    out = tmp_path / "judged"
    arguments = ["validate", "gaussian", "--data", str(taken.folder), "--out", str(out)]
    done = CliRunner().invoke(app, [*arguments, "--json"])
    assert done.exit_code == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["passed"] is True
    assert told["microscope"] == "simulated"
    assert (told["positions"], told["split"]) == (4, "test")
    assert told["gain_over_raw_db"]["mean"] > 3
    assert told["gain_over_gaussian_db"]["mean"] <= 0.01
    assert (out / "report.png").stat().st_size > 20_000
    assert len(list((tmp_path / "verdicts").rglob("*.json"))) == 1


def test_power_in_place_of_exposure(tmp_path: Path) -> None:
    asked = {"low_percent": 10, "high_percent": 100, "repeats": 1, "after": 0}
    made = experiment(1, pairs=asked)
    told = take_pairs(made, tmp_path / "pairs")
    run = Run.open(told.folder / "run")
    states = [f["state"] for f in run.frames]
    assert [s["power_percent"] for s in states] == [10, 100]
    assert [s["exposure_ms"] for s in states] == [10, 10]
    assert run.frames[-1]["light_ms_percent"] == pytest.approx(10 * 10 + 10 * 100)
    assert "Bleaching is not known" in " ".join(told.manifest.says)


def test_a_series_without_a_truth(tmp_path: Path) -> None:
    made = experiment(2, pairs={"method": "series", "repeats": 3, "after": 0})
    told = take_pairs(made, tmp_path / "series")
    assert not (told.folder / "clean").exists()
    assert PairFolder.open(told.folder).kind == "none"
    done = CliRunner().invoke(app, ["validate", "gaussian", "--data", str(told.folder)])
    assert done.exit_code == 2
    assert "holds noisy images only" in done.stderr


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"pairs": {"channel": "FITZ"}}, "Did you mean 'FITC'?"),
        ({"pairs": {"high_ms": 12}}, "1.2 times the light"),
        ({"pairs": {"low_percent": 5}}, "only one of low_percent and high_percent"),
        ({"pairs": {"high_ms": 20_000}}, "exposure_ms is outside the limits"),
        (
            {"pairs": {"low_percent": 1, "high_percent": 100}, "microscope": "demo"},
            "power",
        ),
        ({"limits": {"light_ms_percent": 5000}}, "more than limits.light_ms_percent"),
    ],
    ids=["channel", "light", "power", "limits", "no power", "budget"],
)
def test_what_cannot_be_taken_is_refused(
    tmp_path: Path, keys: dict[str, Any], said: str
) -> None:
    if keys.get("microscope") == "demo":
        pytest.importorskip("mm_test_adapters")
        keys = {**keys, "specimen": {}}
    with pytest.raises(Refused) as told:
        take_pairs(experiment(**keys), tmp_path / "pairs")
    assert said in str(told.value)
    assert not (tmp_path / "pairs").exists()


def test_saturated_truths_are_left_out(tmp_path: Path) -> None:
    made = experiment(
        1,
        pairs={"low_ms": 100, "high_ms": 9000, "repeats": 1},
        specimen={**content()["specimen"], "photons": 40.0, "bleach_ms_percent": None},
    )
    told = take_pairs(made, tmp_path / "pairs")
    (pair,) = told.manifest.pairs
    assert pair.split is None
    assert "saturated" in pair.left_out
    assert "0 of 1 places can be used" in told.manifest.says[0]
    assert told.exit_code == 3


def test_places_that_overlap_leave_none_to_judge_and_it_is_said(tmp_path: Path) -> None:
    made = content(pairs={"repeats": 1})
    made["survey"]["stage_positions"] = [[0, 0], [150, 0], [300, 0]]
    told = take_pairs(Experiment.parse(made), tmp_path / "pairs")
    assert {p.split for p in told.manifest.pairs} == {"train"}
    assert "least a field apart" in told.manifest.says[1]


def test_the_folder_must_not_exist(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="exists"):
        take_pairs(experiment(), tmp_path)


def test_settings_that_do_not_fit_are_told(tmp_path: Path) -> None:
    path = tmp_path / "e.yaml"
    wrong = {"method": "repeats", "repeats": 1, "after": 0}
    path.write_text(yaml.safe_dump(content(pairs=wrong)), encoding="utf-8")
    done = CliRunner().invoke(app, ["pairs", str(path), "--out", str(tmp_path / "p")])
    assert done.exit_code == 2
    assert "at least 2 frames" in done.stderr


@pytest.mark.timeout(180)  # half a minute of a core, if it is shared
def test_truths_of_this_sample_now(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SMARTSCOPE_VERDICTS", str(tmp_path / "verdicts"))
    path, out = tmp_path / "e.yaml", tmp_path / "live"
    made = content(pairs={"high_ms": 200, "repeats": 1})
    made["survey"]["stage_positions"] = POSITIONS[:4]
    path.write_text(yaml.safe_dump(made), encoding="utf-8")
    live = ["--experiment", str(path), "--out", str(out), "--json"]
    done = CliRunner().invoke(app, ["validate", "nothing", *live])
    assert done.exit_code == 2
    assert not out.exists()
    done = CliRunner().invoke(app, ["validate", "gaussian", *live])
    assert done.exit_code == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["positions"], told["microscope"]) == (4, "simulated")
    assert (out / "pairs" / "pairs.json").is_file()
    assert (out / "report" / "report.png").is_file()
    done = CliRunner().invoke(app, ["validate", "gaussian"])
    assert "either --data or --experiment" in done.stderr
