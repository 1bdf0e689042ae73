"""Patches of images with points, changed as other specimens would change them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from smartscope.pairs import Pointed
from smartscope.training.augment import other_counts
from smartscope.training.heat_source import Floats, Points
from smartscope.training.labelled import scaled

_ZOOM = (0.8, 1.25)
_AT_A_POINT = 0.5  # of the patches: where few things are, the others show none
_BESIDE = 1  # frames before and after an event that are not shown
_TRIES = 20


class PointSource:
    """Draws patches of images with points, or of movies with events.

    Patches are scaled by 0.8 to 1.25, turned, mirrored, and get other contrast,
    sharpness and noise. The frames next to that of an event are not shown with it in
    the patch: nobody labels more truly than a frame.

    Parameters
    ----------
    train, watch : sequence of Pointed
        What is learned from, and what watches.
    frames : int
        Of an example, the newest last.
    """

    def __init__(
        self, train: Sequence[Pointed], watch: Sequence[Pointed], frames: int
    ) -> None:
        self._frames = frames
        self._images = {
            watched: [
                (scaled(one.frames).astype(np.float16), one.points, one.looked)
                for one in of
            ]
            for watched, of in ((False, train), (True, watch))
        }

    @property
    def frames(self) -> int:
        """Images of one input, the newest last."""
        return self._frames

    def draw(
        self, rng: np.random.Generator, edge: int, *, watch: bool = False
    ) -> tuple[Floats, Points]:
        """Return one example; see ``Source``."""
        images = self._images[watch]
        weights = np.sqrt([float(len(of) * seen[0].size) for seen, _, of in images])
        for _ in range(_TRIES):
            which = int(rng.choice(len(images), p=weights / weights.sum()))
            seen, points, looked = images[which]
            newest = int(rng.choice(looked))
            about = None
            if len(points) and rng.random() < _AT_A_POINT:
                newest, *about = points[rng.integers(len(points))]
                newest = round(newest)
            # before the first frame it stands for those that were not taken
            window = seen[np.maximum(0, np.arange(1 - self._frames, 1) + newest)]
            corner, zoom = _placed(rng, window.shape[1:], edge, about)
            late = np.abs(np.rint(points[:, 0]) - newest)
            at = (points[:, 1:] + 0.5 - corner) * zoom - 0.5
            inside = ((at >= -edge / 8) & (at <= edge * 9 / 8)).all(axis=1)
            if not (inside & (late > 0) & (late <= _BESIDE)).any():
                break
        frames = _cut(window.astype(np.float32), corner, zoom, edge)
        frames, at = _turned(rng, frames, at[late == 0], edge)
        return _other_specimen(rng, frames), at


def _placed(
    rng: np.random.Generator,
    shape: tuple[int, ...],
    edge: int,
    about: Sequence[float] | None,
) -> tuple[npt.NDArray[np.float64], float]:
    """Return the corner of a patch, from the corner of the image, and its zoom."""
    least = edge / min(shape)
    zoom = max(least, float(np.exp(rng.uniform(*np.log(_ZOOM)))))
    room = np.asarray(shape) - edge / zoom
    if about is None:
        return rng.uniform(0, 1, 2) * room, zoom
    corner = np.asarray(about) + 0.5 - rng.uniform(0.1, 0.9, 2) * edge / zoom
    return np.clip(corner, 0, room), zoom


def _cut(
    window: Floats, corner: npt.NDArray[np.float64], zoom: float, edge: int
) -> Floats:
    at = (np.arange(edge) + 0.5) / zoom - 0.5
    if zoom < 1:
        blur = 0.35 / zoom
        window = ndimage.gaussian_filter(window, (0, blur, blur))
    grid = np.meshgrid(at + corner[0], at + corner[1], indexing="ij")
    made = [
        ndimage.map_coordinates(one, grid, order=1, mode="nearest") for one in window
    ]
    return np.stack(made).astype(np.float32)


def _turned(
    rng: np.random.Generator, frames: Floats, points: Points, edge: int
) -> tuple[Floats, Points]:
    turns, mirrored = int(rng.integers(4)), bool(rng.integers(2))
    for _ in range(turns):
        # what was at row y, column x is at row edge - 1 - x, column y
        points = np.column_stack([edge - 1 - points[:, 1], points[:, 0]])
    if mirrored:
        points = np.column_stack([points[:, 0], edge - 1 - points[:, 1]])
    frames = np.rot90(frames, turns, axes=(1, 2))
    return np.ascontiguousarray(frames[:, :, ::-1] if mirrored else frames), points


def _other_specimen(rng: np.random.Generator, frames: Floats) -> Floats:
    """Return frames of other contrast, sharpness and noise, all in the same way."""
    _, rows, columns = frames.shape
    # side by side they are one image; what blurs over their seams is some pixels wide
    beside = frames.transpose(1, 0, 2).reshape(rows, -1)
    made = other_counts(rng, beside).reshape(rows, -1, columns)
    return np.ascontiguousarray(made.transpose(1, 0, 2))
