"""What is drawn: soft-edged, ragged, textured ellipses, many at once."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

TEXTURE_PX = 64
"""Rows and columns of a texture."""
TEXTURE_RADII = 1.6
"""Over so many semi-axes to each side it reaches."""
_TEXTURES = 48
_STEP_PX = 6  # parts whose size differs by less are drawn together


class Part(NamedTuple):
    """One soft ellipse in one frame.

    Attributes
    ----------
    frame : int
        In which it is seen.
    row, column : float
        Of its middle, pixels.
    a, b : float
        Semi-axes, pixels.
    angle : float
        Of the first one, radians from the columns toward the rows.
    light : float
        1 is a usual nucleus in interphase.
    bend : float
        Of the first axis; 0 is straight.
    rag : float
        How ragged its outline is, a share of its radius.
    hollow, dome : float
        How much darker it is in its middle, and at its edge.
    soft : float
        Width of its edge, pixels.
    grain : float
        Contrast of its chromatin.
    texture : int
        Which chromatin.
    cut_out : int
        As which mass of an image it is seen, see ``CutOuts``, in place of ``rag``,
        ``hollow``, ``dome``, ``soft``, ``grain`` and ``texture``; -1: as none.
    """

    frame: int
    row: float
    column: float
    a: float
    b: float
    angle: float
    light: float
    bend: float = 0.0
    rag: float = 0.0
    hollow: float = 0.0
    dome: float = 0.3
    soft: float = 1.0
    grain: float = 0.1
    texture: int = 0
    cut_out: int = -1


def paint(
    parts: Sequence[Part],
    shape: tuple[int, int, int],
    profiles: Floats | None = None,
) -> Floats:
    """Return parts drawn into dark frames; where they overlap their light adds up.

    Parameters
    ----------
    parts : sequence of Part
        Those beyond the edge are cut.
    shape : tuple of int
        Frames, rows, columns.
    profiles : np.ndarray, optional
        ``(n, 64, 64)`` of ``CutOuts``; without them none is seen as one.
    """
    out = np.zeros(shape, np.float32)
    if not parts:
        return out
    table = np.asarray(parts, np.float64)
    a = table[:, 3:5].max(axis=1)
    reach = a * (1.15 + 0.9 * np.abs(table[:, 7]) + table[:, 8]) + 4 * table[:, 11]
    if profiles is not None:
        own = table[:, 14] >= 0
        reach[own] = np.maximum(reach, TEXTURE_RADII * a)[own]
    halves = (np.ceil(reach / _STEP_PX) * _STEP_PX).astype(int)
    inside = (
        (table[:, 1] > -reach)
        & (table[:, 1] < shape[1] + reach)
        & (table[:, 2] > -reach)
        & (table[:, 2] < shape[2] + reach)
    )
    for half in np.unique(halves[inside]):
        some = table[inside & (halves == half)]
        patches = _patches(some, int(half), profiles)
        base = np.rint(some[:, 1:3]).astype(int) - half
        for frame, (r, c), patch in zip(
            some[:, 0].astype(int), base, patches, strict=True
        ):
            r0, c0 = max(r, 0), max(c, 0)
            r1, c1 = min(r + len(patch), shape[1]), min(c + len(patch), shape[2])
            if r0 < r1 and c0 < c1:
                out[frame, r0:r1, c0:c1] += patch[r0 - r : r1 - r, c0 - c : c1 - c]
    return out


def _patches(
    table: npt.NDArray[np.float64], half: int, profiles: Floats | None
) -> Floats:
    """Return parts ``(n, 2 half + 1, 2 half + 1)``, each about its nearest pixel."""
    steps = np.arange(-half, half + 1)
    centres = table[:, 1:3]
    off = np.rint(centres) - centres
    y = (steps + off[:, :1]).astype(np.float32)[:, :, None]
    x = (steps + off[:, 1:]).astype(np.float32)[:, None, :]
    (a, b, angle, light, bend, rag, hollow, dome, soft, grain) = (
        table[:, i].astype(np.float32)[:, None, None] for i in range(3, 13)
    )
    cos, sin = np.cos(angle), np.sin(angle)
    u = (x * cos + y * sin) / a
    v = (y * cos - x * sin) / b
    # less a quarter, the mean of u² over a disc: its middle stays where it is
    v += bend * (u * u - np.float32(0.25)) * (a / b)
    which = table[:, 13].astype(np.int32)[:, None, None] % _TEXTURES
    chromatin, outline = _textures()
    zoom, last = TEXTURE_PX / (2 * TEXTURE_RADII), TEXTURE_PX - 1
    i = np.clip((u + TEXTURE_RADII) * zoom, 0, last).astype(np.int32)
    j = np.clip((v + TEXTURE_RADII) * zoom, 0, last).astype(np.int32)
    at = (which * TEXTURE_PX + i) * TEXTURE_PX + j
    squared = u * u + v * v
    radius = np.sqrt(squared) + rag * outline.ravel()[at]
    far = np.clip((radius - 1) * np.sqrt(a * b) / soft, -20, 20)
    profile = 1 / (1 + np.exp(far))
    profile *= 1 - dome * np.minimum(squared, 1)
    profile *= 1 - hollow * np.exp(-squared / np.float32(0.2))
    profile *= np.maximum(0, 1 + grain * chromatin.ravel()[at])
    if profiles is not None:
        which = table[:, 14].astype(np.int64)
        (own,) = np.nonzero(which >= 0)
        profile[own] = profiles[which[own, None, None], i[own], j[own]]
    return np.asarray(light * profile, np.float32)


@lru_cache(maxsize=1)
def _textures() -> tuple[Floats, Floats]:
    """Return chromatin, some with nucleoli, and smoother noise for outlines."""
    rng = np.random.default_rng(0xC4A0)
    fine = rng.uniform(1.8, 6.0, _TEXTURES)
    chromatin = _smooth_noise(rng, fine)
    grid = (np.arange(TEXTURE_PX) + 0.5) / TEXTURE_PX * 2 - 1
    for texture in chromatin[::2]:
        for _ in range(int(rng.integers(1, 5))):
            x, y = rng.uniform(-0.35, 0.35, 2)
            size = rng.uniform(0.07, 0.16)
            squares = (grid[:, None] - x) ** 2 + (grid[None, :] - y) ** 2
            texture -= 3 * np.exp(-((squares / size**2) ** 2)).astype(np.float32)
    outline = _smooth_noise(rng, rng.uniform(4.0, 9.0, _TEXTURES))
    return chromatin, outline


def _smooth_noise(
    rng: np.random.Generator, sigmas_px: npt.NDArray[np.float64]
) -> Floats:
    """Return seamless smooth noise images of zero mean and unit variance."""
    noise = rng.standard_normal((len(sigmas_px), TEXTURE_PX, TEXTURE_PX))
    k = np.fft.fftfreq(TEXTURE_PX)
    squares = k[:, None] ** 2 + k[None, :] ** 2
    kernel = np.exp(-2 * (np.pi * sigmas_px[:, None, None]) ** 2 * squares)
    smooth = np.fft.ifft2(np.fft.fft2(noise) * kernel).real
    smooth /= smooth.std(axis=(1, 2), keepdims=True)
    return smooth.astype(np.float32)
