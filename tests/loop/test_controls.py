"""Controls in whole runs: done, recorded, told, and replayed the same."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from smartscope.cli.tables import print_summary
from smartscope.loop import run
from smartscope.replay import replay
from smartscope.settings import Experiment
from smartscope.storage import Run, draw_summary

Make = Callable[..., Experiment]
HERE = {"here": {"kind": "count", "above": 0, "frames": 1, "of": 1}}
CELLS: dict[str, Any] = {
    "detect": "dog",
    "specimen": {"cells": 60, "area_um": [2800, 400]},
}


def apart(places: int, rounds: int, interval_s: float = 10) -> dict[str, Any]:
    """Return a survey whose fields (333 µm) no burst can light from another one."""
    return {
        "axis_order": "tpc",
        "stage_positions": [[700 * i - 700, 0, 0] for i in range(places)],
        "channels": [{"config": "FITC", "exposure": 10}],
        "time_plan": {"interval": interval_s, "loops": rounds},
    }


def lit_of(seen: Run) -> dict[str, list[int]]:
    """Return the rounds in which the survey took a frame, by place."""
    lit: dict[str, list[int]] = {}
    for frame in seen.frames:
        if frame["origin"] == "survey":
            lit.setdefault(frame["place"], []).append(frame["index"][0])
    return lit


def test_dark_fields_are_lit_in_the_last_round_only_and_told(
    make_experiment: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    experiment = make_experiment(
        **CELLS, survey=apart(4, 5), controls={"dark": ["p1", "p3"]}
    )
    result = run(experiment, tmp_path / "run", in_process=True)
    assert (result.outcome, result.exit_code) == ("completed", 0), result.reason
    seen = Run.open(result.folder)
    every = [0, 1, 2, 3, 4]
    assert lit_of(seen) == {"p0": every, "p1": [4], "p2": every, "p3": [4]}
    for header in seen.frames:
        assert seen.read(header["frame_id"]).shape == tuple(header["shape"])
    told = result.summary["controls"]["dark"]
    assert (told["dark_fields"], told["lit_fields"]) == (2, 2)
    assert told["things_dark"] > 0
    assert told["spilled"] == []
    assert any("Dark until" in n for n in result.summary["notices"])
    print_summary(result.summary)
    assert "times as many things as dark ones" in capsys.readouterr().out
    draw_summary(seen, tmp_path / "again.png")
    assert replay(result.folder).identical


def test_dark_fields_get_their_turn_when_the_survey_is_ended_before(
    make_experiment: Make, tmp_path: Path
) -> None:
    experiment = make_experiment(
        **CELLS,
        survey=apart(3, 50),
        analysis={"occurrences": HERE},
        response=[{"policy": "end_survey", "on": "here", "after": 2}],
        controls={"dark": "p1"},
    )
    result = run(experiment, tmp_path / "run", in_process=True)
    assert (result.outcome, result.exit_code) == ("completed", 0)
    lit = lit_of(Run.open(result.folder))
    assert len(lit["p0"]) < 10
    assert lit["p1"] == [max(lit["p0"])]
    assert result.summary["controls"]["dark"]["dark_fields"] == 1
    assert replay(result.folder).identical


def test_a_share_of_dark_fields_is_drawn_from_the_seed(
    make_experiment: Make,
) -> None:
    def dark(seed: int, share: float = 0.25) -> frozenset[str]:
        experiment = make_experiment(places=8, controls={"dark": share}, seed=seed)
        return experiment.dark_places()

    assert dark(1) == dark(1)
    assert {len(dark(seed)) for seed in range(20)} == {2}
    assert len({dark(seed) for seed in range(20)}) > 10
    assert len(dark(1, 0.01)) == 1
