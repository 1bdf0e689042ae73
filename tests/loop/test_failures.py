"""What breaks in mid-run: the survey goes on, or the run ends with its data kept."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from smartscope.errors import Refused
from smartscope.loop import RunLoop, run
from smartscope.microscope import Microscope, open_microscope
from smartscope.settings import Experiment
from smartscope.storage import Run, RunFolder

Make = Callable[..., Experiment]
ROUNDS, PLACES = 8, 2


@pytest.fixture
def dark_after(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Collect, at each close of a microscope, whether any light was still on."""
    from pymmcore_plus import DeviceType

    lit: list[bool] = []
    close = Microscope.close

    def look(scope: Microscope) -> None:
        if not scope._closed:
            core = scope.core
            shutters = core.getLoadedDevicesOfType(DeviceType.Shutter)
            lit.append(
                any(core.getShutterOpen(s) for s in shutters)
                or core.isSequenceRunning()
            )
        close(scope)

    monkeypatch.setattr(Microscope, "close", look)
    return lit


def whole(run_: Run) -> None:
    """All frames of the survey were acquired, stored and can be read."""
    survey = [f for f in run_.frames if f["origin"] == "survey"]
    assert len(survey) == ROUNDS * PLACES
    assert [f["frame_id"] for f in run_.frames] == list(range(len(run_.frames)))
    for header in run_.frames:
        run_.read(header["frame_id"])


@pytest.mark.parametrize("how", ["raises", "nan", "hangs", "dies"])
def test_a_detector_that_fails(
    make_experiment: Make, tmp_path: Path, dark_after: list[bool], how: str
) -> None:
    experiment = make_experiment(
        rounds=ROUNDS,
        places=PLACES,
        detect={"model": "faulty_parts:Fails", "options": {"how": how, "last": 4}},
        analysis={"timeout_s": 2},
    )
    result = run(experiment, tmp_path / "run")
    seen = Run.open(result.folder)
    whole(seen)
    assert (result.outcome, result.exit_code) == ("degraded", 3)
    assert result.summary["counts"]["frames_failed"] == 1
    restarts = result.summary["counts"].get("child_restarts", 0)
    assert restarts == (1 if how in ("hangs", "dies") else 0)
    assert any("first on frame 4" in note["text"] for note in seen.notes)
    assert dark_after == [False]


def test_a_detector_that_never_works_again(
    make_experiment: Make, tmp_path: Path, dark_after: list[bool]
) -> None:
    experiment = make_experiment(
        rounds=ROUNDS,
        places=PLACES,
        detect={"model": "faulty_parts:Fails", "options": {"how": "dies", "last": 99}},
        analysis={"timeout_s": 2, "restarts": 1},
    )
    result = run(experiment, tmp_path / "run")
    seen = Run.open(result.folder)
    whole(seen)
    assert result.exit_code == 3
    counts = result.summary["counts"]
    analysed = counts["frames_analysed"] + counts["frames_failed"]
    assert analysed + counts["frames_skipped"] == counts["frames_acquired"]
    assert counts["child_restarts"] == 1
    assert dark_after == [False]


@pytest.mark.parametrize(
    ("rule", "last_x_um"), [("stand_off", 5.0), ("fall_back", 0.0)]
)
def test_what_it_has_changed_stays_or_falls_back(
    make_experiment: Make, tmp_path: Path, rule: str, last_x_um: float
) -> None:
    experiment = make_experiment(
        rounds=ROUNDS,
        places=1,
        detect={"model": "faulty_parts:Fails", "options": {"how": "dies", "last": 99}},
        analysis={"timeout_s": 2, "restarts": 0, "on_failure": rule},
        response=[
            {
                "policy": "faulty_parts:Wishes",
                "options": {"what": "move", "first": 2, "every": 2},
            }
        ],
    )
    seen = Run.open(run(experiment, tmp_path / "run").folder)
    assert seen.header(3)["state"]["x_um"] == 5.0
    assert seen.frames[-1]["state"]["x_um"] == last_x_um


@pytest.mark.parametrize(("what", "restarts"), [("raises", 0), ("hangs", 1)])
def test_a_policy_that_fails(
    make_experiment: Make,
    tmp_path: Path,
    dark_after: list[bool],
    what: str,
    restarts: int,
) -> None:
    experiment = make_experiment(
        rounds=ROUNDS,
        places=PLACES,
        analysis={"timeout_s": 2},
        response=[
            {
                "policy": "faulty_parts:Wishes",
                "options": {"what": what, "first": 4, "every": 99},
            },
            {"policy": "faulty_parts:Wishes", "name": "good", "options": {"every": 6}},
        ],
    )
    # 'every' of 99 with first 4 never comes true; 0 % 99 does, so let it be frame 0
    experiment = experiment.model_copy(
        update={
            "response": (
                experiment.response[0].model_copy(
                    update={"options": {"what": what, "first": 0, "every": 1000}}
                ),
                experiment.response[1],
            )
        }
    )
    result = run(experiment, tmp_path / "run")
    seen = Run.open(result.folder)
    whole(seen)
    assert result.exit_code == 3
    assert result.summary["counts"].get("child_restarts", 0) == restarts
    assert {d["policy"] for d in seen.decisions} == {"good"}
    assert dark_after == [False]


def test_a_slow_disk_loses_nothing(
    make_experiment: Make, tmp_path: Path, dark_after: list[bool]
) -> None:
    experiment = make_experiment(
        rounds=40,
        places=1,
        interval_s=0,
        mode="free_run",
        storage={"reserve_mb": 0, "queue_mb": 4, "slow_disk_ms": 5},
    )
    result = run(experiment, tmp_path / "run")
    seen = Run.open(result.folder)
    assert result.summary["counts"]["disk_waits"] >= 1
    assert [f["frame_id"] for f in seen.frames] == list(range(40))
    assert [f["index"][0] for f in seen.frames] == list(range(40))
    assert dark_after == [False]


