"""What is measured of things in a run: a ratio, shapes, a cell that is lost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from smartscope.errors import Refused
from smartscope.loop import compare, run
from smartscope.microscope import open_microscope
from smartscope.preflight import check
from smartscope.replay import replay
from smartscope.settings import AnalysisSettings, Experiment
from smartscope.storage import Run

EXPERIMENT: dict[str, Any] = {
    "name": "measured",
    "seed": 1,
    "mode": "synchronized",
    "specimen": {
        "time": "virtual", "cells": 12, "area_um": [250, 250], "divisions_per_hour": 0,
    },
    "survey": {
        "axis_order": "tpc",
        "stage_positions": [[0, 0]],
        # the label shows in Rhodamine with 0.3 of its brightness in FITC
        "channels": [
            {"config": "Rhodamine", "exposure": 90}, {"config": "FITC", "exposure": 30},
        ],
        "time_plan": {"interval": 60, "loops": 5},
    },
    "analysis": {
        "channel": "FITC",
        "detect": {"model": "dog", "min_distance_um": 6},
        "features": ["elongation"],
        "ratio": {"numerator": "Rhodamine", "denominator": "FITC"},
        "occurrences": {
            "high": {"kind": "feature", "value": "ratio", "above": 0.2},
            "rough": {"kind": "feature", "value": "texture", "above": 1e-6},
        },
    },
}  # fmt: skip


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("measured") / "run"
    result = run(Experiment.parse(EXPERIMENT), folder, in_process=True)
    assert result.exit_code == 0, result.reason
    return folder


def test_the_ratio_is_that_of_the_specimen_whatever_the_exposures(
    measured: Path,
) -> None:
    lines = Run.open(measured).analysed
    lent = [a for a in lines if a.get("waits_for")]
    assert [a["waits_for"] for a in lent] == [["FITC"]] * 5
    assert all(not a["detections"]["score"] for a in lent)
    tracks = [t for a in lines if not a.get("waits_for") for t in a["tracks"]]
    ratios = [t["ratio"] for t in tracks if t["detection"] >= 0]
    assert len(ratios) > 40
    assert np.median(ratios) == pytest.approx(0.3, rel=0.03)
    assert np.percentile(np.abs(np.array(ratios) - 0.3), 90) < 0.03
    assert all(t["elongation"] >= 1 and t["texture"] > 0 for t in tracks)
    assert not any("solidity" in t for t in tracks), "nobody has asked for it"


def test_features_are_occurrences_of_a_run_and_of_its_replay(measured: Path) -> None:
    recorded = Run.open(measured)
    names = {o["name"] for o in recorded.occurrences}
    assert names == {"high", "rough"}
    again = replay(measured)
    assert again.identical, again.first_difference
    rivals = AnalysisSettings(rivals=["otsu"]).rivals  # type: ignore[arg-type]
    told = compare(recorded, rivals)["detectors"]["otsu"]
    assert told["frames"] == 5
    assert told["occurrences"]["high"] > 5, "rivals are lent the other channel too"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"ratio": None}, "no ratio is measured"),
        (
            {"ratio": {"numerator": "Rhodamin", "denominator": "FITC"}},
            "no frame in 'Rhodamin'.*Did you mean 'Rhodamine'",
        ),
        ({"channel": "Rhodamine"}, "'FITC' is taken after Rhodamine"),
        (
            {"occurrences": {"lost": {"kind": "lost"}}},
            "no policy follows anything",
        ),
        (
            {"occurrences": {"lost": {"kind": "lost", "after": "it", "missed": 4}}},
            "at most 3",
        ),
    ],
)
def test_what_can_never_be_measured_is_refused(
    change: dict[str, Any], told: str
) -> None:
    content = {**EXPERIMENT, "analysis": {**EXPERIMENT["analysis"], **change}}
    experiment = Experiment.parse(content)
    with (
        open_microscope("simulated", specimen=experiment.specimen) as scope,
        pytest.raises(Refused, match=rf"(?s){told}"),
    ):
        check(experiment, scope)


def test_a_followed_cell_that_leaves_the_field_for_good_is_told_lost(
    tmp_path: Path,
) -> None:
    gone = {
        **EXPERIMENT,
        "specimen": {
            **EXPERIMENT["specimen"], "departures_per_hour": 8, "landing_s": 30,
        },
        "survey": {
            **EXPERIMENT["survey"],
            "channels": [{"config": "FITC", "exposure": 30}],
            "time_plan": {"interval": 60, "loops": 14},
        },
        "analysis": {
            "detect": {"model": "dog", "min_distance_um": 6},
            "occurrences": {"lost": {"kind": "lost", "missed": 2}},
        },
        "response": [{"policy": "follow", "choose": "first", "search": 0}],
    }  # fmt: skip
    run(Experiment.parse(gone), tmp_path / "run", in_process=True)
    recorded = Run.open(tmp_path / "run")
    told = [o for o in recorded.occurrences if o["name"] == "lost"]
    assert told
    followed = {
        d["wish"]["track_id"] for d in recorded.decisions if d["policy"] == "follow"
    }
    said = " ".join(r for a in recorded.analysed for r in a["remarks"])
    for occurrence in told:
        (track_id,) = occurrence["track_ids"]
        assert track_id in followed or f"track {track_id}" in said
    assert replay(tmp_path / "run").identical
