"""Whole runs of models that see several channels or frames, a series, a flat field.

On the simulated microscope with small frames; each is looked at again by replay.
"""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from smartscope.errors import Refused
from smartscope.inference import Corrections, Planes
from smartscope.loop import run
from smartscope.recognition import ModelDetector, load_detector
from smartscope.replay import replay
from smartscope.settings import Experiment
from smartscope.signals import RunSignals
from smartscope.storage import Run

_SPEC = importlib.util.spec_from_file_location(
    "plane_nets", Path(__file__).with_name("plane_nets.py")
)
assert _SPEC is not None
assert _SPEC.loader is not None
nets = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(nets)

ROUNDS = 5
BRIGHT = {"kind": "brighten", "factor": 1.2, "frames": 1, "of": 2}


def experiment(folder: Path, detect: Any, **keys: Any) -> Experiment:
    """Two presets at two places, on the small microscope of the folder."""
    content: dict[str, Any] = {
        "name": "planes",
        "microscope": "small.toml",
        "specimen": {"time": "virtual", "cells": 25, "area_um": [200, 100]},
        "mode": "synchronized",
        "survey": {
            "axis_order": "tpc",
            "stage_positions": [[0, 0], [60, 0]],
            "channels": [
                {"config": "FITC", "exposure": 20},
                {"config": "DAPI", "exposure": 20},
            ],
            "time_plan": {"interval": 60, "loops": ROUNDS},
        },
        "storage": {"reserve_mb": 0},
        "response": [
            {"policy": "interval", "on": "mitosis", "slow_s": 60, "fast_s": 9}
        ],
        **keys,
    }
    analysis = {"detect": detect, "occurrences": {"mitosis": BRIGHT}}
    content["analysis"] = {**analysis, **keys.get("analysis", {})}
    if not (folder / "small.toml").exists():
        nets.write_microscope(folder)
    return Experiment.parse(content, folder)


def killing(frame_id: int) -> RunSignals:
    """Signals that kill the analysis process as soon as it has told of a frame."""
    signals = RunSignals()

    def kill(record: dict[str, Any]) -> None:
        if record["frame_id"] == frame_id:
            for child in psutil.Process().children():
                if child.status() == psutil.STATUS_ZOMBIE:  # of another test
                    continue
                if "analysis_process" in " ".join(child.cmdline()):
                    child.kill()

    signals.frameAnalysed.connect(kill)
    return signals


def seen(
    recorded: Run, detector: ModelDetector, frame_ids: list[int], names: tuple[str, ...]
) -> dict[str, Any]:
    """What the detector says of stored frames, given in the order of the planes."""
    frames = [recorded.frame(i) for i in frame_ids]
    newest = max(frames, key=lambda f: f.frame_id)
    planes = Planes(tuple(f.pixels for f in frames), names, newest.state.pixel_size_um)
    record = detector.look(newest, planes).to_record()
    return json.loads(json.dumps(record))


def same_again(folder: Path, frames: int) -> None:
    replayed = replay(folder)
    assert replayed.identical, replayed.first_difference
    assert replayed.compared == frames


def test_two_presets_are_looked_at_together(tmp_path: Path) -> None:
    net = nets.two_channels(tmp_path / "net.onnx")
    wish = experiment(tmp_path, str(net), analysis={"channel": ["DAPI", "FITC"]})
    result = run(wish, tmp_path / "run")
    assert result.exit_code == 0, result.reason
    recorded = Run.open(result.folder)
    detector = load_detector(wish.analysis.detect, channels=("DAPI", "FITC"))
    assert isinstance(detector, ModelDetector)
    found = 0
    tracks: dict[str, Any] = {}
    for line in recorded.analysed:
        fitc, dapi = line["frame_id"] // 2 * 2, line["frame_id"] // 2 * 2 + 1
        if line["frame_id"] == fitc:
            assert line["waits_for"] == ["DAPI"]
            assert line["detections"]["score"] == []
            assert line["tracks"] == tracks.get(line["place"], []), "none is missed"
            continue
        tracks[line["place"]] = line["tracks"]
        assert "waits_for" not in line
        again = seen(recorded, detector, [dapi, fitc], ("DAPI", "FITC"))
        assert line["detections"] == again
        found += len(again["score"])
    assert found >= ROUNDS, "the net must have had something to see"
    counts = result.summary["counts"]
    assert counts["sets_analysed"] == 2 * ROUNDS
    assert "sets_incomplete" not in counts
    assert any(tracks.values())
    same_again(result.folder, 4 * ROUNDS)


def test_a_channel_that_is_taken_seldom_leaves_sets_incomplete(tmp_path: Path) -> None:
    wish = experiment(
        tmp_path,
        str(nets.two_channels(tmp_path / "net.onnx")),
        analysis={"channel": ["DAPI", "FITC"]},
        survey={
            "axis_order": "tpc",
            "channels": [
                {"config": "FITC", "exposure": 20},
                {"config": "DAPI", "exposure": 20, "acquire_every": 2},
            ],
            "time_plan": {"interval": 60, "loops": ROUNDS},
        },
    )
    result = run(wish, tmp_path / "run")
    assert result.exit_code == 0, result.reason
    assert result.summary["counts"]["sets_incomplete"] == 2
    assert any(
        "2 of 5 sets of DAPI, FITC" in said for said in result.summary["notices"]
    )
    lines = Run.open(result.folder).analysed
    remarks = [said for line in lines for said in line["remarks"]]
    assert [said.split(":")[0] for said in remarks] == (
        ["A set of p0 stays incomplete"] * 2
    )
    same_again(result.folder, 8)


