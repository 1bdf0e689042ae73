"""Simulated spots over busy grounds, drawn so that their noise is known."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import Literal

import numpy as np
import numpy.typing as npt

from smartscope.training.heat_source import Floats, Points
from smartscope.training.scenes import Camera, SpotScene, draw_scene, draw_spots, taken
from smartscope.training.scenes.canvas import log_uniform

SNR = (1.5, 40.0)
"""Of the median spot of an image: drawn from it."""
SIGMA_PX = (0.8, 3.0)
"""Of spots, as the scenes have them."""

_SEEN = 6.0  # of a matched filter: what is below it cannot be told from noise
_SCENE_PX = 192
_SCENES = {False: 800, True: 64}
_WITHOUT: tuple[Literal["filaments", "membranes", "nuclei"], ...] = (
    "filaments",
    "membranes",
    "nuclei",
)
_SHARE_WITHOUT, _SHARE_8_BIT, _SHARE_HOT = 0.1, 0.25, 0.25
_HOT = (5e-5, 1e-3)  # of the pixels
_FLANK_PX = 4  # so far outside of a patch spots are seen from within


class SpotSource:
    """Draws patches of scenes that are drawn once, each time with other noise.

    Parameters
    ----------
    seed : int
        Of the scenes.
    snr : float, optional
        Of the median spot of each image; default: drawn.
    """

    frames = 1

    def __init__(self, seed: int, snr: float | None = None) -> None:
        self._seed, self._snr = seed, snr
        self._scene = lru_cache(maxsize=sum(_SCENES.values()))(self._drawn)

    @property
    def scenes(self) -> int:
        """How many are learned from."""
        return _SCENES[False]

    def prepare(self) -> None:
        """Draw all scenes now, so that no step waits for them."""
        for watch, number in _SCENES.items():
            for i in range(number):
                self._scene(i, watch)

    def draw(
        self, rng: np.random.Generator, edge: int, *, watch: bool = False
    ) -> tuple[Floats, Points]:
        """Return one example; see ``Source``. Larger ones than a scene are drawn anew.

        Asked for are the spots that a matched filter would see with 6 times its
        noise.
        """
        if edge > _SCENE_PX:
            scene = draw_spots(rng, edge)
        else:
            scene = self._scene(int(rng.integers(_SCENES[watch])), watch)
            scene = _patch(rng, scene, edge)
        camera = Camera.drawn(rng)
        wanted = log_uniform(rng, *SNR) if self._snr is None else self._snr
        light = _light(scene, camera, wanted)
        clean = scene.clean * np.float32(light)
        if camera.top is not None:
            # whoever takes images sees to it that next to nothing is saturated
            high = max(float(np.percentile(clean, 99.9)), 1e-6)
            most = (camera.top - camera.offset) / high
            camera = replace(camera, gain=min(camera.gain, 0.9 * most))
        if rng.random() < _SHARE_8_BIT:
            camera = camera.filling(rng, clean)
        counts = taken(rng, clean, camera)
        if rng.random() < _SHARE_HOT:
            counts = _with_hot_pixels(rng, counts, camera.top)
        snr = spot_snr(scene, camera, light)
        asked = np.sqrt(4 * np.pi) * scene.sigma_px * snr >= _SEEN
        return counts[None], scene.points[asked]

    def _drawn(self, number: int, watch: bool) -> SpotScene:
        rng = np.random.default_rng([self._seed, int(watch), number])
        if rng.random() < _SHARE_WITHOUT:
            kind = _WITHOUT[rng.integers(len(_WITHOUT))]
            clean = draw_scene(rng, _SCENE_PX, kind)
            return SpotScene(clean, np.zeros((0, 2)), np.zeros(0), 1.0)
        # of two the fuller one: many patches show a spot or none as it is
        return max(
            (draw_spots(rng, _SCENE_PX) for _ in range(2)), key=lambda s: len(s.points)
        )


def spot_snr(
    scene: SpotScene, camera: Camera, light: float = 1.0
) -> npt.NDArray[np.float64]:
    """Return by how many times the noise at its peak each spot rises above its ground.

    As Smal et al., IEEE Trans. Med. Imaging 29 (2010) 282, who compare detectors by it.

    Parameters
    ----------
    scene : SpotScene
        In photons.
    camera : Camera
        All its noise counts, that of rounding too.
    light : float
        So many times as many photons come.
    """
    peak, ground = _peak_and_ground(scene)
    shot, rest = _variances(camera)
    made: npt.NDArray[np.float64] = (
        light * peak / np.sqrt(shot * light * (ground + peak) + rest)
    )
    return made


def _light(scene: SpotScene, camera: Camera, snr: float) -> float:
    """Return how many times the light gives the median spot that SNR."""
    if not len(scene.points):
        return 1.0
    peak, ground = _peak_and_ground(scene)
    middle = int(np.argsort(peak)[len(peak) // 2])
    shot, rest = _variances(camera)
    # (light peak / snr)² = shot light (ground + peak) + rest
    p = (peak[middle] / snr) ** 2
    b = shot * (ground[middle] + peak[middle])
    return float((b + np.sqrt(b**2 + 4 * p * rest)) / (2 * p))


def _variances(camera: Camera) -> tuple[float, float]:
    """Return the variance for each photon, and that there is without, electrons²."""
    n = camera.frames
    rest = (camera.read_noise**2 + camera.row_noise**2) / n + camera.uneven_offset**2
    return (1 + camera.excess) / n, rest + 1 / (12 * camera.gain**2)


def _peak_and_ground(
    scene: SpotScene,
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    last = np.asarray(scene.clean.shape) - 1
    at = np.clip(np.rint(scene.points), 0, last).astype(np.intp)
    here = scene.clean[at[:, 0], at[:, 1]].astype(np.float64)
    return scene.photons, np.maximum(here - scene.photons, 1e-3)


def _patch(rng: np.random.Generator, scene: SpotScene, edge: int) -> SpotScene:
    size = scene.clean.shape[0]
    row, column = rng.integers(0, size - edge + 1, 2)
    clean = scene.clean[row : row + edge, column : column + edge]
    points = scene.points - (row, column)
    near = ((points >= -_FLANK_PX) & (points < edge + _FLANK_PX)).all(axis=1)
    points, photons = points[near], scene.photons[near]
    if rng.random() < 0.5:
        clean, points = clean.T, points[:, ::-1]
    for axis in (0, 1):
        if rng.random() < 0.5:
            clean = np.flip(clean, axis)
            points = points.copy()
            points[:, axis] = edge - 1 - points[:, axis]
    return SpotScene(np.ascontiguousarray(clean), points, photons, scene.sigma_px)


def _with_hot_pixels(
    rng: np.random.Generator, counts: Floats, top: float | None
) -> Floats:
    n = rng.poisson(counts.size * log_uniform(rng, *_HOT))
    y, x = (rng.integers(0, length, n) for length in counts.shape)
    brighter = np.exp(rng.uniform(np.log(3), np.log(50), n)) * counts.std()
    made = counts.copy()
    made[y, x] += np.rint(brighter).astype(np.float32)
    return made if top is None else np.minimum(made, np.float32(top))
