"""Controls in whole runs: done, recorded, told, and replayed the same."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from smartscope.cli.tables import print_summary
from smartscope.loop import run
from smartscope.microscope import open_microscope
from smartscope.preflight import check
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


def test_dark_fields_tell_the_harm_that_light_does(
    make_experiment: Make, tmp_path: Path
) -> None:
    def interval(name: str, bleach_ms_percent: float) -> tuple[float, float]:
        experiment = make_experiment(
            detect="dog",
            specimen={
                "cells": 280,
                "area_um": [7200, 400],
                "divisions_per_hour": 0,
                "bleach_ms_percent": bleach_ms_percent,
            },
            survey=apart(6, 10),
            controls={"dark": ["p1", "p3", "p5"]},
        )
        result = run(experiment, tmp_path / name, in_process=True)
        low, high = result.summary["controls"]["dark"]["interval"]
        return low, high

    # light of 9000 ms·% leaves exp(-9) of the fluorescence, or nearly all of it
    low, high = interval("harmed", 1000)
    assert high < 1
    low, high = interval("well", 3e6)
    assert low < 1 < high


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


# bursts by chance, and bursts withheld ------------------------------------------

DIVIDING: dict[str, Any] = {
    "detect": "dog",
    "specimen": {"cells": 90, "area_um": [1800, 400], "divisions_per_hour": 6},
    "analysis": {"occurrences": {"mitosis": {"kind": "brighten", "factor": 1.4}}},
}
BURST = {"policy": "burst", "on": "mitosis", "frames": 4, "exposure_ms": 5}


def test_placebo_bursts_are_taken_counted_and_told(
    make_experiment: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    experiment = make_experiment(
        **DIVIDING,
        survey=apart(2, 30, 60),
        response=[{**BURST, "name": "catch"}],
        controls={"placebo": {"share": 0.2, "of": "catch"}, "within_s": 600},
    )
    result = run(experiment, tmp_path / "run")
    assert (result.outcome, result.exit_code) == ("completed", 0), result.reason
    seen = Run.open(result.folder)
    placebo = [d for d in seen.decisions if d["policy"] == "placebo of catch"]
    hits = {o["frame_ids"][-1] for o in seen.occurrences}
    assert len(placebo) >= 3
    assert not {d["frame_id"] for d in placebo} & hits
    assert not any(d["occurrence_ids"] for d in placebo)
    done = {o["decision_id"]: o["frames"] for o in seen.outcomes}
    assert {done[d["decision_id"]] for d in placebo if d["granted"]} == {4}
    told = result.summary["controls"]["placebo"]
    judged = told["placebo"]["bursts"] + told["placebo"]["too_late"]
    assert judged == sum(d["granted"] is not None for d in placebo)
    assert told["real"]["bursts"] > 0
    assert any("Placebo of catch: about 12" in n for n in result.summary["notices"])
    print_summary(result.summary)
    assert "placebo bursts something happened within" in capsys.readouterr().out
    assert replay(result.folder).identical


def test_sham_bursts_are_withheld_counted_and_told(
    make_experiment: Make, tmp_path: Path
) -> None:
    experiment = make_experiment(
        **DIVIDING,
        survey=apart(3, 40, 60),
        response=[BURST],
        controls={"sham": 0.5},
    )
    result = run(experiment, tmp_path / "run", in_process=True)
    assert (result.outcome, result.exit_code) == ("completed", 0), result.reason
    seen = Run.open(result.folder)
    sham = {d["decision_id"] for d in seen.decisions if d["verdict"] == "sham"}
    granted = {d["decision_id"] for d in seen.decisions if d["granted"]}
    assert len(sham) >= 3
    assert len(granted) >= 3
    # a withheld one takes no frame and has no outcome: it never began
    assert {f["decision_id"] for f in seen.frames} - {""} == granted
    assert {o["decision_id"] for o in seen.outcomes} == granted
    assert result.summary["decisions"]["by_verdict"]["sham"] == len(sham)
    told = result.summary["controls"]["sham"]
    assert told["sham"]["bursts"] + told["sham"]["too_late"] == len(sham)
    assert told["taken"]["bursts"] + told["taken"]["too_late"] == len(granted)
    assert "withheld (sham)" in told["says"]
    assert replay(result.folder).identical


# audit looks ------------------------------------------------------------------


def blinking(make_experiment: Make, rounds: int = 100, **more: Any) -> Experiment:
    flash = {"kind": "flash", "factor": 2, "rise_s": 100}
    return make_experiment(
        detect="blinking:Blinks",
        survey=apart(2, rounds, 30),
        analysis={"occurrences": {"flash": flash}},
        **more,
    )


AUDIT = {
    "share": 0.3,
    "frames": 12,
    "interval_s": 3.5,
    "spread_s": 30,
    "tolerance_s": 10,
}


def test_audit_looks_find_what_the_survey_misses(
    make_experiment: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    experiment = blinking(make_experiment, controls={"audit": AUDIT})
    result = run(experiment, tmp_path / "run", in_process=True)
    assert (result.outcome, result.exit_code) == ("completed", 0), result.reason
    seen = Run.open(result.folder)
    frames = [f for f in seen.frames if f["origin"] == "audit"]
    assert result.summary["frames"]["audit"] == len(frames) > 100
    assert {f["image"][:6] for f in frames} == {"audit_"}
    told = result.summary["controls"]["audit"]
    # a visit every 30 s shows what is bright for 8 s in about 8 of 30 cases
    low, high = told["interval"]
    assert low <= 1 - 8 / 30 <= high
    assert told["seen"] >= 6
    assert any("Audit: about 60 looks" in n for n in result.summary["notices"])
    print_summary(result.summary)
    shown = capsys.readouterr().out
    assert f"The survey missed about {100 * told['share']:.0f} %" in shown
    assert "by audit" in shown
    draw_summary(seen, tmp_path / "again.png")
    assert replay(result.folder).identical


def test_audit_looks_steer_nothing(make_experiment: Make, tmp_path: Path) -> None:
    mark = {"policy": "bookmark", "on": "flash"}
    bare = run(
        blinking(make_experiment, 25, response=[mark]),
        tmp_path / "bare",
        in_process=True,
    )
    audited = run(
        blinking(make_experiment, 25, response=[mark], controls={"audit": AUDIT}),
        tmp_path / "audited",
        in_process=True,
    )
    runs = [Run.open(bare.folder), Run.open(audited.folder)]
    looks = [{f["frame_id"] for f in r.frames if f["origin"] == "audit"} for r in runs]
    assert (len(looks[0]), len(looks[1]) > 50) == (0, True)
    audited_frames = [a for a in runs[1].analysed if a["frame_id"] in looks[1]]
    assert not any(a["decisions"] or a["occurrences"] for a in audited_frames)
    assert any(a.get("audited") for a in audited_frames)
    # the survey's own tracks go on as if there were no look
    tracks = [
        [(t["track_id"], t["frames"], t["baseline"]) for t in a["tracks"]]
        for r, look in zip(runs, looks, strict=True)
        for a in [next(a for a in reversed(r.analysed) if a["frame_id"] not in look)]
    ]
    assert tracks[0] == tracks[1]
    assert bare.summary["occurrences"] == audited.summary["occurrences"]


def test_looks_and_their_light_go_to_their_places_account(
    make_experiment: Make, tmp_path: Path
) -> None:
    audit = {"share": 0.9, "frames": 30, "interval_s": 0, "spread_s": 0}
    experiment = blinking(
        make_experiment,
        20,
        controls={"audit": audit},
        limits={"light_ms_percent": 45_000},
    )
    result = run(experiment, tmp_path / "run", in_process=True)
    seen = Run.open(result.folder)
    verdicts = result.summary["decisions"]["by_policy"]["audit"]
    assert (verdicts["granted"], verdicts["clipped"]) == (2, 2)
    assert max(f["light_ms_percent"] for f in seen.frames) <= 45_000
    # every look was charged: exposure × power of each of its frames
    looks = [f for f in seen.frames if f["origin"] == "audit"]
    light = result.summary["light_by_origin"]
    assert sum(by["audit"] for by in light.values()) == 1000 * len(looks)
    assert replay(result.folder).identical


def test_all_controls_of_one_run_are_told_and_replayed(
    make_experiment: Make, tmp_path: Path
) -> None:
    experiment = make_experiment(
        **DIVIDING,
        survey=apart(3, 25, 60),
        response=[
            BURST,
            {"policy": "series", "on": "mitosis", "interval_s": 20, "visits": 3},
        ],
        controls={
            "dark": "p2",
            "placebo": 0.1,
            "sham": 0.4,
            "audit": {"share": 0.1, "frames": 6, "interval_s": 5},
        },
    )
    result = run(experiment, tmp_path / "run", in_process=True)
    assert (result.outcome, result.exit_code) == ("completed", 0), result.reason
    told = result.summary["controls"]
    assert list(told) == ["dark", "audit", "placebo", "sham"]
    assert all(each["says"] for each in told.values())
    kinds = result.summary["frames"]
    assert all(kinds[origin] for origin in ("survey", "burst", "series", "audit"))
    assert replay(result.folder).identical


def test_a_killed_analysis_goes_on_with_its_controls(
    make_experiment: Make, tmp_path: Path
) -> None:
    experiment = make_experiment(
        rounds=20,
        detect={
            "model": "faulty_parts:Fails",
            "options": {"how": "dies", "first": 23, "last": 23},
        },
        analysis={
            "occurrences": {**HERE, "always": {**HERE["here"], "above": 1}},
            "restarts": 2,
        },
        response=[{**BURST, "on": ["here", "always"], "channel": "DAPI"}],
        controls={
            "placebo": 0.4,
            "sham": 0.3,
            "audit": {"share": 0.3, "frames": 3, "interval_s": 2, "spread_s": 5},
        },
    )
    result = run(experiment, tmp_path / "run")
    assert result.summary["counts"]["child_restarts"] == 1
    seen = Run.open(result.folder)
    by_policy = result.summary["decisions"]["by_policy"]
    assert {"placebo of burst", "audit"} <= by_policy.keys()
    granted = [d["decision_id"] for d in seen.decisions if d["granted"]]
    assert sorted(o["decision_id"] for o in seen.outcomes) == sorted(granted)
    assert replay(result.folder).identical


def test_the_demo_of_controls_can_run(tmp_path: Path) -> None:
    demo = Path(__file__).parents[2] / "demos" / "controls.yaml"
    experiment = Experiment.load(demo)
    keys = {"specimen": experiment.specimen, "limits": experiment.limits}
    with open_microscope(experiment.microscope, **keys) as scope:
        checked = check(experiment, scope, tmp_path / "run")
    # 8 lit places in 50 rounds, 2 dark ones in the last
    assert checked.frames == 402
    assert len(experiment.dark_places()) == 2
    assert [p.label for p in experiment.policies] == [
        "burst",
        "placebo of burst",
        "audit",
    ]
