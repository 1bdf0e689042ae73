"""The way from the camera to the analysis: bounded, with a named and counted drop rule.

Frames wait by reference in the acquisition process; only the one that is sent is
copied, into a slot of shared memory. The analysis process holds no lock and owns no
slot for longer than a frame, so it may be killed at any moment.
"""

from __future__ import annotations

import sys
from collections import OrderedDict, deque
from collections.abc import Callable
from multiprocessing import resource_tracker, shared_memory

import numpy as np
import numpy.typing as npt

from smartscope.acquisition.frame import Frame

NEWEST_OF_PLACE = "drop_oldest: newer frames of its place took its place"
FULL = "drop_oldest: the ring is full"
_MARK = 8  # bytes after the slot: what the reader is at


class FrameRing:
    """Frames that wait for the analysis process, and the shared memory to it.

    Of each place, channel and camera the newest ``per_place`` frames wait; in all at
    most ``max_frames`` and ``max_bytes``. What is more is dropped, oldest first, and
    told. Not safe for use from several threads at once: the owner holds a lock.

    Parameters
    ----------
    slot_bytes : int
        Largest frame, in bytes.
    per_place, max_frames, max_bytes : int
        Bounds; with ``per_place=0`` a place has none of its own.
    dropped : Callable
        Told each frame that is dropped, and the rule.
    """

    def __init__(
        self,
        slot_bytes: int,
        *,
        per_place: int = 2,
        max_frames: int = 64,
        max_bytes: int = 512 * 2**20,
        dropped: Callable[[Frame, str], None],
    ) -> None:
        self._waiting: OrderedDict[int, Frame] = OrderedDict()
        self._by_place: dict[tuple[str, str, str], deque[int]] = {}
        self._per_place = per_place
        self._max_frames = max_frames
        self._max_bytes = max_bytes
        self._bytes = 0
        self._dropped = dropped
        self._memory = shared_memory.SharedMemory(
            create=True, size=max(1, slot_bytes) + _MARK
        )

    @property
    def name(self) -> str:
        """Name of the shared memory, for the reader."""
        return self._memory.name

    @property
    def slot_bytes(self) -> int:
        """Size of the largest frame that can be sent."""
        return self._memory.size - _MARK

    def marked(self) -> int:
        """Return, once, what the reader is at, as it says; 0: nothing."""
        number = int.from_bytes(_mark(self._memory), "little")
        _mark(self._memory)[:] = bytes(_MARK)
        return number

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, frame: Frame) -> None:
        """Add a frame; older ones are dropped by the rule and told."""
        key = _kind(frame)
        same = self._by_place.get(key) or deque()
        if self._per_place and len(same) >= self._per_place:
            self._drop(same[0], NEWEST_OF_PLACE)
        self._waiting[frame.frame_id] = frame
        self._bytes += frame.pixels.nbytes
        # looked up again: with its last frame a place's deque was dropped too
        self._by_place.setdefault(key, deque()).append(frame.frame_id)
        while len(self._waiting) > 1 and (
            len(self._waiting) > self._max_frames or self._bytes > self._max_bytes
        ):
            self._drop(next(iter(self._waiting)), FULL)

    def _drop(self, frame_id: int, rule: str) -> None:
        self._dropped(self._remove(frame_id), rule)

    def _remove(self, frame_id: int) -> Frame:
        frame = self._waiting.pop(frame_id)
        self._bytes -= frame.pixels.nbytes
        same = self._by_place[_kind(frame)]
        same.remove(frame_id)
        if not same:
            del self._by_place[_kind(frame)]
        return frame

    def take(self) -> Frame | None:
        """Take the oldest waiting frame."""
        return self._remove(next(iter(self._waiting))) if self._waiting else None

    def load(self, frame: Frame) -> None:
        """Copy a frame into the shared slot; needs no lock, the slot has one user."""
        pixels = frame.pixels
        np.copyto(_view(self._memory, pixels.shape, pixels.dtype), pixels)

    def drop_all(self, rule: str) -> None:
        """Drop every waiting frame, because nobody will analyse it."""
        for frame_id in list(self._waiting):
            self._drop(frame_id, rule)

    def close(self) -> None:
        """Give the shared memory back; may be called more than once."""
        self._memory.close()
        try:
            self._memory.unlink()
        except FileNotFoundError:
            return


def _kind(frame: Frame) -> tuple[str, str, str]:
    # looks of an audit must not take the place of the survey's
    place = f"{frame.place} (audit)" if frame.origin == "audit" else frame.place
    return place, frame.state.channel, frame.camera


def _mark(memory: shared_memory.SharedMemory) -> memoryview:
    buffer = memory.buf
    assert buffer is not None  # it is while the memory is open
    return buffer[memory.size - _MARK : memory.size]


def _view(
    memory: shared_memory.SharedMemory, shape: tuple[int, ...], dtype: np.dtype
) -> npt.NDArray[np.generic]:
    return np.ndarray(shape, dtype, buffer=memory.buf)


class RingReader:
    """The analysis process' end of the ring."""

    def __init__(self, name: str) -> None:
        self._memory = _attach(name)

    def pixels(self, shape: list[int], dtype: str) -> npt.NDArray[np.generic]:
        """Return the frame in the slot, read-only; valid until the answer is sent."""
        view = _view(self._memory, tuple(shape), np.dtype(dtype))
        view.flags.writeable = False
        return view

    def mark(self, number: int) -> None:
        """Say what this process is at, for whoever has to kill it."""
        _mark(self._memory)[:] = number.to_bytes(_MARK, "little")

    @property
    def memory(self) -> memoryview | None:
        """The slot itself, which stays where it is; None once it is closed."""
        return self._memory.buf

    def close(self) -> None:
        """Detach from the shared memory."""
        self._memory.close()


def _attach(name: str) -> shared_memory.SharedMemory:
    if sys.version_info >= (3, 13):
        return shared_memory.SharedMemory(name=name, track=False)
    # Before 3.13 a process that only attaches is tracked too, and its tracker would
    # remove the memory when it ends.
    register = resource_tracker.register
    resource_tracker.register = lambda *_args: None
    try:
        return shared_memory.SharedMemory(name=name)
    finally:
        resource_tracker.register = register
