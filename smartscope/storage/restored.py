"""The restored images of a run, written by the process that restores them.

Nobody ever waits for them: what the disk cannot take in time is dropped, counted and
told. They lie in ``restored.ome.zarr`` under the names and at the times and planes of
their raw frames; ``restored.jsonl`` has a line for each that is readable. A process
that was started again goes on in the same images.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from smartscope.acquisition import EventTag, Frame
from smartscope.storage.collection import Collection, ImageSpec
from smartscope.storage.journal import Journal, read_journal
from smartscope.storage.run_folder import RunFolder
from smartscope.storage.settings import StorageSettings
from smartscope.storage.writer import Index, Plane, Writer, WriterListener, told

KIND = "restored"
TAKEN = "taken"
_NOTES = {
    "content": "images as a model restored them",
    "frames": "see restored.jsonl of the run",
}


class RestoredStore:
    """Takes restored images and writes them in a thread of its own.

    Parameters
    ----------
    folder : RunFolder
        Of the run.
    settings : StorageSettings, optional
        ``compression`` and ``queue_mb`` as for raw frames. Twice ``reserve_mb`` must
        stay free, so that the raw frames have room when these have none.
    cameras : Sequence of str
        Labels of the cameras that expose together, as for the recorder.
    """

    def __init__(
        self,
        folder: RunFolder,
        settings: StorageSettings | None = None,
        cameras: Sequence[str] = (),
    ) -> None:
        settings = settings or StorageSettings()
        self._cameras = tuple(cameras)
        self._specs: dict[str, ImageSpec] = {}
        self._formats: dict[str, tuple[tuple[int, ...], np.dtype[Any]]] = {}
        self._first_z: dict[str, tuple[int, float]] = {}
        self._taken: set[tuple[str, Index]] = set()
        self._failure = ""
        earlier = self._go_on(folder)
        self._journal = Journal(folder.restored_journal)
        self._writer = Writer(
            Collection(folder.restored, settings.compression, earlier),
            self._journal,
            settings,
            WriterListener(lambda _: None, self._fail),
            kind=KIND,
            reserve_mb=2 * settings.reserve_mb,
        )

    def _go_on(self, folder: RunFolder) -> dict[str, list[dict[str, Any]]]:
        """Return what an earlier process has stored, and take note of it."""
        by_image: dict[str, list[dict[str, Any]]] = {}
        for header in restored_headers(folder):
            by_image.setdefault(header["image"], []).append(header)
            unread = np.zeros((), np.dtype(header["dtype"]))
            pixels = np.broadcast_to(unread, header["shape"])
            self._place(Frame.from_header(header, pixels))
        return by_image

    def offer(self, frame: Frame, restored: npt.NDArray[Any]) -> str:
        """Take the restored image of a frame, copied, or say why it is dropped.

        Returns at once.

        Parameters
        ----------
        frame : Frame
            The raw one.
        restored : np.ndarray
            Shape ``(Y, X)``, any dtype of real numbers.

        Returns
        -------
        str
            ``"taken"``, ``"dropped: …"`` (this one), or ``"failed: …"`` (nothing is
            written any more).
        """
        if self._failure or self._writer.closing:
            return self._failure or "dropped: the store is closed"
        frame = replace(frame, pixels=restored)
        if why := self._unfit(frame):
            return f"dropped: {why}"
        with self._writer.changed:
            # the queue's measure is the bytes of the image, which 'frame' has already
            if not self._writer.fits(Plane(frame, ImageSpec(""), (0, 0, 0))):
                limit_mb = self._writer.limit // 1_000_000
                return f"dropped: the disk is behind ({limit_mb} MB wait for it)"
            spec, index = self._place(frame)
            # the runtime may write its next image where this one lies
            own = replace(frame, pixels=restored.copy())
            self._writer.put(Plane(own, spec, index))
        return TAKEN

    def close(self) -> None:
        """Write what waits; may be called again."""
        self._writer.close()
        self._journal.close()

    def _unfit(self, frame: Frame) -> str:
        tag, pixels = EventTag.of(frame.event), frame.pixels
        if pixels.ndim != 2 or pixels.dtype.kind not in "fui":
            return f"an image of {pixels.shape} {pixels.dtype} is none"
        expected = self._formats.get(tag.image)
        if expected not in (None, (pixels.shape, pixels.dtype)):
            return (
                f"it is {pixels.shape} {pixels.dtype}, the image {tag.image} holds "
                f"{expected[0]} {expected[1]}"
            )
        spec = self._specs.get(tag.image)
        label = self._label(frame)
        if spec is not None and label in spec.channels:
            t, _, z = tag.index
            if (tag.image, (t, spec.channels.index(label), z)) in self._taken:
                return "another one has its time, channel and plane"
        return ""

    def _label(self, frame: Frame) -> str:
        channel = frame.state.channel
        return f"{channel} {frame.camera}".strip() if self._several else channel

    @property
    def _several(self) -> bool:
        return len(self._cameras) > 1

    def _place(self, frame: Frame) -> tuple[ImageSpec, Index]:
        """Return the image of a frame, as it is with it, and its index there.

        Only channels that are restored are channels of the image, in the order in
        which they first came.
        """
        tag, label = EventTag.of(frame.event), self._label(frame)
        t, _, z = tag.index
        spec = self._specs.get(tag.image)
        if spec is None:
            spec = ImageSpec(tag.image, (label,), notes=_NOTES)
            self._formats[tag.image] = (frame.pixels.shape, frame.pixels.dtype)
            self._first_z[tag.image] = (z, frame.state.z_um)
        if label not in spec.channels:
            spec = replace(spec, channels=(*spec.channels, label))
        if z >= spec.z_planes:
            first_z, first_um = self._first_z[tag.image]
            step_um = abs(frame.state.z_um - first_um) / max(abs(z - first_z), 1)
            spec = replace(spec, z_planes=z + 1, z_step_um=round(step_um, 6) or 1.0)
        self._specs[tag.image] = spec
        index = (t, spec.channels.index(label), z)
        self._taken.add((tag.image, index))
        return spec, index

    def _fail(self, why: Exception, lost: list[Plane]) -> None:
        more = f", {len(lost)} that waited are lost" if lost else ""
        self._failure = self._failure or (
            f"failed: restored images cannot be written: {told(why)}{more}"
        )


def restored_headers(folder: RunFolder) -> list[dict[str, Any]]:
    """Return the headers of the restored images that are readable, as they were made.

    Each is the header of its frame, with ``shape`` and ``dtype`` of the restored image,
    ``image`` and ``index``.

    Raises
    ------
    OSError
        If their journal cannot be read.
    """
    if not folder.restored_journal.exists():
        return []
    lines = read_journal(folder.restored_journal).records
    return [line for line in lines if line.get("kind") == KIND]
