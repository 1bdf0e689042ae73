"""The recorder: frames in, pixels on disk, then a line in the journal. It drops none.

``append`` is called by the runner's thread and returns at once; everything that touches
the disk happens in the thread of ``writer``. What a collection looks like stands in
``collection``. The cameras of one exposure are channels of one image, so that a viewer
shows them one over the other.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from smartscope.errors import BrokenOff
from smartscope.storage.collection import Collection
from smartscope.storage.image import ImageSpec
from smartscope.storage.settings import StorageSettings
from smartscope.storage.writer import (
    Index,
    LatePlane,
    PassedPlane,
    Plane,
    Writer,
    WriterListener,
    told,
)
from smartscope.telemetry import Telemetry

if TYPE_CHECKING:
    from smartscope.acquisition import Frame
    from smartscope.storage.journal import Journal
    from smartscope.storage.run_folder import RunFolder

_KEPT = "Everything the journal calls stored is kept and readable."


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
    cameras : Sequence of str
        Labels of the cameras that expose together: each channel of an image is as many,
        in this order. One or none: a frame's camera does not matter.
    """

    def __init__(
        self,
        folder: RunFolder,
        journal: Journal,
        settings: StorageSettings | None = None,
        telemetry: Telemetry | None = None,
        on_stored: Callable[[int], None] | None = None,
        cameras: Sequence[str] = (),
    ) -> None:
        self._cameras = tuple(cameras)
        settings = settings or StorageSettings()
        self._path = folder.path
        self._telemetry = telemetry or Telemetry()
        self._on_stored = on_stored
        self._told = False
        self._error: BrokenOff | None = None
        self._stored = 0
        self._specs: dict[str, ImageSpec] = {}
        self._formats: dict[str, tuple[tuple[int, ...], np.dtype[Any]]] = {}
        self._taken: dict[str, set[Index]] = {}
        self._writer = Writer(
            Collection(folder.raw, settings.compression),
            journal,
            settings,
            WriterListener(self._count, self._fail),
            kind="frame",
            reserve_mb=settings.reserve_mb,
        )

    # ------------------------------------------------------------- runner's thread

    def declare(self, spec: ImageSpec) -> None:
        """Say what an image will be; not needed for one channel and plane.

        Parameters
        ----------
        spec : ImageSpec
            As if there were one camera.

        Raises
        ------
        ValueError
            If the image has been declared otherwise or has frames already.
        """
        spec = spec.of_cameras(self._cameras)
        with self._writer.changed:
            known = self._specs.get(spec.name)
            if known != spec and (known is not None or spec.name in self._formats):
                raise ValueError(f"The image {spec.name!r} is there already")
            self._specs[spec.name] = spec

    def append(
        self,
        frame: Frame,
        header: bytes | None = None,
        *,
        image: str,
        index: Index,
        late: bool = False,
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
            t, c, z in that image, as if there were one camera.
        late : bool
            It was taken a while ago and is in memory anyway: it waits for nothing, and
            is not counted in ``store``.

        Raises
        ------
        smartscope.errors.BrokenOff
            If an earlier frame could not be written, or this one does not fit into the
            image: another shape or dtype, an index outside or taken, another camera.
        RuntimeError
            If the recorder is closed.
        """
        writer = self._writer
        with writer.changed:
            self._raise_error()
            if writer.closing:
                raise RuntimeError("The recorder is closed; no frame can be added.")
            index = self._of_camera(frame, image, index)
            self._check(frame, image, index)
            make = LatePlane if late else Plane
            plane = make(frame, self._specs[image], index, header)
            if not late and not writer.fits(plane.nbytes):
                self._wait_to_fit(plane)
            writer.put(plane)

    def pass_over(self, frame: Frame, *, image: str, index: Index) -> None:
        """Journal a frame whose pixels are not stored, by policy.

        Its line is of kind ``unstored`` and else that of a stored one, which may still
        follow. Waits as ``append`` does: a line behind a slow disk holds its frame.

        Raises
        ------
        smartscope.errors.BrokenOff
            If an earlier frame could not be written.
        RuntimeError
            If the recorder is closed.
        """
        writer = self._writer
        with writer.changed:
            self._raise_error()
            if writer.closing:
                raise RuntimeError("The recorder is closed; no frame can be added.")
            index = self._of_camera(frame, image, index)
            spec = self._specs.get(image) or ImageSpec(image)
            plane = PassedPlane(frame, spec, index)
            if not writer.fits(plane.nbytes):
                self._wait_to_fit(plane)
            writer.put(plane)

    def _wait_to_fit(self, plane: Plane) -> None:
        writer = self._writer
        self._telemetry.count("disk_waits")
        writer.changed.wait_for(
            lambda: self._error is not None or writer.fits(plane.nbytes)
        )
        self._raise_error()

    def _of_camera(self, frame: Frame, image: str, index: Index) -> Index:
        cameras = self._cameras
        if len(cameras) < 2:
            return index
        if frame.camera not in cameras:
            raise _misfit(
                image,
                f"frame {frame.frame_id} comes from the camera {frame.camera}, the run "
                f"began with {', '.join(cameras)}",
            )
        t, c, z = index
        return t, c * len(cameras) + cameras.index(frame.camera), z

    def _check(self, frame: Frame, image: str, index: Index) -> None:
        pixels = frame.pixels
        got = (pixels.shape, pixels.dtype)
        expected = self._formats.get(image)
        if expected is None:
            if pixels.ndim != 2:
                raise _misfit(image, f"frame {frame.frame_id} has the shape {got[0]}")
            if image not in self._specs:
                spec = ImageSpec(image, (frame.state.channel,))
                self._specs[image] = spec.of_cameras(self._cameras)
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
        return self._writer.waiting > self._writer.limit // 2

    @property
    def waiting_mb(self) -> float:
        """Frames that are not committed yet, in MB."""
        return self._writer.waiting / 1e6

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
        writer = self._writer
        with writer.changed:
            if self.behind:
                self._telemetry.count("disk_waits")
            writer.changed.wait_for(
                lambda: self._error is not None or writer.waiting <= writer.limit // 4,
                timeout_s,
            )
            return self._error is None and writer.waiting <= writer.limit // 4

    def close(self) -> None:
        """Write what waits, cut the images to what they hold; may be called again.

        Raises
        ------
        smartscope.errors.BrokenOff
            If a frame could not be written and ``append`` has not told so; at the first
            call only.
        """
        self._writer.close()
        if not self._told:
            self._raise_error()

    def _raise_error(self) -> None:
        if self._error is not None:
            self._told = True
            raise self._error

    # ------------------------------------------------------------- writer thread

    def _count(self, plane: Plane) -> None:
        if plane.passed:
            return
        frame = plane.frame
        self._stored += 1
        self._telemetry.count("frames_stored")
        if not plane.late:
            waited_s = time.monotonic() - frame.handed_over_s
            self._telemetry.took("store", waited_s * 1000)
        if self._on_stored is not None:
            self._on_stored(frame.frame_id)

    def _fail(self, why: Exception, lost: list[Plane]) -> None:
        """Count what is lost, tell the run."""
        lost = [plane for plane in lost if not plane.passed]
        self._telemetry.count("frames_lost", len(lost))
        first = min((plane.frame.frame_id for plane in lost), default=None)
        which = "" if first is None else f" (from frame {first} on)"
        # a second failure, at the close, adds nothing that helps
        self._error = self._error or BrokenOff(
            f"Frames cannot be written to {self._path}: {told(why)}.",
            rule="Raw frames are never dropped; a run that cannot store them ends.",
            way_out="Free or mend the disk, or name a folder on another one with "
            "--out, and run again.",
            state=f"{self._stored} frames are stored, {len(lost)} that waited for "
            f"the disk are lost{which}. {_KEPT}",
        )


def _misfit(image: str, why: str) -> BrokenOff:
    return BrokenOff(
        f"A frame does not fit into the image {image}: {why}.",
        rule="All frames of an image have one shape and dtype, and each its own index.",
        way_out="Check ROI, binning and bit depth of the camera.",
        state=_KEPT,
    )
