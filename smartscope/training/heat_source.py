"""Where a net that finds points learns from: frames, and what is in the newest."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import numpy.typing as npt

from smartscope.pairs import Pointed

Floats = npt.NDArray[np.float32]
Points = npt.NDArray[np.float64]

_DRAWN = 7  # beside the seed, so that these are not the ones that were learned from


class Source(Protocol):
    """Draws examples, of images that somebody labelled or of simulated ones."""

    @property
    def frames(self) -> int:
        """Images of one input, the newest last."""

    def draw(
        self, rng: np.random.Generator, edge: int, *, watch: bool = False
    ) -> tuple[Floats, Points]:
        """Return one example.

        Parameters
        ----------
        rng : np.random.Generator
            Everything is drawn from it.
        edge : int
            Rows and columns, pixels.
        watch : bool
            Of what watches over the training, which is never learned from.

        Returns
        -------
        frames : np.ndarray
            ``(frames, edge, edge)`` float32, counts, the newest last.
        points : np.ndarray
            ``(n, 2)`` float64, rows and columns in pixels of what is to be found in
            the newest frame; whole numbers are middles of pixels.
        """


def shown(
    source: Source, seed: int, number: int, edge: int, *, watch: bool = False
) -> list[Pointed]:
    """Draw images to judge by, as 16-bit counts.

    Parameters
    ----------
    source : Source
        Of simulated images; each is drawn from its own seed.
    seed, number, edge : int
        Of all of them, how many, rows and columns in pixels.
    watch : bool
        As of the source; the two are never the same images.
    """
    made = []
    for i in range(number):
        rng = np.random.default_rng([seed, _DRAWN, 1 + watch, i])
        frames, points = source.draw(rng, edge, watch=watch)
        counts = np.clip(np.rint(frames), 0, 65535).astype(np.uint16)
        inside = ((points >= -0.5) & (points < edge - 0.5)).all(axis=1)
        newest = len(frames) - 1
        at = np.column_stack([np.full(int(inside.sum()), newest), points[inside]])
        made.append(Pointed(f"{i}", counts, at.astype(np.float64), (newest,)))
    return made
