"""A recorded movie as a specimen: the stage moves the field over it."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from smartscope.errors import Refused, nearest
from smartscope.simulation.bleaching import Lit
from smartscope.simulation.demo_names import CHANNELS
from smartscope.simulation.movie_truth import read_truth
from smartscope.simulation.optics import Field
from smartscope.simulation.settings import SpecimenSettings
from smartscope.simulation.specimen import Rate
from smartscope.simulation.truth import Truth
from smartscope.storage import Movie

# the setting says how many photons the brightest pixel gives in this time
_FULL_SCALE_MS = 100.0


class MovieSpecimen:
    """A movie, or one for each channel, whose middle lies at stage 0, 0.

    The frame is chosen by time; the last one stays. Photons are proportional to the
    movie's values; beyond its edge is its background. It brings its own blur, so only
    what defocus adds is drawn, and its own bleaching, so light does not change it. One
    movie is seen in every preset; of several, each in its own, and nothing in others.

    Parameters
    ----------
    movies : Mapping
        For each preset one, or one for the key ``""``; all of one shape.
    settings : SpecimenSettings
        With ``pixel_size_um`` and ``frame_interval_s``.
    truth : Truth, optional
        What happens in it.
    sharpest_um : float
        Blur in focus, which the movie already has.
    """

    def __init__(
        self,
        movies: Mapping[str, Movie],
        settings: SpecimenSettings,
        truth: Truth | None = None,
        sharpest_um: float = 0.0,
    ) -> None:
        first = next(iter(movies.values()))
        self.shape = first.shape[1:]
        self.pixel_size_um = float(settings.pixel_size_um or 0.0)
        self._interval_s = float(settings.frame_interval_s or 0.0)
        self._movies = dict(movies)
        self._per_ms = settings.photons_at_full_scale / _FULL_SCALE_MS
        self._truth = truth
        self._lock = threading.Lock()
        self._drawn: tuple[tuple[Any, ...], Rate] | None = None
        self._sharpest_um = sharpest_um

    @classmethod
    def load(
        cls, settings: SpecimenSettings, sharpest_um: float = 0.0
    ) -> MovieSpecimen:
        """Read the movie or movies and their truth.

        Raises
        ------
        smartscope.errors.Refused
            If a file cannot be used, the movies differ in shape, or the pixel size or
            the frame interval is missing.
        """
        for name, unit in (("pixel_size_um", "µm"), ("frame_interval_s", "s")):
            if not getattr(settings, name):
                raise Refused(
                    f"specimen.{name} is missing.",
                    rule="A movie as specimen needs its pixel size and frame interval.",
                    way_out=f"Add {name}: <{unit}>.",
                )
        given = settings.movie
        if isinstance(given, Path):
            paths = {"": given}
        else:
            paths = dict(given or {})
        for channel in paths:
            if channel and channel not in CHANNELS:
                raise Refused(
                    f"specimen.movie has the channel '{channel}'."
                    f"{nearest(channel, CHANNELS)}",
                    rule=f"The simulated microscope has {', '.join(CHANNELS)}.",
                    way_out="Name the movies after its presets.",
                )
        if not paths:
            raise Refused(
                "specimen.movie is empty.",
                rule="It is a path, or one for each channel.",
                way_out="Give a path.",
            )
        movies = {channel: _open(path) for channel, path in paths.items()}
        shapes = {str(m.path): m.shape for m in movies.values()}
        if len(set(shapes.values())) > 1:
            raise Refused(
                f"The movies differ in frames, rows or columns: {shapes}.",
                rule="The channels of one specimen have the same shape.",
                way_out="Save them from one recording, cropped alike.",
            )
        movie = next(iter(movies.values()))
        truth = None
        if settings.truth is not None:
            truth = read_truth(
                settings.truth,
                settings,
                shape=movie.shape[1:],
                pixel_size_um=float(settings.pixel_size_um or 0.0),
                frame_interval_s=float(settings.frame_interval_s or 0.0),
                frames=len(movie),
            )
        return cls(movies, settings, truth, sharpest_um)

    def rate(self, field: Field, t_s: float, channel: str) -> Rate:
        """Return photons per pixel and ms at 100 % power, shape ``field.shape``."""
        movie = self._movies.get("", self._movies.get(channel))
        frames = len(next(iter(self._movies.values())))
        # times are sums of seconds: a frame is not missed by their rounding
        number = int(max(0.0, t_s) / self._interval_s + 1e-6)
        number = min(number, frames - 1)
        with self._lock:
            key = (field, number, channel)
            if self._drawn is None or self._drawn[0] != key:
                self._drawn = (key, self._draw(movie, number, field))
            return self._drawn[1]

    def expose(self, field: Field, light_ms_percent: float) -> None:
        """Do nothing: the movie brings its own bleaching."""

    def expose_through(
        self, field: Field, light_ms_percent: float, t_s: float, lit: Lit
    ) -> None:
        """Do nothing: a movie answers to no light."""

    def truth(self, until_s: float) -> Truth | None:
        """Return what happens until then; None if no truth was given."""
        if self._truth is None:
            return None
        end_s = min(until_s, self._truth.duration_s)
        events = tuple(e for e in self._truth.events if e.t_s <= end_s)
        return replace(self._truth, events=events, duration_s=end_s)

    def _draw(self, movie: Movie | None, number: int, field: Field) -> Rate:
        brightest, background = (movie or next(iter(self._movies.values()))).levels
        background = max(0.0, background)
        if movie is None:
            out = np.full(field.shape, background, np.float32)
        else:
            frame = movie.read(number).astype(np.float32)
            np.maximum(frame, 0, out=frame)
            out = _sample(frame, background, field, self.pixel_size_um)
            out = self._blurred(out, field)
        out *= np.float32(self._per_ms / brightest)
        out.flags.writeable = False
        return out

    def _blurred(self, image: Rate, field: Field) -> Rate:
        extra = field.blur_um**2 - self._sharpest_um**2
        sigma_px = max(0.0, extra) ** 0.5 / field.pixel_size_um
        # a fifth of a pixel is not seen, and blur comes in steps
        if sigma_px < 0.2:
            return image
        from scipy.ndimage import gaussian_filter

        return np.asarray(gaussian_filter(image, sigma_px, mode="nearest"), np.float32)


def _open(path: Path) -> Movie:
    """Open a movie and read it through: what is broken shows before anything moves."""
    movie = Movie.open(path)
    if not movie.levels.brightest > 0:
        raise Refused(
            f"The movie {path} is black (highest value: {movie.levels.brightest:g}).",
            rule="Light is scaled to the movie's brightest pixel.",
            way_out="Save the movie again, with its counts.",
        )
    return movie


def _sample(
    frame: npt.NDArray[np.float32], background: float, field: Field, pixel_um: float
) -> Rate:
    """Return what a field sees of a frame, interpolated between its pixels."""
    matrix = np.asarray(field.matrix) / pixel_um
    x0, y0 = (
        c / pixel_um + (n - 1) / 2
        for c, n in zip(field.centre_um, frame.shape[::-1], strict=True)
    )
    dr = np.arange(field.shape[0]) - (field.shape[0] - 1) / 2
    dc = np.arange(field.shape[1]) - (field.shape[1] - 1) / 2
    # columns along x, or along y: each axis of the movie needs one row of coordinates
    if matrix[0, 1] == 0 and matrix[1, 0] == 0:
        x, y = x0 + matrix[0, 0] * dc, y0 + matrix[1, 1] * dr
        return _separable(frame, background, y, x)
    if matrix[0, 0] == 0 and matrix[1, 1] == 0:
        x, y = x0 + matrix[0, 1] * dr, y0 + matrix[1, 0] * dc
        return np.ascontiguousarray(_separable(frame, background, y, x).T)
    from scipy.ndimage import map_coordinates

    x2 = x0 + matrix[0, 0] * dc[None, :] + matrix[0, 1] * dr[:, None]
    y2 = y0 + matrix[1, 0] * dc[None, :] + matrix[1, 1] * dr[:, None]
    return np.asarray(
        map_coordinates(frame, [y2, x2], order=1, cval=background, output=np.float32)
    )


def _separable(
    frame: npt.NDArray[np.float32],
    background: float,
    y: npt.NDArray[np.float64],
    x: npt.NDArray[np.float64],
) -> Rate:
    # a frame of background around it is what lies beyond the edge
    padded = np.pad(frame, 1, constant_values=np.float32(background))
    by_rows = _weights(y + 1, padded.shape[0])
    by_columns = _weights(x + 1, padded.shape[1])
    (r0, r1, fr), (c0, c1, fc) = by_rows, by_columns
    rows = padded[r0] * (1 - fr)[:, None] + padded[r1] * fr[:, None]
    return np.asarray(rows[:, c0] * (1 - fc) + rows[:, c1] * fc, np.float32)


def _weights(
    at: npt.NDArray[np.float64], n: int
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp], npt.NDArray[np.float32]]:
    """Return the two neighbours on an axis of n pixels and the weight of the second."""
    # binary noise of the coordinates must not mix in a neighbour where grids align
    at = np.clip(np.round(at, 6), 0, n - 1)
    low = np.floor(at).astype(np.intp)
    high = np.minimum(low + 1, n - 1)
    return low, high, (at - low).astype(np.float32)
