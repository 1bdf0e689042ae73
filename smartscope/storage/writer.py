"""Planes on their way to the disk: one thread, several writes in flight, in order.

It alone knows when a plane counts as stored: its pixels are committed, then its line
stands in the journal. What to do when the queue is full, and what a failure means, is
for those who put planes in: the recorder and the store of restored images.
"""

from __future__ import annotations

import json
import shutil
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from smartscope.errors import BrokenOff
from smartscope.storage.settings import StorageSettings

if TYPE_CHECKING:
    import tensorstore as ts

    from smartscope.acquisition import Frame
    from smartscope.storage.collection import Collection
    from smartscope.storage.image import ImageSpec
    from smartscope.storage.journal import Journal

_IN_FLIGHT = 16
_SPACE_CHECK_MB = 64.0
_UNSTORED = b"unstored"

Index = tuple[int, int, int]


@dataclass(frozen=True, slots=True, eq=False)
class Plane:
    """One plane that waits for the disk.

    Attributes
    ----------
    frame : Frame
        Its pixels and header; not changed any more.
    spec : ImageSpec
        The image it belongs to, as that is known by now.
    index : tuple of int
        t, c, z in that image.
    header : bytes or None
        ``frame.encode_header()``; None: encoded by the writer thread.
    """

    passed: ClassVar[bool] = False
    late: ClassVar[bool] = False

    frame: Frame
    spec: ImageSpec
    index: Index
    header: bytes | None = None

    @property
    def nbytes(self) -> int:
        """Bytes of its pixels."""
        return int(self.frame.pixels.nbytes)


class PassedPlane(Plane):
    """One whose pixels are not stored, by policy: only its line is written."""

    __slots__ = ()
    passed = True


class LatePlane(Plane):
    """One that has waited in memory: its way to the disk is no measure of the disk."""

    __slots__ = ()
    late = True


@dataclass(frozen=True, slots=True)
class WriterListener:
    """Who is told, in the writer thread.

    Attributes
    ----------
    stored : Callable
        A plane is committed and journalled; must be quick and raise nothing.
    failed : Callable
        Why nothing is written any more, and the planes that are lost; called with
        ``changed`` held. After it nothing waits.
    """

    stored: Callable[[Plane], None]
    failed: Callable[[Exception, list[Plane]], None]


