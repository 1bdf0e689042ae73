"""Restored images of a run: stored by whoever restores them, whatever happens to it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import yaozarrs

from smartscope.loop import RunResult, run
from smartscope.microscope import open_microscope
from smartscope.preflight import check
from smartscope.replay import replay
from smartscope.settings import Experiment
from smartscope.storage import Run, summarise

Make = Callable[..., Experiment]
KEPT = {"denoise": {"model": "gaussian", "store": True}}
BURST = {"policy": "faulty_parts:Wishes", "options": {"what": "burst"}}


def whole(result: RunResult) -> Run:
    """Every image called restored is readable and is the frame of its id, smoothed."""
    seen = Run.open(result.folder)
    before = np.zeros((), np.float32)
    for header in seen.restored_frames:
        raw = seen.read(header["frame_id"]).astype(np.float32)
        restored = seen.restored(header["frame_id"])
        assert restored.shape == raw.shape
        assert restored.dtype == np.float32
        assert restored.mean() == pytest.approx(raw.mean(), rel=0.01)
        assert np.diff(restored).std() < np.diff(raw).std()
        assert header["index"] == seen.header(header["frame_id"])["index"]
        # the noise of a frame is its own: that of another fits less well
        assert np.abs(raw - restored).mean() < np.abs(raw - before).mean()
        before = restored
    if seen.restored_frames:
        yaozarrs.validate_zarr_store(str(seen.folder.restored))
    return seen


@pytest.mark.parametrize("in_process", [True, False], ids=["inline", "child"])
def test_the_restored_image_of_every_analysed_frame_is_kept(
    make_experiment: Make, tmp_path: Path, in_process: bool
) -> None:
    experiment = make_experiment(detect="dog", analysis=KEPT, response=[BURST])
    result = run(experiment, tmp_path / "run", in_process=in_process)
    assert result.exit_code == 0, result.reason
    seen = whole(result)
    analysed = [a["frame_id"] for a in seen.analysed]
    assert [f["frame_id"] for f in seen.restored_frames] == sorted(analysed)
    assert len(analysed) == 12
    assert result.summary["restored"] == {"stored": 12, "dropped": 0, "lost": 0}
    assert result.summary["counts"]["restored_taken"] == 12
    assert seen.missing == []
    assert replay(result.folder).identical


@pytest.mark.parametrize(("channel", "images"), [(None, 24), ("FITC", 12)])
def test_the_disk_must_have_room_for_them(
    make_experiment: Make, channel: str | None, images: int
) -> None:
    def need_mb(**denoise: Any) -> float:
        experiment = make_experiment(
            detect="dog",
            analysis={"channel": channel, "denoise": {"model": "gaussian", **denoise}},
        )
        content = experiment.model_dump(mode="json")
        content["survey"]["channels"].append({"config": "Rhodamine", "exposure": 10})
        experiment = Experiment.parse(content)
        with open_microscope("simulated", specimen=experiment.specimen) as scope:
            return check(experiment, scope, None).need_mb

    assert need_mb(store=True) - need_mb() == pytest.approx(images * 512 * 512 * 4e-6)


def test_nothing_is_kept_where_that_was_not_asked_for(
    make_experiment: Make, tmp_path: Path
) -> None:
    experiment = make_experiment(
        rounds=2, detect="dog", analysis={"denoise": "gaussian"}
    )
    result = run(experiment, tmp_path / "run", in_process=True)
    assert result.summary["restored"] == {}
    assert not list(result.folder.glob("restored*"))


def test_a_disk_that_is_behind_drops_restored_images_and_no_frame(
    make_experiment: Make, tmp_path: Path
) -> None:
    experiment = make_experiment(
        rounds=10,
        places=1,
        detect="dog",
        analysis=KEPT,
        storage={"reserve_mb": 0, "queue_mb": 2, "slow_disk_ms": 200},
    )
    result = run(experiment, tmp_path / "run")
    assert result.exit_code == 0, result.reason
    seen = whole(result)
    told = result.summary["restored"]
    assert len(seen.frames) == 10
    assert told["dropped"] > 0
    assert told["stored"] == len(seen.restored_frames) == 10 - told["dropped"]
    assert told["lost"] == 0
    assert result.summary["counts"]["restored_dropped"] == told["dropped"]
    (note,) = [n["text"] for n in seen.notes if "restored image" in n["text"]]
    assert "the disk is behind" in note


def test_restored_images_that_cannot_be_written_degrade_the_run_and_end_nothing(
    make_experiment: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from smartscope.storage import RestoredStore

    begin = RestoredStore.__init__

    def hindered(store: RestoredStore, folder: Any, *args: Any, **more: Any) -> None:
        folder.restored.write_text("a file where the folder should be")
        begin(store, folder, *args, **more)

    monkeypatch.setattr(RestoredStore, "__init__", hindered)
    experiment = make_experiment(rounds=8, detect="dog", analysis=KEPT)
    result = run(experiment, tmp_path / "run", in_process=True)
    seen = Run.open(result.folder)
    assert len(seen.frames) == len(seen.analysed) == 16
    assert (result.outcome, result.exit_code) == ("degraded", 3)
    assert "restored images cannot be written" in result.reason
    told = result.summary["restored"]
    assert told["stored"] == 0
    assert told["dropped"] + told["lost"] == 16
    assert any("restored images were made and not stored" in m for m in seen.missing)


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL is of POSIX")
def test_a_child_that_is_killed_is_followed_by_one_that_goes_on(
    make_experiment: Make, tmp_path: Path
) -> None:
    killed: list[int] = []

    def kill(progress: Any) -> None:
        if not killed and progress.counts.get("restored_taken", 0) > 4:
            (child,) = (
                c
                for c in psutil.Process().children()
                if c.status() != psutil.STATUS_ZOMBIE  # of another test
                and any("analysis_process" in word for word in c.cmdline())
            )
            child.kill()
            killed.append(child.pid)

    experiment = make_experiment(rounds=40, interval_s=10, detect="dog", analysis=KEPT)
    result = run(experiment, tmp_path / "run", progress=kill)
    assert killed
    seen = whole(result)
    assert result.summary["counts"]["child_restarts"] == 1
    told = result.summary["restored"]
    restarted = next(i["seq"] for i in seen.inputs if i["input"] == "restart")
    after = [a["frame_id"] for a in seen.analysed if a["seq"] > restarted]
    stored = {f["frame_id"] for f in seen.restored_frames}
    assert after
    assert stored.issuperset(after)
    assert told["lost"] == len({a["frame_id"] for a in seen.analysed} - stored)
    # both processes wrote the same two images
    assert {f["image"] for f in seen.restored_frames} == {"survey_p0", "survey_p1"}
    assert replay(result.folder).identical


CODE = """
import sys
from smartscope import Experiment, run
run(Experiment.parse(__import__("json").load(open(sys.argv[1]))), sys.argv[2])
"""


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL is of POSIX")
def test_after_kill_9_of_all_what_is_called_restored_is_readable(
    make_experiment: Make, tmp_path: Path
) -> None:
    experiment = make_experiment(
        rounds=10_000,
        interval_s=1,
        detect="dog",
        analysis=KEPT,
        specimen={"time": "real", "time_scale": 20},
        mode="free_run",
    )
    file, folder = tmp_path / "experiment.json", tmp_path / "run"
    file.write_text(experiment.model_dump_json())
    process = subprocess.Popen(
        [sys.executable, "-c", CODE, str(file), str(folder)],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent)},
    )
    journal = folder / "restored.jsonl"
    try:
        deadline = time.monotonic() + 50
        while not (journal.exists() and journal.read_bytes().count(b"\n") > 5):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.02)
        children = psutil.Process(process.pid).children(recursive=True)
        for each in (*children, psutil.Process(process.pid)):
            each.kill()
    finally:
        process.kill()
        process.wait()
    psutil.wait_procs(children, timeout=10)
    seen = Run.open(folder)
    assert len(seen.restored_frames) > 5
    for header in seen.restored_frames:
        assert np.isfinite(seen.restored(header["frame_id"])).all()
    yaozarrs.validate_zarr_store(str(seen.folder.restored))
    assert summarise(seen)["restored"]["stored"] == len(seen.restored_frames)
