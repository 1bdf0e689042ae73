"""Nuclei of labelled images, which rest and drift while drawn cells divide among them.

No drawing has the chromatin, the crowding and the dirt of a specimen. What is labelled
has not been seen to divide; what divides is drawn, with the light and the size of the
nuclei around it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from smartscope.training.divisions.lives import Dividing, Dying, Resting
from smartscope.training.divisions.scene import Scene
from smartscope.training.heat_source import Floats
from smartscope.training.labelled import Labelled
from smartscope.training.scenes.canvas import log_uniform

_FEWEST = 3  # things in an image
_ZOOM = (0.35, 2.0)
_AROUND_PX = 2  # of a nucleus, its soft edge
_KNOTS = 4  # along an edge, of how nuclei drift apart
_DEBRIS = 0.4  # of a usual diameter: a smaller thing that rests is dirt


@dataclass(frozen=True, slots=True, eq=False)
class RealNuclei:
    """An image of nuclei, ready to be cut from.

    Attributes
    ----------
    signal : np.ndarray
        ``(Y, X)`` float32: 0 beside the nuclei, and 1 in a usual one.
    labels : np.ndarray
        ``(Y, X)`` int32.
    diameter_px : float
        Of a usual nucleus.
    """

    signal: Floats
    labels: npt.NDArray[np.int32]
    diameter_px: float

    @classmethod
    def of(cls, images: Sequence[Labelled]) -> tuple[RealNuclei, ...]:
        """Return those images that have nuclei enough, and ground between them."""
        made = []
        for one in images:
            inside = one.labels > 0
            if one.labels.max() < _FEWEST or not 0.01 < inside.mean() < 0.7:
                continue
            pixels = one.image.astype(np.float32)
            ground = np.float32(np.median(pixels[~inside]))
            usual = np.float32(np.median(pixels[inside])) - ground
            if usual > 0:
                signal = (pixels - ground) / usual
                made.append(cls(signal, one.labels, one.diameter_px))
        return tuple(made)


def real_field(
    rng: np.random.Generator,
    nuclei: RealNuclei,
    scene: Scene,
    shape: tuple[int, int, int],
) -> Floats:
    """Return frames of nuclei that drift, none of them where a drawn thing is.

    Parameters
    ----------
    rng : np.random.Generator
        Draws the part, how it lies, and how it drifts.
    nuclei : RealNuclei
        Of which a part is shown, at the size of those of the scene.
    scene : Scene
        What is to be drawn among them, see ``guests``.
    shape : tuple of int
        Frames, rows, columns.
    """
    frames, rows, columns = shape
    zoom = float(np.clip(scene.diameter_px / nuclei.diameter_px, *_ZOOM))
    signal, labels = _part(rng, nuclei, (rows, columns), zoom)
    last = frames - 1
    taken = set()
    for life in scene.lives:
        for part in life.parts(last):
            reach = max(part.a, part.b) + _AROUND_PX
            r0, c0 = (max(0, int(at - reach)) for at in (part.row, part.column))
            r1, c1 = (int(at + reach) + 2 for at in (part.row, part.column))
            if r1 > 0 and c1 > 0:
                taken |= set(np.unique(labels[r0:r1, c0:c1]).tolist())
    gone = np.isin(labels, sorted(taken - {0}))
    ground = signal[labels == 0]
    if gone.any() and len(ground):
        gone = ndimage.binary_dilation(gone, iterations=_AROUND_PX)
        signal = signal.copy()
        signal[gone] = rng.choice(ground, int(gone.sum()))
    return _drifting(rng, signal, frames, scene.diameter_px)


def guests(scene: Scene) -> Scene:
    """Return of a scene what divides, dies or is dirt; the nuclei at rest are real."""
    small = _DEBRIS * scene.diameter_px / 2
    lives = tuple(
        life
        for life in scene.lives
        if isinstance(life, Dividing | Dying)
        or (isinstance(life, Resting) and life.look.a < small)
    )
    return Scene(lives, scene.divisions, scene.diameter_px)


def _part(
    rng: np.random.Generator,
    nuclei: RealNuclei,
    size: tuple[int, int],
    zoom: float,
) -> tuple[Floats, npt.NDArray[np.int32]]:
    """Cut a part, turned and scaled; beyond its edge an image is mirrored."""
    angle = float(rng.uniform(0, 2 * math.pi))
    cos, sin = math.cos(angle), math.sin(angle)
    middle = [rng.uniform(0.2, 0.8) * n for n in nuclei.signal.shape]
    reach = math.hypot(*size) / 2 / zoom + 2
    first = [max(0, int(at - reach)) for at in middle]
    around = np.s_[first[0] : int(middle[0] + reach), first[1] : int(middle[1] + reach)]
    middle = [at - start for at, start in zip(middle, first, strict=True)]
    signal, labels = nuclei.signal[around], nuclei.labels[around]
    if zoom < 1:
        signal = ndimage.gaussian_filter(signal, 0.4 / zoom)
    y, x = (
        (np.arange(n, dtype=np.float32) - np.float32((n - 1) / 2)) / np.float32(zoom)
        for n in size
    )
    at = np.stack(
        [
            middle[0] + y[:, None] * cos - x[None, :] * sin,
            middle[1] + y[:, None] * sin + x[None, :] * cos,
        ]
    ).astype(np.float32)
    cut: Floats = ndimage.map_coordinates(signal, at, order=1, mode="reflect")
    things = ndimage.map_coordinates(labels, at, order=0, mode="reflect")
    return cut, things


def _drifting(
    rng: np.random.Generator, image: Floats, frames: int, diameter_px: float
) -> Floats:
    """Return the image as neighbours that go different ways; the last one as it is."""
    slow = log_uniform(rng, 0.003, 0.15) * diameter_px
    ways = rng.normal(0, slow, (2, _KNOTS, _KNOTS))
    jitter = rng.normal(0, 0.3 * slow, (frames, 2, _KNOTS, _KNOTS))
    brighter = rng.normal(0, 0.03, (frames, _KNOTS, _KNOTS))
    grid = np.indices(image.shape).astype(np.float32)
    made = np.empty((frames, *image.shape), np.float32)
    for k in range(frames):
        coarse = ways * (k - frames + 1) + jitter[k]
        off = np.stack([_stretched(one, image.shape) for one in coarse])
        moved = ndimage.map_coordinates(image, grid - off, order=1, mode="reflect")
        made[k] = moved * (1 + _stretched(brighter[k], image.shape))
    return made


def _stretched(coarse: npt.NDArray[np.float64], shape: tuple[int, ...]) -> Floats:
    """Return knots as a smooth field."""
    along, across = (
        _between_knots(n, size) for n, size in zip(coarse.shape, shape, strict=True)
    )
    return np.asarray(along @ coarse @ across.T, np.float32)


def _between_knots(knots: int, size: int) -> npt.NDArray[np.float64]:
    """Return ``(size, knots)``: how much each knot weighs at each pixel."""
    at = np.linspace(0, knots - 1, size)[:, None] - np.arange(knots)
    near = np.maximum(0.0, 1 - np.abs(at))
    return np.asarray(near * near * (3 - 2 * near))  # no kinks at the knots
