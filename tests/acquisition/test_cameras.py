"""Cameras that expose together: each gives its frames, and light counts once."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from useq import MDAEvent

from smartscope.acquisition import (
    EventTag,
    Frame,
    LightBudget,
    camera_labels,
    look_at_cameras,
    sequenced,
)
from smartscope.acquisition.cameras import InStep, which_camera
from smartscope.errors import BrokenOff, Refused
from smartscope.microscope import find_microscope, open_microscope

pytest.importorskip("mm_test_adapters", reason="needs the extra 'demo'")

_SPEC = importlib.util.spec_from_file_location(
    "engine_run", Path(__file__).parent / "engine_run.py"
)
assert _SPEC is not None
assert _SPEC.loader is not None
engine_run = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(engine_run)
Run = engine_run.Run

BOTH = ["Camera-1", "Camera-2"]


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A copy of the shipped microscope with a small buffer; its .cfg lies beside it."""
    shipped = find_microscope("demo_two_cameras")
    cfg = shipped.with_suffix(".cfg")
    (tmp_path / cfg.name).write_text(cfg.read_text(encoding="utf-8"))
    text = shipped.read_text(encoding="utf-8")
    assert "buffer_mb = 256" in text
    (tmp_path / shipped.name).write_text(text.replace("_mb = 256", "_mb = 16"))
    return tmp_path / shipped.name


@pytest.fixture
def core(config: Path) -> Iterator[Any]:
    """Two small DemoCameras, the second one with another picture."""
    with open_microscope(config) as scope:
        for camera in BOTH:
            scope.core.setProperty(camera, "OnCameraCCDXSize", 64)
            scope.core.setProperty(camera, "OnCameraCCDYSize", 48)
        yield scope.core


def survey(n: int, **fields: Any) -> list[MDAEvent]:
    given = {"exposure": 2.0, "channel": "DAPI", **fields}
    return [MDAEvent(index={"t": i}, **given) for i in range(n)]


def triggered(core: Any, n: int, **fields: Any) -> list[MDAEvent]:
    events = list(sequenced(core, survey(n, **fields)))
    assert len(events) == 1
    return events


def times(frames: list[Frame], camera: str) -> list[int]:
    return [f.event.index["t"] for f in frames if f.camera == camera]


def assert_pictures_are_of_their_camera(frames: list[Frame]) -> None:
    # waves have an offset, beads lie on black
    darkest = {
        name: {int(f.pixels.min()) for f in frames if f.camera == name} for name in BOTH
    }
    assert darkest["Camera-2"] == {0}
    assert min(darkest["Camera-1"]) > 100


# ---------------------------------------------------------------- frames


@pytest.mark.parametrize("how", ["single", "triggered"])
def test_every_camera_gives_a_frame_of_every_exposure(core: Any, how: str) -> None:
    light = LightBudget((300, 300))
    run = Run(core, light=light)
    run.run(triggered(core, 12) if how == "triggered" else survey(12))
    frames = run.frames
    assert [f.camera for f in frames] == BOTH * 12
    for camera in BOTH:
        assert times(frames, camera) == list(range(12))
    assert_pictures_are_of_their_camera(frames)
    for one, other in zip(frames[::2], frames[1::2], strict=True):
        assert (one.event, one.state) == (other.event, other.state)
        assert (one.time_s, one.place) == (other.time_s, other.place)
        assert one.light_ms_percent == other.light_ms_percent
        assert (one.shares_light, other.shares_light) == (False, True)
    assert light.total() == pytest.approx(12 * 2.0 * 100)
    assert frames[-1].light_ms_percent == pytest.approx(light.total())
    assert sum(n for _, n in run.done) == 24
    assert all((f.camera_time_s >= 0) == (how == "triggered") for f in frames)
    assert not run.left
    assert not run.incomplete


def test_a_burst_between_single_events_leaves_all_cameras_as_asked(core: Any) -> None:
    tag = EventTag(origin="burst", decision_id="3/1", image="burst_0001")
    burst = [tag.on(e) for e in survey(5, exposure=1.0, channel="FITC")]
    run = Run(core)
    run.run([*survey(1), *sequenced(core, burst), *survey(1)])
    assert [(f.camera, f.state.exposure_ms, f.state.channel) for f in run.frames] == [
        (camera, ms, channel)
        for ms, channel in [(2, "DAPI"), *[(1, "FITC")] * 5, (2, "DAPI")]
        for camera in BOTH
    ]
    assert [f.decision_id for f in run.frames] == [*[""] * 2, *["3/1"] * 10, *[""] * 2]


