"""One image of a collection: what is known of it, its array and its OME metadata."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from smartscope.acquisition import Frame
from smartscope.storage.zarr_files import (
    ARRAY,
    Compression,
    create_array,
    open_array,
    write_group,
)

if TYPE_CHECKING:
    import tensorstore as ts

_COLORS = ("00FF00", "FF00FF", "00FFFF", "FFFF00", "FF0000", "0080FF")


@dataclass(frozen=True, slots=True)
class ImageSpec:
    """What is known of an image before its first frame.

    Attributes
    ----------
    name : str
        ``survey_p0`` or ``burst_0001``: also its folder.
    channels : tuple of str
        Names along the axis c.
    z_planes : int
        Length of the axis z.
    z_step_um : float
        Distance of two planes.
    interval_s : float or None
        Planned time between two indices along t; what it was is written at the close.
    times : int
        Expected length along t; it grows beyond by doubling.
    notes : Mapping
        Plain values put beside the OME metadata, such as place and decision.
    """

    name: str
    channels: tuple[str, ...] = ("",)
    z_planes: int = 1
    z_step_um: float = 1.0
    interval_s: float | None = None
    times: int = 16
    notes: Mapping[str, Any] = field(default_factory=dict)

    def of_cameras(self, cameras: Sequence[str]) -> ImageSpec:
        """Return the image with a channel of each camera for every channel of it.

        Those of one exposure stand beside each other. One camera changes nothing.
        """
        if len(cameras) < 2:
            return self
        channels = [
            f"{channel} {camera}".strip()
            for channel in self.channels
            for camera in cameras
        ]
        notes = {**self.notes, "cameras": list(cameras)}
        return replace(self, channels=tuple(channels), notes=notes)

    def __post_init__(self) -> None:
        if not self.channels or self.z_planes < 1 or self.times < 1:
            raise ValueError(
                f"An image has at least one channel, plane and time; {self.name!r} has "
                f"{len(self.channels)}, {self.z_planes}, {self.times}"
            )
        if not self.z_step_um > 0:
            raise ValueError(f"z_step_um must be above 0, got {self.z_step_um}")


@dataclass(slots=True)
class Earlier:
    """What an earlier process has stored in an image.

    Attributes
    ----------
    first : Mapping
        Header of the frame that came first.
    time_s : dict
        Time in s of the first frame of each index along t.
    """

    first: Mapping[str, Any]
    time_s: dict[int, float] = field(default_factory=dict)


class Image:
    """One image of a collection: the axes t, c, z, y, x in chunks of one frame.

    Parameters
    ----------
    spec : ImageSpec
        What was declared.
    first : Frame
        Gives shape, dtype, pixel size and position.
    folder : Path
        Of the image, below the collection.
    context : tensorstore.Context
        How files are written.
    compression : {"lz4", "zstd", "none"}
        Of the chunks.
    channel : int
        That of the first frame.
    earlier : Earlier, optional
        Of an image that is there and is gone on with.
    """

    def __init__(
        self,
        spec: ImageSpec,
        first: Frame,
        folder: Path,
        context: ts.Context,
        compression: Compression,
        *,
        channel: int = 0,
        earlier: Earlier | None = None,
    ) -> None:
        self.spec = spec
        if earlier is not None:
            # position and pixel size are those of the frame that truly was the first
            first = Frame.from_header(earlier.first, first.pixels)
        self._first = first.state
        self._shape = first.pixels.shape
        self._full = float(2**first.bit_depth - 1)
        self._integers = first.pixels.dtype.kind in "ui"
        self._folder = folder
        self._windows = {channel: _window(first)}
        self._time_s = {} if earlier is None else dict(earlier.time_s)
        self._times = max(self._time_s, default=-1) + 1
        self._capacity = max(spec.times, self._times)
        path = folder / ARRAY
        if (path / "zarr.json").exists():
            self._array = open_array(path, context)
            self._resize()
        else:
            sizes = (self._capacity, len(spec.channels), spec.z_planes)
            shape = (*sizes, *self._shape)
            self._array = create_array(
                path, shape, first.pixels.dtype, context, compression
            )
        self.write_metadata()

    def write(self, frame: Frame, index: tuple[int, int, int]) -> ts.WriteFutures:
        """Begin to write a frame; its pixels are referenced until that has ended."""
        t, c, z = index
        if t >= self._capacity:
            self._capacity = max(2 * self._capacity, t + 1)
            self._resize()
        if c not in self._windows:
            self._windows[c] = _window(frame)
        self._time_s.setdefault(t, frame.time_s)
        return self._array[t, c, z].write(
            frame.pixels, can_reference_source_data_indefinitely=True
        )

    def stored(self, index: tuple[int, int, int]) -> None:
        """Take note that the frame with this index is on disk."""
        self._times = max(self._times, index[0] + 1)

    def grow(self, spec: ImageSpec) -> None:
        """Become an image of more channels or planes than it was."""
        self.spec = spec
        self._resize()
        self.write_metadata()

    def finish(self) -> None:
        """Cut the axis t to what was stored and write the time it really took."""
        if (length := max(self._times, 1)) != self._capacity:
            self._capacity = length
            self._resize()
        self.write_metadata()

    def _resize(self) -> None:
        sizes = (self._capacity, len(self.spec.channels), self.spec.z_planes)
        # only the metadata: beyond the end there is nothing to delete
        self._array = self._array.resize(
            exclusive_max=[*sizes, None, None], resize_metadata_only=True
        ).result()

    def _interval_s(self) -> float | None:
        time_s = [self._time_s[t] for t in sorted(self._time_s)]
        between = float(np.median(np.diff(time_s))) if len(time_s) > 1 else 0.0
        return between if between > 0 else self.spec.interval_s

    def write_metadata(self) -> None:
        """Write or replace the OME metadata of the image."""
        from yaozarrs import DimSpec, v05
        from yaozarrs.v05 import Omero

        spec, state = self.spec, self._first
        interval_s = self._interval_s()
        um, px_um = "micrometer", state.pixel_size_um
        z_um, y_um, x_um = self._corner_um() or (None, None, None)
        scale = v05.Multiscale.from_dims(
            [
                DimSpec(
                    name="t",
                    scale=interval_s or 1.0,
                    unit="second" if interval_s else None,
                ),
                DimSpec(name="c"),
                DimSpec(name="z", scale=spec.z_step_um, unit=um, translation=z_um),
                DimSpec(name="y", scale=px_um, unit=um, translation=y_um),
                DimSpec(name="x", scale=px_um, unit=um, translation=x_um),
            ],
            name=spec.name,
        )
        omero = Omero.model_validate({"channels": self._channels()})
        image = v05.Image(multiscales=[scale], omero=omero)
        write_group(
            self._folder,
            {
                "ome": image.model_dump(mode="json", by_alias=True, exclude_none=True),
                "smartscope": {"frames": "see journal.jsonl of the run", **spec.notes},
            },
        )

    def _corner_um(self) -> tuple[float, float, float] | None:
        """Return z, y, x of pixel 0, 0, if the axes of the image are the stage's."""
        state = self._first
        if not np.array_equal(state.orientation, np.eye(2)):
            return None
        rows, columns = self._shape
        corner = state.stage_map.to_stage(
            np.zeros((1, 2)), (rows, columns), (state.x_um, state.y_um)
        )[0]
        return float(state.z_um), float(corner[1]), float(corner[0])

    def _channels(self) -> list[dict[str, Any]]:
        """Return names, colours and contrast, so that a viewer opens on the cells."""
        names = self.spec.channels
        channels = []
        for c, name in enumerate(names):
            window = self._windows.get(c) or _Window(0.0, self._full, 0.0, self._full)
            full = (0.0, self._full) if self._integers else (window.low, window.high)
            channels.append(
                {
                    "label": name or "image",
                    "color": "FFFFFF" if len(names) == 1 else _COLORS[c % len(_COLORS)],
                    "active": True,
                    "window": {
                        "min": full[0],
                        "max": full[1],
                        "start": window.start,
                        "end": window.end,
                    },
                }
            )
        return channels


class _Window(NamedTuple):
    """Values between which a viewer shows an image, and all that are in it."""

    start: float
    end: float
    low: float
    high: float


def _window(frame: Frame) -> _Window:
    sample = np.asarray(frame.pixels[::4, ::4], dtype=np.float64)
    start, end = np.percentile(sample, [0.5, 99.8])
    # of integers one count, of other numbers what float32 still tells apart
    least = 1.0 if frame.pixels.dtype.kind in "ui" else 1e-6 * max(abs(start), 1.0)
    end = max(end, start + least)
    low, high = float(frame.pixels.min()), float(frame.pixels.max())
    return _Window(float(start), float(end), min(low, start), max(high, end))
