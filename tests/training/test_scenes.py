"""Drawn scenes hold what they say, and cameras give what is expected of them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smartscope.training.scenes import (
    BRIGHT,
    KINDS,
    Camera,
    Kind,
    draw_scene,
    draw_spots,
    draw_target,
    expose,
    with_photons,
)

EDGE = 96


@pytest.mark.parametrize("kind", KINDS)
def test_a_scene_is_light_of_its_seed(kind: Kind) -> None:
    for seed in range(4):
        scene = draw_scene(np.random.default_rng(seed), EDGE, kind)
        assert scene.shape == (EDGE, EDGE)
        assert scene.dtype == np.float32
        assert np.isfinite(scene).all()
        assert scene.min() >= 0
        assert 1 < np.percentile(scene, BRIGHT) < 6000
        again = draw_scene(np.random.default_rng(seed), EDGE, kind)
        np.testing.assert_array_equal(scene, again)
        other = draw_scene(np.random.default_rng(seed + 100), EDGE, kind)
        assert abs(np.corrcoef(scene.ravel(), other.ravel())[0, 1]) < 0.9


def test_optics_leave_no_single_pixels() -> None:
    for seed in range(20):
        scene = draw_scene(np.random.default_rng([1, seed]), EDGE)
        fine = np.abs(np.diff(scene, axis=0)).max()
        assert fine < 0.8 * (scene.max() - scene.min()) + 1e-6


def test_targets_are_light_too() -> None:
    for seed in range(6):
        target = draw_target(np.random.default_rng(seed), EDGE)
        assert np.isfinite(target).all()
        assert target.min() >= 0
        assert np.ptp(target) > 0.1 * target.max()


def test_spots_are_where_they_are_said_to_be() -> None:
    seen = 0
    for seed in range(12):
        scene = draw_spots(np.random.default_rng(seed), EDGE)
        assert scene.points.shape == (len(scene.photons), 2)
        for (row, column), photons in zip(scene.points, scene.photons, strict=True):
            y, x = round(row), round(column)
            assert 0 < y < EDGE - 1
            assert 0 < x < EDGE - 1
            around = scene.clean[y - 1 : y + 2, x - 1 : x + 2].max()
            assert around > 0.7 * photons
            seen += 1
    assert seen > 50


def test_spots_lie_apart() -> None:
    scene = draw_spots(np.random.default_rng(5), 256)
    away = np.hypot(*(scene.points[:, None] - scene.points[None]).transpose(2, 0, 1))
    away[np.diag_indices(len(away))] = np.inf
    assert away.min() > 2 * scene.sigma_px


CAMERAS = {
    "ideal": Camera(),
    "cut off at 0": Camera(gain=4, offset=-2, read_noise=1.2),
    "few photons, cut off": Camera(gain=30, offset=-20, read_noise=0.3, top=255),
    "multiplier, cut off": Camera(gain=20, offset=-15, read_noise=0.2, excess=0.5),
    "saturated": Camera(gain=12, offset=5, read_noise=2, top=255),
    "emccd": Camera(gain=9, offset=100, read_noise=0.1, excess=1),
    "mean of 8": Camera(gain=20, offset=3, read_noise=1, frames=8, top=255),
    "resized": Camera(gain=8, offset=-4, read_noise=1, smoothed_px=0.8),
    "scmos": Camera(
        gain=5,
        offset=50,
        read_noise=1.5,
        uneven_gain=0.01,
        uneven_offset=0.4,
        uneven_read=0.3,
        row_noise=0.3,
    ),
    "no whole counts": Camera(gain=0.1, top=None),
}


@pytest.mark.parametrize("camera", CAMERAS.values(), ids=CAMERAS)
def test_what_is_expected_is_the_mean_of_what_is_taken(camera: Camera) -> None:
    # stripes; only their middles are asked, where smoothing mixes nothing
    light = np.tile(np.array([0, 0.2, 1, 3, 8, 22], np.float32).repeat(16), (600, 1))
    noisy, expected = expose(np.random.default_rng(0), light, camera)
    for level in range(6):
        middle = slice(16 * level + 4, 16 * level + 12)
        off = (noisy - expected)[:, middle].mean(axis=1)
        error = off.std() / np.sqrt(off.size)
        noise = (noisy - expected)[:, middle].std()
        assert abs(off.mean()) < 5 * error + 0.02 * noise + 0.02


def test_noise_is_that_of_the_camera() -> None:
    light = np.full((300, 300), 50, np.float32)

    def noise(**camera: float) -> np.ndarray:
        given = Camera(**{"offset": 1000.0, **camera})  # type: ignore[arg-type]  # top
        noisy, expected = expose(np.random.default_rng(1), light, given)
        return np.asarray(noisy - expected)

    assert noise().var() == pytest.approx(50, rel=0.05)
    assert noise(gain=3.0).var() == pytest.approx(450, rel=0.05)
    assert noise(excess=1.0).var() == pytest.approx(100, rel=0.05)
    assert noise(frames=10, gain=10.0).var() == pytest.approx(500, rel=0.05)
    assert noise(read_noise=5.0).var() == pytest.approx(75, rel=0.05)
    rows = noise(row_noise=4.0).mean(axis=1)
    assert rows.std() == pytest.approx(4, rel=0.2)

    def neighbours(off: np.ndarray, axis: int) -> float:
        first, second = np.moveaxis(off, axis, 0)[:-1], np.moveaxis(off, axis, 0)[1:]
        return float(np.corrcoef(first.ravel(), second.ravel())[0, 1])

    assert abs(neighbours(noise(), 0)) < 0.02
    assert neighbours(noise(smoothed_px=0.8), 0) > 0.3
    along = noise(smoothed_along_px=0.8)
    assert neighbours(along, 1) > 0.3
    assert abs(neighbours(along, 0)) < 0.02


@given(seed=st.integers(0, 2**32 - 1))
def test_any_camera_gives_whole_counts_within_its_range(seed: int) -> None:
    rng = np.random.default_rng(seed)
    ramp = np.linspace(0, 1, 1024, dtype=np.float32).reshape(32, 32)
    clean = with_photons(ramp, float(rng.uniform(1, 500)))
    camera = Camera.drawn(rng)
    if rng.random() < 0.5:
        camera = camera.filling(rng, clean)
    noisy, expected = expose(rng, clean, camera)
    assert camera.top is not None
    assert noisy.min() >= 0
    assert noisy.max() <= camera.top
    np.testing.assert_array_equal(noisy, np.rint(noisy))
    assert np.isfinite(expected).all()
    assert expected.min() >= -1e-3
    assert expected.max() <= camera.top * (1 + 1e-6)
    # more light is never fewer counts
    assert (np.diff(expected.mean(axis=1)) >= -1e-3 * camera.gain).all()
