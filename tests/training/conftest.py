"""Tiny trainings that several files look at: made once, never written to."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
from scipy.ndimage import gaussian_filter

from smartscope.training.settings import StarSettings, TrainSettings

TORCH = "the extra 'train' is not installed"

if importlib.util.find_spec("torch"):
    import torch

    # beside other tests, threads that wait for each other cost minutes
    torch.set_num_threads(1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.timeout(180))


def _write_noisy(path: Path, edge: int = 160) -> np.ndarray:
    """Write a noisy image and return the clean one."""
    rng = np.random.default_rng(0)
    clean = 1000 + 2000 * gaussian_filter(rng.normal(size=(edge, edge)), 3)
    noisy = np.rint(clean + rng.normal(0, 60, clean.shape)).astype(np.uint16)
    tifffile.imwrite(path, noisy)
    return clean


def _write_discs(folder: Path, n: int = 14) -> Path:
    """Write images of discs and their labels."""
    rng = np.random.default_rng(1)
    ys, xs = np.indices((96, 96))
    for name in ("images", "labels"):
        (folder / name).mkdir(parents=True)
    for i in range(n):
        labels = np.zeros((96, 96), np.uint16)
        for k, (row, column) in enumerate(np.ndindex(3, 3)):
            y, x = 16 + 32 * np.array([row, column]) + rng.uniform(-4, 4, 2)
            labels[np.hypot(ys - y, xs - x) <= rng.uniform(7, 11)] = k + 1
        image = 200 + 800 * gaussian_filter((labels > 0).astype(float), 1)
        noisy = np.rint(image + rng.normal(0, 30, image.shape)).astype(np.uint16)
        tifffile.imwrite(folder / "images" / f"{i:02d}.tif", noisy)
        tifffile.imwrite(folder / "labels" / f"{i:02d}.tif", labels)
    return folder


@pytest.fixture
def write_noisy() -> Callable[..., np.ndarray]:
    """Return what writes a noisy image and returns the clean one."""
    return _write_noisy


@pytest.fixture
def write_discs() -> Callable[..., Path]:
    """Return what writes images of discs and their labels."""
    return _write_discs


@pytest.fixture(scope="session")
def denoiser(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a training of few steps, ``one.tif`` beside it."""
    pytest.importorskip("torch", reason=TORCH)
    from smartscope.training.denoise import train_denoise

    folder = tmp_path_factory.mktemp("denoiser")
    _write_noisy(folder / "one.tif", 96)
    settings = TrainSettings(
        method="n2v", width=4, levels=1, patch_px=32, batch=8, steps=20, every=10
    )
    made = train_denoise(
        folder / "one.tif",
        folder / "made",
        settings,
        authors=("A. Maker",),
        license_id="MIT",
    )
    return made.package.parent


@pytest.fixture(scope="session")
def detector(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a training of few steps, ``discs`` beside it."""
    pytest.importorskip("torch", reason=TORCH)
    from smartscope.training.detect import train_detect

    folder = tmp_path_factory.mktemp("detector")
    settings = StarSettings(size="small", patch_px=64, batch=4, steps=6, every=3)
    data = _write_discs(folder / "discs", n=8)
    return train_detect(data, folder / "made", settings).package.parent
