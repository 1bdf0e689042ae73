"""What a denoiser of any fluorescence learns from: drawn scenes, drawn cameras."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F  # the name it has everywhere
from pydantic import Field
from torch import nn

from smartscope.training.blind_net import STEP, BlindNet
from smartscope.training.scenes import (
    KINDS,
    Camera,
    draw_scene,
    drawn_photons,
    expose,
    with_photons,
)
from smartscope.training.settings import LearnSettings

Floats = npt.NDArray[np.float32]

# errors are compared pixel by pixel and as means over blocks: those keep intensities
_POOLED = ((1, 1.0, 0.02), (4, 0.2, 0.05), (16, 0.2, 0.1))
_WORSE = 1.0  # so much more does it count when an image is worse than before
# of the s.d. of the expected image: errors below count as none. At first that is much,
# or images with little noise would teach nothing but to leave all as it is
_NOTHING, _NOTHING_AT_FIRST, _OVER_STEPS = 0.005, 0.3, 150.0
_SEED_TRAIN, _SEED_WATCH = 101, 202


class GeneralSettings(LearnSettings):
    """Of the denoiser that is trained on drawn scenes."""

    patch_px: int = Field(
        128, ge=48, le=512, multiple_of=STEP, description="Edge of a patch."
    )
    batch: int = Field(8, ge=1, le=256, description="Patches of a step.")
    steps: int = Field(20_000, ge=1, description="At most.")
    minutes: float = Field(40.0, gt=0, description="At most, of training.")
    rate: float = Field(2e-3, gt=0, description="Of learning, falling to a hundredth.")
    every: int = Field(200, ge=1, description="Steps between two looks at validation.")
    patience: int = Field(
        100, ge=1, description="Looks without a better one after which training ends."
    )
    widths: tuple[int, int, int] = Field(
        (32, 48, 96), description="Channels at a half, a quarter and an eighth."
    )
    scenes: int = Field(
        1200, ge=1, description="Drawn before the training; an eighth of them watches."
    )
    scene_px: int = Field(256, ge=96, le=1024, description="Edge of a scene.")


class GeneralDenoising:
    """To say of counts of any camera what they would be without noise.

    Parameters
    ----------
    settings : GeneralSettings
        How many scenes, how large a network.
    """

    def __init__(self, settings: GeneralSettings) -> None:
        self._settings = settings
        self._steps = 0
        watch = max(1, settings.scenes // 8)
        self._scenes = {
            False: _drawn(settings, _SEED_TRAIN, settings.scenes),
            True: _drawn(settings, _SEED_WATCH, watch),
        }

    def new(self) -> nn.Module:
        """Return a network that gives what it gets."""
        net = BlindNet(self._settings.widths)
        return net.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]  # stub knows tensors only

    def batch(
        self, rng: np.random.Generator, *, watch: bool = False
    ) -> Sequence[Floats]:
        """Return noisy counts and those expected, ``(B, 1, Y, X)`` each."""
        scenes, settings = self._scenes[watch], self._settings
        pairs = [
            taken(rng, scenes[rng.integers(len(scenes))], settings.patch_px)
            for _ in range(settings.batch)
        ]
        noisy, expected = (np.stack(part)[:, None] for part in zip(*pairs, strict=True))
        return noisy, expected

    def loss(self, net: nn.Module, batch: Sequence[torch.Tensor]) -> torch.Tensor:
        """Return the logarithm of the error left, as share of that before.

        Mean over the images, so that one with little noise counts like one with much:
        the error of any of them is to fall by a share. That of block means counts too,
        and an image that has become worse counts twice.
        """
        noisy, expected = batch
        nothing = _NOTHING
        if net.training:
            nothing += _NOTHING_AT_FIRST * math.exp(-self._steps / _OVER_STEPS)
            self._steps += 1
        # gain and offset change nothing; numbers near 1 are exact
        mean = expected.mean((1, 2, 3), keepdim=True)
        scale = expected.std((1, 2, 3), keepdim=True).clamp(min=1e-3)
        noisy, expected = (noisy - mean) / scale, (expected - mean) / scale
        off, was = net(noisy) - expected, noisy - expected
        total = torch.zeros(())
        for block, weight, floor in _POOLED:
            left, before = (_power(e, block) + nothing**2 for e in (off, was))
            worse = torch.log(left / before)
            told = torch.log(left / before + floor) + _WORSE * torch.relu(worse)
            total = total + weight * told.mean()
        return total


def taken(rng: np.random.Generator, scene: Floats, edge: int) -> tuple[Floats, Floats]:
    """Take an image of a part of a scene, turned, by any camera at any light.

    Parameters
    ----------
    rng : np.random.Generator
        Draws all that.
    scene : np.ndarray
        Shape ``(Y, X)``; bright places are about 1.
    edge : int
        Pixels of a side of the image.

    Returns
    -------
    noisy, expected : np.ndarray
        Shape ``(edge, edge)``, counts.
    """
    finer = 2 if min(scene.shape) >= 2 * edge and rng.random() < 0.35 else 1
    reach = finer * edge
    y, x = (int(rng.integers(length - reach + 1)) for length in scene.shape)
    part = scene[y : y + reach, x : x + reach]
    if finer > 1:
        part = part.reshape(edge, finer, edge, finer).mean((1, 3))
    part = np.rot90(part, int(rng.integers(4)))
    if rng.random() < 0.5:
        part = part[:, ::-1]
    clean = np.ascontiguousarray(part * np.float32(drawn_photons(rng)))
    camera = Camera.drawn(rng)
    if rng.random() < 0.5:
        camera = camera.filling(rng, clean)
    return expose(rng, clean, camera)


def _drawn(settings: GeneralSettings, part: int, n: int) -> list[Floats]:
    kinds = len(KINDS)
    return [
        with_photons(
            draw_scene(
                np.random.default_rng([settings.seed, part, i]),
                settings.scene_px,
                KINDS[i % kinds],
            ),
            1.0,
        )
        for i in range(n)
    ]


def _power(error: torch.Tensor, block: int) -> torch.Tensor:
    """Return the mean squared error of each image, of block means."""
    if block > 1:
        error = F.avg_pool2d(error, block)
    return (error**2).mean((1, 2, 3))
