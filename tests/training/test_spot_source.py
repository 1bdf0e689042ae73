"""Simulated spots: how far they rise above the noise is what was asked for."""

from __future__ import annotations

import numpy as np
import pytest

from smartscope.training.scenes import Camera, SpotScene, taken
from smartscope.training.spot_source import SpotSource, spot_snr


def one_spot(photons: float, ground: float) -> SpotScene:
    y, x = np.indices((40, 40))
    spot = photons * np.exp(-((y - 30) ** 2 + (x - 34) ** 2) / 8)
    clean = (spot + ground).astype(np.float32)
    return SpotScene(clean, np.array([[30.0, 34.0]]), np.array([photons]), 2.0)


@pytest.mark.parametrize("excess", [0.0, 1.0])
def test_the_snr_is_that_of_images_taken_again_and_again(excess: float) -> None:
    scene = one_spot(60.0, 20.0)
    camera = Camera(gain=2.0, offset=100, read_noise=3.0, excess=excess, frames=2)
    rng = np.random.default_rng(0)
    peak = [taken(rng, scene.clean, camera)[30, 34] for _ in range(600)]
    measured = 2 * 60 / np.std(peak)
    assert spot_snr(scene, camera)[0] == pytest.approx(measured, rel=0.12)


def test_the_median_spot_has_the_snr_that_was_asked_for() -> None:
    dim, bright = (SpotSource(3, snr) for snr in (3.0, 30.0))
    stands_out = []
    for source in (dim, bright):
        heights = []
        for seed in range(8):
            rng = np.random.default_rng([seed, 5])
            frames, points = source.draw(rng, 96)
            assert frames.shape == (1, 96, 96)
            inside = points[((points >= 0) & (points < 95)).all(axis=1)]
            y, x = np.rint(inside).astype(int).T
            noise = np.diff(frames[0], axis=0).std() / np.sqrt(2) + 1e-6
            heights += ((frames[0, y, x] - np.median(frames)) / noise).tolist()
        stands_out.append(np.median(heights))
    assert stands_out[1] > 2 * stands_out[0] > 2


def test_scenes_that_watch_are_not_learned_from() -> None:
    source = SpotSource(1)
    scenes = [source._scene(0, watch) for watch in (False, True)]
    assert not np.array_equal(scenes[0].clean, scenes[1].clean)
    same = [
        SpotSource(1).draw(np.random.default_rng(2), 64, watch=True) for _ in range(2)
    ]
    np.testing.assert_array_equal(same[0][0], same[1][0])
    np.testing.assert_array_equal(same[0][1], same[1][1])


def test_points_are_where_the_light_is_whichever_way_a_patch_is_turned() -> None:
    source = SpotSource(0, 200.0)
    hits = []
    for seed in range(12):
        frames, points = source.draw(np.random.default_rng(seed), 64)
        for y, x in np.rint(points).astype(int):
            if 4 <= y < 60 and 4 <= x < 60:
                near = frames[0, y - 1 : y + 2, x - 1 : x + 2].mean()
                around = np.median(frames[0, y - 4 : y + 5, x - 4 : x + 5])
                hits.append(near > around)
    assert len(hits) > 30
    assert np.mean(hits) > 0.95
