"""Child series in whole runs: stored as one image, interleaved, replayed the same."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import yaozarrs

from smartscope.loop import run
from smartscope.replay import replay
from smartscope.settings import Experiment
from smartscope.storage import Run

Make = Callable[..., Experiment]
SERIES: dict[str, Any] = {
    "policy": "series",
    "on": "here",
    "interval_s": 3,
    "visits": 12,
    "channels": ["FITC", "DAPI"],
    "z_planes": 3,
}
HERE = {"here": {"kind": "count", "above": 0, "frames": 1, "of": 1}}


def test_a_series_runs_beside_the_survey_and_is_one_image(
    make_experiment: Make, tmp_path: Path
) -> None:
    experiment = make_experiment(
        rounds=8, analysis={"occurrences": HERE}, response=[SERIES]
    )
    result = run(experiment, tmp_path / "run")
    seen = Run.open(result.folder)
    assert (result.outcome, result.exit_code) == ("completed", 0), result.reason
    assert result.summary["frames"]["survey"] == 16
    frames = [f for f in seen.frames if f["origin"] == "series"]
    (begun,) = [
        d for d in seen.decisions if (d["granted"] or {}).get("kind") == "series"
    ]
    (outcome,) = [o for o in seen.outcomes if o["decision_id"] == begun["decision_id"]]
    assert outcome["decision_id"] == begun["decision_id"]
    assert outcome["status"] == "done"
    assert outcome["frames"] == len(frames) > 6
    assert {f["decision_id"] for f in frames} == {begun["decision_id"]}
    assert {f["image"] for f in frames} == {"series_0001"}
    times = [f["time_s"] for f in frames if tuple(f["index"][1:]) == (0, 0)]
    assert min(b - a for a, b in pairwise(times)) > 1.0
    image = Path(result.folder) / "raw.ome.zarr" / "series_0001"
    yaozarrs.validate_zarr_store(str(image))
    array = json.loads((image / "0" / "zarr.json").read_text(encoding="utf-8"))
    assert array["shape"][1:3] == [2, 3]
    for header in frames:
        assert seen.read(header["frame_id"]).shape == tuple(header["shape"])
    assert replay(result.folder).identical


def test_the_survey_may_end_at_a_hit_and_a_run_says_so(
    make_experiment: Make, tmp_path: Path
) -> None:
    experiment = make_experiment(
        rounds=50,
        analysis={"occurrences": HERE},
        response=[{"policy": "end_survey", "on": "here", "after": 2}],
    )
    result = run(experiment, tmp_path / "run", in_process=True)
    assert (result.outcome, result.exit_code) == ("completed", 0)
    assert result.summary["frames"]["survey"] < 10
    assert "end_survey" in result.reason
    assert replay(result.folder).identical


def test_a_killed_analysis_takes_its_series_up_again(
    make_experiment: Make, tmp_path: Path
) -> None:
    experiment = make_experiment(
        rounds=12,
        detect={
            "model": "faulty_parts:Fails",
            "options": {"how": "dies", "first": 14, "last": 14},
        },
        analysis={"occurrences": HERE, "restarts": 2},
        response=[{**SERIES, "visits": 30, "channels": [], "z_planes": 1}],
    )
    result = run(experiment, tmp_path / "run")
    seen = Run.open(result.folder)
    assert result.summary["counts"]["child_restarts"] == 1
    granted = [
        d for d in seen.decisions if (d["granted"] or {}).get("kind") == "series"
    ]
    places = [d["wish"]["place"] for d in granted]
    assert len(places) <= 2
    assert sorted(o["decision_id"] for o in seen.outcomes) == sorted(
        d["decision_id"] for d in seen.decisions if d["granted"]
    )
    assert replay(result.folder).identical
