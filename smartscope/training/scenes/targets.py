"""Test patterns: sharp spokes, bars, rings and steps, like nothing in a cell."""

from __future__ import annotations

import numpy as np

from smartscope.training.scenes.canvas import Floats, blurred, log_uniform
from smartscope.training.scenes.scene import drawn_photons, with_photons


def draw_target(rng: np.random.Generator, edge: int) -> Floats:
    """Draw a pattern that no model of this package is trained on.

    It tells whether a model restores what it has never seen, or invents what it has.

    Parameters
    ----------
    rng : np.random.Generator
        Draws all of it.
    edge : int
        Pixels of a side.

    Returns
    -------
    np.ndarray
        Shape ``(edge, edge)``, float32, photons a pixel.
    """
    y, x = np.indices((edge, edge)) - edge / 2
    row, column = rng.uniform(-edge / 6, edge / 6, 2)
    y, x = y - row, x - column
    away, angle = np.hypot(y, x), np.arctan2(y, x)
    kind = rng.integers(4)
    if kind == 0:  # Siemens star
        image = (np.sin(rng.integers(8, 40) * angle) > 0) * (away < 0.45 * edge)
    elif kind == 1:  # bars, finer and finer
        turn = rng.uniform(0, np.pi)
        along = x * np.cos(turn) + y * np.sin(turn) + 0.75 * edge
        image = (
            np.sin(rng.uniform(3, 12) * edge * np.log(np.maximum(along, 1) / edge)) > 0
        )
    elif kind == 2:  # rings
        image = np.sin(2 * np.pi * away / log_uniform(rng, 4, 30)) > rng.uniform(
            -0.5, 1
        )
    else:  # steps of a wedge
        steps = rng.integers(4, 16)
        image = np.floor((x / edge + 0.7) * steps) / steps + 0.5 * (y > 0)
    drawn = blurred(image.astype(np.float32), log_uniform(rng, 0.6, 2.0))
    drawn = np.maximum(drawn, 0) + np.float32(log_uniform(rng, 0.01, 0.5))
    return with_photons(drawn, drawn_photons(rng))
