"""The focus in whole runs: found, lost, answered; told, charged, stored, replayed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from smartscope.cli.tables import print_summary
from smartscope.errors import Refused
from smartscope.loop import run
from smartscope.microscope import find_microscope, open_microscope
from smartscope.preflight import check
from smartscope.replay import replay
from smartscope.settings import Experiment, read_yaml
from smartscope.storage import Run

DEMO = Path(__file__).parents[2] / "demos" / "autofocus.yaml"
Make = Callable[..., Experiment]
CELLS = {"cells": 60, "area_um": [900, 500], "divisions_per_hour": 0}
LOST = """
[simulation.autofocus]
present = true
on = {on}
error_um = 0.0
lost_um = 9.0

[simulation.autofocus.lost_in."well B"]
x_um = [150.0, 800.0]
y_um = [-400.0, 400.0]
"""


def focus_lines(folder: Path) -> list[dict[str, Any]]:
    lines = (folder / "journal.jsonl").read_text(encoding="utf-8").splitlines()
    return [line for line in map(json.loads, lines) if line["kind"] == "focus"]


def scope_with_autofocus(folder: Path, *, on: bool) -> str:
    text = find_microscope("simulated").read_text(encoding="utf-8")
    text = text.replace("focus_drift_um_per_h = 0.3", "focus_drift_um_per_h = 60.0")
    path = folder / "scope.toml"
    path.write_text(text + LOST.format(on=str(on).lower()), encoding="utf-8")
    return str(path)


def heights(seen: Run, place: str) -> list[float]:
    return [
        f["state"]["z_um"]
        for f in seen.frames
        if (f["place"], f["origin"]) == (place, "survey")
    ]


def test_the_survey_follows_a_plane_that_drifts(
    make_experiment: Make, tmp_path: Path
) -> None:
    experiment = make_experiment(
        microscope=scope_with_autofocus(tmp_path, on=False),
        rounds=6,
        interval_s=60,
        places=1,
        specimen=CELLS,
        focus={"every": {"rounds": 2}, "range_um": 6},
    )
    result = run(experiment, tmp_path / "run", in_process=True)
    assert (result.outcome, result.exit_code) == ("completed", 0), result.reason
    seen = Run.open(result.folder)
    # 1 µm in a minute, looked for every other minute
    assert heights(seen, "p0") == pytest.approx([0, 0, 2, 2, 4, 4], abs=0.5)
    lines = focus_lines(result.folder)
    assert [line["status"] for line in lines] == ["done"] * 3
    swept = [f for f in seen.frames if f["origin"] == "focus"]
    assert len(swept) == sum(line["frames"] for line in lines) == 3 * 14
    assert {f["event"]["metadata"]["smartscope"]["image"] for f in swept} == {
        "focus_0001",
        "focus_0002",
        "focus_0003",
    }
    assert seen.frame(swept[0]["frame_id"]).pixels.any()
    assert swept[-1]["light_ms_percent"] == pytest.approx((3 * 14 + 4) * 10 * 100)
    assert result.summary["frames"]["focus"] == 42
    assert {a["frame_id"] for a in seen.analysed}.isdisjoint(
        f["frame_id"] for f in swept
    )
    assert replay(result.folder).identical


def test_an_autofocus_that_is_lost_is_answered_by_images(
    make_experiment: Make, tmp_path: Path
) -> None:
    experiment = make_experiment(
        microscope=scope_with_autofocus(tmp_path, on=True),
        rounds=5,
        interval_s=60,
        places=2,
        specimen=CELLS,
        analysis={
            "occurrences": {
                "unlocked": {"kind": "autofocus_unlocked", "frames": 1, "of": 1},
                "bright": {
                    "kind": "property",
                    "device": "Light",
                    "property": "Power",
                    "above": 99,
                },
            }
        },
        response=[
            {"policy": "autofocus", "on": "unlocked", "range_um": 12, "priority": 3},
            {"policy": "bookmark", "on": "bright"},
        ],
    )
    result = run(experiment, tmp_path / "run")
    assert (result.outcome, result.exit_code) == ("completed", 0), result.reason
    seen = Run.open(result.folder)
    assert [(o["name"], o["place"]) for o in seen.occurrences] == [
        ("unlocked", "p1"),
        ("bright", "p1"),
    ]
    assert heights(seen, "p0") == [0] * 5
    assert heights(seen, "p1") == pytest.approx([0] + [-9] * 4, abs=0.5)
    (line,) = focus_lines(result.folder)
    (told,) = [o for o in seen.outcomes if o["decision_id"] == line["by"]]
    assert (told["status"], told["frames"]) == ("done", line["frames"])
    assert told["reason"] == line["told"]
    measured = [f["state"]["measured"] for f in seen.frames if f["place"] == "p1"]
    assert {m["autofocus.locked"] for m in measured} == {0.0}
    assert {m["Light.Power"] for m in measured} == {100.0}
    assert replay(result.folder).identical


def test_where_the_device_fails_the_neighbour_helps(
    make_experiment: Make, tmp_path: Path
) -> None:
    experiment = make_experiment(
        microscope=scope_with_autofocus(tmp_path, on=False),
        rounds=4,
        interval_s=60,
        places=2,
        specimen=CELLS,
        focus={"method": "hardware", "every": "visit"},
    )
    result = run(experiment, tmp_path / "run", in_process=True)
    assert (result.outcome, result.exit_code) == ("completed", 0), result.reason
    seen = Run.open(result.folder)
    assert heights(seen, "p0") == pytest.approx([0, 1, 2, 3], abs=0.1)
    # it cannot lock at p1, and the plane is the same there
    assert heights(seen, "p1") == pytest.approx(heights(seen, "p0"))
    decided = [line["decided"] for line in focus_lines(result.folder)]
    assert decided == ["", "retry", "neighbour"] * 4
    counts = result.summary["counts"]
    assert (counts["focus_done"], counts["focus_neighbour"]) == (4, 4)
    assert any("lost in well B" in note["text"] for note in seen.notes)


def test_useqs_autofocus_plan_runs_on_the_device(
    make_experiment: Make, tmp_path: Path
) -> None:
    survey = {
        "axis_order": "tpc",
        "stage_positions": [[0, 0, 0]],
        "channels": [{"config": "FITC", "exposure": 10}],
        "time_plan": {"interval": 60, "loops": 3},
        "autofocus_plan": {"axes": ["t"]},
    }
    experiment = make_experiment(
        microscope=scope_with_autofocus(tmp_path, on=False),
        specimen=CELLS,
        survey=survey,
    )
    result = run(experiment, tmp_path / "run", in_process=True)
    assert (result.outcome, result.exit_code) == ("completed", 0), result.reason
    seen = Run.open(result.folder)
    assert heights(seen, "p0") == pytest.approx([0, 1, 2], abs=0.1)
    assert len(seen.frames) == 3


def test_the_demo_brings_the_lost_well_back_into_focus(tmp_path: Path) -> None:
    content = dict(read_yaml(DEMO, what="demo"))
    content["survey"]["time_plan"] = {"interval": 450, "loops": 7}
    content["storage"] = {"reserve_mb": 0}
    result = run(Experiment.parse(content), tmp_path / "run", in_process=True)
    assert result.exit_code == 0, result.reason
    # the autofocus follows the plane, but where it is lost: there z counts from 20 µm
    # above it
    off_um = [
        abs(f["state"]["z_um"] + 20)
        for f in Run.open(result.folder).frames
        if (f["place"], f["origin"]) == ("p3", "survey") and f["time_s"] >= 1800
    ]
    # it is lost when the first frame is taken, and found before the second
    assert off_um[0] == 20
    assert len(off_um) == 3
    assert max(off_um[1:]) < 0.5


def test_it_is_refused_before_where_it_cannot_be(make_experiment: Make) -> None:
    plan = {
        "axis_order": "tpc",
        "stage_positions": [[0, 0, 45]],
        "channels": [{"config": "FITC", "exposure": 10}],
        "time_plan": {"interval": 60, "loops": 3},
        "autofocus_plan": {"axes": ["p"]},
    }
    occurrences = {
        "a": {"kind": "autofocus_unlocked"},
        "b": {"kind": "property", "device": "Light", "property": "Pwer", "above": 3},
        "c": {
            "kind": "property",
            "device": "Objective",
            "property": "Label",
            "above": 1,
        },
    }
    experiment = make_experiment(
        survey=plan,
        focus={"channel": "FTC", "exposure_ms": 20_000},
        analysis={"occurrences": occurrences},
        response=[
            {"policy": "autofocus", "on": "a", "method": "hardware"},
            {"policy": "autofocus", "on": "a", "range_um": 5, "name": "fine"},
        ],
        limits={"light_ms_percent": 5000},
    )
    with (
        open_microscope(
            "simulated", specimen=experiment.specimen, limits=experiment.limits
        ) as scope,
        pytest.raises(Refused) as told,
    ):
        check(experiment, scope)
    for said in (
        "survey, position 0: 'simulated' has no autofocus device",
        "focus: the survey has an autofocus_plan",
        "focus.range_um: a sweep of ±10 µm about the survey's z 45 µm",
        "focus.channel: 'simulated' has no preset 'FTC'",
        "focus.exposure_ms: exposure_ms = 20000 is outside",
        "focus: a single sweep gives",
        "response.0.method: 'simulated' has no autofocus device",
        "response.1: a single sweep gives 12000 ms·%",
        "analysis.occurrences.a: 'simulated' has no autofocus device",
        "analysis.occurrences.b: The device 'Light' has no property 'Pwer'",
        "analysis.occurrences.c: The property 'Label' of 'Objective' is no number",
    ):
        assert said in told.value.what
    assert "response.1.range_um" not in told.value.what


def test_the_light_of_all_sweeps_is_in_the_estimate(make_experiment: Make) -> None:
    experiment = make_experiment(rounds=6, focus={"every": {"rounds": 4}})
    with open_microscope("simulated", specimen=experiment.specimen) as scope:
        bare = check(make_experiment(rounds=6), scope)
        checked = check(experiment, scope)
    more = {
        place: light - bare.light_ms_percent[place]
        for place, light in checked.light_ms_percent.items()
    }
    assert more == {"p0": 2 * 18 * 1000, "p1": 2 * 18 * 1000}
    assert np.isclose(checked.need_mb - bare.need_mb, 2 * 2 * 18 * 512 * 512 * 2 / 1e6)


def test_the_summary_tells_what_was_decided(
    make_experiment: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    experiment = make_experiment(
        rounds=2,
        places=1,
        survey={
            "axis_order": "tpc",
            "stage_positions": [[3000, 3000, 0]],  # no cell lies there
            "channels": [{"config": "FITC", "exposure": 10}],
            "time_plan": {"interval": 10, "loops": 2},
        },
        focus={"every": "visit", "range_um": 4},
    )
    result = run(experiment, tmp_path / "run", in_process=True)
    assert result.exit_code == 0
    print_summary(result.summary)
    said = " ".join(capsys.readouterr().out.split())
    assert (
        "The focus was looked for 4 times: found 0 times, not found 4 times: 2 × "
        "looked for again, 2 × the z of before kept." in said
    )
    assert heights(Run.open(result.folder), "p0") == [0, 0]
