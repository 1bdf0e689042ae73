"""Restored images: at their frame's place, never waited for, whole after any kill."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaozarrs
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from useq import MDAEvent

from smartscope.acquisition import EventTag, Frame
from smartscope.errors import Refused
from smartscope.storage import (
    Journal,
    Movie,
    Recorder,
    RestoredStore,
    Run,
    RunFolder,
    StorageSettings,
    summarise,
)

Frames = Callable[..., Frame]


@pytest.fixture
def store(folder: RunFolder, journal: Journal) -> Iterator[RestoredStore]:
    store = RestoredStore(folder)
    yield store
    store.close()


def at(frame: Frame, image: str, t: int, c: int = 0, z: int = 0) -> Frame:
    """Return the frame as one that stands there in an image."""
    tag = EventTag("p0", image=image, index=(t, c, z))
    return replace(frame, event=tag.on(MDAEvent(index={"t": t})))


def image_of(frame_id: int, shape: tuple[int, int] = (16, 24)) -> np.ndarray:
    """Return a restored image that carries its frame's number."""
    return np.linspace(0, 1, shape[0] * shape[1], dtype=np.float32).reshape(
        shape
    ) + np.float32(frame_id)


def test_restored_images_lie_where_their_frames_do(
    folder: RunFolder, store: RestoredStore, frames: Frames
) -> None:
    ids = [0, 2, 3, 7]
    for i in ids:
        assert store.offer(at(frames(i), "survey_p0", i), image_of(i)) == "taken"
    store.close()
    run = Run.open(folder.path)
    assert [f["frame_id"] for f in run.restored_frames] == ids
    assert [f["index"] for f in run.restored_frames] == [[i, 0, 0] for i in ids]
    for i in ids:
        assert np.array_equal(run.restored(i), image_of(i))
    with pytest.raises(Refused, match="No restored image of frame 1"):
        run.restored(1)
    movie = Movie.open(folder.restored / "survey_p0")
    assert (len(movie), movie.dtype) == (8, np.float32)
    assert np.array_equal(movie.read(3), image_of(3))


def test_a_time_that_was_not_restored_is_no_black_image(
    folder: RunFolder, store: RestoredStore, frames: Frames
) -> None:
    import tensorstore as ts

    for i in (0, 2):
        store.offer(at(frames(i), "survey_p0", i), image_of(i))
    store.close()
    kvstore = {"driver": "file", "path": str(folder.restored / "survey_p0" / "0")}
    array = ts.open({"driver": "zarr3", "kvstore": kvstore}).result()
    assert array.shape == (3, 1, 1, 16, 24)
    assert np.isnan(array[1].read().result()).all()


def test_the_collection_is_valid_and_opens_on_the_cells(
    folder: RunFolder, store: RestoredStore, frames: Frames
) -> None:
    for i in range(3):
        store.offer(at(frames(i, time_s=30.0 * i), "survey_p0", i), image_of(0))
        store.offer(at(frames(10 + i), "burst_0001", i), image_of(9)[:8, :8])
    store.close()
    yaozarrs.validate_zarr_store(str(folder.restored))
    group = yaozarrs.open_group(str(folder.restored / "survey_p0"))
    meta = group.ome_metadata()
    scale, translation = meta.multiscales[0].datasets[0].coordinateTransformations
    assert scale.scale == [30.0, 1.0, 1.0, 0.65, 0.65]
    assert translation.translation[3:] == pytest.approx(
        [50 - 7.5 * 0.65, 100 - 11.5 * 0.65]
    )
    (channel,) = meta.omero.channels
    assert channel.label == "green"
    # values between 0 and 1, not the 65535 of the camera
    assert 0 <= channel.window.start < channel.window.end <= 1
    assert 0 <= channel.window.min < channel.window.max <= 1


