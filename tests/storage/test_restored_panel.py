"""The restored images of a run in its summary picture."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from useq import MDAEvent

from smartscope.acquisition import EventTag, Frame
from smartscope.storage import (
    Journal,
    Recorder,
    RestoredStore,
    Run,
    RunFolder,
    draw_summary,
)
from smartscope.storage.restored_panel import compare

Frames = Callable[..., Frame]
CELL = (40, 70)


def noisy(frame: Frame, shape: tuple[int, int] = (96, 128)) -> Frame:
    draw = np.random.default_rng(frame.frame_id)
    y, x = np.mgrid[0 : shape[0], 0 : shape[1]]
    cell = np.exp(-((y - CELL[0]) ** 2 + (x - CELL[1]) ** 2) / 50)
    pixels = draw.poisson(100 + 400 * cell).astype(np.uint16)
    tag = EventTag("p0", image="survey_p0", index=(frame.frame_id, 0, 0))
    event = tag.on(MDAEvent(index={"t": frame.frame_id}))
    return replace(frame, pixels=pixels, event=event)


def write(
    folder: RunFolder,
    journal: Journal,
    frames: Frames,
    restore: Callable[[np.ndarray], np.ndarray],
    times: int = 4,
) -> Run:
    recorder, store = Recorder(folder, journal), RestoredStore(folder)
    for i in range(times):
        frame = noisy(frames(i))
        recorder.append(frame, image="survey_p0", index=(i, 0, 0))
        raw = frame.pixels.astype(np.float32)
        assert store.offer(frame, restore(raw).astype(np.float32)) == "taken"
    recorder.close()
    store.close()
    return Run.open(folder.path)


def smooth(raw: np.ndarray) -> np.ndarray:
    return np.asarray(gaussian_filter(raw, 1.5))


@pytest.mark.parametrize(
    ("restore", "scaled"),
    [
        (smooth, False),
        (lambda raw: (smooth(raw) - 100) / 400, True),
        (lambda raw: -smooth(raw), True),
        (lambda raw: 0 * raw + 3, True),
    ],
    ids=["counts", "0 to 1", "dark and bright exchanged", "nothing"],
)
def test_a_restored_image_is_compared_in_counts(
    folder: RunFolder,
    journal: Journal,
    frames: Frames,
    restore: Callable[[np.ndarray], np.ndarray],
    scaled: bool,
    tmp_path: Path,
) -> None:
    run = write(folder, journal, frames, restore)
    compared = compare(run, None)
    assert compared is not None
    assert compared.scaled == scaled
    assert compared.restored.mean() == pytest.approx(compared.raw.mean(), rel=0.02)
    draw_summary(run, tmp_path / "summary.png")


def test_the_close_look_is_at_the_cell(
    folder: RunFolder, journal: Journal, frames: Frames
) -> None:
    compared = compare(write(folder, journal, frames, smooth), None)
    assert compared is not None
    # 40 µm of 0.65 µm pixels around the cell, and inside the frame
    assert compared.half == 30
    assert abs(compared.row - CELL[0]) <= 2
    assert abs(compared.column - CELL[1]) <= 2
    assert compared.half <= compared.row <= 96 - compared.half


def test_the_frame_with_most_things_is_shown(
    folder: RunFolder, journal: Journal, frames: Frames
) -> None:
    for i, things in enumerate((0, 1, 3, 2)):
        tracks = [{"x_um": 100.0, "y_um": 50.0, "missed": 0}] * things
        journal.write({"kind": "analysed", "seq": i, "frame_id": i, "tracks": tracks})
    compared = compare(write(folder, journal, frames, smooth), None)
    assert compared is not None
    assert compared.title.endswith("at p0, frame 2")


def test_a_picture_is_higher_with_restored_images_and_draws_damaged_ones(
    folder: RunFolder, journal: Journal, frames: Frames, tmp_path: Path
) -> None:
    folder.write_run_json(
        {"experiment": {"analysis": {"denoise": {"model": "x", "store": True}}}}
    )

    def size(run: Run) -> tuple[int, int]:
        draw_summary(run, tmp_path / "summary.png")
        png = (tmp_path / "summary.png").read_bytes()
        return int.from_bytes(png[16:20], "big"), int.from_bytes(png[20:24], "big")

    run = write(folder, journal, frames, smooth)
    assert size(run) == (1600, 1265)
    array = folder.restored / "survey_p0" / "0"
    for chunk in list(array.glob("c.*"))[1:]:
        chunk.unlink()
    assert size(Run.open(folder.path)) == (1600, 1265)
    (array / "zarr.json").write_text(json.dumps({"broken": True}))
    assert size(Run.open(folder.path)) == (1600, 1100)
