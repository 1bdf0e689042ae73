"""The models one by one, with numpy around them: the reference of the fused graph."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from smartscope.inference.correction import Correction
from smartscope.inference.heads.peaks import Candidates
from smartscope.inference.inferred import Inferred, Map
from smartscope.inference.model import Model
from smartscope.inference.planes import Planes
from smartscope.inference.resampling import resample

Image = npt.NDArray[Any]


def run_parts(
    given: Planes,
    detect: Model,
    denoise: Model | None,
    *,
    peaks: bool,
    threshold: float,
    correction: Correction | None,
    keep_restored: bool,
) -> Inferred:
    """Look at the planes of one moment.

    Parameters
    ----------
    given : Planes
        As many as the first model takes, or the second if the first restores each.
    detect, denoise : Model
        The second restores first.
    peaks : bool
        Candidates are wanted of a model without a head of its own, else its map.
    threshold : float
        Of the map.
    correction : Correction, optional
        Of the planes, before all else.
    keep_restored : bool
        Whether the restored image is wanted.

    Raises
    ------
    smartscope.errors.AnalysisFailed
        If a model fails on it or its output is not finite.
    """
    timings_ms = {"prepare": 0.0}
    watch = time.perf_counter()

    def lap(name: str) -> None:
        nonlocal watch
        now = time.perf_counter()
        timings_ms[name] = timings_ms.get(name, 0.0) + (now - watch) * 1e3
        watch = now

    images: list[Image] = [*given.pixels]
    if correction is not None:
        images = [*correction.apply(images)]
    whole: Map | None = None
    channels = given.channels
    if denoise is not None:
        shape = denoise.image_shape(given.shape, given.pixel_size_um)
        restored = []
        for planes, keys in restored_together(images, channels, denoise):
            tensor = _prepared(denoise, planes, shape, keys)
            lap("prepare")
            restored.append(denoise.map(tensor, shape))
            lap("denoise")
        channels = channels_of_restored(channels, denoise)
        images = [*restored]
        if keep_restored and len(restored) == 1:
            (whole,) = brought(restored, given.shape)
    shape = detect.image_shape(given.shape, given.pixel_size_um)
    tensor = _prepared(detect, images, shape, channels)
    lap("prepare")
    dense: Map | None = None
    candidates: Candidates | None = None
    outputs: dict[str, Image] = {}
    cut = ""
    if detect.head is not None:
        outputs, cut = detect.read(tensor, shape)
    elif peaks:
        candidates = detect.candidates(tensor, shape, threshold)
        cut = candidates.cut
    else:
        dense = detect.map(tensor, shape)
    lap("detect")
    scale = scale_of(given.shape, shape)
    stride = stride_of(detect.padding(shape).stride, scale)
    return Inferred(whole, dense, candidates, stride, timings_ms, outputs, scale, cut)


def scale_of(frame: tuple[int, int], image: tuple[int, int]) -> tuple[float, float]:
    """Return frame pixels per pixel of a model's image."""
    return frame[0] / image[0], frame[1] / image[1]


def stride_of(
    stride: tuple[float, float], scale: tuple[float, float]
) -> tuple[float, float]:
    """Return frame pixels per pixel of a map, of its stride in a model's image."""
    return stride[0] * scale[0], stride[1] * scale[1]


def restored_together(
    images: Sequence[Image], channels: tuple[str, ...], denoise: Model
) -> list[tuple[list[Image], tuple[str, ...]]]:
    """Return what goes into a denoising model at once, with its channels."""
    if denoise.intake.planes > 1:
        return [([*images], channels)]
    return [([i], (c,)) for i, c in zip(images, channels, strict=True)]


def channels_of_restored(channels: tuple[str, ...], denoise: Model) -> tuple[str, ...]:
    """Return the keys of what a denoising model gives: of several planes one image."""
    return channels if denoise.intake.planes == 1 else (" + ".join(channels),)


def _prepared(
    model: Model,
    planes: Sequence[Image],
    shape: tuple[int, int],
    channels: tuple[str, ...],
) -> Image:
    """Return the tensor a model takes; its series learns of the planes first."""
    seen = brought(planes, shape)
    model.scaling.learn(seen, channels)
    return model.prepare(seen, model.scalings(channels))


def brought(planes: Sequence[Image], shape: tuple[int, int]) -> list[Image]:
    """Return planes as they are, or resampled to another shape."""
    if planes[0].shape == shape:
        return [*planes]
    return [resample(np.asarray(p), shape) for p in planes]