@pytest.mark.parametrize("killed", [False, True])
def test_a_window_of_frames(tmp_path: Path, killed: bool) -> None:
    net = nets.difference(tmp_path / "net.onnx")
    wish = experiment(tmp_path, str(net), analysis={"channel": "FITC"})
    result = run(wish, tmp_path / "run", signals=killing(8) if killed else None)
    assert result.exit_code in ((0, 3) if killed else (0,)), result.reason
    recorded = Run.open(result.folder)
    restarts = [i["seq"] for i in recorded.inputs if i["input"] == "restart"]
    assert len(restarts) == killed
    detector = load_detector(wish.analysis.detect)
    assert isinstance(detector, ModelDetector)
    last: dict[str, int] = {}
    begun = []
    found = 0
    for line in recorded.analysed:
        place, frame_id = line["place"], line["frame_id"]
        if restarts and line["seq"] > restarts[0]:
            restarts.clear()
            last.clear()  # the new process knows nothing
        before = last.get(place, frame_id)
        if before == frame_id:
            begun.append(frame_id)
        assert line.get("window", "") == ("1 of 2" if before == frame_id else "")
        again = seen(recorded, detector, [before, frame_id], ("FITC",))
        assert line["detections"] == again
        found += len(again["score"])
        last[place] = frame_id
    assert found, "the net must have had something to see"
    assert len(begun) == (4 if killed else 2)
    same_again(result.folder, len(recorded.analysed))


def test_dark_and_flat_field(tmp_path: Path) -> None:
    dark = np.full((64, 64), 100, np.uint16)
    nets.write_microscope(tmp_path, dark=dark, flats={"": nets.vignette()})
    net = nets.write_sum_net(tmp_path / "net.onnx", [0.004], head="components")
    wish = experiment(tmp_path, str(net), analysis={"channel": "FITC"})
    result = run(wish, tmp_path / "run")
    assert result.exit_code == 0, result.reason
    recorded = Run.open(result.folder)
    flat = nets.vignette() - 100.0
    flat = (flat / flat.mean()).astype(np.float32)
    fields = Corrections(dark.astype(np.float32), {"": flat})
    corrected = load_detector(wish.analysis.detect, corrections=fields)
    raw = load_detector(wish.analysis.detect)
    assert isinstance(corrected, ModelDetector)
    assert isinstance(raw, ModelDetector)
    differ = 0
    for line in recorded.analysed:
        again = seen(recorded, corrected, [line["frame_id"]], ("FITC",))
        assert line["detections"] == again
        differ += again != seen(recorded, raw, [line["frame_id"]], ("FITC",))
    assert differ, "the correction must have made a difference"
    written = recorded.record["calibration"]
    assert [line["is"] for line in written] == ["dark", "flat"]
    assert all((result.folder / line["file"]).is_file() for line in written)
    how = recorded.record["models"]["providers"]["detect"]
    assert how["corrected"] == "dark field, flat field of every channel"
    assert any("corrected before the model" in n for n in result.summary["notices"])
    # the microscope's own files may change: the run has its copies
    (tmp_path / "dark.tif").unlink()
    same_again(result.folder, 2 * ROUNDS)
    (result.folder / written[0]["file"]).write_bytes(b"another")
    with pytest.raises(Refused, match="is not the one that the run was made with"):
        replay(result.folder)


def test_without_correction_nothing_is_copied(tmp_path: Path) -> None:
    nets.write_microscope(tmp_path, flats={"": nets.vignette()})
    net = nets.write_sum_net(tmp_path / "net.onnx", [0.004], head="components")
    wish = experiment(
        tmp_path, str(net), analysis={"channel": "FITC", "correct": False}
    )
    result = run(wish, tmp_path / "run")
    assert result.exit_code == 0, result.reason
    assert Run.open(result.folder).record["calibration"] == []
    assert not (result.folder / "calibration").exists()
    same_again(result.folder, 2 * ROUNDS)


@pytest.mark.parametrize("over", ["series", "running"])
def test_statistics_of_a_series_outlive_the_analysis_process(
    tmp_path: Path, over: str
) -> None:
    net = nets.normalised(tmp_path / "net.onnx")
    detect = {"model": str(net), "normalisation": {"over": over, "frames": 7}}
    wish = experiment(tmp_path, detect, analysis={"channel": "FITC"})
    result = run(wish, tmp_path / "run", signals=killing(8))
    assert result.summary["counts"]["child_restarts"] == 1
    recorded = Run.open(result.folder)
    learned = [line["normalisation"] for line in recorded.analysed if
               "normalisation" in line]  # fmt: skip
    (restart,) = [line for line in recorded.inputs if line["input"] == "restart"]
    before = [line for line in recorded.analysed if line["seq"] < restart["seq"]]
    assert before
    assert restart["seed"]["normalisation"] == before[-1]["normalisation"]
    assert len(learned) == (7 if over == "series" else len(recorded.analysed))
    counted = [next(iter(state["detect"].values()))["frames"] for state in learned]
    assert counted == list(range(1, len(learned) + 1)), "it goes on, from 1"
    told = recorded.record["models"]["providers"]["detect"]["normalisation"]
    assert told.startswith(over)
    same_again(result.folder, len(recorded.analysed))