@pytest.mark.parametrize("stop_at", [1, 2, 9])
@pytest.mark.parametrize("how", ["interrupt", "halt", "yields"])
def test_of_an_interrupted_sequence_nothing_is_lost_or_taken_twice(
    core: Any, how: str, stop_at: int
) -> None:
    asked = False

    def on_frame(frame: Frame) -> None:
        nonlocal asked
        if frame.frame_id + 1 == stop_at:
            asked = True
            if how != "yields":
                getattr(run.engine, how)()

    light = LightBudget((300, 300))
    run = Run(core, light=light, on_frame=on_frame, yields=lambda: asked)
    run.run(triggered(core, 500, exposure=4.0))
    assert stop_at <= len(run.frames) < 1000
    assert not core.isSequenceRunning()
    missed = {(e.index["t"], name) for e, names in run.incomplete for name in names}
    took = {(f.event.index["t"], f.camera) for f in run.frames}
    assert len(took) == len(run.frames)
    assert not took & missed
    begun = {t for t, _ in took}
    assert took | missed == {(t, camera) for t in begun for camera in BOTH}
    assert sorted(begun) + [e.index["t"] for e in run.left] == list(range(500))
    assert light.total() == pytest.approx(len(begun) * 4.0 * 100)


def test_the_runner_tells_its_listeners_the_camera(core: Any) -> None:
    told: list[tuple[int, str]] = []
    core.mda.events.frameReady.connect(
        lambda _image, event, meta: told.append(
            (event.index["cam"], meta["camera_device"])
        )
    )
    run = Run(core)
    run.run([*survey(1), *triggered(core, 2)])
    assert told == list(enumerate(BOTH)) * 3
    assert all("cam" not in f.event.index for f in run.frames)


# ---------------------------------------------------------------- state


def test_each_camera_has_its_exposure_and_the_longest_is_charged(core: Any) -> None:
    core.setExposure("Camera-1", 2.0)
    core.setExposure("Camera-2", 6.0)
    assert core.getExposure() == 0  # what the adapter says of both
    light = LightBudget((300, 300))
    run = Run(core, light=light)
    run.run([MDAEvent(), MDAEvent(exposure=3.0)])
    assert [f.state.exposure_ms for f in run.frames] == [2, 6, 3, 3]
    assert [f.shares_light for f in run.frames] == [True, False, False, True]
    assert [f.light_ms_percent for f in run.frames] == [600, 600, 900, 900]


def test_a_limit_of_light_is_met_by_the_longest_exposure(core: Any) -> None:
    core.setExposure("Camera-1", 2.0)
    core.setExposure("Camera-2", 6.0)
    run = Run(core, light=LightBudget((300, 300), limit_ms_percent=1000))
    run.run([MDAEvent(), MDAEvent()])
    assert len(run.frames) == 2
    assert len(run.refused) == 1


def test_bit_depth_and_shape_follow_what_the_cameras_are_set_to(core: Any) -> None:
    core.setProperty("Camera-1", "BitDepth", "12")
    run = Run(core)
    run.run(
        [
            MDAEvent(exposure=1),
            MDAEvent(exposure=1, properties=[("Cameras", "Binning", "2")]),
        ]
    )
    assert [f.bit_depth for f in run.frames][:2] == [12, 16]
    shapes = [f.pixels.shape for f in run.frames]
    assert shapes == [(48, 64)] * 2 + [(24, 32)] * 2
    assert core.getCameraDevice() == "Cameras"


def test_a_preset_that_changes_the_camera_is_believed(core: Any) -> None:
    """Each channel its own camera: label and exposure are those of the new one."""
    for preset, camera in (
        ("One", "Camera-1"),
        ("Two", "Camera-2"),
        ("All", "Cameras"),
    ):
        core.defineConfig("Channel", preset, "Core", "Camera", camera)
    run = Run(core)
    run.run(
        [
            *survey(1, channel="One", exposure=3.0),
            *survey(1, channel="Two", exposure=3.0),
            *survey(1, channel="All", exposure=3.0),
        ]
    )
    assert [f.camera for f in run.frames] == [*BOTH, *BOTH]
    assert {f.state.exposure_ms for f in run.frames} == {3}
    assert_pictures_are_of_their_camera(run.frames)


# ---------------------------------------------------------------- what goes wrong


