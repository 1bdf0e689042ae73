"""Where a net that finds points learns from: frames, and what is in the newest."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Points = npt.NDArray[np.float64]


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
