"""One run with every built-in policy and every control; it replays to the same.

A policy or control that is new has no place in the experiment here and fails the test.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from smartscope.acquisition import Frame
from smartscope.loop import run
from smartscope.replay import replay
from smartscope.response import BUILT_IN, LET_THROUGH
from smartscope.settings import ControlsSettings, Experiment
from smartscope.signals import RunSignals
from smartscope.storage import Run

Make = Callable[..., Experiment]
OCCURRENCES = {
    "wandered": {"kind": "displacement", "above": 2, "refractory_s": 60},
    "here": {"kind": "count", "above": 0, "frames": 1, "of": 1},
}
POLICIES: dict[str, dict[str, Any]] = {
    "follow": {"choose": "brightest", "priority": 3},
    "burst": {"on": "wandered", "frames": 3, "cool_down_s": 40, "priority": 2},
    "adapt_exposure": {"target_snr": 40, "exposure_ms": [5, 40]},
    "interval": {"on": "wandered", "slow_s": 20, "fast_s": 8, "stay_s": 30},
    "series": {
        "on": "wandered",
        "interval_s": 15,
        "visits": 5,
        "parallel": 2,
        "cool_down_s": 60,
    },
    "pause": {"on": "here", "for_s": 15},
    "set_property": {
        "on": "here",
        "device": "Path",
        "property": "State",
        "value": 2,
        "back_after_s": 30,
    },
    "stimulate": {
        "on": "wandered",
        "radius_um": 7,
        "channel": "Stimulation",
        "exposure_ms": 50,
    },
    "visit": {
        "on": "wandered",
        "objective": "Nikon 40X Plan Fluor ELWD",
        "exposure_ms": 20,
        "most": 3,
    },
    "end_survey": {"on": "wandered", "after": 20},
    "pre_trigger": {"on": "wandered", "before": 2, "after": 2},
    "bookmark": {"on": "here"},
    "notify": {"on": "here", "call": "faulty_parts:note"},
    "autofocus": {
        "on": "here",
        "method": "image",
        "range_um": 6,
        "step_um": 3,
        "exposure_ms": 10,
    },
}
CONTROLS: dict[str, Any] = {
    "dark": ["p2"],
    "placebo": 0.45,
    "sham": 0.3,
    "audit": {"share": 0.1, "frames": 3, "interval_s": 1, "spread_s": 5},
}


def test_every_policy_and_control_has_a_place_in_the_experiment() -> None:
    assert set(POLICIES) == set(BUILT_IN)
    fields = ControlsSettings.model_fields
    # this one says how they are read
    asked_for = {k for k, field in fields.items() if field.default is None}
    assert set(CONTROLS) == asked_for - {"within_um"}


@pytest.fixture
def everything(
    make_experiment: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Experiment:
    monkeypatch.setenv("NOTED", str(tmp_path / "noted.txt"))
    return make_experiment(
        detect="dog",
        specimen={"cells": 60, "area_um": [1800, 300], "speed_um_per_min": 3},
        survey={
            "axis_order": "tpc",
            "stage_positions": [[700 * i - 700, 0, 0] for i in range(3)],
            "channels": [{"config": "FITC", "exposure": 10}],
            "time_plan": {"interval": 20, "loops": 18},
        },
        analysis={"occurrences": OCCURRENCES},
        response=[
            *({"policy": name, **more} for name, more in POLICIES.items()),
            {"policy": "faulty_parts:Wishes", "options": {"every": 9}, "name": "own"},
        ],
        controls=CONTROLS,
        longest_wait_s=20,
    )


def used_all(seen: Run) -> None:
    """Every policy was let through, every control was there."""
    let_through = [d for d in seen.decisions if d["verdict"] in LET_THROUGH]
    missing = {*POLICIES, "own"} - {d["policy"] for d in let_through}
    assert not missing
    assert any(d["verdict"] == "sham" for d in seen.decisions)
    assert any("placebo" in d["policy"] for d in let_through)
    taken = {str(f["origin"]) for f in seen.frames}
    assert taken >= {
        "survey", "burst", "series", "audit", "stimulation", "visit", "focus"
    }  # fmt: skip
    survey = [f for f in seen.frames if f["origin"] == "survey"]
    closing = max(f["index"][0] for f in survey)
    dark = [f for f in seen.frames if f["place"] == "p2"]
    assert [f["index"][0] for f in survey if f["place"] == "p2"] == [closing]
    assert dark[0]["origin"] == "survey"


@pytest.mark.timeout(240)
def test_a_run_with_every_reaction_replays_to_the_same(
    everything: Experiment, tmp_path: Path
) -> None:
    result = run(everything, tmp_path / "run")
    assert result.exit_code == 0, result.reason
    seen = Run.open(result.folder)
    used_all(seen)
    replayed = replay(result.folder)
    assert replayed.identical, replayed.first_difference
    assert replayed.compared == len(seen.analysed)
    assert replayed.decisions == len(seen.decisions)


@pytest.mark.timeout(240)
@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL is of POSIX")
def test_it_does_so_after_the_analysis_was_killed_in_the_middle(
    everything: Experiment, tmp_path: Path
) -> None:
    signals = RunSignals()

    def kill(frame: Frame) -> None:
        if frame.frame_id != 45:
            return
        for child in psutil.Process().children():
            if child.status() == psutil.STATUS_ZOMBIE:  # of another test
                continue
            if "analysis_process" in " ".join(child.cmdline()):
                os.kill(child.pid, signal.SIGKILL)

    signals.frameAcquired.connect(kill)
    result = run(everything, tmp_path / "run", signals=signals)
    seen = Run.open(result.folder)
    assert result.summary["counts"]["child_restarts"] == 1
    (restart,) = [line for line in seen.inputs if line["input"] == "restart"]
    assert restart["seed"]["decisions"]
    replayed = replay(result.folder)
    assert replayed.identical, replayed.first_difference
    assert replayed.compared == len(seen.analysed)
    assert replayed.decisions == len(seen.decisions)
