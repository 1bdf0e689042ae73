"""Frames that carry their own number, and a run folder to write them to."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from useq import MDAEvent

from smartscope.acquisition import Frame, FrameState
from smartscope.storage import Journal, RunFolder


def make_frame(
    frame_id: int,
    shape: tuple[int, int] = (16, 24),
    *,
    dtype: str = "uint16",
    place: str = "p0",
    channel: str = "green",
    time_s: float | None = None,
    origin: str = "survey",
    camera: str = "Camera",
) -> Frame:
    pixels = np.full(shape, 7, dtype)
    pixels.flat[:2] = frame_id % 250, frame_id // 250
    return Frame(
        pixels=pixels,
        event=MDAEvent(index={"t": frame_id}, exposure=5.0),
        frame_id=frame_id,
        time_s=frame_id * 2.0 if time_s is None else time_s,
        handed_over_s=time.monotonic(),
        place=place,
        state=FrameState(100.0, 50.0, 3.0, 5.0, channel, 0.65),
        origin=origin,  # type: ignore[arg-type]
        camera=camera,
        metadata={"odd": float("nan")},
    )


def number(pixels: np.ndarray) -> int:
    return int(pixels.flat[0]) + 250 * int(pixels.flat[1])


@pytest.fixture
def frames() -> Callable[..., Frame]:
    return make_frame


@pytest.fixture
def number_in() -> Callable[[np.ndarray], int]:
    return number


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return RunFolder.create(tmp_path / "run", "test", need_mb=1)


@pytest.fixture
def journal(folder: RunFolder) -> Iterator[Journal]:
    journal = Journal(folder.journal)
    yield journal
    journal.close()
