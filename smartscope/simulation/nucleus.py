"""How a nucleus looks: its shape and brightness through the cell cycle, and its pixels.

Fluorescence is that of a chromatin label: about conserved through mitosis, so that what
gets smaller gets brighter.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from smartscope.simulation.lineage import Cell
from smartscope.simulation.optics import Field

_TEXTURE_PX = 64
_TEXTURE_RADII = 1.6
_TEXTURES = 24
# blurred light of what lies above and below the focus
_HAZE = 0.07


Image = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Look:
    """One nucleus at one time: semi-axes in µm, angle of the first one in radians.

    ``brightness`` is relative to an interphase nucleus, ``grain`` is 0 for interphase
    chromatin with nucleoli and 1 for condensed chromosomes.
    """

    a_um: float
    b_um: float
    angle: float
    brightness: float
    bend: float
    lobe: float
    grain: float
    texture: int


def ease(x: float) -> float:
    """Return a smooth step from 0 to 1."""
    x = min(max(x, 0.0), 1.0)
    return x * x * (3 - 2 * x)


def between(start: float, end: float, f: float) -> float:
    """Return the value a share ``f`` of the way from start to end."""
    return start + (end - start) * f


def look_at(cell: Cell, mother: Cell | None, t_s: float, mitosis_s: float) -> Look:
    """Return how a cell looks at ``t_s``, within its life."""
    a, b, angle, brightness, bend, grain = _interphase(cell, mother, t_s)
    if (phase := 1 - (cell.division_s - t_s) / mitosis_s) > 0:
        # prophase: smaller, round, brighter; later the plate across the axis
        rounding, plate = ease(phase / 0.22), ease((phase - 0.4) / 0.25)
        radius = cell.radius_um
        a = between(a, 0.72 * radius, rounding)
        b = between(b, 0.72 * radius, rounding)
        brightness = between(brightness, 2.05, rounding)
        grain = max(grain, rounding)
        bend = between(bend, 0.0, rounding)
        if plate > 0:
            angle = cell.axis + np.pi / 2
            a = between(a, 0.82 * radius, plate)
            b = between(b, 0.34 * radius, plate)
            brightness = between(brightness, 2.5, plate)
    return Look(
        a_um=a,
        b_um=b,
        angle=angle,
        brightness=brightness * cell.brightness,
        bend=bend,
        lobe=cell.lobe * (1 - grain),
        grain=grain,
        texture=cell.texture,
    )


def _interphase(
    cell: Cell, mother: Cell | None, t_s: float
) -> tuple[float, float, float, float, float, float]:
    """Semi-axes, angle, brightness, bend and grain without an own mitosis."""
    turn = 2e-4 * math.sin(cell.texture) * t_s
    wide, narrow = math.sqrt(cell.aspect), 1 / math.sqrt(cell.aspect)
    if mother is None:
        radius = cell.radius_um
        return radius * wide, radius * narrow, cell.angle + turn, 1.0, cell.bend, 0.0
    age = t_s - cell.birth_s
    # anaphase: half of the plate each, for a minute; telophase; then it decondenses
    halves, apart = ease(age / 75), ease((age - 100) / 900)
    size = between(0.82, 1.0, ease(age / 7200))
    radius = between(mother.radius_um, cell.radius_um, apart)
    a = between(between(0.82, 0.68, halves), size * wide, apart) * radius
    b = between(between(0.34, 0.25, halves), size * narrow, apart) * radius
    brightness = between(between(1.25, 2.2, halves), 1.0, apart**0.7)
    # it was its mother's brightness at onset: one plate that became two
    brightness *= between(mother.brightness / cell.brightness, 1.0, apart)
    # the arms of the chromosomes trail behind
    bend = between(-0.25 * cell.side * halves, cell.bend, apart)
    angle = mother.axis + np.pi / 2 + turn * apart
    return a, b, angle, brightness, bend, 1 - apart


class Painter:
    """Draws nuclei into an image of relative brightness.

    Parameters
    ----------
    seed : int
        Of the chromatin textures.
    """

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng([abs(seed), 0x7E87])
        chromatin = _smooth_noise(rng, _TEXTURES, 2.6)
        self._interphase = 1 + 0.13 * chromatin
        for texture in self._interphase:
            _dig_nucleoli(rng, texture)
        self._condensed = 1 + 0.22 * _smooth_noise(rng, _TEXTURES, 3.2)

    def paint(
        self,
        looks: list[Look],
        positions_um: npt.NDArray[np.float64],
        left: npt.NDArray[np.float64],
        field: Field,
        out: Image,
    ) -> None:
        """Add nuclei to ``out``.

        Parameters
        ----------
        looks : list of Look
            Those that are in view.
        positions_um : np.ndarray
            Shape ``(n, 2)``: stage x, y.
        left : np.ndarray
            Shape ``(n,)``: fluorescence that is not bleached.
        field : Field
            What is seen; ``field.shape`` is that of ``out``.
        out : np.ndarray
            Shape ``(Y, X)``, float32.
        """
        pixel = field.pixel_size_um
        reach_um = 2.2 * max(look.a_um for look in looks) + 3 * field.blur_um
        half = math.ceil(reach_um / pixel)
        centres = field.to_pixels(positions_um)
        base = np.rint(centres).astype(int)
        sharp = self._patches(looks, left, field, base - centres, half)
        blur = _blur_matrix(2 * half + 1, field.blur_um / pixel)
        patches = blur @ sharp @ blur.T
        rows, columns = out.shape
        for (r, c), patch in zip(base - half, patches, strict=True):
            r0, c0 = max(r, 0), max(c, 0)
            r1, c1 = min(r + 2 * half + 1, rows), min(c + 2 * half + 1, columns)
            if r0 < r1 and c0 < c1:
                out[r0:r1, c0:c1] += patch[r0 - r : r1 - r, c0 - c : c1 - c]

    def _patches(
        self,
        looks: list[Look],
        left: npt.NDArray[np.float64],
        field: Field,
        offsets: npt.NDArray[np.float64],
        half: int,
    ) -> Image:
        def column(values: list[float]) -> Image:
            return np.asarray(values, np.float32)[:, None, None]

        steps = np.arange(-half, half + 1)
        dr = (steps + offsets[:, :1]).astype(np.float32)[:, :, None]
        dc = (steps + offsets[:, 1:]).astype(np.float32)[:, None, :]
        (m00, m01), (m10, m11) = field.matrix
        x = np.float32(m00) * dc + np.float32(m01) * dr
        y = np.float32(m10) * dc + np.float32(m11) * dr
        a, b = column([k.a_um for k in looks]), column([k.b_um for k in looks])
        cos = column([math.cos(k.angle) for k in looks])
        sin = column([math.sin(k.angle) for k in looks])
        u = np.asarray((x * cos + y * sin) / a, np.float32)
        v = np.asarray((y * cos - x * sin) / b, np.float32)
        # less a quarter, the mean of u² over a disk: its middle stays where it is
        v += column([k.bend for k in looks]) * (u * u - np.float32(0.25)) * (a / b)
        squared = u * u + v * v
        radius = np.sqrt(squared) + np.float32(1e-6)
        # three lobes: cos 3θ without its angle
        lobes = u * (squared - 4 * v * v) / (squared * radius + np.float32(1e-3))
        radius *= 1 + column([k.lobe for k in looks]) * lobes
        # as soft as the edge of a sphere in a widefield image, in µm the same for all
        edge = np.float32(0.35) / np.sqrt(a * b)
        profile = 1 / (1 + np.exp(np.clip((radius - 1) / edge, -20, 20)))
        profile *= 0.8 + 0.3 * np.sqrt(np.clip(1 - radius * radius, 0, 1))
        grain = column([k.grain for k in looks])
        profile *= self._texture(looks, u, v, grain)
        haze = _HAZE * np.exp(-(x * x + y * y) / (2.2 * a * a + 8))
        brightness = column([k.brightness for k in looks]) * column(list(left))
        return np.asarray(brightness * (profile + haze), np.float32)

    def _texture(
        self,
        looks: list[Look],
        u: Image,
        v: Image,
        grain: Image,
    ) -> Image:
        zoom = _TEXTURE_PX / (2 * _TEXTURE_RADII)
        last = _TEXTURE_PX - 1
        i = np.clip((u + _TEXTURE_RADII) * zoom, 0, last).astype(np.int32)
        j = np.clip((v + _TEXTURE_RADII) * zoom, 0, last).astype(np.int32)
        numbers = [k.texture % _TEXTURES for k in looks]
        which = np.array(numbers, np.int32)[:, None, None]
        at = (which * _TEXTURE_PX + i) * _TEXTURE_PX + j
        interphase = self._interphase.ravel()[at]
        condensed = self._condensed.ravel()[at]
        return np.asarray(interphase + grain * (condensed - interphase), np.float32)


def _smooth_noise(rng: np.random.Generator, n: int, sigma_px: float) -> Image:
    """Return n seamless smooth noise images of zero mean and unit variance."""
    noise = rng.standard_normal((n, _TEXTURE_PX, _TEXTURE_PX))
    k = np.fft.fftfreq(_TEXTURE_PX)
    squares = k[:, None] ** 2 + k[None, :] ** 2
    kernel = np.exp(-2 * (np.pi * sigma_px) ** 2 * squares)
    smooth = np.fft.ifft2(np.fft.fft2(noise) * kernel).real
    smooth /= smooth.std(axis=(1, 2), keepdims=True)
    return smooth.astype(np.float32)


def _dig_nucleoli(rng: np.random.Generator, texture: Image) -> None:
    """Darken one to three round places, where nucleoli exclude the label."""
    grid = (np.arange(_TEXTURE_PX) + 0.5) / _TEXTURE_PX * 2 - 1
    for _ in range(int(rng.integers(1, 4))):
        x, y = rng.uniform(-0.3, 0.3, 2)
        size = rng.uniform(0.09, 0.15)
        squares = (grid[:, None] - x) ** 2 + (grid[None, :] - y) ** 2
        texture *= 1 - 0.5 * np.exp(-((squares / size**2) ** 2)).astype(np.float32)


def _blur_matrix(n: int, sigma_px: float) -> Image:
    """Return the matrix that blurs a row of n pixels with a Gaussian."""
    # a pixel integrates over its own area: that is never narrower than this
    sigma = max(sigma_px, 0.3)
    distance = np.arange(n)[:, None] - np.arange(n)[None, :]
    weights = np.exp(-0.5 * (distance / sigma) ** 2)
    return np.asarray(weights / weights[n // 2].sum(), np.float32)
