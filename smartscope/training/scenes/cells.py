"""Cells: borders of a sheet of them, single contours, bodies, nuclei."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter
from scipy.spatial import cKDTree
from scipy.special import expit

from smartscope.training.scenes.canvas import (
    Array,
    Floats,
    blurred,
    fractal_noise,
    log_uniform,
    smooth_noise,
)


def draw_membranes(rng: np.random.Generator, edge: int) -> Floats:
    """Return borders of cells that touch, of uneven brightness, with filled ones."""
    size_px = log_uniform(rng, 10, 90)
    y, x = _warped(rng, edge, 0.15 * size_px, max(6.0, 0.5 * size_px))
    n = max(4, int(1.3 * (edge / size_px) ** 2))
    seeds = rng.uniform(-0.2 * edge, 1.2 * edge, (2 * n, 2))
    found = cKDTree(seeds).query(np.stack([y, x], axis=-1), k=2)
    distance, owner = np.asarray(found[0]), np.asarray(found[1])
    apart = distance[..., 1] - distance[..., 0]
    thick_px = log_uniform(rng, 0.7, 4.0)
    border = np.exp(-((apart / (2 * thick_px)) ** 2))
    uneven = np.exp(rng.uniform(0, 0.6) * smooth_noise(rng, edge, size_px / 2))
    # some cells shine: each by its own brightness, most of them little
    inner = rng.gamma(0.5, 1, len(seeds))[owner[..., 0]] * rng.choice([0, 0.1, 0.5])
    gone = rng.random(len(seeds)) < rng.choice([0, 0, 0.3])
    there = ~(gone[owner[..., 0]] & gone[owner[..., 1]])
    return np.asarray((border * uneven + inner) * there, np.float32)


def draw_contours(rng: np.random.Generator, edge: int) -> Floats:
    """Return outlines of single cells and vesicles, some within others."""
    image = np.zeros((edge, edge), np.float32)
    thick_px = log_uniform(rng, 0.5, 3.0)
    typical_px = log_uniform(rng, 4, edge / 4)
    for _ in range(round(log_uniform(rng, 2, 40))):
        radius_px = typical_px * rng.lognormal(0, 0.3)
        part, box = _shape(rng, edge, radius_px, 0.25)
        if not part.size:
            continue
        outline = np.exp(-0.5 * (part * radius_px / thick_px) ** 2)
        filled = rng.uniform(0, 0.3) * expit(-part * radius_px)
        image[box] += np.float32(rng.lognormal(0, 0.4)) * (outline + filled)
    return image


def draw_bodies(rng: np.random.Generator, edge: int) -> Floats:
    """Return cells filled with textured dye, with darker or brighter nuclei."""
    image = np.zeros((edge, edge), np.float32)
    texture = np.exp(rng.uniform(0.1, 0.6) * fractal_noise(rng, edge, 1.2))
    typical_px = log_uniform(rng, 15, edge / 3)
    nucleus = rng.choice([0.2, 0.5, 1.6, 3.0])
    for _ in range(round(log_uniform(rng, 1, 30))):
        radius_px = typical_px * rng.lognormal(0, 0.2)
        part, box = _shape(rng, edge, radius_px, rng.uniform(0.1, 0.5))
        if not part.size:
            continue
        # thick in the middle, thin where it spreads
        body = np.clip(-part, 0, 1) ** rng.uniform(0.3, 1)
        inside = expit(-(part + 0.6) * radius_px)
        image[box] = np.maximum(
            image[box],
            rng.lognormal(0, 0.5) * body * (1 + (nucleus - 1) * inside),
        )
    return image * texture


def draw_nuclei(rng: np.random.Generator, edge: int) -> Floats:
    """Return nuclei: lobed, clustered, with dark nucleoli or bright grains."""
    image = np.zeros((edge, edge), np.float32)
    typical_px = log_uniform(rng, 5, edge / 6)
    n = max(1, round(log_uniform(rng, 0.05, 0.9) * (edge / typical_px / 2) ** 2))
    centres = rng.uniform(-0.1 * edge, 1.1 * edge, (n, 2))
    if rng.random() < 0.4:
        middles = rng.uniform(0, edge, (max(1, n // 6), 2))
        centres = middles[rng.integers(len(middles), size=n)]
        centres = centres + rng.normal(0, 2.2 * typical_px, (n, 2))
    grain_px = max(1.0, typical_px * rng.uniform(0.08, 0.3))
    texture = smooth_noise(rng, edge, grain_px)
    texture += 0.5 * smooth_noise(rng, edge, 2 * grain_px)
    strength = rng.uniform(0.05, 0.45)
    spread = rng.uniform(0.05, 0.7)
    for centre in centres:
        radius_px = typical_px * rng.lognormal(0, 0.15)
        lobed = rng.choice([0.06, 0.12, 0.3], p=[0.6, 0.3, 0.1])
        part, box = _shape(rng, edge, radius_px, lobed, centre)
        if not part.size:
            continue
        # a blurred ball rather than a plate
        filled = np.sqrt(np.clip(-part * 3, 0, 1)) * np.exp(strength * texture[box])
        holes = texture[box] < -rng.uniform(1.4, 2.4)
        filled = np.where(holes, filled * rng.uniform(0.3, 0.8), filled)
        if rng.random() < 0.15:
            filled = filled + 1.5 * (part < 0) * (texture[box] > 1.8)
        image[box] = np.maximum(image[box], rng.lognormal(0, spread) * filled)
    return blurred(image, 0.5)


def cell_room(rng: np.random.Generator, edge: int) -> Floats:
    """Return where organelles may lie: a few cells without their nuclei, or all."""
    if rng.random() < 0.3:
        return np.ones((edge, edge), np.float32)
    room = np.zeros((edge, edge), np.float32)
    for _ in range(rng.integers(1, 6)):
        radius_px = rng.uniform(0.15, 0.5) * edge
        part, box = _shape(rng, edge, radius_px, 0.35)
        if part.size:
            fills = np.clip(-part, 0, 1) * (part > -0.65)
            room[box] = np.maximum(room[box], fills)
    if not room.any():
        return np.ones_like(room)
    return np.asarray(gaussian_filter(room, 3), np.float32)


def _shape(
    rng: np.random.Generator,
    edge: int,
    radius_px: float,
    lobed: float,
    centre: Array | None = None,
) -> tuple[Floats, tuple[slice, slice]]:
    """Return a wobbly ellipse as distance from its outline, and where it lies.

    The distance is in radii, below 0 inside, -1 in the middle.
    """
    centre = rng.uniform(0, edge, 2) if centre is None else centre
    reach = int(2.2 * radius_px) + 8
    low = np.maximum(0, centre.astype(int) - reach)
    high = np.minimum(edge, centre.astype(int) + reach)
    box = (slice(low[0], max(low[0], high[0])), slice(low[1], max(low[1], high[1])))
    y = np.arange(box[0].start, box[0].stop)[:, None] - centre[0]
    x = np.arange(box[1].start, box[1].stop)[None] - centre[1]
    turn, ratio = rng.uniform(0, np.pi), rng.uniform(0.55, 1)
    along = (x * np.cos(turn) + y * np.sin(turn)) * np.sqrt(ratio)
    across = (y * np.cos(turn) - x * np.sin(turn)) / np.sqrt(ratio)
    angle = np.arctan2(across, along)
    outline = np.ones_like(angle)
    for k in range(2, 6):
        outline += rng.normal(0, lobed / k) * np.cos(k * angle + rng.uniform(0, 7))
    distance = np.hypot(along, across) / (radius_px * np.maximum(outline, 0.2)) - 1
    return distance.astype(np.float32), box


def _warped(
    rng: np.random.Generator, edge: int, by_px: float, scale_px: float
) -> tuple[Floats, Floats]:
    y, x = np.indices((edge, edge), np.float32)
    return (
        y + np.float32(by_px) * smooth_noise(rng, edge, scale_px),
        x + np.float32(by_px) * smooth_noise(rng, edge, scale_px),
    )
