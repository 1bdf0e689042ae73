"""Runs read back, summarised and drawn: finished, broken off, tiny."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from smartscope.acquisition import Frame
from smartscope.errors import Refused
from smartscope.storage import (
    Journal,
    Recorder,
    Run,
    RunFolder,
    draw_summary,
    summarise,
)

_SPEC = importlib.util.spec_from_file_location(
    "synthetic_run", Path(__file__).with_name("synthetic_run.py")
)
assert _SPEC is not None
assert _SPEC.loader is not None
synthetic_run = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(synthetic_run)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found: Path = synthetic_run.write_run(
        tmp_path_factory.mktemp("runs") / "run", rounds=12, places=3, shape=(96, 128)
    )
    return found


def _drawn(run: Run, path: Path) -> tuple[int, int]:
    draw_summary(run, path)
    png = path.read_bytes()
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    return int.from_bytes(png[16:20], "big"), int.from_bytes(png[20:24], "big")


def test_a_finished_run_is_summarised_and_drawn(path: Path, tmp_path: Path) -> None:
    run = Run.open(path)
    told = summarise(run)
    json.dumps(told, allow_nan=False)
    assert told["outcome"] == "completed"
    assert told["missing"] == []
    frames = told["frames"]
    assert frames["acquired"] == frames["stored"] == 36 + 20
    assert frames["burst"] == 20
    assert frames["analysed"] + frames["skipped"] == 36
    assert frames["skipped_by_reason"] == {"drop_oldest": frames["skipped"]}
    assert told["occurrences"] == {"division": 2}
    assert told["decisions"]["by_verdict"] == {"granted": 2, "refused": 2}
    assert told["decisions"]["by_policy"]["follow"] == {"refused": 2}
    assert told["decisions"]["outcomes"] == {"done": 1}
    assert told["light_ms_percent"] == {"p0": 12000, "p1": 12000 + 40000, "p2": 12000}
    assert told["light_by_origin"]["p1"] == {"survey": 12000, "burst": 40000}
    assert told["latency_ms"]["decide"]["n"] == frames["analysed"]
    assert run.occurrences[0]["kind"] == "split"
    assert _drawn(run, tmp_path / "summary.png") == (1600, 1100)


def test_scores_are_passed_on_and_drawn(path: Path, tmp_path: Path) -> None:
    run = Run.open(path)
    caught = run.occurrences[-1]
    event = {"x_um": 1, "y_um": 2, "t_s": 100.0, "in_view": True}
    run.record["scores"] = {
        "events": 2,
        "caught": 1,
        "false": 1,
        "delay_s": {"median": 90.0},
        "per_event": [
            {**event, "caught": True, "occurrence_id": caught["occurrence_id"]},
            {**event, "caught": False, "occurrence_id": None},
        ],
        "false_ones": [run.occurrences[0]["occurrence_id"]],
        "equal_light": {
            "events": 2,
            "smart_caught": 1,
            "fixed_caught": 0,
            "interval_s": 33.0,
            "frames_needed": 5,
            "window_s": 120.0,
            "baseline_frames": 3,
            "baseline_s": 600.0,
        },
    }
    told = summarise(run)
    assert told["equal_light"]["interval_s"] == 33.0
    assert "equal_light" not in told["scores"]
    assert _drawn(run, tmp_path / "summary.png") == (1600, 1100)


def test_a_run_without_an_end_is_summarised_as_far_as_known(
    path: Path, tmp_path: Path
) -> None:
    lines = (path / "journal.jsonl").read_bytes().splitlines(keepends=True)
    half = next(i for i, line in enumerate(lines) if b'"analysed"' in line) + 3
    torn = b"".join(lines[:half]) + lines[half][:9]
    (tmp_path / "journal.jsonl").write_bytes(torn)
    (tmp_path / "raw.ome.zarr").symlink_to(path / "raw.ome.zarr")
    run = Run.open(tmp_path)
    assert not run.finished
    assert run.exit_code == 4
    told = summarise(run)
    assert told["outcome"] == "broken off (no end in the journal)"
    assert told["frames"]["stored"] == len(run.frames)
    assert any("cut off" in m for m in told["missing"])
    assert "run.json is not there or broken" in told["missing"]
    assert told["latency_ms"]["inference"]["n"] == len(run.analysed)
    _drawn(run, tmp_path / "summary.png")


def test_frames_that_were_analysed_and_never_stored_are_missing(
    path: Path, tmp_path: Path
) -> None:
    (tmp_path / "journal.jsonl").write_text(
        '{"kind":"analysed","seq":1,"frame_id":3,"timings_ms":{}}\n'
        '{"kind":"analysed","seq":0,"frame_id":1,"timings_ms":{}}\n'
    )
    run = Run.open(tmp_path)
    assert [a["seq"] for a in run.analysed] == [0, 1]
    assert "4 frames were taken and not stored (frame 0, 1, 2, 3)" in run.missing
    assert summarise(run)["frames"]["acquired"] == 4
    with pytest.raises(Refused, match="Frame 3 is not stored"):
        run.read(3)


def test_the_smallest_runs_are_drawn(
    folder: RunFolder,
    journal: Journal,
    frames: Callable[..., Frame],
    tmp_path: Path,
) -> None:
    recorder = Recorder(folder, journal)
    assert _drawn(Run.open(folder.path), tmp_path / "0.png") == (1600, 1100)
    frame = frames(0)
    recorder.append(frame, frame.encode_header(), image="survey_p0", index=(0, 0, 0))
    recorder.close()
    assert _drawn(Run.open(folder.path), tmp_path / "1.png") == (1600, 1100)


def test_what_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="neither run"):
        Run.open(tmp_path)
    with pytest.raises(Refused, match="no such folder"):
        Run.open(tmp_path / "nothing")
    (tmp_path / "journal.jsonl").write_text('{"kind":"frame"}\n')
    with pytest.raises(Refused, match="'frame_id'"):
        Run.open(tmp_path)
