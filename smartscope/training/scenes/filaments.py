"""Fibres: microtubules, actin, vessels, threads, and short thick worms."""

from __future__ import annotations

import numpy as np

from smartscope.training.scenes.canvas import Array, Floats, blurred, log_uniform, splat

_STEP_PX = 0.7


def draw_filaments(rng: np.random.Generator, edge: int) -> Floats:
    """Return long curved fibres that cross; thin ones, bundles, asters, one grain."""
    image = np.zeros((edge, edge), np.float32)
    for _ in range(rng.integers(1, 4)):
        n = round(log_uniform(rng, 2, 120))
        length_px = log_uniform(rng, edge / 6, 2 * edge)
        stiff_px = log_uniform(rng, 15, 600)
        grain = rng.uniform(0, np.pi)
        spread = 0.25 if rng.random() < 0.3 else np.pi
        starts = rng.uniform(-0.1 * edge, 1.1 * edge, (n, 2))
        if rng.random() < 0.2:
            starts = rng.uniform(0, edge, 2) + rng.normal(0, 3, (n, 2))
        headings = grain + rng.uniform(-spread, spread, n)
        rows, columns = walks(rng, starts, headings, length_px, stiff_px)
        light = rng.lognormal(0, rng.uniform(0, 0.9), (n, 1)) * np.ones_like(rows)
        if rng.random() < 0.4:
            light = light * _along(rng, rows.shape)
        drawn = splat(edge, rows, columns, light)
        width_px = log_uniform(rng, 0.3, 3.0)
        image += blurred(drawn, width_px) * np.float32(width_px * rng.uniform(0.3, 1))
    return image


def draw_stress_fibres(rng: np.random.Generator, edge: int) -> Floats:
    """Return many fine fibres side by side in cells, each cell by its own grain."""
    image = np.zeros((edge, edge), np.float32)
    width_px = log_uniform(rng, 0.3, 1.2)
    for _ in range(rng.integers(1, 5)):
        n = round(log_uniform(rng, 40, 300))
        starts = rng.uniform(0, edge, 2) + rng.normal(0, 0.25 * edge, (n, 2))
        headings = rng.uniform(0, 2 * np.pi) + rng.normal(0, 0.12, n)
        length_px = log_uniform(rng, edge / 8, edge)
        rows, columns = walks(rng, starts, headings, length_px, 2000.0)
        light = rng.lognormal(0, 0.6, (n, 1)) * _along(rng, rows.shape) ** 0.5
        image += splat(edge, rows, columns, light)
    fine = blurred(image, width_px)
    return fine + np.float32(rng.uniform(0, 1.5)) * blurred(fine, 8.0)


def draw_worms(rng: np.random.Generator, edge: int, where: Floats) -> Floats:
    """Return short thick curved things, as mitochondria, where there is room.

    Parameters
    ----------
    rng : np.random.Generator
        Draws all of it.
    edge : int
        Pixels of a side.
    where : np.ndarray
        Shape ``(edge, edge)``, not below 0: how likely one begins there.
    """
    n = round(log_uniform(rng, 10, 400))
    starts = points_where(rng, n, where)
    length_px, width_px = log_uniform(rng, 4, 40), log_uniform(rng, 0.8, 3.0)
    headings = rng.uniform(0, 2 * np.pi, n)
    rows, columns = walks(rng, starts, headings, length_px, log_uniform(rng, 5, 40))
    ends = rng.uniform(0.3, 1, (n, 1)) * rows.shape[1]
    there = np.arange(rows.shape[1]) < ends
    light = there * rng.lognormal(0, rng.uniform(0.1, 0.6), (n, 1))
    return blurred(splat(edge, rows, columns, light), width_px)


def walks(
    rng: np.random.Generator,
    starts: Array,
    headings: Array,
    length_px: float,
    stiff_px: float,
) -> tuple[Array, Array]:
    """Return rows and columns ``(n, steps)`` of walks that bend by and by.

    Parameters
    ----------
    rng : np.random.Generator
        Draws the bends.
    starts : np.ndarray
        Shape ``(n, 2)``, rows and columns.
    headings : np.ndarray
        Shape ``(n,)``, radians.
    length_px, stiff_px : float
        Of a walk, and after which it has forgotten where it went.
    """
    steps = max(2, int(length_px / _STEP_PX))
    turns = rng.normal(0, np.sqrt(2 * _STEP_PX / stiff_px), (len(starts), steps))
    # bends that last look like fibres, those of each step alone like noise
    kept = np.exp(-np.arange(12) / 4)
    kept /= np.sqrt((kept**2).sum()) * 2
    turns = np.apply_along_axis(np.convolve, 1, turns, kept, mode="same")
    angles = headings[:, None] + np.cumsum(turns, axis=1)
    rows = starts[:, :1] + np.cumsum(_STEP_PX * np.sin(angles), axis=1)
    columns = starts[:, 1:] + np.cumsum(_STEP_PX * np.cos(angles), axis=1)
    return rows, columns


def points_where(rng: np.random.Generator, n: int, where: Floats) -> Array:
    """Return ``(n, 2)`` rows and columns drawn by a density, between the pixels."""
    edge = where.shape[0]
    weights = where.ravel().astype(np.float64) + 1e-9
    at = np.searchsorted(np.cumsum(weights), rng.uniform(0, weights.sum(), n))
    at = np.minimum(at, edge * edge - 1)
    return np.stack(np.divmod(at, edge), axis=1) + rng.uniform(-0.5, 0.5, (n, 2))


def _along(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Return brightness that changes along a fibre, down to gaps."""
    every = rng.integers(4, 40)
    coarse = rng.gamma(rng.uniform(0.6, 4), 1, (shape[0], shape[1] // every + 2))
    at = np.arange(shape[1]) / every
    low = at.astype(int)
    part = at - low
    return np.asarray(coarse[:, low] * (1 - part) + coarse[:, low + 1] * part)
