"""Reads a recorded movie: TIFF, OME-TIFF or OME-Zarr, frame by frame."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from smartscope.errors import Refused

_RULE = "A movie is one series of grey frames over time: TIFF, OME-TIFF or OME-Zarr."
_SAMPLED = 64


@dataclass(frozen=True, slots=True)
class MovieFile:
    """A movie that can be read.

    Attributes
    ----------
    path : Path
        Where it is.
    frames : int
        How many.
    shape : tuple of int
        Rows and columns of a frame.
    read : Callable
        Returns one frame ``(Y, X)`` by number.
    brightest, background : float
        Highest value and first percentile.
    """

    path: Path
    frames: int
    shape: tuple[int, int]
    read: Callable[[int], npt.NDArray[Any]]
    brightest: float
    background: float


def read_movie(path: Path) -> MovieFile:
    """Open a movie.

    Raises
    ------
    smartscope.errors.Refused
        If it is not there, cannot be read, or is not a series of grey frames.
    """
    if not path.exists():
        raise Refused(
            f"The movie {path} is not there.",
            rule=_RULE,
            way_out="Check the path; in an experiment it is relative to its file.",
        )
    try:
        if path.is_dir():
            shape, axes, read, dtype = _open_zarr(path)
        else:
            shape, axes, read, dtype = _open_tiff(path)
    except Refused:
        raise
    except Exception as e:  # each library has its own family of errors
        raise Refused(
            f"The movie {path} cannot be read: {e}",
            rule=_RULE,
            way_out="Open and save it again with Fiji, or export it as OME-TIFF.",
        ) from e
    long_axes = [n for n in shape if n > 1]
    if len(shape) < 3 or len(long_axes) > 3 or shape[-1] < 2 or shape[-2] < 2:
        raise Refused(
            f"The movie {path} has the shape {shape} ({axes}).",
            rule="A movie has frames, rows and columns, and one channel and one plane.",
            way_out="Save each channel as a movie of its own ('movie' takes one per "
            "preset), and one plane or a projection of a stack.",
        )
    if dtype.kind not in "uif":
        raise Refused(f"The movie {path} holds {dtype}, not numbers.", rule=_RULE)
    frames = int(np.prod(shape[:-2]))
    brightest, background = _levels(path, frames, read)
    size = (int(shape[-2]), int(shape[-1]))
    return MovieFile(path, frames, size, read, brightest, background)


_Opened = tuple[tuple[int, ...], str, Callable[[int], npt.NDArray[Any]], np.dtype[Any]]


def _open_tiff(path: Path) -> _Opened:
    import tifffile

    with tifffile.TiffFile(path) as tiff:
        series = tiff.series[0]
        axes, shape = str(series.axes), tuple(series.shape)
        if axes.endswith("S"):
            raise Refused(
                f"The movie {path} has colours (axes {axes}).",
                rule=_RULE,
                way_out="Save each channel as a grey movie of its own.",
            )
        pixels = series.asarray()
    stack = pixels.reshape(-1, *shape[-2:])
    return shape, axes, lambda i: np.asarray(stack[i]), stack.dtype


def _open_zarr(path: Path) -> _Opened:
    import tensorstore

    metadata = _zarr_metadata(path)
    if metadata.get("node_type") != "array" and "shape" not in metadata:
        path, metadata = _full_resolution(path, metadata)
    driver = "zarr3" if (path / "zarr.json").exists() else "zarr"
    spec = {"driver": driver, "kvstore": {"driver": "file", "path": str(path)}}
    store = tensorstore.open(spec, read=True).result()
    shape = tuple(int(n) for n in store.shape)
    leading = shape[:-2]

    def read(i: int) -> npt.NDArray[Any]:
        return np.asarray(store[np.unravel_index(i, leading)].read().result())

    return shape, "of the store", read, np.dtype(store.dtype.numpy_dtype)


def _zarr_metadata(path: Path) -> dict[str, Any]:
    """Return the metadata of a group or array, version 2 or 3; {} if there is none."""
    found: dict[str, Any] = {}
    for name in ("zarr.json", ".zarray", ".zattrs"):
        if (path / name).exists():
            found |= json.loads((path / name).read_text(encoding="utf-8"))
    attributes = found.get("attributes", {})
    return {**found, **attributes, **attributes.get("ome", {})}


def _full_resolution(
    path: Path, metadata: Mapping[str, Any]
) -> tuple[Path, dict[str, Any]]:
    if "multiscales" not in metadata:
        children = sorted(
            child.name
            for child in path.iterdir()
            if child.is_dir() and "multiscales" in _zarr_metadata(child)
        )
        if len(children) != 1:
            within = ", ".join(children) or "none"
            raise Refused(
                f"{path} is not one OME-Zarr image (images in it: {within}).",
                rule=_RULE,
                way_out="Give the path of one image, e.g. "
                f"{path / (children[0] if children else '0')}.",
            )
        path = path / children[0]
        metadata = _zarr_metadata(path)
    path = path / str(metadata["multiscales"][0]["datasets"][0]["path"])
    return path, _zarr_metadata(path)


def _levels(
    path: Path, frames: int, read: Callable[[int], npt.NDArray[Any]]
) -> tuple[float, float]:
    """Return the highest value and the first percentile."""
    if frames == 0:
        raise Refused(f"The movie {path} has no frames.", rule=_RULE)
    brightest = -np.inf
    low = []
    numbers = np.linspace(0, frames - 1, min(frames, _SAMPLED))
    sampled = set(numbers.astype(int).tolist())
    for i in range(frames):
        frame = read(i)
        brightest = max(brightest, float(frame.max()))
        if i in sampled:
            low.append(float(np.percentile(frame, 1)))
    if not (np.isfinite(brightest) and brightest > 0 and np.all(np.isfinite(low))):
        raise Refused(
            f"The movie {path} is black or holds values that are no numbers "
            f"(highest: {brightest:g}).",
            rule="Light is scaled to the movie's brightest pixel.",
        )
    return brightest, max(0.0, float(np.median(low)))