def test_only_restored_channels_and_the_planes_that_came_are_in_the_image(
    folder: RunFolder, store: RestoredStore, frames: Frames
) -> None:
    """Raw images have three channels; the second and the third are restored."""
    n = 0
    for t in range(2):
        for z in range(3):
            for c, channel in ((2, "far red"), (1, "red")):
                frame = at(frames(n, channel=channel), "survey_p0", t, c, z)
                state = replace(frame.state, z_um=3 + 0.5 * z)
                store.offer(replace(frame, state=state), image_of(n))
                n += 1
    store.close()
    meta = yaozarrs.open_group(str(folder.restored / "survey_p0")).ome_metadata()
    assert [c.label for c in meta.omero.channels] == ["far red", "red"]
    scale, *_ = meta.multiscales[0].datasets[0].coordinateTransformations
    assert scale.scale[2] == 0.5
    yaozarrs.validate_zarr_store(str(folder.restored))
    run = Run.open(folder.path)
    for i in range(n):
        assert np.array_equal(run.restored(i), image_of(i))
    assert run.restored_frames[3]["index"] == [0, 1, 1]


def test_cameras_that_expose_together_are_channels(
    folder: RunFolder, journal: Journal, frames: Frames
) -> None:
    store = RestoredStore(folder, cameras=("left", "right"))
    for i, camera in enumerate(("left", "right")):
        frame = replace(at(frames(i), "survey_p0", 0), camera=camera)
        assert store.offer(frame, image_of(i)) == "taken"
    store.close()
    run = Run.open(folder.path)
    assert [f["index"] for f in run.restored_frames] == [[0, 0, 0], [0, 1, 0]]
    meta = yaozarrs.open_group(str(folder.restored / "survey_p0")).ome_metadata()
    assert [c.label for c in meta.omero.channels] == ["green left", "green right"]


def test_an_image_is_copied_when_it_is_taken(
    folder: RunFolder, journal: Journal, frames: Frames
) -> None:
    store = RestoredStore(folder, StorageSettings(slow_disk_ms=20))
    restored = image_of(0)
    store.offer(at(frames(0), "survey_p0", 0), restored)
    restored[:] = 99  # the runtime writes its next image into the same memory
    store.close()
    assert np.array_equal(Run.open(folder.path).restored(0), image_of(0))


def test_what_the_disk_cannot_take_is_dropped_and_the_rest_is_whole(
    folder: RunFolder, journal: Journal, frames: Frames
) -> None:
    store = RestoredStore(folder, StorageSettings(queue_mb=3, slow_disk_ms=20))
    told = [
        store.offer(at(frames(i), "survey_p0", i), image_of(i, (500, 500)))
        for i in range(12)
    ]
    store.close()
    taken = [i for i, what in enumerate(told) if what == "taken"]
    dropped = {what for what in told if what != "taken"}
    assert 3 <= len(taken) < 12
    assert dropped == {"dropped: the disk is behind (3 MB wait for it)"}
    run = Run.open(folder.path)
    assert [f["frame_id"] for f in run.restored_frames] == taken
    for i in taken:
        assert np.array_equal(run.restored(i), image_of(i, (500, 500)))


def test_an_image_larger_than_the_queue_is_taken_by_an_empty_one(
    folder: RunFolder, journal: Journal, frames: Frames
) -> None:
    store = RestoredStore(folder, StorageSettings(queue_mb=1))
    assert store.offer(at(frames(0), "a", 0), image_of(0, (1000, 1000))) == "taken"
    store.close()
    assert Run.open(folder.path).restored(0).shape == (1000, 1000)


@pytest.mark.parametrize(
    ("image", "t", "told"),
    [
        (image_of(1)[:8], 1, r"(8, 24) float32, the image survey_p0 holds (16, 24)"),
        (image_of(1).astype(np.float64), 1, "float64, the image survey_p0 holds"),
        (image_of(1)[None], 1, "(1, 16, 24) float32 is none"),
        (image_of(1) > 0, 1, "bool is none"),
        (image_of(1), 0, "another one has its time"),
    ],
)
def test_an_image_that_does_not_fit_is_dropped(
    folder: RunFolder,
    store: RestoredStore,
    frames: Frames,
    image: np.ndarray,
    t: int,
    told: str,
) -> None:
    assert store.offer(at(frames(0), "survey_p0", 0), image_of(0)) == "taken"
    what = store.offer(at(frames(1), "survey_p0", t), image)
    assert what.startswith("dropped: ")
    assert told in what
    assert store.offer(at(frames(2), "survey_p0", 2), image_of(2)) == "taken"
    store.close()
    run = Run.open(folder.path)
    assert [f["frame_id"] for f in run.restored_frames] == [0, 2]
    assert np.array_equal(run.restored(0), image_of(0))