@pytest.mark.parametrize(
    ("prop", "value", "told"),
    [
        ("OnCameraCCDYSize", "96", "Camera-1: 64 x 48 .* Camera-2: 64 x 96"),
        ("PixelType", "8bit", "Camera-1: 64 x 48 .* 2 byte.* Camera-2: .* 1 byte"),
    ],
)
def test_cameras_that_differ_break_the_run_off_before_a_frame(
    core: Any, prop: str, value: str, told: str
) -> None:
    core.setProperty("Camera-2", prop, value)
    run = Run(core)
    with pytest.raises(BrokenOff, match=told):
        run.run(survey(2))
    assert not run.frames
    assert core.getCameraDevice() == "Cameras"


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("ConfigGroup,System,Startup,Camera-2,Binning,2", "Camera-2: 256 x 256"),
        ("ConfigGroup,System,Startup,Camera-2,PixelType,8bit", "of 1 byte"),
    ],
)
def test_cameras_that_differ_are_refused_at_the_opening(
    config: Path, line: str, told: str
) -> None:
    with config.with_suffix(".cfg").open("a") as cfg:
        cfg.write(f"{line}\n")
    with pytest.raises(Refused, match=told) as caught:
        open_microscope(config)
    assert "differ" in caught.value.what


def test_a_multi_camera_without_cameras_is_refused(config: Path) -> None:
    cfg = config.with_suffix(".cfg").read_text(encoding="utf-8").splitlines()
    kept = [line for line in cfg if "Physical Camera" not in line]
    assert len(kept) == len(cfg) - 2
    config.with_suffix(".cfg").write_text("\n".join(kept))
    with pytest.raises(Refused, match=r"'Cameras' .* stands for no camera"):
        open_microscope(config)


def test_a_camera_that_ends_before_the_others_is_named(core: Any) -> None:
    def on_frame(frame: Frame) -> None:
        if frame.frame_id == 9:
            core.stopSequenceAcquisition("Camera-2")

    run = Run(core, on_frame=on_frame)
    with pytest.raises(BrokenOff, match="Camera-2 ended by itself after"):
        run.run(triggered(core, 60, exposure=4.0))
    # what the other one took is there
    assert times(run.frames, "Camera-1") == list(range(60))
    short = times(run.frames, "Camera-2")
    assert 5 <= len(short) < 60
    assert short == list(range(len(short)))
    assert {tuple(names) for _, names in run.incomplete} == {("Camera-2",)}
    assert not run.left  # it would be queued again for ever


def test_a_camera_that_gives_no_more_is_missed_while_the_other_goes_on(
    core: Any,
) -> None:
    def on_frame(frame: Frame) -> None:
        if frame.frame_id == 3:
            core.stopSequenceAcquisition("Camera-1")

    run = Run(core, on_frame=on_frame)
    run.engine.timeout_base = 0.3
    with pytest.raises(BrokenOff, match="No frame came from Camera-1 after"):
        run.run(triggered(core, 3000, exposure=1.0))
    assert not core.isSequenceRunning()
    assert len(times(run.frames, "Camera-2")) > len(times(run.frames, "Camera-1")) >= 2


# ---------------------------------------------------------------- the parts


def test_the_cameras_of_a_core(core: Any) -> None:
    assert camera_labels(core) == ("Camera-1", "Camera-2")
    assert [c.shape for c in look_at_cameras(core)] == [(48, 64)] * 2
    core.setCameraDevice("Camera-2")
    assert camera_labels(core) == ("Camera-2",)
    assert [c.label for c in look_at_cameras(core)] == ["Camera-2"]


@given(st.lists(st.integers(0, 2), max_size=60))
def test_whatever_the_order_each_image_comes_out_once_and_in_step(
    arrivals: list[int],
) -> None:
    in_step: InStep[tuple[int, int]] = InStep(3)
    counts = [0, 0, 0]
    out = []
    for camera in arrivals:
        whole = in_step.add(camera, (camera, counts[camera]))
        counts[camera] += 1
        if whole:
            assert [i for i, _ in whole] == [0, 1, 2]
            out.append(whole)
    # an exposure comes out the moment its last camera has given it
    assert len(out) == min(counts)
    behind = in_step.behind()
    if max(counts) > min(counts):
        assert behind == [i for i, n in enumerate(counts) if n == min(counts)]
    else:
        assert behind == []
    for part in in_step.rest():
        assert 0 < len(part) < 3
        out.append(part)
    for number, exposure in enumerate(out):
        assert all(image == (i, number) for i, image in exposure)
    assert sum(map(len, out)) == len(arrivals)


def test_an_image_is_known_by_label_or_number_of_its_camera() -> None:
    assert which_camera({"Camera": "b"}, ["a", "b"]) == 1
    assert which_camera({"Both-CameraChannelIndex": "1"}, ["a", "b"]) == 1
    for tags in ({"Camera": "c"}, {}, {"Both-CameraChannelIndex": "2"}):
        with pytest.raises(BrokenOff, match="came from the camera"):
            which_camera(tags, ["a", "b"])


def test_the_pixels_of_the_cameras_are_not_shared(core: Any) -> None:
    run = Run(core)
    run.run(survey(2))
    for one in run.frames:
        for other in run.frames:
            assert one is other or not np.shares_memory(one.pixels, other.pixels)
