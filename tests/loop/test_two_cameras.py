"""A run on two cameras that expose together: stored, analysed, answered, replayed."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from smartscope.errors import Refused
from smartscope.inference import Planes
from smartscope.loop import run
from smartscope.microscope import find_microscope, open_microscope
from smartscope.preflight import check
from smartscope.recognition import ModelDetector, load_detector
from smartscope.replay import replay
from smartscope.settings import Experiment
from smartscope.storage import Run, summarise

pytest.importorskip("mm_test_adapters", reason="needs the extra 'demo'")

_SPEC = importlib.util.spec_from_file_location(
    "plane_nets", Path(__file__).with_name("plane_nets.py")
)
assert _SPEC is not None
assert _SPEC.loader is not None
nets = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(nets)

Make = Callable[..., Experiment]
BOTH = ["Camera-1", "Camera-2"]
BURST = {"policy": "faulty_parts:Wishes", "options": {"what": "burst"}}


@pytest.fixture
def scope(tmp_path: Path) -> str:
    """The shipped microscope with small cameras; the path of its file."""
    shipped = find_microscope("demo_two_cameras")
    cfg = shipped.with_suffix(".cfg").read_text(encoding="utf-8")
    assert cfg.count("CCDXSize,512") == cfg.count("CCDYSize,512") == 2
    cfg = cfg.replace("CCDXSize,512", "CCDXSize,64")
    cfg = cfg.replace("CCDYSize,512", "CCDYSize,48")
    (tmp_path / f"{shipped.stem}.cfg").write_text(cfg)
    toml = shipped.read_text(encoding="utf-8").replace("_mb = 256", "_mb = 16")
    (tmp_path / shipped.name).write_text(toml)
    return str(tmp_path / shipped.name)


def test_a_run_keeps_the_frames_of_both_cameras_and_replays(
    make_experiment: Make, scope: str, tmp_path: Path
) -> None:
    experiment = make_experiment(
        microscope=scope,
        specimen={},
        interval_s=0,
        analysis={"channel": "Camera-1"},
        response=[BURST],
    )
    with open_microscope(scope) as opened:
        checked = check(experiment, opened, tmp_path / "run")
    result = run(experiment, tmp_path / "run")
    assert (result.outcome, result.exit_code) == ("completed", 0), result.reason
    seen = Run.open(result.folder)
    frames = seen.frames
    survey = [f for f in frames if f["origin"] == "survey"]
    bursts = [f for f in frames if f["origin"] == "burst"]
    # 6 rounds at 2 places, one channel
    assert len(survey) == checked.frames == 24
    assert bursts
    assert len(bursts) % 10 == 0
    assert [f["frame_id"] for f in frames] == list(range(len(frames)))
    assert [f["camera"] for f in frames] == BOTH * (len(frames) // 2)
    for header in frames:
        darkest = seen.read(header["frame_id"]).min()
        # beads lie on black, waves have an offset
        assert (darkest == 0) == (header["camera"] == "Camera-2")
        assert header["index"][1] == BOTH.index(header["camera"])
    # only the camera that is named is looked at
    looked = {a["frame_id"] for a in seen.analysed}
    assert looked == {f["frame_id"] for f in survey if f["camera"] == "Camera-1"}
    assert {o["status"] for o in seen.outcomes} <= {"done", "stale"}
    assert [o["frames"] for o in seen.outcomes if o["status"] == "done"]
    assert {o["frames"] for o in seen.outcomes if o["status"] == "done"} == {10}
    # light: once for an exposure
    by_origin = summarise(seen)["light_by_origin"]
    assert sum(p["survey"] for p in by_origin.values()) == pytest.approx(12 * 10 * 100)
    assert sum(p["burst"] for p in by_origin.values()) == pytest.approx(
        len(bursts) / 2 * 2 * 100
    )
    again = replay(result.folder)
    assert again.identical, again.first_difference
    assert again.compared == len(looked)


def test_a_streaming_survey_keeps_both_cameras(
    make_experiment: Make, scope: str, tmp_path: Path
) -> None:
    experiment = make_experiment(
        microscope=scope,
        specimen={},
        rounds=60,
        places=1,
        interval_s=0,
        mode="free_run",
        analysis={"channel": "Camera-2"},
    )
    seen = Run.open(run(experiment, tmp_path / "run", in_process=True).folder)
    assert (seen.outcome, len(seen.frames)) == ("completed", 120)
    for number, camera in enumerate(BOTH):
        of_camera = [f for f in seen.frames if f["camera"] == camera]
        assert [f["index"] for f in of_camera] == [[t, number, 0] for t in range(60)]


def test_a_model_of_two_channels_looks_at_both_cameras_together(
    make_experiment: Make, scope: str, tmp_path: Path
) -> None:
    net = nets.two_channels(tmp_path / "net.onnx")
    experiment = make_experiment(
        microscope=scope,
        specimen={},
        interval_s=0,
        detect=str(net),
        analysis={"channel": ["Camera-2", "Camera-1"]},
    )
    result = run(experiment, tmp_path / "run")
    assert (result.outcome, result.exit_code) == ("completed", 0), result.reason
    seen = Run.open(result.folder)
    assert [a["frame_id"] for a in seen.analysed] == list(range(24))
    names = ("Camera-2", "Camera-1")
    detector = load_detector(experiment.analysis.detect, channels=names)
    assert isinstance(detector, ModelDetector)
    for line in seen.analysed:
        number = line["frame_id"]
        if number % 2 == 0:
            # it waits for the other camera's frame of the same exposure
            assert line["waits_for"] == ["Camera-2"]
            continue
        assert "waits_for" not in line
        newest, other = seen.frame(number), seen.frame(number - 1)
        planes = Planes((newest.pixels, other.pixels), names, 0.65)
        found = detector.look(newest, planes).to_record()
        assert line["detections"] == json.loads(json.dumps(found))
        assert found["score"], "the net must have had something to see"
    again = replay(result.folder)
    assert again.identical, again.first_difference


@pytest.mark.parametrize("channel", [None, "FITC", "Camera-1"])
def test_that_cameras_are_mixed_is_told(
    make_experiment: Make, scope: str, tmp_path: Path, channel: str | None
) -> None:
    experiment = make_experiment(
        microscope=scope, specimen={}, analysis={"channel": channel}
    )
    with open_microscope(scope) as opened:
        notices = check(experiment, opened, tmp_path / "run").notices
    told = [n for n in notices if "as if they were of one camera" in n]
    assert len(told) == (channel != "Camera-1")


def test_a_channel_of_one_of_the_cameras_alone_is_refused(
    make_experiment: Make, scope: str, tmp_path: Path
) -> None:
    survey = {
        "channels": [{"config": "FITC", "exposure": 5, "camera": "Camera-2"}],
        "time_plan": {"interval": 1, "loops": 2},
    }
    experiment = make_experiment(microscope=scope, specimen={}, survey=survey)
    with pytest.raises(Refused, match="cannot be taken by 'Camera-2' alone"):
        run(experiment, tmp_path / "run")


def test_a_camera_that_is_not_there_is_refused_with_those_that_are(
    make_experiment: Make, scope: str, tmp_path: Path
) -> None:
    experiment = make_experiment(
        microscope=scope, specimen={}, analysis={"channel": "Camera-3"}
    )
    with pytest.raises(Refused, match="Camera-3") as caught:
        run(experiment, tmp_path / "run")
    assert "Camera-2" in str(caught.value)
