"""Properties, power and regions in whole runs: done, told, stored, replayed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaozarrs

from smartscope.acquisition import Frame
from smartscope.loop import run
from smartscope.loop.run_loop import RunLoop
from smartscope.microscope import open_microscope
from smartscope.replay import replay
from smartscope.settings import Experiment
from smartscope.signals import RunSignals
from smartscope.storage import Run, RunFolder

DEMOS = Path(__file__).parents[2] / "demos"
Make = Callable[..., Experiment]
HERE = {"here": {"kind": "count", "above": 0, "frames": 1, "of": 1}}
PATH = {"policy": "set_property", "on": "here", "device": "Path", "property": "State"}


def outcomes_of(seen: Run, kind: str) -> list[dict[str, Any]]:
    ids = {
        d["decision_id"]
        for d in seen.decisions
        if (d["granted"] or {}).get("kind") == kind
    }
    return [o for o in seen.outcomes if o["decision_id"] in ids]


def test_a_property_is_set_at_a_hit_and_set_back(
    make_experiment: Make, tmp_path: Path
) -> None:
    experiment = make_experiment(
        places=1,
        analysis={"occurrences": HERE},
        response=[{**PATH, "value": 2, "back_after_s": 15}],
    )
    result = run(experiment, tmp_path / "run")
    assert (result.outcome, result.exit_code) == ("completed", 0), result.reason
    seen = Run.open(result.folder)
    told = outcomes_of(seen, "set_property")
    assert [(o["status"], o["reason"], o["frames"]) for o in told] == [
        ("done", "'State' of 'Path': 0 to 2, after 15 s, back to 0", 0)
    ]
    (began,) = [d for d in seen.decisions if d["granted"]]
    assert 15 <= told[0]["time_s"] - began["time_s"] < 20
    assert result.summary["frames"]["survey"] == 6
    assert replay(result.folder).identical


def test_a_run_that_is_stopped_sets_back_what_was_set_for_a_time(
    make_experiment: Make, tmp_path: Path
) -> None:
    experiment = make_experiment(
        rounds=200,
        places=1,
        analysis={"occurrences": HERE},
        response=[{**PATH, "value": 2, "back_after_s": 1e6}],
    )
    now: list[int] = []
    with open_microscope("simulated", specimen=experiment.specimen) as scope:
        folder = RunFolder.create(tmp_path / "run", "test", need_mb=0)
        signals = RunSignals()
        loop = RunLoop(experiment, scope, folder, in_process=True, signals=signals)

        def stop(_: Frame) -> None:
            now.append(int(scope.core.getProperty("Path", "State")))
            if len(now) == 5:
                loop.stop("enough")

        signals.frameAcquired.connect(stop)
        loop.run()
        assert int(scope.core.getProperty("Path", "State")) == 0
        loop.journal.close()
    assert 2 in now
    (told,) = outcomes_of(Run.open(folder.path), "set_property")
    assert told["status"] == "done"
    assert told["reason"] == "'State' of 'Path': 0 to 2, back at the end of the run"


def test_a_property_that_may_not_be_set_is_refused_with_its_reason(
    make_experiment: Make, tmp_path: Path
) -> None:
    experiment = make_experiment(
        rounds=1,
        places=1,
        response=[{"policy": "faulty_parts:SetsAnything"}],
    )
    result = run(experiment, tmp_path / "run", in_process=True)
    decided = Run.open(result.folder).decisions
    assert [(d["verdict"], d["reason"].split(" by ")[0]) for d in decided] == [
        ("refused", "'State' of 'Emission' is not declared in limits.properties"),
        ("refused", "'State' of 'Path' may be 0 to 2"),
        ("clipped", "'State' of 'Path' 7 to 2"),
    ]
    assert replay(result.folder).identical


def test_power_is_preferred_and_the_account_is_right(
    make_experiment: Make, tmp_path: Path
) -> None:
    experiment = make_experiment(
        rounds=8,
        detect={"model": "dog", "min_distance_um": 6},
        analysis={"channel": "FITC", "occurrences": {"here": {"kind": "appear"}}},
        response=[
            {
                "policy": "adapt_exposure",
                "prefer": "power",
                "target_snr": 3,
                "power_percent": [20, 100],
                "exposure_ms": [2, 20],
            },
            {"policy": "burst", "on": "here", "frames": 4, "cool_down_s": 1000},
        ],
        specimen={"cells": 60},
    )
    result = run(experiment, tmp_path / "run")
    assert (result.outcome, result.exit_code) == ("completed", 0), result.reason
    seen = Run.open(result.folder)
    powers = [f["state"]["power_percent"] for f in seen.frames]
    assert min(powers) == 20  # the signal is far better than was asked for
    survey = [f for f in seen.frames if f["origin"] == "survey"]
    # the power goes down first, and the exposure stays until it is at its end
    longest = max(f["state"]["exposure_ms"] for f in survey)
    assert all(
        f["state"]["power_percent"] == 20
        for f in survey
        if f["state"]["exposure_ms"] < longest
    )
    assert min(f["state"]["exposure_ms"] for f in survey) < longest
    charged = sum(
        f["state"]["power_percent"] * f["state"]["exposure_ms"] for f in seen.frames
    )
    content = json.loads((result.folder / "run.json").read_text(encoding="utf-8"))
    assert content["light_ms_percent"] == pytest.approx(charged)
    assert replay(result.folder).identical


@pytest.mark.parametrize(
    "policy",
    [
        {"policy": "burst", "frames": 6},
        {"policy": "series", "interval_s": 3, "visits": 5},
    ],
)
def test_a_region_about_a_cell_is_an_image_of_its_own_at_its_own_place(
    make_experiment: Make, tmp_path: Path, policy: dict[str, Any]
) -> None:
    experiment = make_experiment(
        rounds=5,
        places=1,
        interval_s=20,
        specimen={"cells": 150, "time_scale": 1},
        detect={"model": "dog", "min_distance_um": 6},
        analysis={"channel": "FITC", "occurrences": HERE, "bursts": True},
        response=[{**policy, "on": "here", "roi_um": 150}],
    )
    result = run(experiment, tmp_path / "run")
    assert (result.outcome, result.exit_code) == ("completed", 0), result.reason
    seen = Run.open(result.folder)
    parts = [f for f in seen.frames if f["origin"] == policy["policy"]]
    side = int(np.ceil(150 / 0.65))
    assert len(parts) >= 5
    assert {tuple(f["shape"]) for f in parts} == {(side, side)}
    assert {f["image"] for f in parts}.isdisjoint({"survey_p0"})
    assert all(f["state"]["field_px"] == [512, 512] for f in parts)
    for image in {f["image"] for f in parts}:
        yaozarrs.validate_zarr_store(str(result.folder / "raw.ome.zarr" / image))
    for header in parts:
        assert seen.read(header["frame_id"]).shape == (side, side)
    after = [f for f in seen.frames if f["frame_id"] > parts[0]["frame_id"]]
    whole = [f for f in after if f["origin"] == "survey"]
    assert whole
    assert {tuple(f["shape"]) for f in whole} == {(512, 512)}
    # what is true of the whole field is not asked of a part of it
    assert len(seen.occurrences) == 1
    # a cell that is tracked through both is where it was: nothing jumps by an offset
    jumps = _moves_between(seen, {f["frame_id"] for f in parts})
    assert len(jumps) >= 3
    assert np.median(jumps) < 2.0
    assert replay(result.folder).identical


def test_a_camera_of_micro_manager_reads_its_region_in_a_whole_run(
    make_experiment: Make, tmp_path: Path
) -> None:
    pytest.importorskip("mm_test_adapters", reason="needs the extra 'demo'")
    experiment = make_experiment(
        rounds=2,
        places=1,
        interval_s=0,
        analysis={"occurrences": HERE, "bursts": True},
        response=[
            {"policy": "burst", "on": "here", "frames": 5, "roi_um": 90},
            {**PATH, "value": 1, "priority": 1},
        ],
        microscope="demo",
        specimen={},
    )
    result = run(experiment, tmp_path / "run", in_process=True)
    assert (result.outcome, result.exit_code) == ("completed", 0), result.reason
    seen = Run.open(result.folder)
    pixel_um = seen.frames[0]["state"]["pixel_size_um"]
    side = int(np.ceil(90 / pixel_um))
    shapes = [tuple(f["shape"]) for f in seen.frames]
    assert shapes == [(512, 512), *[(side, side)] * 5, (512, 512)]
    (told,) = outcomes_of(seen, "set_property")
    assert (told["status"], told["reason"]) == ("done", "'State' of 'Path': 0 to 1")
    # the one thing there is in the middle of each frame, as both of them say
    at = [(d["x_um"], d["y_um"]) for line in seen.analysed for d in _found(line)]
    assert len(at) == 7
    np.testing.assert_allclose(at, [at[0]] * 7, atol=pixel_um)
    assert replay(result.folder).identical


def test_the_demo_reads_little_and_is_dim(tmp_path: Path) -> None:
    result = run(DEMOS / "small_and_dim.yaml", tmp_path / "run")
    assert (result.outcome, result.exit_code) == ("completed", 0), result.reason
    seen = Run.open(result.folder)
    bursts = [f for f in seen.frames if f["origin"] == "burst"]
    survey = [f for f in seen.frames if f["origin"] == "survey"]
    assert len(bursts) >= 30
    assert {tuple(f["shape"]) for f in bursts} == {(124, 124)}
    # a burst has the power of the frame it was granted for
    last: dict[str, float] = {}
    for frame in seen.frames:
        power = frame["state"]["power_percent"]
        if frame["origin"] == "survey":
            last[frame["place"]] = power
        else:
            assert power == last[frame["place"]]
    lit = sum(f["state"]["power_percent"] for f in survey) / len(survey)
    assert lit < 25
    told = outcomes_of(seen, "set_property")
    assert len(told) >= 2
    assert {o["reason"] for o in told} == {
        "'State' of 'Path': 0 to 1, after 20 s, back to 0"
    }
    content = json.loads((result.folder / "run.json").read_text(encoding="utf-8"))
    assert content["scores"]["precision"] == 1
    assert replay(result.folder).identical


def _found(line: dict[str, Any]) -> list[dict[str, float]]:
    return [{"x_um": x, "y_um": y} for x, y in line["detections"]["centers_um"]]


def _moves_between(seen: Run, parts: set[int]) -> list[float]:
    """Return how far (µm) tracks move between a frame of a region and one of all."""
    last: dict[int, tuple[bool, float, float]] = {}
    moved = []
    for line in seen.analysed:
        is_part = line["frame_id"] in parts
        for track in line["tracks"]:
            if track["missed"]:
                continue
            here = (is_part, track["x_um"], track["y_um"])
            before = last.get(track["track_id"])
            if before is not None and before[0] != is_part:
                moved.append(float(np.hypot(here[1] - before[1], here[2] - before[2])))
            last[track["track_id"]] = here
    return moved
