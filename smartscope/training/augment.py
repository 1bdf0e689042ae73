"""Patches of labelled images, changed as other specimens and microscopes would."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage

Image = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int32]

_ZOOM = (0.6, 1.6)
_DIAMETERS_PX = (7.0, 70.0)


def drawn_patch(
    rng: np.random.Generator,
    image: Image,
    labels: Labels,
    edge: int,
    diameter_px: float,
) -> tuple[Image, Labels]:
    """Return a patch: scaled, turned, mirrored, and with other counts and noise.

    Parameters
    ----------
    rng : np.random.Generator
        Everything is drawn from it.
    image, labels : np.ndarray
        ``(Y, X)``; the image with its range at 0 to 1.
    edge : int
        Of the patch, pixels.
    diameter_px : float
        Usual one of the things: it is not scaled to sizes nobody would show a net.
    """
    zoom = _drawn_zoom(rng, diameter_px)
    image, labels = _cut(rng, image, labels, int(np.ceil(edge / zoom)))
    if image.shape[0] != edge:
        image, labels = _resized(image, labels, edge)
    turns = int(rng.integers(4))
    image, labels = np.rot90(image, turns), np.rot90(labels, turns)
    if rng.random() < 0.5:
        image, labels = image[:, ::-1], labels[:, ::-1]
    return other_counts(rng, np.ascontiguousarray(image)), np.ascontiguousarray(labels)


def other_counts(rng: np.random.Generator, image: Image) -> Image:
    """Return an image of another contrast, sharpness, offset, gain and noise."""
    if rng.random() < 0.3:
        image = np.sign(image) * np.abs(image) ** np.float32(rng.uniform(0.6, 1.5))
    if rng.random() < 0.3:
        image = ndimage.gaussian_filter(image, rng.uniform(0.3, 1.5))
    image = image * rng.uniform(0.7, 1.4) + rng.uniform(-0.12, 0.12)
    noise = rng.uniform(0.005, 0.12) if rng.random() < 0.6 else 0.0
    return np.asarray(image + rng.normal(0, noise, image.shape), np.float32)


def _drawn_zoom(rng: np.random.Generator, diameter_px: float) -> float:
    zoom = float(np.exp(rng.uniform(*np.log(_ZOOM))))
    if not np.isfinite(diameter_px):
        return zoom
    smallest, largest = (px / diameter_px for px in _DIAMETERS_PX)
    return float(np.clip(zoom, min(smallest, 1.0), max(largest, 0.3)))


def _cut(
    rng: np.random.Generator, image: Image, labels: Labels, edge: int
) -> tuple[Image, Labels]:
    """Cut a square; what is smaller goes on as in a mirror."""
    missing = [max(0, edge - n) for n in image.shape]
    if any(missing):
        # where a mirrored thing meets its twin they are one, elsewhere they are two
        pad = [(0, n) for n in missing]
        shape = image.shape
        image = np.pad(image, pad, mode="symmetric")
        labels = _parted_twins(np.pad(labels, pad, mode="symmetric"), shape)
    row, column = (int(rng.integers(0, n - edge + 1)) for n in image.shape)
    where = np.s_[row : row + edge, column : column + edge]
    return image[where], labels[where]


def _parted_twins(labels: Labels, shape: tuple[int, ...]) -> Labels:
    """Number anew: of one label each part that hangs together is a thing."""
    twin = np.zeros(labels.shape, bool)
    twin[shape[0] :] = twin[:, shape[1] :] = True
    seams = set()
    for axis in (0, 1):
        if shape[axis] < labels.shape[axis]:
            seams |= set(np.unique(np.take(labels, shape[axis] - 1, axis)).tolist())
    several = np.isin(labels, sorted(seams - {0}), invert=True) & twin & (labels > 0)
    made = labels.copy()
    parts, n = ndimage.label(several)
    # touching mirrored things differ in their labels, so part them by these too
    key = parts.astype(np.int64) * (int(labels.max()) + 1) + labels
    _, number = np.unique(key[several], return_inverse=True)
    made[several] = int(labels.max()) + 1 + number
    return made if n else labels


def _resized(image: Image, labels: Labels, edge: int) -> tuple[Image, Labels]:
    given = image.shape[0]
    at = (np.arange(edge) + 0.5) * given / edge - 0.5
    if edge < given:
        image = ndimage.gaussian_filter(image, 0.35 * given / edge)
    grid = np.meshgrid(at, at, indexing="ij")
    image = ndimage.map_coordinates(image, grid, order=1, mode="nearest")
    nearest = np.clip(np.rint(at).astype(np.intp), 0, given - 1)
    return image.astype(np.float32), labels[np.ix_(nearest, nearest)]