def broken_off(result: Any, dark_after: list[bool], word: str) -> None:
    """The run ended with exit code 4, its data can be read and the light is out."""
    assert (result.outcome, result.exit_code) == ("broken_off", 4), result.reason
    assert word in result.reason
    seen = Run.open(result.folder)
    for header in seen.frames:
        seen.read(header["frame_id"])
    assert dark_after == [False]


def test_a_disk_that_fills(
    make_experiment: Make,
    tmp_path: Path,
    dark_after: list[bool],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import smartscope.storage.writer as writer

    monkeypatch.setattr(writer, "_SPACE_CHECK_MB", 1)
    make_folder = RunFolder.create

    def then_fill_up(*args: Any, **more: Any) -> RunFolder:
        folder = make_folder(*args, **more)
        monkeypatch.setattr(writer.shutil, "disk_usage", lambda _path: _Full())
        return folder

    monkeypatch.setattr(RunFolder, "create", then_fill_up)
    experiment = make_experiment(storage={"reserve_mb": 10})
    result = run(experiment, tmp_path / "run", in_process=True)
    broken_off(result, dark_after, "disk")


class _Full:
    free = 1_000


@pytest.fixture
def with_core(
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[[Callable[[Any], None]], None]:
    """Return a function that spoils the core of each microscope that is opened."""

    def spoil(how: Callable[[Any], None]) -> None:
        def opened(*args: Any, **more: Any) -> Microscope:
            scope = open_microscope(*args, **more)
            how(scope.core)
            return scope

        monkeypatch.setattr("smartscope.loop.start.open_microscope", opened)

    return spoil


def test_a_stage_that_does_not_arrive(
    make_experiment: Make, tmp_path: Path, dark_after: list[bool], with_core: Any
) -> None:
    def stick(core: Any) -> None:
        move = core.setXYPosition
        core.setXYPosition = lambda x, y: move(x * 0.5, y)

    with_core(stick)
    result = run(make_experiment(), tmp_path / "run", in_process=True)
    broken_off(result, dark_after, "stage was sent to")


def test_a_camera_that_takes_another_exposure(
    make_experiment: Make, tmp_path: Path, dark_after: list[bool], with_core: Any
) -> None:
    def disagree(core: Any) -> None:
        core.getExposure = lambda: 3.0

    with_core(disagree)
    result = run(make_experiment(), tmp_path / "run", in_process=True)
    broken_off(result, dark_after, "exposure")


def test_a_frame_of_another_shape(
    make_experiment: Make, tmp_path: Path, dark_after: list[bool], with_core: Any
) -> None:
    def crop(core: Any) -> None:
        image = core.getImage
        core.getImage = lambda: image()[:100, :100]

    with_core(crop)
    result = run(make_experiment(), tmp_path / "run", in_process=True)
    broken_off(result, dark_after, "shape")


def test_a_move_that_the_guard_refuses(
    make_experiment: Make, tmp_path: Path, dark_after: list[bool], with_core: Any
) -> None:
    def tighten(core: Any) -> None:
        limits = core.guard.limits.model_copy(update={"x_um": (-10.0, 10.0)})
        core.arm(replace(core.guard, limits=limits))

    with_core(tighten)
    result = run(make_experiment(), tmp_path / "run", in_process=True)
    broken_off(result, dark_after, "outside the limits")


@pytest.mark.parametrize("thread", ["runner", "analyst", "main"])
def test_an_error_in_each_thread(
    make_experiment: Make,
    tmp_path: Path,
    dark_after: list[bool],
    monkeypatch: pytest.MonkeyPatch,
    thread: str,
) -> None:
    def planted(*_args: object, **_more: object) -> None:
        raise RuntimeError("planted")

    if thread == "runner":
        monkeypatch.setattr(RunLoop, "_on_done", planted)
    if thread == "analyst":
        monkeypatch.setattr(RunLoop, "_on_result", planted)
    progress = planted if thread == "main" else None
    experiment = make_experiment(
        rounds=ROUNDS, places=PLACES, specimen={"time": "real", "time_scale": 100}
    )
    result = run(experiment, tmp_path / "run", progress=progress)
    seen = Run.open(result.folder)
    if thread == "analyst":
        whole(seen)
        assert result.exit_code == 3
    else:
        assert result.exit_code == 4
    assert "planted" in result.reason
    assert dark_after == [False]


def test_the_user_stops_it(
    make_experiment: Make, tmp_path: Path, dark_after: list[bool]
) -> None:
    pressed: list[bool] = []

    def interrupt(progress: Any) -> None:
        if not pressed and progress.counts.get("frames_acquired", 0) > 3:
            pressed.append(True)
            os.kill(os.getpid(), signal.SIGINT)

    experiment = make_experiment(
        rounds=10_000, specimen={"time": "real", "time_scale": 100}
    )
    result = run(experiment, tmp_path / "run", progress=interrupt)
    assert (result.outcome, result.exit_code) == ("stopped", 130)
    assert Run.open(result.folder).frames
    assert dark_after == [False]


def test_an_analysis_that_does_not_start_leaves_nothing(
    make_experiment: Make, tmp_path: Path, dark_after: list[bool]
) -> None:
    detect = {"model": "faulty_parts:NotInAChild", "options": {}}
    with pytest.raises(Refused, match="did not start"):
        run(make_experiment(detect=detect), tmp_path / "run")
    assert not (tmp_path / "run").exists()
    assert dark_after == [False]
