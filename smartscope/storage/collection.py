"""The OME-Zarr collection of a run: which images there are and what they are.

It alone knows the layout on disk (OME-NGFF 0.5 on zarr 3, bioformats2raw layout) and
the order of writing in which a reader finds a valid collection at every moment: array,
then image, then its name in the series. Pixels are put in by ``writer``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from smartscope.acquisition import Frame
from smartscope.storage.run_folder import replace_json

if TYPE_CHECKING:
    import tensorstore as ts

ARRAY = "0"
Compression = Literal["lz4", "zstd", "none"]
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
    earlier : Sequence of (int, float)
        Index along t and time in s of what an earlier process has stored in it: then
        the image is there, and is gone on with.
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
        earlier: Sequence[tuple[int, float]] = (),
    ) -> None:
        self.spec = spec
        self._first = first.state
        self._shape = first.pixels.shape
        self._full = float(2**first.bit_depth - 1)
        self._integers = first.pixels.dtype.kind in "ui"
        self._folder = folder
        self._windows = {channel: _window(first)}
        # the first frame of each time, as they come
        self._time_s = dict(reversed(earlier))
        self._times = max(self._time_s, default=-1) + 1
        self._capacity = max(spec.times, self._times)
        path = folder / ARRAY
        if (path / "zarr.json").exists():
            self._array = _open_array(path, context)
            self._resize()
        else:
            sizes = (self._capacity, len(spec.channels), spec.z_planes)
            shape = (*sizes, *self._shape)
            self._array = _create_array(
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
        _write_group(
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


class Collection:
    """The OME-Zarr collection of a run.

    Parameters
    ----------
    path : Path
        Made with the first image.
    compression : {"lz4", "zstd", "none"}
        Of the chunks.
    earlier : Mapping of str to sequence of Frame headers, optional
        By image, in the order they were made: the headers of the frames that an earlier
        process has stored, with ``index``. These images are gone on with.
    """

    def __init__(
        self,
        path: Path,
        compression: Compression,
        earlier: Mapping[str, Sequence[Mapping[str, Any]]] | None = None,
    ) -> None:
        import tensorstore as ts

        # imported here, or the first image would be late
        import yaozarrs.v05  # noqa: F401

        self.path = path
        self.images: dict[str, Image] = {}
        self._earlier = dict(earlier or {})
        self._compression: Compression = compression
        # One process writes, each chunk once, under a name of its own that is then put
        # in place: no locks are needed. Without sync, frames survive the end of the
        # process, not that of the machine.
        self._context = ts.Context(
            {
                "cache_pool": {"total_bytes_limit": 0},
                "file_io_locking": {"mode": "none"},
                "file_io_sync": False,
            }
        )

    def image(
        self, spec: ImageSpec, frame: Frame, index: tuple[int, int, int]
    ) -> Image:
        """Return the image of a frame; if it is its first, make the image and list it.

        An image of fewer channels or planes than ``spec`` says becomes one of these.
        """
        image = self.images.get(spec.name)
        if image is None:
            return self._add(spec, frame, index[1])
        if image.spec != spec:
            image.grow(spec)
        return image

    def finish(self) -> None:
        """Cut all images to what was stored in them."""
        for image in self.images.values():
            image.finish()

    def _add(self, spec: ImageSpec, first: Frame, channel: int) -> Image:
        earlier = self._earlier.get(spec.name, ())
        if earlier:
            # position and pixel size are those of the frame that truly was the first
            first = Frame.from_header(earlier[0], first.pixels)
        image = self.images[spec.name] = Image(
            spec,
            first,
            self.path / spec.name,
            self._context,
            self._compression,
            channel=channel,
            earlier=[(h["index"][0], h["time_s"]) for h in earlier],
        )
        if not earlier:
            self._write_series()
        return image

    def _write_series(self) -> None:
        from yaozarrs import v05

        names = list(dict.fromkeys((*self._earlier, *self.images)))
        series = v05.Series(series=names)
        _write_group(
            self.path / "OME", {"ome": series.model_dump(mode="json", by_alias=True)}
        )
        if len(names) == 1:
            layout = v05.Bf2Raw.model_validate({"bioformats2raw.layout": 3})
            _write_group(
                self.path, {"ome": layout.model_dump(mode="json", by_alias=True)}
            )


def _write_group(folder: Path, attributes: Mapping[str, Any]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    replace_json(
        folder / "zarr.json",
        {"zarr_format": 3, "node_type": "group", "attributes": attributes},
    )


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


def _open_array(path: Path, context: ts.Context) -> ts.TensorStore:
    import tensorstore as ts

    kvstore = {"driver": "file", "path": str(path)}
    return ts.open(
        {
            "driver": "zarr3",
            "kvstore": kvstore,
            "store_data_equal_to_fill_value": True,
        },
        open=True,
        context=context,
    ).result()


def _create_array(
    path: Path,
    shape: tuple[int, ...],
    dtype: np.dtype[Any],
    context: ts.Context,
    compression: Compression,
) -> ts.TensorStore:
    import tensorstore as ts

    codecs: list[dict[str, Any]] = [
        {"name": "bytes", "configuration": {"endian": "little"}}
    ]
    if compression != "none":
        blosc = {
            "cname": compression,
            "clevel": 1,
            "shuffle": "shuffle" if dtype.itemsize > 1 else "noshuffle",
            "typesize": dtype.itemsize,
            "blocksize": 0,
        }
        codecs.append({"name": "blosc", "configuration": blosc})
    return ts.open(
        {
            "driver": "zarr3",
            "kvstore": {"driver": "file", "path": str(path)},
            # a black frame is a frame: no chunk means not stored
            "store_data_equal_to_fill_value": True,
            "metadata": {
                "shape": list(shape),
                "data_type": dtype.name,
                "chunk_grid": {
                    "name": "regular",
                    "configuration": {"chunk_shape": [1, 1, 1, *shape[-2:]]},
                },
                # dots: one folder an image; slashes make four folders a frame
                "chunk_key_encoding": {
                    "name": "default",
                    "configuration": {"separator": "."},
                },
                "codecs": codecs,
                # a plane of numbers that is not there must not look like a black one
                "fill_value": 0 if dtype.kind in "ui" else "NaN",
                "dimension_names": ["t", "c", "z", "y", "x"],
            },
        },
        create=True,
        context=context,
    ).result()