class Writer:
    """Writes planes into a collection, in the order they were put.

    Parameters
    ----------
    collection : Collection
        Where to.
    journal : Journal
        Gets a line for each plane after its pixels are committed.
    settings : StorageSettings
        Size of the queue, disk space to leave.
    listener : WriterListener
        Who is told.
    kind : str
        Of the lines.
    reserve_mb : int
        Disk space that must stay free.

    Attributes
    ----------
    changed : threading.Condition
        Held by those who put; notified whenever the queue has changed.
    limit : int
        Bytes that may wait, those in flight included.
    """

    def __init__(
        self,
        collection: Collection,
        journal: Journal,
        settings: StorageSettings,
        listener: WriterListener,
        *,
        kind: str,
        reserve_mb: int,
    ) -> None:
        self.changed = threading.Condition()
        self.limit = settings.queue_mb * 1_000_000
        self._collection = collection
        self._journal = journal
        self._slow_s = settings.slow_disk_ms / 1000
        self._listener = listener
        self._kind = kind.encode()
        self._reserve_mb = reserve_mb
        self._queue: deque[Plane] = deque()
        self._bytes = 0  # waiting and in flight
        self._closing = False
        self._unchecked_mb = _SPACE_CHECK_MB
        self._thread = threading.Thread(
            target=self._work, name=f"writer of {collection.path.name}", daemon=True
        )
        self._thread.start()

    # ------------------------------------------------------------- who puts

    @property
    def waiting(self) -> int:
        """Bytes that are not committed yet."""
        return self._bytes

    @property
    def closing(self) -> bool:
        """True once it has been told to end."""
        return self._closing

    def fits(self, nbytes: int) -> bool:
        """Return whether the queue has room; an empty one takes any plane."""
        return not self._bytes or self._bytes + nbytes <= self.limit

    def put(self, plane: Plane) -> None:
        """Take a plane, whether it fits or not."""
        with self.changed:
            self._bytes += plane.nbytes
            self._queue.append(plane)
            self.changed.notify_all()

    def close(self) -> None:
        """Write what waits, cut the images to what they hold; may be called again."""
        with self.changed:
            self._closing = True
            self.changed.notify_all()
        self._thread.join()

    # ------------------------------------------------------------- writer thread

    def _work(self) -> None:
        flying: deque[tuple[Plane, ts.WriteFutures]] = deque()
        try:
            self._write_all(flying)
        except Exception as e:  # noqa: BLE001  whatever it is, the run must be told
            self._fail(e, flying)
        try:
            self._collection.finish()
        except Exception as e:  # noqa: BLE001  whatever it is, the run must be told
            self._fail(e, flying)

    def _write_all(self, flying: deque[tuple[Plane, ts.WriteFutures]]) -> None:
        while True:
            with self.changed:
                if not flying:
                    self.changed.wait_for(lambda: self._queue or self._closing)
                plane = self._queue[0] if self._queue else None
                if plane is None and not flying:
                    return
            if plane is None or len(flying) >= _IN_FLIGHT:
                # it stays in 'flying' until it is stored, so that no failure forgets it
                self._settle(*flying[0])
                self._count(flying.popleft()[0])
                continue
            if plane.passed:
                header = plane.header or plane.frame.encode_header()
                self._note(plane, header, _UNSTORED)
                with self.changed:
                    self._queue.popleft()
                self._count(plane)
                continue
            if self._slow_s:
                time.sleep(self._slow_s)
            self._check_space(plane.nbytes / 1e6)
            image = self._collection.image(plane.spec, plane.frame, plane.index)
            flying.append((plane, image.write(plane.frame, plane.index)))
            with self.changed:
                self._queue.popleft()

    def _settle(self, plane: Plane, future: ts.WriteFutures) -> None:
        """Wait until the pixels are committed, then say so in the journal."""
        header = plane.header or plane.frame.encode_header()
        future.result()
        self._note(plane, header, self._kind)
        self._collection.images[plane.spec.name].stored(plane.index)

    def _note(self, plane: Plane, header: bytes, kind: bytes) -> None:
        self._journal.write(
            b'{"kind":"%b",%b,"image":%b,"index":%b}'
            % (
                kind,
                header.strip()[1:-1],
                json.dumps(plane.spec.name).encode(),
                json.dumps(plane.index, separators=(",", ":")).encode(),
            )
        )

    def _count(self, plane: Plane) -> None:
        self._listener.stored(plane)
        with self.changed:
            self._bytes -= plane.nbytes
            self.changed.notify_all()

    def _check_space(self, mb: float) -> None:
        self._unchecked_mb += mb
        if self._unchecked_mb < _SPACE_CHECK_MB:
            return
        self._unchecked_mb = 0.0
        free_mb = shutil.disk_usage(self._collection.path.parent).free / 1e6
        if free_mb < self._reserve_mb:
            raise OSError(
                f"the disk has {free_mb:.0f} MB free, "
                f"{self._reserve_mb} MB must stay free (storage.reserve_mb)"
            )

    def _fail(
        self, why: Exception, flying: deque[tuple[Plane, ts.WriteFutures]]
    ) -> None:
        """Keep what can still be committed, tell of the rest."""
        lost: list[Plane] = []
        while flying:
            plane, future = flying.popleft()
            try:
                self._settle(plane, future)
                self._count(plane)
            except Exception:  # noqa: BLE001  counted; the first failure is the one told
                lost.append(plane)
        with self.changed:
            lost += self._queue
            self._queue.clear()
            self._bytes = 0
            self._listener.failed(why, lost)
            self.changed.notify_all()


def told(why: Exception) -> str:
    """Return why something could not be written, in one short line."""
    if isinstance(why, BrokenOff):
        return why.what.rstrip(".")
    # tensorstore's messages go on with source files after the reason
    text = (str(why) or type(why).__name__).splitlines()[0]
    return text.split(" [")[0][:300].rstrip(".")
