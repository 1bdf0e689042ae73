"""The recorder: nothing lost, nothing out of order, errors told, collection valid."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorstore as ts
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from smartscope.acquisition import Frame
from smartscope.errors import BrokenOff, Refused
from smartscope.storage import (
    ImageSpec,
    Journal,
    Movie,
    Recorder,
    Run,
    RunFolder,
    StorageSettings,
)
from smartscope.telemetry import Telemetry


def record(
    recorder: Recorder,
    frames: Callable[..., Frame],
    n: int,
    image: str = "survey_p0",
    **how: Any,
) -> None:
    for i in range(n):
        frame = frames(i, **how)
        recorder.append(frame, frame.encode_header(), image=image, index=(i, 0, 0))


def test_frames_come_back_in_order_with_their_pixels(
    folder: RunFolder,
    journal: Journal,
    frames: Callable[..., Frame],
    number_in: Callable[[np.ndarray], int],
) -> None:
    telemetry, told = Telemetry(), []
    recorder = Recorder(folder, journal, telemetry=telemetry, on_stored=told.append)
    record(recorder, frames, 100)
    recorder.close()
    run = Run.open(folder.path)
    assert [f["frame_id"] for f in run.frames] == list(range(100)) == told
    assert [number_in(run.read(i)) for i in range(100)] == list(range(100))
    assert telemetry.counts()["frames_stored"] == 100
    assert telemetry.latencies()["store"]["n"] == 100
    original, again = frames(42), run.frame(42)
    assert again.state == original.state
    assert again.event == original.event
    assert np.isnan(again.metadata["odd"])
    assert np.array_equal(again.pixels, original.pixels)


def test_a_black_frame_is_stored_and_a_missing_chunk_is_told(
    folder: RunFolder, journal: Journal, frames: Callable[..., Frame]
) -> None:
    recorder = Recorder(folder, journal)
    frame = frames(0)
    frame.pixels[:] = 0
    recorder.append(frame, frame.encode_header(), image="a", index=(0, 0, 0))
    recorder.close()
    assert not Run.open(folder.path).read(0).any()
    chunk = folder.raw / "a" / "0" / "c.0.0.0.0.0"
    chunk.unlink()
    with pytest.raises(Refused, match="frame 0"):
        Run.open(folder.path).read(0)


def test_pixels_are_not_copied(
    folder: RunFolder, journal: Journal, frames: Callable[..., Frame]
) -> None:
    settings = StorageSettings(slow_disk_ms=20)
    recorder = Recorder(folder, journal, settings)
    frame = frames(0)
    recorder.append(frame, frame.encode_header(), image="a", index=(0, 0, 0))
    frame.pixels[:] = 99  # while the slow disk has not begun: what a copy would not see
    recorder.close()
    assert (Run.open(folder.path).read(0) == 99).all()


def test_the_cameras_of_an_exposure_are_channels_of_its_image(
    folder: RunFolder,
    journal: Journal,
    frames: Callable[..., Frame],
    number_in: Callable[[np.ndarray], int],
) -> None:
    import yaozarrs

    recorder = Recorder(folder, journal, cameras=("left", "right"))
    recorder.declare(ImageSpec("survey_p0", ("red", "green"), 2))
    i = 0
    for image, channels, planes in (("survey_p0", 2, 2), ("burst_0001", 1, 1)):
        for t in range(3):
            for c in range(channels):
                for z in range(planes):
                    for camera in ("left", "right"):
                        frame = frames(i, camera=camera, channel="blue")
                        recorder.append(frame, image=image, index=(t, c, z))
                        i += 1
    recorder.close()

    yaozarrs.validate_zarr_store(str(folder.raw))
    run = Run.open(folder.path)
    assert [number_in(run.read(k)) for k in range(i)] == list(range(i))
    assert [f["camera"] for f in run.frames] == ["left", "right"] * (i // 2)
    labels = {}
    for image in ("survey_p0", "burst_0001"):
        meta = yaozarrs.open_group(str(folder.raw / image)).ome_metadata()
        labels[image] = [c.label for c in meta.omero.channels]
        kvstore = {"driver": "file", "path": str(folder.raw / image / "0")}
        pixels = ts.open({"driver": "zarr3", "kvstore": kvstore}).result().read()
        # what is at t, c of the array is what the journal says is there
        for f in run.frames:
            if f["image"] == image:
                assert number_in(pixels.result()[tuple(f["index"])]) == f["frame_id"]
                assert labels[image][f["index"][1]].endswith(f["camera"])
    assert labels == {
        "survey_p0": ["red left", "red right", "green left", "green right"],
        "burst_0001": ["blue left", "blue right"],
    }


def test_a_frame_of_an_unknown_camera_is_refused(
    folder: RunFolder, journal: Journal, frames: Callable[..., Frame]
) -> None:
    recorder = Recorder(folder, journal, cameras=("left", "right"))
    recorder.append(frames(0, camera="left"), image="a", index=(0, 0, 0))
    with pytest.raises(BrokenOff, match=r"the camera Camera, .* left, right"):
        recorder.append(frames(1), image="a", index=(1, 0, 0))
    with pytest.raises(BrokenOff, match=r"index .0, 0, 0. of another"):
        recorder.append(frames(1, camera="left"), image="a", index=(0, 0, 0))
    recorder.close()


def test_of_one_camera_the_label_does_not_matter(
    folder: RunFolder, journal: Journal, frames: Callable[..., Frame]
) -> None:
    recorder = Recorder(folder, journal, cameras=("left",))
    recorder.declare(ImageSpec("a", ("red", "green")))
    for c, camera in enumerate(("left", "right")):  # each channel its own
        recorder.append(frames(c, camera=camera), image="a", index=(0, c, 0))
    recorder.close()
    run = Run.open(folder.path)
    assert [f["index"] for f in run.frames] == [[0, 0, 0], [0, 1, 0]]


def test_a_collection_of_channels_planes_and_bursts_is_valid_and_open(
    folder: RunFolder, journal: Journal, frames: Callable[..., Frame]
) -> None:
    import yaozarrs

    recorder = Recorder(folder, journal)
    recorder.declare(
        ImageSpec("survey_p0", ("red", "green"), 3, z_step_um=0.5, times=2)
    )
    i = 0
    for t in range(5):
        for c in range(2):
            for z in range(3):
                frame = frames(i, time_s=30.0 * t + c + 0.1 * z)
                header = frame.encode_header()
                recorder.append(frame, header, image="survey_p0", index=(t, c, z))
                i += 1
    for t in range(3):
        frame = frames(i, (8, 8), dtype="uint8", origin="burst")
        header = frame.encode_header()
        recorder.append(frame, header, image="burst_0001", index=(t, 0, 0))
        i += 1
    recorder.close()

    yaozarrs.validate_zarr_store(str(folder.raw))
    series = json.loads((folder.raw / "OME" / "zarr.json").read_text())
    assert series["attributes"]["ome"]["series"] == ["survey_p0", "burst_0001"]
    for image, shape in (
        ("survey_p0", (5, 2, 3, 16, 24)),
        ("burst_0001", (3, 1, 1, 8, 8)),
    ):
        group = yaozarrs.open_group(str(folder.raw / image))
        scales = group.ome_metadata().multiscales[0]
        assert [a.name for a in scales.axes] == list("tczyx")
        kvstore = {"driver": "file", "path": str(folder.raw / image / "0")}
        assert ts.open({"driver": "zarr3", "kvstore": kvstore}).result().shape == shape
    meta = yaozarrs.open_group(str(folder.raw / "survey_p0")).ome_metadata()
    scale, translation = meta.multiscales[0].datasets[0].coordinateTransformations
    assert scale.scale == [30.0, 1.0, 0.5, 0.65, 0.65]
    # pixel 0, 0 of a 16 × 24 frame centred on x 100, y 50
    assert translation.translation == pytest.approx(
        [0, 0, 3.0, 50 - 7.5 * 0.65, 100 - 11.5 * 0.65]
    )
    assert [c.label for c in meta.omero.channels] == ["red", "green"]


def test_the_collection_is_valid_while_it_is_written(
    folder: RunFolder, journal: Journal, frames: Callable[..., Frame]
) -> None:
    import yaozarrs

    seen = []

    def look(frame_id: int) -> None:
        yaozarrs.validate_zarr_store(str(folder.raw))
        seen.append(frame_id)

    recorder = Recorder(folder, journal, on_stored=look)
    for i in range(4):
        frame = frames(i)
        header = frame.encode_header()
        recorder.append(frame, header, image=f"survey_p{i}", index=(0, 0, 0))
    recorder.close()
    assert seen == [0, 1, 2, 3]


def test_a_slow_disk_blocks_at_the_limit_counts_it_and_loses_nothing(
    folder: RunFolder,
    journal: Journal,
    frames: Callable[..., Frame],
    number_in: Callable[[np.ndarray], int],
) -> None:
    telemetry = Telemetry()
    one_mb = (500, 1000)
    recorder = Recorder(
        folder, journal, StorageSettings(queue_mb=8, slow_disk_ms=1), telemetry
    )
    most_mb, behind = 0.0, False
    for i in range(40):
        frame = frames(i, one_mb)
        header = frame.encode_header()
        recorder.append(frame, header, image="a", index=(i, 0, 0))
        most_mb = max(most_mb, recorder.waiting_mb)
        behind |= recorder.behind
    assert most_mb <= 8
    assert behind
    assert recorder.wait_caught_up(30)
    assert recorder.waiting_mb <= 2
    recorder.close()
    assert telemetry.counts()["disk_waits"] > 0
    run = Run.open(folder.path)
    assert [number_in(run.read(i)) for i in range(40)] == list(range(40))


def test_a_frame_larger_than_the_queue_passes(
    folder: RunFolder, journal: Journal, frames: Callable[..., Frame]
) -> None:
    recorder = Recorder(folder, journal, StorageSettings(queue_mb=1))
    record(recorder, frames, 3, shape=(1000, 1000))
    recorder.close()
    assert len(Run.open(folder.path).frames) == 3


@pytest.mark.parametrize(
    ("how", "index", "told"),
    [
        (
            {"shape": (8, 8)},
            (1, 0, 0),
            r"frame 1 is \(8, 8\) uint16.*\(16, 24\) uint16",
        ),
        ({"dtype": "uint8"}, (1, 0, 0), r"\(16, 24\) uint8.*\(16, 24\) uint16"),
        ({}, (1, 1, 0), "1 channels and 1 planes"),
        ({}, (0, 0, 0), "of another"),
    ],
)
def test_a_frame_that_does_not_fit_is_told_and_the_rest_goes_on(
    folder: RunFolder,
    journal: Journal,
    frames: Callable[..., Frame],
    how: dict[str, Any],
    index: tuple[int, int, int],
    told: str,
) -> None:
    recorder = Recorder(folder, journal)
    record(recorder, frames, 1)
    bad = frames(1, **how)
    with pytest.raises(BrokenOff, match=told):
        recorder.append(bad, bad.encode_header(), image="survey_p0", index=index)
    good = frames(2)
    recorder.append(good, good.encode_header(), image="survey_p0", index=(2, 0, 0))
    recorder.close()
    assert [f["frame_id"] for f in Run.open(folder.path).frames] == [0, 2]


def test_a_write_that_fails_ends_the_run_and_keeps_what_was_stored(
    folder: RunFolder,
    journal: Journal,
    frames: Callable[..., Frame],
    number_in: Callable[[np.ndarray], int],
) -> None:
    telemetry = Telemetry()
    recorder = Recorder(folder, journal, telemetry=telemetry)
    record(recorder, frames, 5)
    assert recorder.wait_caught_up(30)
    while recorder.waiting_mb:
        recorder.wait_caught_up(30)
    # a folder where the next chunk should go: the disk says no
    (folder.raw / "survey_p0" / "0" / "c.5.0.0.0.0").mkdir()
    (folder.raw / "survey_p0" / "0" / "c.5.0.0.0.0" / "x").touch()
    frame = frames(5)
    recorder.append(frame, frame.encode_header(), image="survey_p0", index=(5, 0, 0))
    with pytest.raises(BrokenOff, match=r"survey_p0/0/c\.5") as e:
        recorder.close()
    assert "5 frames are stored, 1 that waited for the disk are lost" in e.value.state
    assert "from frame 5 on" in e.value.state
    assert recorder.error is e.value
    recorder.close()  # told once, idempotent
    assert telemetry.counts()["frames_lost"] == 1
    with pytest.raises(BrokenOff):
        recorder.append(frame, frame.encode_header(), image="a", index=(0, 0, 0))
    run = Run.open(folder.path)
    assert [number_in(run.read(f["frame_id"])) for f in run.frames] == list(range(5))


def test_a_waiting_append_is_woken_by_an_error(
    folder: RunFolder, journal: Journal, frames: Callable[..., Frame]
) -> None:
    (folder.path / "raw.ome.zarr").write_text("a file where the folder should be")
    settings = StorageSettings(queue_mb=1, slow_disk_ms=5)
    recorder = Recorder(folder, journal, settings)
    with pytest.raises(BrokenOff, match=r"raw\.ome\.zarr"):
        record(recorder, frames, 1000, shape=(400, 1000))
    recorder.close()


def test_a_disk_that_is_nearly_full_ends_the_run(
    folder: RunFolder, journal: Journal, frames: Callable[..., Frame]
) -> None:
    recorder = Recorder(folder, journal, StorageSettings(reserve_mb=10**9))
    record(recorder, frames, 1)
    with pytest.raises(BrokenOff, match=r"storage\.reserve_mb"):
        recorder.close()


def test_a_recorder_that_was_given_nothing_closes(
    folder: RunFolder, journal: Journal
) -> None:
    recorder = Recorder(folder, journal)
    recorder.close()
    recorder.close()
    assert not folder.raw.exists()


def test_a_closed_recorder_says_so(
    folder: RunFolder, journal: Journal, frames: Callable[..., Frame]
) -> None:
    recorder = Recorder(folder, journal)
    recorder.close()
    with pytest.raises(RuntimeError, match="closed"):
        record(recorder, frames, 1)


def test_an_image_is_declared_once(
    folder: RunFolder, journal: Journal, frames: Callable[..., Frame]
) -> None:
    recorder = Recorder(folder, journal)
    recorder.declare(ImageSpec("a", z_planes=2))
    recorder.declare(ImageSpec("a", z_planes=2))
    with pytest.raises(ValueError, match="'a' is there"):
        recorder.declare(ImageSpec("a", z_planes=3))
    record(recorder, frames, 1, image="b")
    with pytest.raises(ValueError, match="'b' is there"):
        recorder.declare(ImageSpec("b", z_planes=3))
    recorder.close()


@settings(
    max_examples=15,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    order=st.lists(
        st.tuples(st.sampled_from("abc"), st.sampled_from(["none", "lz4"])), max_size=40
    ),
    queue=st.integers(1, 3),
)
def test_whatever_is_appended_is_stored_once_and_in_order(
    tmp_path_factory: pytest.TempPathFactory,
    frames: Callable[..., Frame],
    number_in: Callable[[np.ndarray], int],
    order: list[tuple[str, str]],
    queue: int,
) -> None:
    folder = RunFolder.create(tmp_path_factory.mktemp("any") / "run", "any", need_mb=1)
    journal = Journal(folder.journal)
    compression = order[0][1] if order else "zstd"
    recorder = Recorder(
        folder, journal, StorageSettings(queue_mb=queue, compression=compression)
    )
    length = dict.fromkeys("abc", 0)
    for i, (image, _) in enumerate(order):
        frame = frames(i, (300, 400))
        index = (length[image], 0, 0)
        recorder.append(frame, frame.encode_header(), image=image, index=index)
        length[image] += 1
    recorder.close()
    journal.close()
    run = Run.open(folder.path)
    assert [f["image"] for f in run.frames] == [image for image, _ in order]
    assert [number_in(run.read(i)) for i in range(len(order))] == list(
        range(len(order))
    )
    for image, times in length.items():
        if times:
            assert len(Movie.open(folder.raw / image)) == times


_KILLED = """
import sys, threading
sys.path.insert(0, {here!r})
from conftest import make_frame
from pathlib import Path
from smartscope.storage import Journal, Recorder, RunFolder
folder = RunFolder.create(Path(sys.argv[1]), "killed", need_mb=1)
recorder = Recorder(folder, Journal(folder.journal))
for i in range(100000):
    frame = make_frame(i, (256, 256))
    image = f"survey_p{{i % 3}}" if i % 50 < 30 else f"burst_{{i // 50:04d}}"
    recorder.append(frame, frame.encode_header(), image=image, index=(i, 0, 0))
    if i == 20:
        print("going", flush=True)