def test_a_disk_that_says_no_is_told_and_ends_nothing(
    folder: RunFolder, journal: Journal, frames: Frames
) -> None:
    folder.restored.write_text("a file where the folder should be")
    store = RestoredStore(folder)
    told, pause = "", threading.Event()
    for i in range(10_000):
        told = store.offer(at(frames(i), "survey_p0", i), image_of(i))
        if told.startswith("failed"):
            break
        pause.wait(0.005)  # the thread that writes has its turn
    assert told.startswith("failed: restored images cannot be written: ")
    assert "restored.ome.zarr" in told
    store.close()
    assert Run.open(folder.path).restored_frames == []


def test_raw_frames_keep_room_on_a_disk_that_fills(
    folder: RunFolder, journal: Journal, frames: Frames
) -> None:
    import shutil

    free_mb = shutil.disk_usage(folder.path).free / 1e6
    # free: between once and twice what must stay free
    storage = StorageSettings(reserve_mb=int(free_mb / 1.5))
    recorder, store = Recorder(folder, journal, storage), RestoredStore(folder, storage)
    frame = at(frames(0), "survey_p0", 0)
    recorder.append(frame, image="survey_p0", index=(0, 0, 0))
    store.offer(frame, image_of(0))
    recorder.close()
    store.close()
    assert "must stay free" in store.offer(at(frames(1), "survey_p0", 1), image_of(1))
    run = Run.open(folder.path)
    assert (len(run.frames), len(run.restored_frames)) == (1, 0)


def test_a_second_process_goes_on_in_the_same_images(
    folder: RunFolder, journal: Journal, frames: Frames
) -> None:
    for first, channels in ((0, ("green",)), (20, ("green", "red")), (40, ("red",))):
        store = RestoredStore(folder)
        for i in range(first, first + 20):
            for k, channel in enumerate(channels):
                frame = frames(100 * k + i, channel=channel, time_s=10.0 * i)
                frame = at(frame, f"survey_p{i % 2}", i, k)
                # places move on; what the image says of itself is of its first frame
                moved = replace(frame.state, x_um=frame.state.x_um + first)
                told = store.offer(replace(frame, state=moved), image_of(i + k))
                assert told == "taken"
        store.close()
    run = Run.open(folder.path)
    assert len(run.restored_frames) == 80
    for header in run.restored_frames:
        i, k = header["frame_id"] % 100, header["frame_id"] // 100
        assert np.array_equal(run.restored(header["frame_id"]), image_of(i + k))
    yaozarrs.validate_zarr_store(str(folder.restored))
    meta = yaozarrs.open_group(str(folder.restored / "survey_p0")).ome_metadata()
    scale, translation = meta.multiscales[0].datasets[0].coordinateTransformations
    assert scale.scale[0] == 20.0
    assert translation.translation[-1] == pytest.approx(100 - 11.5 * 0.65)
    assert len(meta.omero.channels) == 2


def test_a_line_that_a_kill_cut_off_costs_only_itself(
    folder: RunFolder, journal: Journal, frames: Frames
) -> None:
    store = RestoredStore(folder)
    for i in range(3):
        store.offer(at(frames(i), "survey_p0", i), image_of(i))
    store.close()
    lines = folder.restored_journal.read_bytes()
    folder.restored_journal.write_bytes(lines[:-40])
    store = RestoredStore(folder)
    assert store.offer(at(frames(3), "survey_p0", 3), image_of(3)) == "taken"
    store.close()
    run = Run.open(folder.path)
    assert [f["frame_id"] for f in run.restored_frames] == [0, 1, 3]


def test_what_was_made_and_is_not_there_is_missing(
    folder: RunFolder, journal: Journal, frames: Frames
) -> None:
    store = RestoredStore(folder)
    for i, what in enumerate(("taken", "taken", "dropped: the disk is behind")):
        told = {"kind": "analysed", "seq": i, "frame_id": i, "restored": what}
        journal.write({**told, "timings_ms": {}})
    store.offer(at(frames(0), "survey_p0", 0), image_of(0))
    store.close()
    run = Run.open(folder.path)
    assert "1 restored images were made and not stored (frame 1)" in run.missing
    assert summarise(run)["restored"] == {"stored": 1, "dropped": 1, "lost": 1}


