"""The circle on the simulated microscope: acquired, stored, decided, repeated."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from smartscope.loop import RunResult, run
from smartscope.settings import Experiment
from smartscope.storage import Run

HERE = Path(__file__).parent
Make = Callable[..., Experiment]
BURST = {"policy": "faulty_parts:Wishes", "options": {"what": "burst"}}
MOVE = {"policy": "faulty_parts:Wishes", "name": "mover", "options": {"what": "move"}}
LONGER = {
    "policy": "faulty_parts:Wishes",
    "name": "longer",
    "options": {"what": "exposure"},
}


def opened(result: RunResult) -> Run:
    return Run.open(result.folder)


def told(run: Run) -> list[Any]:
    """Return what was decided and found, without what a wall clock says."""
    decisions = [
        {k: v for k, v in d.items() if k != "handed_over_s"} for d in run.decisions
    ]
    found = [(a["frame_id"], a["detections"], a["tracks"]) for a in run.analysed]
    return [decisions, found]


@pytest.mark.parametrize("in_process", [True, False], ids=["inline", "child"])
def test_every_frame_is_stored_in_order_and_readable(
    make_experiment: Make, tmp_path: Path, in_process: bool
) -> None:
    experiment = make_experiment(response=[BURST])
    result = run(experiment, tmp_path / "run", in_process=in_process)
    seen = opened(result)
    assert (result.outcome, result.exit_code) == ("completed", 0), result.reason
    assert [f["frame_id"] for f in seen.frames] == list(range(len(seen.frames)))
    assert result.summary["counts"]["frames_acquired"] == len(seen.frames)
    bursts = [f for f in seen.frames if f["origin"] == "burst"]
    survey = [f for f in seen.frames if f["origin"] == "survey"]
    assert len(survey) == 12
    assert bursts
    assert len(bursts) % 5 == 0
    for header in seen.frames:
        assert seen.read(header["frame_id"]).shape == tuple(header["shape"])
    assert {a["frame_id"] for a in seen.analysed} == {f["frame_id"] for f in survey}


def test_every_granted_decision_has_one_outcome(
    make_experiment: Make, tmp_path: Path
) -> None:
    experiment = make_experiment(response=[BURST, MOVE, LONGER])
    seen = opened(run(experiment, tmp_path / "run", in_process=True))
    granted = [d["decision_id"] for d in seen.decisions if d["granted"] is not None]
    outcomes = [o["decision_id"] for o in seen.outcomes]
    assert granted
    assert sorted(outcomes) == sorted(granted)


def test_virtual_time_repeats_exactly(make_experiment: Make, tmp_path: Path) -> None:
    experiment = make_experiment(
        rounds=12, interval_s=60, detect="dog", response=[BURST, MOVE, LONGER], seed=3
    )
    first = opened(run(experiment, tmp_path / "a"))
    second = opened(run(experiment, tmp_path / "b", in_process=True))
    assert told(first) == told(second)
    assert len(first.frames) == len(second.frames)
    for header in first.frames:
        frame_id = header["frame_id"]
        assert np.array_equal(first.read(frame_id), second.read(frame_id))
        assert header["time_s"] == second.header(frame_id)["time_s"]


def test_another_seed_gives_another_specimen(
    make_experiment: Make, tmp_path: Path
) -> None:
    runs = [
        opened(run(make_experiment(rounds=1, seed=seed), tmp_path / str(seed)))
        for seed in (1, 2)
    ]
    assert not np.array_equal(runs[0].read(0), runs[1].read(0))


def test_shadow_decides_and_moves_nothing(
    make_experiment: Make, tmp_path: Path
) -> None:
    experiment = make_experiment(response=[BURST, MOVE])
    seen = opened(run(experiment, tmp_path / "run", shadow=True, in_process=True))
    assert seen.decisions
    assert {d["verdict"] for d in seen.decisions} <= {"shadowed", "superseded"}
    assert not seen.outcomes
    assert {f["origin"] for f in seen.frames} == {"survey"}
    assert {f["state"]["x_um"] for f in seen.frames} == {0.0, 300.0}


def test_a_move_counts_from_the_next_visit(
    make_experiment: Make, tmp_path: Path
) -> None:
    experiment = make_experiment(places=1, response=[MOVE])
    seen = opened(run(experiment, tmp_path / "run", in_process=True))
    xs = [f["state"]["x_um"] for f in seen.frames]
    # wished on frame 4 (every 4th from the 2nd on), so frame 5 is the first one there
    assert xs == [0, 0, 0, 0, 0, 5]


def test_the_light_is_out_afterwards(make_experiment: Make, tmp_path: Path) -> None:
    from smartscope.microscope import Microscope

    states: list[bool] = []
    close = Microscope.close

    def look_then_close(scope: Microscope) -> None:
        if not scope._closed:
            states.append(any_light(scope))
        close(scope)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Microscope, "close", look_then_close)
        run(make_experiment(response=[BURST]), tmp_path / "run", in_process=True)
    assert states == [False]


def any_light(scope: Any) -> bool:
    """Return whether any shutter of a microscope is open or its camera runs."""
    from pymmcore_plus import DeviceType

    core = scope.core
    shutters = core.getLoadedDevicesOfType(DeviceType.Shutter)
    return any(core.getShutterOpen(s) for s in shutters) or core.isSequenceRunning()


def test_the_setup_of_a_survey_is_run(make_experiment: Make, tmp_path: Path) -> None:
    experiment = make_experiment(rounds=1, places=1)
    content = experiment.model_dump(mode="json")
    content["survey"]["setup"] = {"properties": [["Light", "Power", "25"]]}
    seen = opened(run(Experiment.parse(content), tmp_path / "run", in_process=True))
    assert {f["state"]["power_percent"] for f in seen.frames} == {25.0}


def test_a_run_leaves_nothing_in_memory(make_experiment: Make, tmp_path: Path) -> None:
    import gc

    from smartscope.acquisition import SmartEngine
    from smartscope.loop import RunLoop

    def held() -> int:
        gc.collect()
        # not isinstance: it asks objects of other libraries, and some of them warn
        wanted = (RunLoop, SmartEngine)
        return sum(issubclass(type(o), wanted) for o in gc.get_objects())

    before = held()
    run(make_experiment(rounds=1), tmp_path / "run", in_process=True)
    assert held() <= before


def test_a_replay_finds_the_policy_that_lay_beside_the_experiment(
    make_experiment: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from smartscope.replay import replay

    result = run(make_experiment(response=[BURST]), tmp_path / "run", in_process=True)
    monkeypatch.setattr(sys, "path", [p for p in sys.path if p != str(HERE)])
    monkeypatch.delitem(sys.modules, "faulty_parts")
    replayed = replay(result.folder)
    assert replayed.identical
    assert replayed.decisions