"""


@pytest.mark.parametrize("kill", range(5))
def test_after_kill_9_every_frame_the_journal_calls_stored_is_readable(
    tmp_path: Path, number_in: Callable[[np.ndarray], int], kill: int
) -> None:
    import yaozarrs

    here = str(Path(__file__).parent)
    path = tmp_path / "run"
    process = subprocess.Popen(
        [sys.executable, "-c", _KILLED.format(here=here), str(path)],
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    with process.stdout:
        process.stdout.readline()
        # how far it gets before the kill is left to chance
        target = random.Random(kill).randrange(200_000)
        while (path / "journal.jsonl").stat().st_size < target:
            assert process.poll() is None
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    run = Run.open(path)
    assert not run.finished
    assert run.outcome.startswith("broken off")
    assert "the journal has no end: the run was broken off" in run.missing
    if target:
        assert run.frames
    for header in run.frames:
        assert number_in(run.frame(header["frame_id"]).pixels) == header["frame_id"]
    if run.frames:
        yaozarrs.validate_zarr_store(str(run.folder.raw))


def test_threads_may_append_at_once(
    folder: RunFolder,
    journal: Journal,
    frames: Callable[..., Frame],
    number_in: Callable[[np.ndarray], int],
) -> None:
    recorder = Recorder(folder, journal, StorageSettings(queue_mb=1))

    def camera(k: int) -> None:
        for i in range(20):
            frame = frames(20 * k + i, (200, 200))
            header = frame.encode_header()
            recorder.append(frame, header, image=f"camera_{k}", index=(i, 0, 0))

    threads = [threading.Thread(target=camera, args=(k,)) for k in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    recorder.close()
    run = Run.open(folder.path)
    assert [number_in(run.read(i)) for i in range(60)] == list(range(60))
