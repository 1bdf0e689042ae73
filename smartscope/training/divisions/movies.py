"""Short movies in which nuclei divide, or do what looks like it: a source for training.

The event is the onset of anaphase as it is seen: the first frame in which a nucleus in
mitosis has become two masses.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from smartscope.training.divisions.camera import drawn_counts, drawn_light
from smartscope.training.divisions.cut_outs import CutOuts
from smartscope.training.divisions.lives import Dividing
from smartscope.training.divisions.part import Part, paint
from smartscope.training.divisions.real import RealNuclei, guests, real_field
from smartscope.training.divisions.scene import SceneDrawer
from smartscope.training.divisions.seen import SeenDivision, seen_division
from smartscope.training.divisions.simulated import SimulatedField
from smartscope.training.heat_source import Floats, Points

# shares of the examples
_SIMULATED = 0.2
_REAL = 0.6  # of the others, where there are images
_CUT_OUT = 0.75  # of the others, where there are cut-outs
_EMPTY = 0.06
_MIRRORED = 0.07
_REPEATED = 0.08
_JUMPS = 0.05
_DEFOCUSED = 0.1

_LEAST_PX = 24  # of a frame that is filled up

Shifts = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class DrawnMovie:
    """A movie and what happens in it.

    Attributes
    ----------
    frames : np.ndarray
        ``(T, Y, X)`` float32, whole counts.
    divisions : tuple of SeenDivision
        Also those beyond its edge and before its first frame.
    diameter_px : float
        Of a usual nucleus.
    """

    frames: Floats
    divisions: tuple[SeenDivision, ...]
    diameter_px: float


@dataclass(frozen=True)
class DivisionMovies:
    """Draws windows of a movie, and where in the newest frame a cell has just divided.

    To be found is a division whose two masses are seen since the newest frame or the
    one before it, and longer where the frames follow each other so fast that the masses
    have gone less than 0.7 of their way.

    Parameters
    ----------
    frames : int
        In a window.
    nuclei : tuple of RealNuclei
        Among which most of the drawn cells divide; default: all are drawn.
    cut_outs : CutOuts, optional
        As which the cells of most movies are seen.
    """

    frames: int = 3
    nuclei: tuple[RealNuclei, ...] = ()
    cut_outs: CutOuts | None = None

    def draw(
        self, rng: np.random.Generator, edge: int, *, watch: bool = False
    ) -> tuple[Floats, Points]:
        """Return frames ``(frames, edge, edge)`` and points ``(n, 2)``, see `Source`.

        What watches is drawn in the same way, from another generator.
        """
        inner = edge
        if rng.random() < _MIRRORED:
            inner = max(_LEAST_PX, int(rng.uniform(0.3, 0.95) * edge))
        divisions = int(rng.choice(3, p=[0.35, 0.4, 0.25]))
        movie = draw_movie(
            rng, inner, self.frames, divisions, self.nuclei, self.cut_outs
        )
        frames, newest = movie.frames, self.frames - 1
        news = [
            one.places[newest]
            for one in movie.divisions
            if one.frame <= newest <= one.until
        ]
        points = np.array(news, np.float64).reshape(-1, 2)
        points = points[((points > -0.5) & (points < inner - 0.5)).all(axis=1)]
        # as a run fills up frames whose sizes a net does not take
        frames, points = mirrored(frames, points, edge)
        if self.frames > 1 and rng.random() < _REPEATED:
            # until a place was seen often enough, its oldest frame stands for others
            first = int(rng.integers(1, self.frames))
            frames[:first] = frames[first]
        return _turned(rng, frames, points)


def draw_movie(
    rng: np.random.Generator,
    edge: int,
    frames: int,
    divisions: int | None = None,
    nuclei: Sequence[RealNuclei] = (),
    cut_outs: CutOuts | None = None,
    *,
    only_real: bool = False,
) -> DrawnMovie:
    """Draw a movie.

    Parameters
    ----------
    rng : np.random.Generator
        Everything is drawn from it.
    edge : int
        Rows and columns, pixels.
    frames : int
        How many.
    divisions : int, optional
        So many are seen to begin about the last frame, beside others at other times;
        default: at any time of a movie.
    nuclei : sequence of RealNuclei
        Among which most of the drawn cells divide.
    cut_outs : CutOuts, optional
        As which the cells of most movies are seen.
    only_real : bool
        In all movies cells divide among nuclei of images and are seen as cut-outs.
    """
    divided: tuple[SeenDivision, ...] = ()
    if rng.random() < _SIMULATED and not only_real:
        field = SimulatedField(rng, edge, frames, divisions)
        signal, diameter = field.painted(), field.diameter_px
        divided = field.divisions()
    elif rng.random() < _EMPTY and not only_real:
        signal, diameter = np.zeros((frames, edge, edge), np.float32), 20.0
    else:
        seen_as = cut_outs if rng.random() < _CUT_OUT or only_real else None
        drawer = SceneDrawer(rng, edge, frames, seen_as)
        diameter = drawer.diameter_px
        scene = drawer.drawn(divisions)
        real = None
        if nuclei and (rng.random() < _REAL or only_real):
            scene = guests(scene)
            which = nuclei[int(rng.integers(len(nuclei)))]
            real = real_field(rng, which, scene, (frames, edge, edge))
        shifts = _shifts(rng, frames)
        blur = 0.3 + (0.2 + 0.05 * diameter) * rng.random() ** 1.5
        parts = drawer.parts(scene)
        profiles = None if seen_as is None else seen_as.profiles
        signal = paint(_shifted(parts, shifts), (frames, edge, edge), profiles)
        if real is not None or seen_as is not None:
            blur = min(blur, 0.3 + 0.04 * diameter)  # real ones are not sharper
        if real is not None:
            signal += _following(real, shifts)
        signal = _blurred(rng, signal, blur, diameter)
        seen = (_seen(one, shifts, blur) for one in scene.divisions)
        divided = tuple(one for one in seen if one is not None)
    light = drawn_light(rng, signal, diameter)
    return DrawnMovie(drawn_counts(rng, light), divided, diameter)


def _seen(one: Dividing, shifts: Shifts, blur: float) -> SeenDivision | None:
    way, gap = one.chromosomes.apart_px, one.gap_px(blur)
    if gap > 0.9 * way:
        return None
    at = np.array([one.walk.at(k) for k in range(len(shifts))]) + shifts
    places = tuple((float(row), float(column)) for row, column in at)
    return seen_division(one.onset, one.apart_px, gap, way, places)


def _shifts(rng: np.random.Generator, frames: int) -> Shifts:
    """Return how far each frame lies off the last one: drift, jitter, now and then."""
    shifts = rng.normal(0, rng.choice([0.0, 0.3, 0.8]), (frames, 2))
    shifts += rng.normal(0, 0.3, 2) * np.arange(frames)[:, None]
    if frames > 1 and rng.random() < _JUMPS:
        shifts[: int(rng.integers(1, frames))] += rng.normal(0, 5, 2)
    return np.asarray(shifts - shifts[-1])


def _shifted(parts: list[Part], shifts: Shifts) -> list[Part]:
    return [
        part._replace(
            row=part.row + shifts[part.frame, 0],
            column=part.column + shifts[part.frame, 1],
        )
        for part in parts
    ]


def _following(frames: Floats, shifts: Shifts) -> Floats:
    moved = [
        ndimage.shift(image, off, order=1, mode="reflect") if off.any() else image
        for image, off in zip(frames, shifts, strict=True)
    ]
    return np.maximum(np.asarray(moved, np.float32), 0)


def _blurred(
    rng: np.random.Generator, signal: Floats, blur: float, diameter_px: float
) -> Floats:
    """Blur frames as the optics do, one now and then more: the focus has jumped."""
    sigmas = np.full(len(signal), blur)
    if rng.random() < _DEFOCUSED:
        sigmas[int(rng.integers(len(signal))) :] += (
            rng.uniform(0.02, 0.15) * diameter_px
        )
    if rng.random() < _DEFOCUSED:
        sigmas[int(rng.integers(len(signal)))] += rng.uniform(0.02, 0.15) * diameter_px
    blurred = [
        ndimage.gaussian_filter(image, sigma)
        for image, sigma in zip(signal, sigmas, strict=True)
    ]
    return np.asarray(blurred, np.float32)


def mirrored(frames: Floats, points: Points, edge: int) -> tuple[Floats, Points]:
    """Fill frames up by mirroring; mirrored divisions are divisions too.

    Parameters
    ----------
    frames : np.ndarray
        ``(T, Y, Y)``.
    points : np.ndarray
        ``(n, 2)``, rows and columns.
    edge : int
        Rows and columns to be, not less than there are.
    """
    inner = frames.shape[1]
    if inner == edge:
        return frames, points
    more = (0, edge - inner)
    frames = np.pad(frames, ((0, 0), more, more), mode="reflect")
    period = 2 * (inner - 1)
    starts = np.arange(0, edge + period, period)

    def copies(at: float) -> list[float]:
        each = np.concatenate([starts + at, starts - at])
        return sorted({float(c) for c in each if -0.5 < c < edge - 0.5})

    made = [
        (r, c) for row, column in points for r in copies(row) for c in copies(column)
    ]
    return frames, np.array(made, np.float64).reshape(-1, 2)


def _turned(
    rng: np.random.Generator, frames: Floats, points: Points
) -> tuple[Floats, Points]:
    """Mirror, so that the filled edge is on any side."""
    last = frames.shape[1] - 1
    for axis in (0, 1):
        if rng.random() < 0.5:
            frames = np.flip(frames, axis + 1)
            points[:, axis] = last - points[:, axis]
    return np.ascontiguousarray(frames), points
