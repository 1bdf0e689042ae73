"""One specimen twice: what is told of both runs is what their folders hold."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from matplotlib.image import imread

from smartscope.cli.tables import print_equal_light
from smartscope.errors import Refused
from smartscope.loop import EqualLight, run_at_equal_light
from smartscope.settings import Experiment
from smartscope.storage import Run

CONTENT: dict[str, Any] = {
    "name": "twice",
    "microscope": "simulated",
    "seed": 3,
    "specimen": {
        "time": "virtual",
        "cells": 20,
        "area_um": [320, 320],
        "divisions_per_hour": 1.5,
        "duration_s": 1200,
    },
    "survey": {
        "stage_positions": [[0, 0]],
        "channels": [{"config": "FITC", "exposure": 10}],
        "time_plan": {"interval": 60, "loops": 16},
    },
    "analysis": {
        "detect": {"model": "dog", "min_distance_um": 6},
        "occurrences": {"division": {"kind": "split", "max_distance_um": 14}},
    },
    "response": [{"policy": "burst", "on": "division", "frames": 6, "cool_down_s": 0}],
    "controls": {"equal_light": {"frames": 6, "baseline_s": 300}},
    "mode": "synchronized",
    "storage": {"reserve_mb": 0},
}


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> EqualLight:
    out = tmp_path_factory.mktemp("equal") / "both"
    return run_at_equal_light(Experiment.parse(CONTENT), out, in_process=True)


def test_both_are_runs_of_the_same_specimen_and_light(done: EqualLight) -> None:
    smart, fixed = (Run.open(done.folder / how) for how in ("smart", "fixed"))
    assert done.exit_code == 0
    assert not [f for f in fixed.frames if f["origin"] != "survey"]
    assert [f for f in smart.frames if f["origin"] == "burst"]
    # a round is one frame here, and each frame the same light
    assert len(fixed.frames) == len(smart.frames) == done.told["fixed"]["frames"]

    def onsets(run: Run) -> dict[tuple[str, float], float]:
        ended_s = run.frames[-1]["time_s"] - 60
        events = run.truth["events"]
        return {(e["kind"], e["t_s"]): e["x_um"] for e in events if e["t_s"] < ended_s}

    both = onsets(smart).keys() & onsets(fixed).keys()
    assert len(both) >= 6
    assert all(onsets(smart)[key] == onsets(fixed)[key] for key in both)


def test_what_is_caught_is_counted_from_the_frames(done: EqualLight) -> None:
    assert done.told["events"] == len(done.told["per_event"]) > 0
    for how in ("smart", "fixed"):
        run = Run.open(done.folder / how)
        where = {e["t_s"]: (e["x_um"], e["y_um"]) for e in run.truth["events"]}
        caught = 0
        for event in done.told["per_event"]:
            x_um, y_um = where[event["t_s"]]
            since = [
                f["time_s"] - event["t_s"]
                for f in run.frames
                # a field of 512 pixels of 0.65 µm
                if abs(f["state"]["x_um"] - x_um) <= 166.4
                and abs(f["state"]["y_um"] - y_um) <= 166.4
            ]
            before = sum(-300 <= s < 0 for s in since)
            after = sum(0 <= s <= 180 for s in since)
            assert (event[how]["before"], event[how]["after"]) == (before, after)
            caught += before >= 3 and after >= 6
        assert done.told[how]["caught"] == caught
    assert done.told["smart"]["caught"] > 0


def test_it_is_told_in_words_numbers_and_a_picture(done: EqualLight) -> None:
    said = f"{done.told['smart']['caught']} of {done.told['events']} true events"
    assert said in done.told["says"]
    written = json.loads((done.folder / "equal_light.json").read_text())
    assert written == json.loads(json.dumps(done.told))
    picture = imread(done.folder / "equal_light.png")
    assert picture.shape[:2] == (1000, 1600)


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"survey": {"channels": ["FITC"]}}, "round by round"),
        (
            {"controls": {}, "specimen": {"truth_map": {"division": "budding"}}},
            "called",
        ),
    ],
)
def test_what_cannot_be_compared_is_refused(
    change: dict[str, Any], what: str, tmp_path: Path
) -> None:
    experiment = Experiment.parse({**CONTENT, **change})
    with pytest.raises(Refused, match=what):
        run_at_equal_light(experiment, tmp_path / "both")
    assert not (tmp_path / "both").exists()


def test_an_unknown_name_to_catch_is_told_before_the_run(tmp_path: Path) -> None:
    controls = {"equal_light": {"of": "budding"}}
    experiment = Experiment.parse({**CONTENT, "controls": controls})
    with pytest.raises(Refused):
        run_at_equal_light(experiment, tmp_path / "both")


def test_the_terminal_shows_both_sides(
    done: EqualLight, capsys: pytest.CaptureFixture[str]
) -> None:
    print_equal_light(done.told, done.folder)
    lines = capsys.readouterr().out.splitlines()
    (caught,) = (line for line in lines if line.startswith("caught with baseline"))
    counts = [str(done.told[how]["caught"]) for how in ("smart", "fixed")]
    assert caught.split()[-2:] == counts
    assert done.told["says"] in lines
    print_equal_light({}, done.folder)
    assert "nothing is compared" in capsys.readouterr().out
