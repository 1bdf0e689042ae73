"""A recorded movie of one channel, frame by frame: the one reader of movies.

It knows the formats (TIFF, OME-TIFF, OME-Zarr 0.4 and 0.5, a run folder) and nothing of
what a movie is used for.
"""

from __future__ import annotations

import threading
import weakref
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from smartscope.errors import Refused
from smartscope.storage.movie_zarr import open_zarr

if TYPE_CHECKING:
    from collections.abc import Callable

    import tifffile

_RULE = "A movie is a TIFF, an OME-TIFF or an OME-Zarr image with the axes T, Y, X."
_WAY_OUT = "Open it with Fiji and save it again, or export it as OME-TIFF."
# as many frames tell what the background is; all of them tell the brightest value
_SAMPLED = 64


class Levels(NamedTuple):
    """Grey values of a whole movie.

    Attributes
    ----------
    brightest : float
        Highest value of all frames.
    background : float
        Median over at most 64 frames of their first percentiles.
    """

    brightest: float
    background: float


class Movie:
    """A movie of one channel; a single image is a movie of one frame.

    Its frames are read when they are asked for, by any thread. What the format says is
    known at opening; that the pixels can be read shows when they are: ``levels`` reads
    them all.

    Parameters
    ----------
    path : Path
        Where it is.
    shape : tuple of int
        Frames, rows, columns.
    dtype : np.dtype
        Of the pixels.
    read : callable
        Returns one frame by its number; called by one thread at a time.

    Attributes
    ----------
    path, shape, dtype
        As given.
    """

    def __init__(
        self,
        path: Path,
        shape: tuple[int, int, int],
        dtype: np.dtype[Any],
        read: Callable[[int], npt.NDArray[Any]],
    ) -> None:
        self.path = path
        self.shape = shape
        self.dtype = dtype
        self._read = read
        self._lock = threading.Lock()

    @classmethod
    def open(cls, path: str | Path) -> Movie:
        """Open a movie.

        Parameters
        ----------
        path : str or Path
            A TIFF or OME-TIFF; an OME-Zarr image; a collection or a run folder with one
            survey image; or an image in a collection (``RUN/raw.ome.zarr/survey_p0``).

        Raises
        ------
        smartscope.errors.Refused
            If there is nothing, it cannot be read, or it is no movie of one channel.
        """
        path = Path(path)
        if not path.exists():
            raise Refused(
                f"There is no movie at {path}.",
                rule=_RULE,
                way_out="Check the path; in an experiment it is relative to its file.",
            )
        try:
            if path.is_dir():
                return cls._of_zarr(path)
            return cls._of_tiff(path)
        except Refused:
            raise
        # tifffile and tensorstore raise what their codecs do; all mean: not this file
        except Exception as e:
            raise _refused(path, _said(e), _WAY_OUT) from e

    def __len__(self) -> int:
        """Return the number of frames."""
        return self.shape[0]

    def read(self, number: int) -> npt.NDArray[Any]:
        """Return a frame, shape ``(Y, X)``, in the byte order of this machine.

        Raises
        ------
        IndexError
            If the number is not in ``0 … len - 1``.
        smartscope.errors.Refused
            If it cannot be read, or holds values that are not finite.
        """
        if not 0 <= number < len(self):
            raise IndexError(f"frame {number} of {len(self)} in {self.path}")
        try:
            with self._lock:
                frame = np.asarray(self._read(number), self.dtype)
        except Exception as e:  # as at opening
            raise _refused(self.path, f"frame {number}: {_said(e)}", _WAY_OUT) from e
        if frame.shape != self.shape[1:]:
            raise _refused(
                self.path, f"frame {number} is {frame.shape}, not {self.shape[1:]}"
            )
        if frame.dtype.kind == "f" and not np.isfinite(frame).all():
            raise _refused(self.path, f"frame {number} holds values that are no number")
        return frame

    @cached_property
    def levels(self) -> Levels:
        """Brightest value and background; reads all frames, once.

        Raises
        ------
        smartscope.errors.Refused
            If a frame cannot be read.
        """
        count = len(self)
        sampled = set(np.linspace(0, count - 1, min(count, _SAMPLED)).astype(int))
        brightest, low = -np.inf, []
        for number in range(count):
            frame = self.read(number)
            brightest = max(brightest, float(frame.max()))
            if number in sampled:
                low.append(float(np.percentile(frame, 1)))
        return Levels(brightest, float(np.median(low)))

    @classmethod
    def _of_tiff(cls, path: Path) -> Movie:
        import tifffile

        tiff = tifffile.TiffFile(path)
        try:
            series = tiff.series[0]
            shape = _tyx(tuple(series.shape), str(series.axes), series.dtype, path)
            read, stays_open = _tiff_frames(path, tiff, series, shape)
        except BaseException:
            tiff.close()
            raise
        movie = cls(path, shape, series.dtype.newbyteorder("="), read)
        if stays_open:
            # the file is open for as long as somebody holds the movie
            weakref.finalize(movie, tiff.close)
        else:
            tiff.close()
        return movie

    @classmethod
    def _of_zarr(cls, path: Path) -> Movie:
        try:
            store, axes, times = open_zarr(path)
        except ValueError as e:
            raise _refused(path, str(e)) from e
        whole = tuple(int(n) for n in store.shape)
        dtype = np.dtype(store.dtype.numpy_dtype)
        frames, rows, columns = _tyx(whole, axes, dtype, path)
        if times is not None and axes.startswith("T") and frames == whole[0]:
            frames = min(frames, times)
        if frames == 0:
            raise _refused(path, "it is empty")

        def read(number: int) -> npt.NDArray[Any]:
            at = np.unravel_index(number, whole[:-2])
            return np.asarray(store[at].read().result())

        shape = (frames, rows, columns)
        return cls(path, shape, dtype.newbyteorder("="), read)