def test_a_run_without_restored_images_says_nothing_of_them(
    folder: RunFolder, journal: Journal
) -> None:
    run = Run.open(folder.path)
    assert summarise(run)["restored"] == {}
    assert not any("restored" in said for said in run.missing)
    folder.write_run_json({"experiment": {"analysis": {"denoise": {"store": True}}}})
    told = summarise(Run.open(folder.path))
    assert told["restored"] == {"stored": 0, "dropped": 0, "lost": 0}


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    placed=st.lists(
        st.tuples(
            st.sampled_from(["survey_p0", "survey_p1", "burst_0001"]),
            st.integers(0, 40),
            st.sampled_from(["green", "red"]),
            st.integers(0, 3),
        ),
        unique=True,
        max_size=25,
    ),
    restarts=st.sets(st.integers(0, 24), max_size=3),
)
def test_whatever_is_taken_is_read_back(
    tmp_path_factory: pytest.TempPathFactory,
    frames: Frames,
    placed: list[tuple[str, int, str, int]],
    restarts: set[int],
) -> None:
    folder = RunFolder.create(tmp_path_factory.mktemp("any") / "run", "any", need_mb=1)
    Journal(folder.journal).close()
    store = RestoredStore(folder)
    for i, (image, t, channel, z) in enumerate(placed):
        if i in restarts:
            store.close()
            store = RestoredStore(folder)
        frame = at(frames(i, channel=channel), image, t, 0, z)
        assert store.offer(frame, image_of(i)) == "taken"
    store.close()
    run = Run.open(folder.path)
    assert [f["frame_id"] for f in run.restored_frames] == list(range(len(placed)))
    for header, (image, t, _, z) in zip(run.restored_frames, placed, strict=True):
        assert header["image"] == image
        assert header["index"][::2] == [t, z]
        restored = run.restored(header["frame_id"])
        assert np.array_equal(restored, image_of(header["frame_id"]))
    if placed:
        yaozarrs.validate_zarr_store(str(folder.restored))


_KILLED = """
import sys
sys.path.insert(0, {here!r})
from conftest import make_frame
from test_restored import at, image_of
from pathlib import Path
from smartscope.storage import RestoredStore, RunFolder
store = RestoredStore(RunFolder(Path(sys.argv[1])))
first = int(sys.argv[2])
for i in range(first, first + 100000):
    image = f"survey_p{{i % 3}}" if i % 50 < 30 else f"burst_{{i // 50:04d}}"
    store.offer(at(make_frame(i, (128, 128)), image, i), image_of(i, (128, 128)))
    if i == first + 5:
        print("going", flush=True)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL is of POSIX")
@pytest.mark.parametrize("kill", range(3))
def test_after_kill_9_what_is_called_restored_is_readable_and_is_gone_on_with(
    folder: RunFolder, journal: Journal, frames: Frames, kill: int
) -> None:
    code = _KILLED.format(here=str(Path(__file__).parent))
    random_ = random.Random(kill)
    for life in range(2):
        process = subprocess.Popen(
            [sys.executable, "-c", code, str(folder.path), str(100_000 * life)],
            stdout=subprocess.PIPE,
        )
        assert process.stdout is not None
        with process.stdout:
            process.stdout.readline()
            # how far it gets before the kill is left to chance
            target = folder.restored_journal.stat().st_size + random_.randrange(90_000)
            while folder.restored_journal.stat().st_size < target:
                assert process.poll() is None
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
        run = Run.open(folder.path)
        for header in run.restored_frames:
            i = header["frame_id"]
            assert np.array_equal(run.restored(i), image_of(i, (128, 128)))
        if run.restored_frames:
            yaozarrs.validate_zarr_store(str(folder.restored))
    assert run.restored_frames
    before = len(run.restored_frames)
    store = RestoredStore(folder)
    for i in range(3):
        n = 200_000 + i
        frame = at(frames(n), f"survey_p{i}", n)
        assert store.offer(frame, image_of(n, (128, 128))) == "taken"
    store.close()
    assert len(Run.open(folder.path).restored_frames) == before + 3
    yaozarrs.validate_zarr_store(str(folder.restored))
