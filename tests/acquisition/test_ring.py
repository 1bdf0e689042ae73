"""FrameRing: bounded, each loss told once, in order; its memory goes to a process."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from useq import MDAEvent

from smartscope.acquisition import Frame, FrameRing, FrameState, Origin
from smartscope.acquisition.ring import FULL, NEWEST_OF_PLACE


def waiting(
    i: int,
    place: str = "p0",
    size: int = 8,
    channel: str = "",
    camera: str = "Camera",
    origin: Origin = "survey",
) -> Frame:
    pixels = np.full((size, size), i, np.uint16)
    state = FrameState(0, 0, 0, 1, channel, 1)
    return Frame(
        pixels, MDAEvent(), i, 0, 0, place, state, camera=camera, origin=origin
    )


@settings(deadline=None)
@given(
    st.lists(st.sampled_from(["a", "b", "c", "take"]), max_size=60),
    st.integers(0, 3),
    st.integers(1, 6),
    st.integers(1, 6),
)
def test_bounded_in_order_and_every_frame_goes_one_way(
    steps: list[str], per_place: int, max_frames: int, fit: int
) -> None:
    dropped: list[tuple[int, str]] = []
    taken: list[int] = []
    size = 8 * 8 * 2
    ring = FrameRing(
        size,
        per_place=per_place,
        max_frames=max_frames,
        max_bytes=fit * size,
        dropped=lambda frame, rule: dropped.append((frame.frame_id, rule)),
    )
    try:
        put = 0
        for step in steps:
            if step == "take":
                if (next_one := ring.take()) is not None:
                    taken.append(next_one.frame_id)
            else:
                ring.put(waiting(put, step))
                put += 1
            assert len(ring) <= min(max_frames, fit)
        left = len(ring)
        ring.drop_all("end")
    finally:
        ring.close()
    assert taken == sorted(taken)
    assert sorted(taken + [i for i, _ in dropped]) == list(range(put))
    assert {r for _, r in dropped} <= {NEWEST_OF_PLACE, FULL, "end"}
    assert sum(r == "end" for _, r in dropped) == left


def test_of_each_place_and_channel_the_newest_wait() -> None:
    dropped: list[int] = []
    ring = FrameRing(
        1024, per_place=2, dropped=lambda frame, _rule: dropped.append(frame.frame_id)
    )
    for i, (place, channel) in enumerate(
        [("a", "x"), ("a", "y"), ("a", "x"), ("b", "x"), ("a", "x")]
    ):
        ring.put(waiting(i, place, channel=channel))
    order = []
    while (one := ring.take()) is not None:
        order.append(one.frame_id)
    ring.close()
    assert dropped == [0]
    assert order == [1, 2, 3, 4]


def test_looks_of_an_audit_take_no_place_of_the_surveys() -> None:
    dropped: list[int] = []
    ring = FrameRing(
        1024, per_place=2, dropped=lambda frame, _rule: dropped.append(frame.frame_id)
    )
    ring.put(waiting(0))
    for i in range(1, 5):
        ring.put(waiting(i, origin="audit"))
    ring.close()
    assert dropped == [1, 2]


READER = """
import sys, numpy as np
from smartscope.acquisition import RingReader
reader = RingReader(sys.argv[1])
pixels = reader.pixels([16, 16], "<u2")
try:
    pixels[0, 0] = 1
except ValueError:
    print(int(pixels.sum()), flush=True)
del pixels
reader.close()
"""


def test_another_process_reads_the_frame_and_leaves_the_memory_alone() -> None:
    ring = FrameRing(16 * 16 * 2, dropped=lambda _frame, _rule: None)
    try:
        for i in (7, 9):
            ring.put(waiting(i, size=16))
            frame = ring.take()
            assert frame is not None
            ring.load(frame)
            done = subprocess.run(
                [sys.executable, "-W", "error", "-c", READER, ring.name],
                capture_output=True,
                text=True,
                check=True,
            )
            assert int(done.stdout) == i * 256
            # a warning of the resource tracker would stand here
            assert done.stderr == ""
    finally:
        ring.close()
        ring.close()


def test_the_owner_leaves_no_memory_behind() -> None:
    code = (
        "from smartscope.acquisition import FrameRing\n"
        "ring = FrameRing(100, dropped=lambda f, r: None)\n"
        "print(ring.name)\nring.close()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stderr == ""
    from smartscope.acquisition import RingReader

    with pytest.raises(FileNotFoundError):
        RingReader(done.stdout.strip())


def test_the_newest_of_each_camera_wait_side_by_side() -> None:
    """A channel of two cameras is two kinds of frame: neither drives the other out."""
    dropped: list[int] = []
    ring = FrameRing(
        128, per_place=2, dropped=lambda frame, _rule: dropped.append(frame.frame_id)
    )
    try:
        for i in range(6):
            ring.put(waiting(i, channel="FITC", camera="AB"[i % 2]))
        left = [frame.frame_id for frame in iter(ring.take, None) if frame is not None]
    finally:
        ring.close()
    assert (dropped, left) == ([0, 1], [2, 3, 4, 5])