def _tiff_frames(
    path: Path,
    tiff: tifffile.TiffFile,
    series: tifffile.TiffPageSeries,
    shape: tuple[int, int, int],
) -> tuple[Callable[[int], npt.NDArray[Any]], bool]:
    """Return what reads a frame, and whether it needs the file to stay open."""
    if series.dataoffset is not None:
        # the usual stack, also the one of Fiji that has one page for all its frames
        mapped = np.memmap(
            path,
            series.dtype.newbyteorder(tiff.byteorder),
            "r",
            series.dataoffset,
            shape,
        )
        return mapped.__getitem__, False
    pages = series.pages
    if len(pages) == shape[0]:
        return lambda number: np.asarray(_page(pages, number).asarray()), True
    # planes within a page: rare, and small enough to be held
    stack = series.asarray().reshape(shape)
    return stack.__getitem__, False


def _page(pages: Any, number: int) -> Any:
    if (page := pages[number]) is None:
        raise ValueError("it is missing in the file")
    return page


def _tyx(
    shape: tuple[int, ...], axes: str, dtype: np.dtype[Any], path: Path
) -> tuple[int, int, int]:
    """Return frames, rows and columns of a movie of one channel and one plane."""
    if not axes.endswith("YX") or len(axes) != len(shape) or dtype.kind not in "uif":
        raise _refused(
            path,
            f"it holds {dtype} with the axes {axes} {shape}",
            "Export it as grey values, each channel as a movie of its own.",
        )
    long = [n for n in range(len(shape) - 2) if shape[n] > 1]
    if len(long) > 1 or any(axes[n] in "CS" for n in long):
        raise _refused(
            path,
            f"beside Y, X it has the axes {axes[:-2]} of {shape[:-2]}",
            "Give each channel and each plane as a movie of its own; if its frames are "
            "only called channels, say so in Fiji (Image > Properties).",
        )
    if 0 in shape:
        raise _refused(path, "it is empty")
    return (int(np.prod(shape[:-2])), shape[-2], shape[-1])


def _said(e: Exception) -> str:
    first = (str(e).splitlines() or [""])[0]
    return f"{first:.200} ({type(e).__name__})"


def _refused(path: Path, why: str, way_out: str = _WAY_OUT) -> Refused:
    return Refused(
        f"The movie {path} cannot be read: {why}.", rule=_RULE, way_out=way_out
    )
