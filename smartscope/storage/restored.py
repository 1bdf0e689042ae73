"""The restored images of a run, written by the process that restores them.

Nobody ever waits for them: what the disk cannot take in time is dropped, counted and
told. They lie in ``restored.ome.zarr`` under the names and at the times and planes of
their raw frames; ``restored.jsonl`` has a line for each that is readable. A process
that was started again goes on in the same images.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from smartscope.acquisition import EventTag, Frame
from smartscope.storage.collection import Collection
from smartscope.storage.image import Earlier, ImageSpec
from smartscope.storage.journal import Journal, iter_journal
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

    def _go_on(self, folder: RunFolder) -> dict[str, Earlier]:
        """Return what an earlier process has stored, and take note of it."""
        by_image: dict[str, Earlier] = {}
        # by channel, then by plane: those of the image are in the order they came in,
        # and lines may be in another, as writes end in any
        for header in sorted(restored_headers(folder), key=_by_channel_and_plane):
            earlier = by_image.setdefault(header["image"], Earlier(header))
            earlier.time_s.setdefault(header["index"][0], header["time_s"])
            self._place(
                header["image"],
                header["index"],
                self._label(header["state"]["channel"], header["camera"]),
                header["state"]["z_um"],
                (tuple(header["shape"]), np.dtype(header["dtype"])),
            )
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
        tag = EventTag.of(frame.event)
        label = self._label(frame.state.channel, frame.camera)
        if why := self._unfit(tag, label, restored):
            return f"dropped: {why}"
        with self._writer.changed:
            if not self._writer.fits(restored.nbytes):
                limit_mb = self._writer.limit // 1_000_000
                return f"dropped: the disk is behind ({limit_mb} MB wait for it)"
            spec, index = self._place(
                tag.image,
                tag.index,
                label,
                frame.state.z_um,
                (restored.shape, restored.dtype),
            )
            # the runtime may write its next image where this one lies
            own = replace(frame, pixels=restored.copy())
            self._writer.put(Plane(own, spec, index))
        return TAKEN

    def close(self) -> None:
        """Write what waits; may be called again."""
        self._writer.close()
        self._journal.close()

    def _unfit(self, tag: EventTag, label: str, pixels: npt.NDArray[Any]) -> str:
        if pixels.ndim != 2 or pixels.dtype.kind not in "fui":
            return f"an image of {pixels.shape} {pixels.dtype} is none"
        expected = self._formats.get(tag.image)
        if expected not in (None, (pixels.shape, pixels.dtype)):
            return (
                f"it is {pixels.shape} {pixels.dtype}, the image {tag.image} holds "
                f"{expected[0]} {expected[1]}"
            )
        spec = self._specs.get(tag.image)
        if spec is not None and label in spec.channels:
            t, _, z = tag.index
            if (tag.image, (t, spec.channels.index(label), z)) in self._taken:
                return "another one has its time, channel and plane"
        return ""

    def _label(self, channel: str, camera: str) -> str:
        return f"{channel} {camera}".strip() if len(self._cameras) > 1 else channel

    def _place(
        self,
        image: str,
        raw_index: Index,
        label: str,
        z_um: float,
        shape_and_dtype: tuple[tuple[int, ...], np.dtype[Any]],
    ) -> tuple[ImageSpec, Index]:
        """Return the image of a frame, as it is with it, and its index there.

        Only channels that are restored are channels of the image, in the order in
        which they first came.
        """
        t, _, z = raw_index
        spec = self._specs.get(image)
        if spec is None:
            spec = ImageSpec(image, (label,), notes=_NOTES)
            self._formats[image] = shape_and_dtype
            self._first_z[image] = (z, z_um)
        if label not in spec.channels:
            spec = replace(spec, channels=(*spec.channels, label))
        if z >= spec.z_planes:
            first_z, first_um = self._first_z[image]
            step_um = abs(z_um - first_um) / max(abs(z - first_z), 1)
            spec = replace(spec, z_planes=z + 1, z_step_um=round(step_um, 6) or 1.0)
        self._specs[image] = spec
        index = (t, spec.channels.index(label), z)
        self._taken.add((image, index))
        return spec, index

    def _fail(self, why: Exception, lost: list[Plane]) -> None:
        more = f", {len(lost)} that waited are lost" if lost else ""
        self._failure = self._failure or (
            f"failed: restored images cannot be written: {told(why)}{more}"
        )


def _by_channel_and_plane(header: dict[str, Any]) -> tuple[int, int, int]:
    t, c, z = header["index"]
    return c, z, t


def restored_headers(folder: RunFolder) -> Iterator[dict[str, Any]]:
    """Yield the headers of the restored images that are readable, as they were made.

    Each is the header of its frame, with ``shape`` and ``dtype`` of the restored image,
    ``image`` and ``index``.

    Raises
    ------
    OSError
        If their journal cannot be read.
    """
    if folder.restored_journal.exists():
        for _, line in iter_journal(folder.restored_journal):
            if line is not None and line.get("kind") == KIND:
                yield line
