"""Images that are drawn to judge by."""

from __future__ import annotations

import numpy as np

from smartscope.training.heat_source import Floats, Points, shown


class Drawn:
    """Squares whose count is told by the seed."""

    frames = 2

    def draw(
        self, rng: np.random.Generator, edge: int, *, watch: bool = False
    ) -> tuple[Floats, Points]:
        frames = rng.uniform(-5, 70_000, (2, edge, edge)).astype(np.float32)
        return frames, np.array([[3.0, 4.0], [-2.0, 4.0]])


def test_images_that_are_drawn_are_counts_and_not_the_same_ones() -> None:
    drawn = [shown(Drawn(), 1, 2, 32, watch=watch) for watch in (False, True)]
    for image in (*drawn[0], *drawn[1]):
        assert image.frames.dtype == np.uint16
        assert image.looked == (1,)
        assert image.points.tolist() == [[1, 3, 4]]
    assert not np.array_equal(drawn[0][0].frames, drawn[1][0].frames)
    assert not np.array_equal(drawn[0][0].frames, drawn[0][1].frames)
