"""Points: beads, vesicles, rings, and scenes of spots whose places are known."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import expit

from smartscope.training.scenes.canvas import (
    Floats,
    blurred,
    fractal_noise,
    log_uniform,
    smooth_noise,
    splat,
)
from smartscope.training.scenes.cells import cell_room, draw_bodies
from smartscope.training.scenes.filaments import draw_filaments, points_where


class SpotScene(NamedTuple):
    """A clean image of spots, and where they are.

    Attributes
    ----------
    clean : np.ndarray
        Shape ``(Y, X)``, float32, photons a pixel.
    points : np.ndarray
        Shape ``(n, 2)``, rows and columns; the middle of the first pixel is at 0, 0.
    photons : np.ndarray
        Shape ``(n,)``: what each adds to its brightest pixel, above its surroundings.
    sigma_px : float
        Of a spot.
    """

    clean: Floats
    points: npt.NDArray[np.float64]
    photons: npt.NDArray[np.float64]
    sigma_px: float


def draw_beads(rng: np.random.Generator, edge: int) -> Floats:
    """Return points of one to three kinds, dim ones beside bright ones."""
    image = np.zeros((edge, edge), np.float32)
    for _ in range(rng.integers(1, 4)):
        points = _places(rng, edge, round(log_uniform(rng, 3, 400)))
        light = rng.lognormal(0, rng.uniform(0, 1.2), len(points))
        drawn = splat(edge, points[:, 0], points[:, 1], light)
        size_px = log_uniform(rng, 0.3, 3.0)
        image += blurred(drawn, size_px) * np.float32(size_px**1.5)
    return image


def draw_vesicles(rng: np.random.Generator, edge: int, where: Floats) -> Floats:
    """Return small discs, balls and rings of like size, where there is room."""
    n = round(log_uniform(rng, 10, 500))
    points = points_where(rng, n, where)
    typical_px, ring = log_uniform(rng, 1.2, 7.0), rng.random() < 0.4
    image = np.zeros((edge, edge), np.float32)
    for row, column in points:
        radius_px = typical_px * rng.lognormal(0, 0.2)
        reach = int(radius_px) + 4
        box = tuple(
            slice(max(0, int(at) - reach), max(0, min(edge, int(at) + reach + 1)))
            for at in (row, column)
        )
        y = np.arange(box[0].start, box[0].stop)[:, None] - row
        x = np.arange(box[1].start, box[1].stop)[None] - column
        away = np.hypot(y, x) - radius_px
        drawn = np.exp(-(away**2)) if ring else expit(-3 * away)
        image[box[0], box[1]] += np.float32(rng.lognormal(0, 0.4)) * drawn
    return image


def draw_spots(rng: np.random.Generator, edge: int) -> SpotScene:
    """Draw a scene of spots of one size on a more or less busy ground.

    Parameters
    ----------
    rng : np.random.Generator
        Draws all of it.
    edge : int
        Pixels of a side.

    Returns
    -------
    SpotScene
        Not exposed yet. Spots lie no nearer to each other than about two sigma; those
        nearer than a pixel to the edge are left out.
    """
    sigma_px = log_uniform(rng, 0.8, 3.0)
    most = max(2.0, 0.2 * (edge / (4 * sigma_px)) ** 2)
    n = 0 if rng.random() < 0.05 else round(log_uniform(rng, 1, most))
    points = _apart(_places(rng, edge, n), 2.2 * sigma_px)
    points = points[((points > 1) & (points < edge - 2)).all(axis=1)]
    light = rng.lognormal(0, rng.uniform(0, 0.5), len(points))
    spots = splat(edge, points[:, 0], points[:, 1], light)
    airy = bool(rng.random() < 0.3)
    one = np.zeros((65, 65), np.float32)
    one[32, 32] = 1
    peak = blurred(one, sigma_px, airy=airy).max()
    spots = blurred(spots, sigma_px, airy=airy) / peak
    photons = log_uniform(rng, 8, 800)
    ground = np.zeros((edge, edge), np.float32)
    kind = rng.choice(["plain", "haze", "cells", "fibres"], p=[0.35, 0.3, 0.25, 0.1])
    if kind == "haze":
        ground = np.exp(0.5 * smooth_noise(rng, edge, log_uniform(rng, 8, 60)))
        ground *= np.exp(0.1 * fractal_noise(rng, edge, 1.5))
    elif kind == "cells":
        ground = blurred(draw_bodies(rng, edge), 2.0)
    elif kind == "fibres":
        ground = blurred(draw_filaments(rng, edge), 2 * sigma_px)
    high = float(np.percentile(ground, 99)) or 1.0
    ground = ground * np.float32(log_uniform(rng, 0.03, 0.7) / high)
    dark = log_uniform(rng, 0.01, 1.0)
    clean = np.float32(photons) * (spots + ground + np.float32(dark))
    return SpotScene(clean.astype(np.float32), points, photons * light, sigma_px)


def _places(rng: np.random.Generator, edge: int, n: int) -> npt.NDArray[np.float64]:
    """Return ``(n, 2)`` places: anywhere, in clusters or in cells."""
    kind = rng.choice(["anywhere", "clusters", "cells"], p=[0.5, 0.2, 0.3])
    if kind == "cells":
        return np.asarray(points_where(rng, n, cell_room(rng, edge)), np.float64)
    points = rng.uniform(0, edge, (n, 2))
    if kind == "clusters" and n:
        middles = rng.uniform(0, edge, (max(1, n // 12), 2))
        points = middles[rng.integers(len(middles), size=n)]
        points = points + rng.normal(0, rng.uniform(0.03, 0.15) * edge, (n, 2))
    return points


def _apart(points: npt.NDArray[np.float64], least_px: float) -> npt.NDArray[np.float64]:
    """Return those that have none before them nearer than that."""
    kept: list[npt.NDArray[np.float64]] = []
    for point in points:
        if not kept or np.hypot(*(np.array(kept) - point).T).min() >= least_px:
            kept.append(point)
    return np.array(kept).reshape(-1, 2)
