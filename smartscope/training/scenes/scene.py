"""A clean image of something that could lie under a fluorescence microscope."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
from scipy.special import expit

from smartscope.training.scenes.canvas import (
    Floats,
    blurred,
    fractal_noise,
    log_uniform,
    smooth_noise,
)
from smartscope.training.scenes.cells import (
    cell_room,
    draw_bodies,
    draw_contours,
    draw_membranes,
    draw_nuclei,
)
from smartscope.training.scenes.filaments import (
    draw_filaments,
    draw_stress_fibres,
    draw_worms,
)
from smartscope.training.scenes.spots import draw_beads, draw_vesicles

Kind = Literal[
    "filaments", "membranes", "organelles", "spots", "nuclei", "textures", "mixture"
]
KINDS: tuple[Kind, ...] = get_args(Kind)

LEAST_PHOTONS, MOST_PHOTONS = 1.5, 5000.0
# the brightest of an image, but for a few pixels
BRIGHT = 99.7


def draw_scene(rng: np.random.Generator, edge: int, kind: Kind | None = None) -> Floats:
    """Draw a scene as optics show it, without noise.

    Parameters
    ----------
    rng : np.random.Generator
        Draws all of it.
    edge : int
        Pixels of a side, at least 48.
    kind : str, optional
        One of `KINDS`; default: any.

    Returns
    -------
    np.ndarray
        Shape ``(edge, edge)``, float32, photons a pixel, not below 0. How many the
        bright places have (percentile `BRIGHT`) is drawn too.

    Notes
    -----
    Point spread: a Gaussian of 0.3 to 4 pixels, or an Airy pattern of such a core; of
    a part of the images some light is out of focus. The ground is uneven.
    """
    kind = kind or KINDS[rng.integers(len(KINDS))]
    image = _mixture(rng, edge) if kind == "mixture" else _plain(rng, edge, kind)
    if kind != "mixture" and rng.random() < 0.25:
        image *= _part(rng, edge)
    image = np.maximum(image, 0)
    if rng.random() < 0.5:  # dye is not spread evenly
        grain = fractal_noise(rng, edge, rng.uniform(0.2, 1.2))
        image *= np.exp(np.float32(rng.uniform(0, 0.7)) * grain)
    sigma_px = float(np.clip(rng.lognormal(np.log(1.1), 0.55), 0.3, 4.0))
    image = blurred(image, sigma_px, airy=bool(rng.random() < 0.3))
    image /= max(float(np.percentile(image, BRIGHT)), 1e-6)
    if rng.random() < 0.25:
        # what is much brighter than the rest may not dwarf it all
        image = np.where(image > 1, 1 + np.log1p(np.maximum(image - 1, 0)), image)
    if rng.random() < 0.4:
        haze = blurred(image, log_uniform(rng, 4, edge / 6))
        image = image + np.float32(rng.uniform(0.05, 1)) * haze
    ground = log_uniform(rng, 0.002, 1.0) if rng.random() < 0.85 else 0.0
    lit = _uneven(rng, edge)
    image = image * lit + np.float32(ground) * _uneven(rng, edge)
    return with_photons(image, drawn_photons(rng))


def drawn_photons(rng: np.random.Generator) -> float:
    """Return how many photons bright places may have: few, or more than show noise."""
    return log_uniform(rng, LEAST_PHOTONS, MOST_PHOTONS)


def with_photons(image: Floats, photons: float) -> Floats:
    """Return an image whose bright places have so many photons."""
    high = max(float(np.percentile(image, BRIGHT)), 1e-6)
    return np.asarray(image * np.float32(photons / high), np.float32)


def _plain(rng: np.random.Generator, edge: int, kind: Kind) -> Floats:
    if kind == "filaments":
        way = draw_stress_fibres if rng.random() < 0.35 else draw_filaments
        return way(rng, edge)
    if kind == "membranes":
        return (draw_membranes if rng.random() < 0.65 else draw_contours)(rng, edge)
    if kind == "organelles":
        room = cell_room(rng, edge)
        made = (draw_worms if rng.random() < 0.5 else draw_vesicles)(rng, edge, room)
        return made + np.float32(rng.uniform(0, 0.3)) * room
    if kind == "spots":
        return draw_beads(rng, edge)
    if kind == "nuclei":
        return draw_nuclei(rng, edge)
    return _texture(rng, edge)


def _texture(rng: np.random.Generator, edge: int) -> Floats:
    """Return what has no outlines: clouds, tissue, meshes, grains."""
    kind = rng.integers(4)
    if kind == 0:
        return np.exp(rng.uniform(0.3, 1.2) * fractal_noise(rng, edge, _slope(rng)))
    scale_px = log_uniform(rng, 1.5, 20)
    noise = smooth_noise(rng, edge, scale_px) + 0.4 * smooth_noise(
        rng, edge, 2.5 * scale_px
    )
    if kind == 1:  # tissue: bright here, dark there, soft borders
        return np.asarray(
            expit(rng.uniform(2, 8) * (noise - rng.uniform(-1, 1))),
            np.float32,
        )
    if kind == 2:  # a mesh: ridges where noise is 0
        return np.exp(-np.abs(noise) * np.float32(rng.uniform(2, 10)))
    return np.exp(noise) * np.exp(0.5 * fractal_noise(rng, edge, 1.0))


def _mixture(rng: np.random.Generator, edge: int) -> Floats:
    """Return two or three kinds in one, as stains that show several things do."""
    image = np.zeros((edge, edge), np.float32)
    if rng.random() < 0.4:
        image += draw_bodies(rng, edge) * np.float32(log_uniform(rng, 0.1, 1))
    for _ in range(rng.integers(2, 4)):
        part = _plain(rng, edge, KINDS[rng.integers(len(KINDS) - 1)])
        part = part / max(float(np.percentile(part, BRIGHT)), 1e-6)
        if rng.random() < 0.3:
            part *= _part(rng, edge)
        image += part * np.float32(log_uniform(rng, 0.08, 1))
    return image


def _part(rng: np.random.Generator, edge: int) -> Floats:
    """Return 1 in a part of the field and 0 in the rest: tissue ends, cells do."""
    noise = smooth_noise(rng, edge, rng.uniform(0.08, 0.3) * edge)
    sharp = rng.uniform(3, 30)
    return np.asarray(expit(sharp * (noise - rng.uniform(-0.8, 0.8))), np.float32)


def _uneven(rng: np.random.Generator, edge: int) -> Floats:
    """Return light that is not the same everywhere: a slope and a fall to the edge."""
    y, x = np.indices((edge, edge), np.float32) / edge - np.float32(0.5)
    if rng.random() < 0.4:
        return np.ones_like(y)
    slope_y, slope_x = rng.uniform(-0.5, 0.5, 2)
    off_y, off_x = rng.uniform(-0.3, 0.3, 2)
    fall = rng.uniform(0, 1.0) * ((y - off_y) ** 2 + (x - off_x) ** 2)
    return np.asarray(np.maximum(1 + slope_y * y + slope_x * x - fall, 0.1), np.float32)


def _slope(rng: np.random.Generator) -> float:
    return float(rng.uniform(0.9, 2.0))
