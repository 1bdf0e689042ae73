"""Small folders of pairs, made on the spot."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import tifffile
from scipy.ndimage import gaussian_filter


def scene(seed: int, size: int = 64) -> npt.NDArray[np.float64]:
    """Return an image of spots on a background, photons a pixel."""
    rng = np.random.default_rng(seed)
    image = np.zeros((size, size))
    for at in rng.integers(6, size - 6, (14, 2)):
        image[tuple(at)] += 400
    return gaussian_filter(image, 1.8) + 4


def seen(photons: npt.NDArray[np.float64], seed: int) -> npt.NDArray[np.uint16]:
    """Return what a camera makes of it: half a count a photon, offset 100."""
    rng = np.random.default_rng([seed, 1])
    counts = 0.5 * rng.poisson(photons) + rng.normal(100, 1.6, photons.shape)
    return np.rint(counts).clip(0, 65535).astype(np.uint16)


@pytest.fixture
def write_pairs(tmp_path: Path) -> Callable[..., Path]:
    """Return a maker of a folder with ``noisy`` and ``clean``; changes by name."""

    def write(count: int = 5, *, size: int = 64, **changed: npt.NDArray[Any]) -> Path:
        folder = tmp_path / "data"
        for i in range(count):
            photons = scene(i, size)
            images = {"noisy": seen(photons, i), "clean": seen(20 * photons, i)}
            for kind, image in images.items():
                (folder / kind).mkdir(parents=True, exist_ok=True)
                image = changed.get(f"{kind}{i}", image)
                tifffile.imwrite(
                    folder / kind / f"a{i}.tif", image, photometric="minisblack"
                )
        return folder

    return write
