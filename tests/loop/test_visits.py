"""Visits in whole runs: screened at low, revisited at high magnification."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaozarrs
from scipy import ndimage

from smartscope.acquisition import Frame
from smartscope.loop import run
from smartscope.microscope import Microscope
from smartscope.replay import replay
from smartscope.settings import Experiment
from smartscope.signals import RunSignals
from smartscope.storage import Run

Make = Callable[..., Experiment]
LOW, HIGH = "Nikon 10X S Fluor", "Nikon 40X Plan Fluor ELWD"
HERE = {"here": {"kind": "count", "above": 0, "frames": 1, "of": 1}}
VISIT: dict[str, Any] = {
    "policy": "visit",
    "on": "here",
    "objective": HIGH,
    "channels": ["FITC", "DAPI"],
    "exposure_ms": 20,
    "z_planes": 3,
}
DEMO = Path(__file__).parents[2] / "demos" / "screen_and_revisit.yaml"


def done(seen: Run) -> list[dict[str, Any]]:
    return [dict(o) for o in seen.outcomes if o["status"] == "done"]


def test_hits_are_revisited_after_the_round_and_stored_as_images(
    make_experiment: Make, tmp_path: Path
) -> None:
    experiment = make_experiment(
        rounds=3,
        places=3,
        analysis={"occurrences": HERE},
        response=[VISIT],
        limits={"light_ms_percent": 40_000},
    )
    result = run(experiment, tmp_path / "run")
    seen = Run.open(result.folder)
    assert (result.outcome, result.exit_code) == ("completed", 0), result.reason
    wished = [d["decision_id"] for d in seen.decisions]
    assert Counter(o["decision_id"] for o in seen.outcomes) == Counter(wished)
    assert [(o["status"], o["frames"]) for o in seen.outcomes] == [("done", 6)] * 3
    frames = [f for f in seen.frames if f["origin"] == "visit"]
    assert len(frames) == 18 == result.summary["frames"]["visit"]
    assert {f["state"]["objective"] for f in frames} == {HIGH}
    assert {f["state"]["pixel_size_um"] for f in frames} == {0.1625}
    survey = [f for f in seen.frames if f["origin"] == "survey"]
    assert len(survey) == 9
    assert {f["state"]["objective"] for f in survey} == {LOW}
    # all of the first round, the tour, then the rest
    order = [f["origin"] for f in seen.frames]
    assert order == ["survey"] * 3 + ["visit"] * 18 + ["survey"] * 6
    assert {a["frame_id"] for a in seen.analysed} == {f["frame_id"] for f in survey}
    # the middle of the planes is where it was seen, and what is seen has stayed there
    wishes = {d["decision_id"]: d["granted"] for d in seen.decisions}
    for frame in frames:
        wish, state = wishes[frame["decision_id"]], frame["state"]
        assert (state["x_um"], state["y_um"]) == (wish["x_um"], wish["y_um"])
        assert state["measured"]["x_um"] == pytest.approx(wish["x_um"], abs=0.5)
    image = Path(result.folder) / "raw.ome.zarr" / "visit_0001"
    yaozarrs.validate_zarr_store(str(image))
    array = json.loads((image / "0" / "zarr.json").read_text(encoding="utf-8"))
    assert array["shape"][:3] == [1, 2, 3]
    told = json.loads((image / "zarr.json").read_text(encoding="utf-8"))["attributes"]
    (scale,) = [
        t["scale"]
        for t in told["ome"]["multiscales"][0]["datasets"][0][
            "coordinateTransformations"
        ]
        if t["type"] == "scale"
    ]
    assert scale[-3:] == [1.0, 0.1625, 0.1625]
    assert told["smartscope"]["objective"] == HIGH
    says = result.summary["visits"]["visit"]["says"]
    assert "3 of 3 hits visited (p0 1, p1 1, p2 1)" in says
    assert replay(result.folder).identical


def test_on_a_plate_wells_have_equal_shares_by_condition(
    make_experiment: Make, tmp_path: Path
) -> None:
    plate = {
        "plate": {"rows": 2, "columns": 2, "well_spacing": 0.6, "well_size": 0.5},
        "a1_center_xy": [-300, 300],
        "selected_wells": [[0, 0, 1, 1], [0, 1, 0, 1]],
        "well_points_plan": {
            "rows": 1,
            "columns": 2,
            "fov_width": 200,
            "fov_height": 200,
        },
    }
    experiment = make_experiment(
        analysis={"occurrences": HERE},
        response=[
            {
                **VISIT,
                "z_planes": 1,
                "channels": [],
                "most": 3,
                "groups": {"control": ["A1"], "drug": ["B1", "B2"]},
            }
        ],
    )
    survey = {**experiment.model_dump(mode="json")["survey"], "stage_positions": plate}
    content = {**experiment.model_dump(mode="json"), "survey": survey}
    result = run(Experiment.parse(content), tmp_path / "run", in_process=True)
    assert result.outcome == "completed", result.reason
    seen = Run.open(result.folder)
    assert len({f["place"] for f in seen.frames}) == 8, "two points in each of 4 wells"
    reasons = Counter(o["reason"].partition(":")[0] for o in seen.outcomes)
    # p2, p3 lie in A2, which is in no group
    assert reasons["quota"] == 2
    visits = result.summary["visits"]["visit"]
    assert visits["made"] == 3
    assert abs(visits["by_group"]["control"] - visits["by_group"]["drug"]) == 1
    assert len(done(seen)) + sum(visits["not_made"].values()) == len(seen.decisions)
    assert "p2" in " ".join(result.summary["notices"])
    assert replay(result.folder).identical


def test_what_the_limits_of_the_objective_forbid_is_told_and_the_tour_goes_on(
    make_experiment: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment = make_experiment(
        rounds=2,
        places=3,
        analysis={"occurrences": HERE},
        # the survey's fields fit; the offset of the objective brings p2 out
        limits={"x_um": [-5000, 610]},
        response=[{**VISIT, "field_um": 80}],
    )
    # what is known before is refused before; here the core has the last word
    check = sys.modules["smartscope.preflight.check"]
    monkeypatch.setattr(check, "wrong_visits", lambda *_: ())
    result = run(experiment, tmp_path / "run", in_process=True)
    seen = Run.open(result.folder)
    status = {
        d["granted"]["place"]: o
        for o in seen.outcomes
        for d in seen.decisions
        if d["decision_id"] == o["decision_id"]
    }
    assert {p: o["status"] for p, o in status.items()} == {
        "p0": "done",
        "p1": "done",
        "p2": "refused",
    }
    assert "x_um = 612 is outside" in status["p2"]["reason"]
    survey = [f["state"] for f in seen.frames if f["origin"] == "survey"]
    assert len(survey) == 6
    assert {s["objective"] for s in survey} == {LOW}


def test_in_shadow_nothing_is_turned(make_experiment: Make, tmp_path: Path) -> None:
    experiment = make_experiment(
        rounds=2, analysis={"occurrences": HERE}, response=[VISIT], shadow=True
    )
    result = run(experiment, tmp_path / "run", in_process=True)
    seen = Run.open(result.folder)
    assert {d["verdict"] for d in seen.decisions} == {"shadowed"}
    assert {f["state"]["objective"] for f in seen.frames} == {LOW}


def test_a_run_that_is_stopped_in_a_tour_turns_back(
    make_experiment: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stood: list[tuple[str, float]] = []
    close = Microscope.close

    def look_and_close(scope: Microscope) -> None:
        if not stood:
            core = scope.core
            stood.append((str(core.getStateLabel("Objective")), core.getPosition()))
        close(scope)

    monkeypatch.setattr(Microscope, "close", look_and_close)
    pressed: list[bool] = []

    def press(frame: Frame) -> None:
        if frame.origin == "visit" and not pressed:
            pressed.append(True)
            os.kill(os.getpid(), signal.SIGINT)

    signals = RunSignals()
    signals.frameAcquired.connect(press)
    experiment = make_experiment(
        rounds=2,
        places=3,
        analysis={"occurrences": HERE},
        response=[{**VISIT, "frames": 50, "when": {"hits": 2}}],
    )
    result = run(experiment, tmp_path / "run", in_process=True, signals=signals)
    assert (result.outcome, result.exit_code) == ("stopped", 130)
    assert stood == [(LOW, pytest.approx(0.0, abs=0.1))]
    seen = Run.open(result.folder)
    granted = [d["decision_id"] for d in seen.decisions]
    assert sorted(o["decision_id"] for o in seen.outcomes) == sorted(granted)
    assert {o["status"] for o in seen.outcomes} <= {"failed", "stale"}
    assert any(f["origin"] == "visit" for f in seen.frames)


def off_middle_um(seen: Run, header: Any) -> float:
    """Return how far the brightest thing near the middle is from it."""
    pixels = ndimage.gaussian_filter(seen.read(header["frame_id"]).astype(float), 4)
    rows, columns = (n // 2 for n in pixels.shape)
    near = pixels[rows - 100 : rows + 100, columns - 100 : columns + 100]
    bright, _ = ndimage.label(near > (np.median(pixels) + near.max()) / 2)
    # the thing in the middle, else the nearest one
    centres = ndimage.center_of_mass(near, bright, range(1, bright.max() + 1))
    off_px = min(np.hypot(r - 99.5, c - 99.5) for r, c in centres)
    return float(off_px * header["state"]["pixel_size_um"])


def test_the_demo_visits_the_right_cells_and_has_them_in_the_middle(
    tmp_path: Path,
) -> None:
    result = run(DEMO, tmp_path / "run")
    assert result.outcome == "completed", result.reason
    seen = Run.open(result.folder)
    visits = result.summary["visits"]["visit"]
    assert visits["made"] == 12
    assert visits["by_group"] == {"control": 6, "drug": 6}
    assert visits["true"] == 12, "each was truly rounding up"
    assert set(visits["not_made"]) <= {"quota", "balance", "same spot", "stale"}
    middles = [
        f
        for f in seen.frames
        if f["origin"] == "visit" and tuple(f["index"][1:]) == (0, 2)
    ]
    off = [off_middle_um(seen, header) for header in middles]
    assert len(off) == 12
    # the field at 40x is 83 µm wide
    assert max(off) < 1.0
    assert replay(result.folder).identical
