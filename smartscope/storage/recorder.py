"""The recorder: frames in, pixels on disk, then a line in the journal. It drops none.

``append`` is called by the runner's thread and returns at once; everything that touches
the disk happens in one writer thread, which keeps several writes in flight. What a
collection looks like stands in ``collection``.
"""

from __future__ import annotations

import json
import shutil
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from smartscope.errors import BrokenOff
from smartscope.storage.collection import Collection, Image, ImageSpec
from smartscope.storage.settings import StorageSettings
from smartscope.telemetry import Telemetry

if TYPE_CHECKING:
    import tensorstore as ts

    from smartscope.acquisition import Frame
    from smartscope.storage.journal import Journal
    from smartscope.storage.run_folder import RunFolder

_IN_FLIGHT = 16
_SPACE_CHECK_MB = 64.0
_KEPT = "Everything the journal calls stored is kept and readable."

Index = tuple[int, int, int]
_Waiting = tuple["Frame", bytes | None, str, Index]


class Recorder:
    """Writes every acquired frame of a run.

    Parameters
    ----------
    folder : RunFolder
        Of the run.
    journal : Journal
        Gets a line of kind ``frame`` after the pixels of the frame are committed.
    settings : StorageSettings
        Compression, size of the queue, disk space to leave.
    telemetry : Telemetry, optional
        Gets ``frames_stored``, ``disk_waits``, ``frames_lost`` and the series
        ``store`` (hand-over to committed, ms).
    on_stored : callable, optional
        Called in the writer thread with the frame_id of each frame that is stored; must
        be quick and raise nothing.
    """

    def __init__(
        self,
        folder: RunFolder,
        journal: Journal,
        settings: StorageSettings | None = None,
        telemetry: Telemetry | None = None,
        on_stored: Callable[[int], None] | None = None,
    ) -> None:
        self._settings = settings or StorageSettings()
        self._path = folder.path
        self._journal = journal
        self._telemetry = telemetry or Telemetry()
        self._on_stored = on_stored
        self._collection = Collection(folder.raw, self._settings.compression)
        self._limit = self._settings.queue_mb * 1_000_000
        self._changed = threading.Condition()
        self._queue: deque[_Waiting] = deque()
        self._bytes = 0  # waiting and in flight
        self._closing = False
        self._told = False
        self._error: BrokenOff | None = None
        self._stored = 0
        self._unchecked_mb = _SPACE_CHECK_MB
        self._specs: dict[str, ImageSpec] = {}
        self._formats: dict[str, tuple[tuple[int, ...], np.dtype[Any]]] = {}
        self._taken: dict[str, set[Index]] = {}
        self._times: dict[str, int] = {}  # stored along t; writer thread only
        self._thread = threading.Thread(target=self._work, name="recorder", daemon=True)
        self._thread.start()

    # ------------------------------------------------------------- runner's thread

    def declare(self, spec: ImageSpec) -> None:
        """Say what an image will be; not needed for one channel and plane.

        Raises
        ------
        ValueError
            If the image has been declared otherwise or has frames already.
        """
        with self._changed:
            known = self._specs.get(spec.name)
            if known != spec and (known is not None or spec.name in self._formats):
                raise ValueError(f"The image {spec.name!r} is there already")
            self._specs[spec.name] = spec

    def append(
        self, frame: Frame, header: bytes | None = None, *, image: str, index: Index
    ) -> None:
        """Take a frame; its pixels are not copied and must not be changed any more.

        Returns at once, but for a queue that holds ``queue_mb``: then it waits for the
        disk, which is counted as ``disk_waits``.

        Parameters
        ----------
        frame : Frame
            The frame.
        header : bytes, optional
            ``frame.encode_header()``; default: encoded by the writer thread.
        image : str
            Name of the image it belongs to.
        index : tuple of int
            t, c, z in that image.

        Raises
        ------
        smartscope.errors.BrokenOff
            If an earlier frame could not be written, or this one does not fit into the
            image: another shape or dtype, an index outside or taken.
        RuntimeError
            If the recorder is closed.
        """
        size = frame.pixels.nbytes
        with self._changed:
            self._raise_error()
            if self._closing:
                raise RuntimeError("The recorder is closed; no frame can be added.")
            self._check(frame, image, index)
            if self._bytes and self._bytes + size > self._limit:
                self._telemetry.count("disk_waits")
                self._changed.wait_for(
                    lambda: (
                        self._error is not None
                        or not self._bytes
                        or self._bytes + size <= self._limit
                    )
                )
                self._raise_error()
            self._bytes += size
            self._queue.append((frame, header, image, index))
            self._changed.notify_all()

    def _check(self, frame: Frame, image: str, index: Index) -> None:
        pixels = frame.pixels
        got = (pixels.shape, pixels.dtype)
        expected = self._formats.get(image)
        if expected is None:
            if pixels.ndim != 2:
                raise _misfit(image, f"frame {frame.frame_id} has the shape {got[0]}")
            spec = self._specs.get(image) or ImageSpec(image, (frame.state.channel,))
            self._specs[image] = spec
            self._formats[image] = got
            self._taken[image] = set()
        elif got != expected:
            raise _misfit(
                image,
                f"frame {frame.frame_id} is {got[0]} {got[1]}, the image holds "
                f"{expected[0]} {expected[1]}",
            )
        spec = self._specs[image]
        t, c, z = index
        if t < 0 or not 0 <= c < len(spec.channels) or not 0 <= z < spec.z_planes:
            raise _misfit(
                image,
                f"frame {frame.frame_id} has the index {list(index)}, the image "
                f"{len(spec.channels)} channels and {spec.z_planes} planes",
            )
        if index in self._taken[image]:
            raise _misfit(
                image, f"frame {frame.frame_id} has the index {list(index)} of another"
            )
        self._taken[image].add(index)

    @property
    def behind(self) -> bool:
        """True if the disk is behind its high-water mark, half of ``queue_mb``."""
        return self._bytes > self._limit // 2

    @property
    def waiting_mb(self) -> float:
        """Frames that are not committed yet, in MB."""
        return self._bytes / 1e6

    @property
    def error(self) -> BrokenOff | None:
        """Why nothing is written any more; None if all is well."""
        return self._error

    def wait_caught_up(self, timeout_s: float | None = None) -> bool:
        """Wait until the disk has caught up to half of the high-water mark.

        Counted as ``disk_waits`` if it was behind.

        Returns
        -------
        bool
            False if the time was over first, or if writing has failed.
        """
        with self._changed:
            if self.behind:
                self._telemetry.count("disk_waits")
            self._changed.wait_for(
                lambda: self._error is not None or self._bytes <= self._limit // 4,
                timeout_s,
            )
            return self._error is None and self._bytes <= self._limit // 4

    def close(self) -> None:
        """Write what waits, cut the images to what they hold; may be called again.

        Raises
        ------
        smartscope.errors.BrokenOff
            If a frame could not be written and ``append`` has not told so; at the first
            call only.
        """
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._thread.join()
        if not self._told:
            self._raise_error()

    def _raise_error(self) -> None:
        if self._error is not None:
            self._told = True
            raise self._error

    # ------------------------------------------------------------- writer thread

    def _work(self) -> None:
        flying: deque[tuple[_Waiting, ts.WriteFutures]] = deque()
        try:
            self._write_all(flying)
        except Exception as e:  # noqa: BLE001  whatever it is, the run must be told
            self._fail(e, flying)
        try:
            for name, image in self._collection.images.items():
                image.finish(self._times.get(name, 0))
        except Exception as e:  # noqa: BLE001  whatever it is, the run must be told
            self._fail(e, flying)

    def _write_all(self, flying: deque[tuple[_Waiting, ts.WriteFutures]]) -> None:
        while True:
            with self._changed:
                if not flying:
                    self._changed.wait_for(lambda: self._queue or self._closing)
                waiting = self._queue[0] if self._queue else None
                if waiting is None and not flying:
                    return
            if waiting is None or len(flying) >= _IN_FLIGHT:
                # it stays in 'flying' until it is stored, so that no failure forgets it
                self._settle(*flying[0])
                self._count(flying.popleft()[0][0])
                continue
            if self._settings.slow_disk_ms:
                time.sleep(self._settings.slow_disk_ms / 1000)
            self._check_space(waiting[0].pixels.nbytes / 1e6)
            frame, _, name, index = waiting
            future = self._image(name, frame).write(frame, index)
            flying.append((waiting, future))
            with self._changed:
                self._queue.popleft()

    def _image(self, name: str, frame: Frame) -> Image:
        image = self._collection.images.get(name)
        return image or self._collection.add(self._specs[name], frame)

    def _settle(self, waiting: _Waiting, future: ts.WriteFutures) -> None:
        """Wait until the pixels are committed, then say so in the journal."""
        frame, header, name, index = waiting
        header = header or frame.encode_header()
        future.result()
        self._journal.write(
            b'{"kind":"frame",%b,"image":%b,"index":%b}'
            % (
                header.strip()[1:-1],
                json.dumps(name).encode(),
                json.dumps(index, separators=(",", ":")).encode(),
            )
        )
        self._times[name] = max(self._times.get(name, 0), index[0] + 1)

    def _count(self, frame: Frame) -> None:
        self._stored += 1
        self._telemetry.count("frames_stored")
        self._telemetry.took("store", (time.monotonic() - frame.handed_over_s) * 1000)
        if self._on_stored is not None:
            self._on_stored(frame.frame_id)
        with self._changed:
            self._bytes -= frame.pixels.nbytes
            self._changed.notify_all()

    def _check_space(self, mb: float) -> None:
        self._unchecked_mb += mb
        if self._unchecked_mb < _SPACE_CHECK_MB:
            return
        self._unchecked_mb = 0.0
        free_mb = shutil.disk_usage(self._path).free / 1e6
        if free_mb < self._settings.reserve_mb:
            raise OSError(
                f"the disk has {free_mb:.0f} MB free, "
                f"{self._settings.reserve_mb} MB must stay free (storage.reserve_mb)"
            )

    def _fail(
        self, why: Exception, flying: deque[tuple[_Waiting, ts.WriteFutures]]
    ) -> None:
        """Keep what can still be committed, count the rest, tell the run."""
        lost: list[int] = []
        while flying:
            waiting, future = flying.popleft()
            try:
                self._settle(waiting, future)
                self._count(waiting[0])
            except Exception:  # noqa: BLE001  counted; the first failure is the one told
                lost.append(waiting[0].frame_id)
        with self._changed:
            lost += [waiting[0].frame_id for waiting in self._queue]
            self._queue.clear()
            self._bytes = 0
            self._telemetry.count("frames_lost", len(lost))
            which = f" (from frame {min(lost)} on)" if lost else ""
            # a second failure, at the close, adds nothing that helps
            self._error = self._error or BrokenOff(
                f"Frames cannot be written to {self._path}: {_told(why)}.",
                rule="Raw frames are never dropped; a run that cannot store them ends.",
                way_out="Free or mend the disk, or name a folder on another one with "
                "--out, and run again.",
                state=f"{self._stored} frames are stored, {len(lost)} that waited for "
                f"the disk are lost{which}. {_KEPT}",
            )
            self._changed.notify_all()


def _misfit(image: str, why: str) -> BrokenOff:
    return BrokenOff(
        f"A frame does not fit into the image {image}: {why}.",
        rule="All frames of an image have one shape and dtype, and each its own index.",
        way_out="Check ROI, binning and bit depth of the camera.",
        state=_KEPT,
    )


def _told(why: Exception) -> str:
    if isinstance(why, BrokenOff):
        return why.what.rstrip(".")
    # tensorstore's messages go on with source files after the reason
    text = (str(why) or type(why).__name__).splitlines()[0]
    return text.split(" [")[0][:300].rstrip(".")
