"""Shape and texture of found things, and the ratio of two channels over them.

Measured on raw pixels, for all things of a frame at once, and only where somebody asks:
a patch about each thing is cut out, the thing is outlined in it, and the outlines are
summed up.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from smartscope.recognition.detections import Detections
from smartscope.recognition.heads.measure import local_background

Floats = npt.NDArray[np.float32]
Masks = npt.NDArray[np.bool_]
Indices = npt.NDArray[np.intp]

_MOST_PIXELS = 2**21  # of the patches that are looked at together
_SMOOTH_PX = 5
_CORE = 0.3  # in radii: the middle that tells how bright it is
_RING_PX = 4.0  # from the box of a thing to its background
_DIRECTIONS = 16


@dataclass(frozen=True, slots=True, eq=False)
class Pair:
    """Two channels of one visit.

    Attributes
    ----------
    numerator, denominator : np.ndarray
        Shape ``(Y, X)``, raw counts.
    light : tuple of float
        Ordered for each, ms × share of full power.
    """

    numerator: npt.NDArray[Any]
    denominator: npt.NDArray[Any]
    light: tuple[float, float]


@dataclass(frozen=True, slots=True, eq=False)
class Shapes:
    """What was measured of n things; NaN where it was not asked for or is not known.

    Attributes
    ----------
    elongation : np.ndarray
        Shape ``(n,)``, float32. Long over short axis, from the second moments.
    solidity : np.ndarray
        Shape ``(n,)``. Area over that of its convex hull, at most 1.
    texture : np.ndarray
        Shape ``(n,)``. Standard deviation of its raw pixels, their noise included,
        over their mean less the local background.
    ratio : np.ndarray
        Shape ``(n,)``. Mean less local background of one channel over that of the
        other, both per light ordered; NaN where the lower one is not above 0.
    """

    elongation: Floats
    solidity: Floats
    texture: Floats
    ratio: Floats


def measure_shapes(
    pixels: npt.NDArray[Any],
    found: Detections,
    wanted: Collection[str],
    pair: Pair | None = None,
) -> Shapes:
    """Measure what is asked for.

    A thing is its label where the detections have labels. Else it is what, within its
    box, is brighter than halfway between background and middle, on smoothed pixels.

    Parameters
    ----------
    pixels : np.ndarray
        Shape ``(Y, X)``, raw counts of the frame that they were found in.
    found : Detections
        The things.
    wanted : collection of str
        Of elongation, solidity, texture.
    pair : Pair, optional
        For the ratio; of the frame's shape.
    """
    n = len(found)
    shapes = Shapes(*(np.full(n, np.nan, np.float32) for _ in range(4)))
    if not n or (not wanted and pair is None):
        return shapes
    for some, half in _batches(found):
        cut = _Cut(pixels, found, some, half)
        if "elongation" in wanted:
            shapes.elongation[some] = cut.elongation()
        if "solidity" in wanted:
            shapes.solidity[some] = cut.solidity()
        if "texture" in wanted:
            shapes.texture[some] = cut.texture()
        if pair is not None:
            shapes.ratio[some] = cut.ratio(pair)
    return shapes


def _extents(found: Detections) -> tuple[npt.NDArray[np.float64], Floats]:
    """Return the middles ``(n, 2)`` of things and how far they reach from there."""
    boxes = found.boxes_px
    size = np.maximum(boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1])
    radius = np.sqrt(found.area_px / math.pi)
    boxed = (size > 0)[:, None]
    middles = np.where(boxed, (boxes[:, :2] + boxes[:, 2:]) / 2 - 0.5, found.centers_px)
    reach = np.where(size > 0, size / 2, 1.25 * radius)
    return middles.astype(np.float64), reach.astype(np.float32)


def _batches(found: Detections) -> Iterator[tuple[Indices, int]]:
    """Yield rows of things of like size, and half of the patch they need."""
    _, reach = _extents(found)
    halves = np.ceil(reach).astype(int) + 1
    # of patches that differ by less than twice the largest one is taken
    sizes = np.ceil(np.log2(halves)).astype(int)
    for size in np.unique(sizes):
        rows = np.flatnonzero(sizes == size)
        half = int(halves[rows].max())
        each = max(1, _MOST_PIXELS // (2 * half + 1) ** 2)
        for start in range(0, len(rows), each):
            yield rows[start : start + each], half


class _Cut:
    """Patches about some things, and the things outlined in them."""

    def __init__(
        self, pixels: npt.NDArray[Any], found: Detections, some: Indices, half: int
    ) -> None:
        middles, reach = _extents(found)
        self._middles, self._reach = middles[some], reach[some]
        steps = np.arange(-half, half + 1)
        corner = np.rint(self._middles).astype(np.intp)
        rows, columns = corner[:, :1] + steps, corner[:, 1:] + steps
        high, wide = pixels.shape
        inside = ((rows >= 0) & (rows < high))[:, :, None] & (
            (columns >= 0) & (columns < wide)
        )[:, None, :]
        self._at = (
            rows.clip(0, high - 1)[:, :, None],
            columns.clip(0, wide - 1)[:, None, :],
        )
        self._steps = steps.astype(np.float32)
        self._patch = self._of(pixels)
        self._background = self._around(pixels)
        if found.labels is not None:
            names = (some + 1)[:, None, None]
            self._thing: Masks = (found.labels[self._at] == names) & inside
        else:
            self._thing = self._outlined(found, some, rows, columns) & inside
        self._weights = self._thing.reshape(len(some), -1).astype(np.float32)
        self._area = np.maximum(self._weights.sum(axis=1), 1)

    def _of(self, pixels: npt.NDArray[Any]) -> Floats:
        patch: Floats = pixels[self._at].astype(np.float32)
        return patch

    def _around(self, pixels: npt.NDArray[Any]) -> Floats:
        return local_background(pixels, self._middles, self._reach + _RING_PX)

    def _outlined(
        self, found: Detections, some: Indices, rows: Indices, columns: Indices
    ) -> Masks:
        from scipy.ndimage import uniform_filter1d

        smooth = self._patch
        for axis in (1, 2):
            smooth = uniform_filter1d(smooth, _SMOOTH_PX, axis=axis, mode="nearest")
        centers = found.centers_px[some]
        from_center = ((rows - centers[:, :1]) ** 2)[:, :, None] + (
            (columns - centers[:, 1:]) ** 2
        )[:, None, :]
        radius = np.sqrt(found.area_px[some] / math.pi)
        core = from_center <= (np.maximum(1.5, _CORE * radius) ** 2)[:, None, None]
        count = np.maximum(core.sum(axis=(1, 2)), 1)
        middle = np.einsum("nij,nij->n", self._patch, core.astype(np.float32)) / count
        level = (self._background + middle) / 2
        low = (self._middles - self._reach[:, None] - 0.5)[:, :, None]
        high = (self._middles + self._reach[:, None] + 0.5)[:, :, None]
        boxed = ((rows >= low[:, 0]) & (rows <= high[:, 0]))[:, :, None] & (
            (columns >= low[:, 1]) & (columns <= high[:, 1])
        )[:, None, :]
        bright = (smooth > level[:, None, None]) & boxed
        # something no brighter than its surroundings is still there: its middle
        thing: Masks = np.where(
            (middle > self._background)[:, None, None], bright | core, core
        )
        return thing

    def _mean(self, patch: Floats) -> Floats:
        flat = patch.reshape(len(patch), -1)
        mean: Floats = np.einsum("np,np->n", flat, self._weights) / self._area
        return mean

    def elongation(self) -> Floats:
        """Square root of the ratio of the two principal second moments.

        Each pixel is a square with second moment 1/12 of its own.
        """
        y = np.repeat(self._steps, len(self._steps))
        x = np.tile(self._steps, len(self._steps))
        sums = self._weights @ np.stack([y, x, y * y, x * x, x * y], axis=1)
        sums = sums / self._area[:, None]
        yy = sums[:, 2] - sums[:, 0] ** 2 + 1 / 12
        xx = sums[:, 3] - sums[:, 1] ** 2 + 1 / 12
        xy = sums[:, 4] - sums[:, 0] * sums[:, 1]
        spread = np.sqrt(((xx - yy) / 2) ** 2 + xy**2)
        middle = (xx + yy) / 2
        long = np.sqrt((middle + spread) / np.maximum(middle - spread, 1 / 12))
        return np.where(self._thing.any(axis=(1, 2)), long, np.nan)

    def solidity(self) -> Floats:
        """Area over that of the convex hull of its pixels, these being squares.

        The hull is that of its extents h in 16 directions, δ apart: an edge is
        (h₋ + h₊ - 2 h cos δ) / sin δ long (Cauchy's surface formula on a polygon). Such
        a polygon is larger than a disk within by tan(δ/2) / (δ/2), which is taken out.
        """
        thing, steps = self._thing, self._steps
        last = len(steps) - 1
        shown = thing.any(axis=2)
        first = steps[thing.argmax(axis=2)]
        final = steps[last - thing[:, :, ::-1].argmax(axis=2)]
        delta = 2 * math.pi / _DIRECTIONS
        reach = np.empty((_DIRECTIONS, len(thing)), np.float32)
        for k in range(_DIRECTIONS):
            cos, sin = math.cos(k * delta), math.sin(k * delta)
            along = (final if cos > 0 else first) * np.float32(cos)
            along = along + steps * np.float32(sin)
            along = np.where(shown, along, -np.inf)
            reach[k] = along.max(axis=1) + (abs(cos) + abs(sin)) / 2
        reach[:, ~self._thing.any(axis=(1, 2))] = np.nan
        edges = np.roll(reach, 1, axis=0) + np.roll(reach, -1, axis=0)
        edges = (edges - 2 * reach * math.cos(delta)) / math.sin(delta)
        hull = (reach * edges).sum(axis=0) / 2
        hull *= (delta / 2) / math.tan(delta / 2)
        share: Floats = np.minimum(1, self._area / np.maximum(hull, 1))
        return share

    def texture(self) -> Floats:
        """Coefficient of variation; NaN where it is no brighter than around it."""
        mean = self._mean(self._patch)
        # about the mean: squares of large counts would be rounded
        off = self._patch - mean[:, None, None]
        deviation = np.sqrt(self._mean(off * off))
        above = mean - self._background
        return np.where(above > 0, deviation / np.maximum(above, 1e-6), np.nan)

    def ratio(self, pair: Pair) -> Floats:
        """Ratio of two channels over the same pixels."""
        upper, lower = (
            (self._mean(self._of(plane)) - self._around(plane)) / (light or math.nan)
            for plane, light in zip(
                (pair.numerator, pair.denominator), pair.light, strict=True
            )
        )
        known = lower > 0
        return np.where(known, upper / np.where(known, lower, 1), np.nan)
