"""How well a general denoiser does on images that it was never trained on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from smartscope.simulation import SensorSettings, SpecimenSettings
from smartscope.simulation.optics import Field
from smartscope.simulation.specimen import LivingCells
from smartscope.training.scenes import (
    KINDS,
    Camera,
    draw_scene,
    draw_spots,
    draw_target,
    drawn_photons,
    expose,
    with_photons,
)
from smartscope.trial import tuned_gaussian
from smartscope.trial.restorer import Restorer
from smartscope.validation.metrics import psnr

Floats = npt.NDArray[np.float32]

_SEED = 777
_EDGE_PX = 16
_BLOCK_PX = 16
# of scenes with less the slope says how much there was to see, not how true it is
_SEEN = 10.0
_MICROSCOPE_PX = 384


@dataclass(frozen=True)
class Pair:
    """An image and what it is expected to be.

    Attributes
    ----------
    noisy, expected : np.ndarray
        Shape ``(Y, X)``, counts.
    """

    noisy: Floats
    expected: Floats


def unseen(n: int, edge: int = 256, seed: int = _SEED) -> dict[str, list[Pair]]:
    """Draw images that no training draws.

    Parameters
    ----------
    n : int
        Of each group.
    edge : int
        Pixels of a side.
    seed : int
        Of all of them.

    Returns
    -------
    dict
        ``scenes``: of the kinds that are trained on; ``faint``: such with 1.5 to 8
        photons a pixel at bright places; ``resized``: such whose noise is alike in
        neighbours; ``spots``, ``targets``: drawn by
        other means than those; ``microscope``: frames of the simulated microscope, its
        nuclei and its sensor, at exposures of 1 to 100 ms.
    """
    groups: dict[str, list[Pair]] = {
        name: []
        for name in ("scenes", "faint", "resized", "spots", "targets", "microscope")
    }
    for i in range(n):
        rng = np.random.default_rng([seed, i])
        kind = KINDS[i % len(KINDS)]
        for name, clean in (
            ("scenes", draw_scene(rng, edge, kind)),
            ("spots", with_photons(draw_spots(rng, edge).clean, drawn_photons(rng))),
            ("targets", draw_target(rng, edge)),
        ):
            camera = Camera.drawn(rng)
            if rng.random() < 0.5:
                camera = camera.filling(rng, clean)
            groups[name].append(Pair(*expose(rng, clean, camera)))
        rng = np.random.default_rng([seed, 6, i])
        scene = draw_scene(rng, edge, kind)
        photons = float(np.exp(rng.uniform(np.log(1.5), np.log(8))))
        camera = replace(Camera.drawn(rng), smoothed_px=0.0, smoothed_along_px=0.0)
        groups["faint"].append(Pair(*expose(rng, with_photons(scene, photons), camera)))
        camera = replace(camera, smoothed_px=float(rng.uniform(0.4, 0.8)))
        groups["resized"].append(Pair(*expose(rng, scene, camera)))
    groups["microscope"] = list(_of_microscope(n, seed))
    return groups


def judged(package: str | Path, pairs: Sequence[Pair]) -> dict[str, Any]:
    """Return how near to the truth a model brings images.

    Parameters
    ----------
    package : path
        The model, which runs as beside a camera.
    pairs : sequence of Pair
        Images whose expectation has more than one value.

    Returns
    -------
    dict
        ``affine_psnr_db`` of the images as they are, smoothed by a Gaussian tuned on
        the truth, and restored, means; ``below_noisy`` and ``below_gaussian``, shares
        of the images; ``worst_gain_db`` over the noisy one; ``slope`` of restored
        against true counts (see `intensity`).
    """
    restorer = Restorer(str(package))
    ways: dict[str, list[float]] = {"noisy": [], "gaussian": [], "restored": []}
    truths = []
    for pair in pairs:
        if np.ptp(pair.expected) <= 0:
            continue
        restored = restorer.restore(pair.noisy[None])[0]
        images: dict[str, npt.NDArray[Any]] = {
            "noisy": pair.noisy,
            "gaussian": tuned_gaussian(pair.noisy, pair.expected).image,
            "restored": restored,
        }
        for way, image in images.items():
            ways[way].append(psnr(image, pair.expected, affine=True))
        truths.append((pair, restored))
    over = np.subtract(ways["restored"], ways["noisy"])
    beside = np.subtract(ways["restored"], ways["gaussian"])
    return {
        "images": len(truths),
        "affine_psnr_db": {way: float(np.mean(v)) for way, v in ways.items()},
        "below_noisy": float(np.mean(over < 0)),
        "below_gaussian": float(np.mean(beside < 0)),
        "worst_gain_db": float(over.min()),
        **intensity(truths),
    }


def intensity(truths: Sequence[tuple[Pair, Floats]]) -> dict[str, Any]:
    """Return whether restored counts are the true ones, everywhere.

    Only images whose noise is weaker than their contrast by `_SEEN` in variance are
    asked: of what cannot be seen the best guess is the mean.

    Parameters
    ----------
    truths : sequence of tuple
        A pair, and the restored image.

    Returns
    -------
    dict
        ``slope``: median over the images of the regression of restored on true counts,
        and its 5th and 95th percentile, of single pixels and of means over blocks;
        ``bias``: mean of restored less true counts, in s.d. of the noise, in the middle
        and at the edge, at dim and at bright places, median over the images.
    """
    slopes: dict[str, list[float]] = {"pixels": [], "blocks": []}
    bias: dict[str, list[float]] = {k: [] for k in ("middle", "edge", "dim", "bright")}
    for pair, restored in truths:
        true = pair.expected.astype(np.float64)
        noise = float(np.mean((pair.noisy - true) ** 2))
        if true.var() < _SEEN * noise or noise == 0:
            continue
        slopes["pixels"].append(_slope(true, restored))
        slopes["blocks"].append(_slope(_blocks(true), _blocks(restored)))
        off = (restored - true) / np.sqrt(noise)
        edge = np.ones(true.shape, bool)
        edge[_EDGE_PX:-_EDGE_PX, _EDGE_PX:-_EDGE_PX] = False
        low, high = np.quantile(true, (0.25, 0.95))
        where = {
            "middle": ~edge,
            "edge": edge,
            "dim": true <= low,
            "bright": true >= high,
        }
        for name, place in where.items():
            bias[name].append(float(off[place].mean()))
    if not slopes["pixels"]:
        return {}
    return {
        "asked_for_slope": len(slopes["pixels"]),
        "slope": {k: _spread(v) for k, v in slopes.items()},
        "bias": {k: _spread(v) for k, v in bias.items()},
    }


def _of_microscope(n: int, seed: int) -> Iterator[Pair]:
    """Yield frames of the simulated microscope, each of another sample."""
    sensor = SensorSettings()
    shape = (_MICROSCOPE_PX, _MICROSCOPE_PX)
    for i in range(n):
        rng = np.random.default_rng([seed, 5, i])
        pixel_um = float(rng.choice([0.325, 0.65]))
        settings = SpecimenSettings(cells=400, duration_s=60.0)
        cells = LivingCells(settings, seed + i)
        matrix = ((pixel_um, 0.0), (0.0, pixel_um))
        field = Field((0.0, 0.0), shape, matrix, blur_um=float(rng.uniform(0.3, 0.8)))
        exposure_ms = np.exp(rng.uniform(np.log(1), np.log(100)))
        light = cells.rate(field, 0.0, "FITC") * np.float32(exposure_ms)
        camera = Camera(
            gain=sensor.gain,
            offset=sensor.offset,
            read_noise=sensor.read_noise / sensor.gain,
            top=float(2**sensor.bit_depth - 1),
        )
        yield Pair(*expose(rng, light, camera))


def _slope(true: npt.NDArray[Any], restored: npt.NDArray[Any]) -> float:
    x = true - true.mean()
    return float((x * restored).sum() / (x * x).sum())


def _blocks(image: npt.NDArray[Any]) -> npt.NDArray[Any]:
    rows, columns = (n // _BLOCK_PX for n in image.shape)
    cut = image[: rows * _BLOCK_PX, : columns * _BLOCK_PX]
    return np.asarray(
        cut.reshape(rows, _BLOCK_PX, columns, _BLOCK_PX).mean((1, 3), np.float64)
    )


def _spread(values: Sequence[float]) -> dict[str, float]:
    low, middle, high = np.quantile(values, (0.05, 0.5, 0.95))
    return {"median": float(middle), "5%": float(low), "95%": float(high)}


def told_of(figures: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the figures of all groups as a table, Markdown."""
    lines = [
        "| images | number | noisy | tuned Gaussian | restored | below noisy | worst "
        "gain | slope, pixels | slope, blocks |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name, one in figures.items():
        db = one["affine_psnr_db"]
        slope = one.get("slope")
        slopes = (
            " | ".join(
                f"{slope[k]['median']:.3f} ({slope[k]['5%']:.3f} to "
                f"{slope[k]['95%']:.3f})"
                for k in ("pixels", "blocks")
            )
            if slope
            else "– | –"
        )
        lines.append(
            f"| {name} | {one['images']} | {db['noisy']:.2f} dB | "
            f"{db['gaussian']:.2f} dB | {db['restored']:.2f} dB | "
            f"{100 * one['below_noisy']:.1f} % | {one['worst_gain_db']:+.2f} dB | "
            f"{slopes} |"
        )
    return "\n".join(lines)
