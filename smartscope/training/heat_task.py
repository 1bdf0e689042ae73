"""The task of a heat net: frames in, a hill on each thing out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F  # the name it has everywhere
from torch import nn

from smartscope.training.heat_net import HeatNet
from smartscope.training.heat_source import Floats, Source
from smartscope.training.heat_targets import heat_target
from smartscope.training.settings import HeatSettings

_CONTRAST, _OFFSET = (0.6, 1.5), (-0.5, 0.5)


class Heating:
    """To put a hill on each thing, and nothing elsewhere.

    Parameters
    ----------
    source : Source
        What it is shown.
    settings : HeatSettings
        Size of network, hills, patches and batches.
    """

    def __init__(self, source: Source, settings: HeatSettings) -> None:
        self._source, self._settings = source, settings

    def new(self) -> nn.Module:
        """Return a network that finds next to nothing."""
        settings = self._settings
        return HeatNet(
            self._source.frames,
            settings.size,
            settings.grid,
            settings.least_noise,
            settings.most_contrast,
        )

    def batch(
        self, rng: np.random.Generator, *, watch: bool = False
    ) -> Sequence[npt.NDArray[Any]]:
        """Return frames ``(batch, frames, Y, X)`` and maps ``(batch, 1, y, x)``.

        A patch has a mean of 0 and a deviation of 1, and then another contrast and
        offset: those of the frame that it might have been cut from are others.
        """
        settings = self._settings
        edge = settings.patch_px
        given, wanted = [], []
        for _ in range(settings.batch):
            frames, points = self._source.draw(rng, edge, watch=watch)
            given.append(_other_contrast(rng, levelled(frames)))
            wanted.append(
                heat_target(points, (edge, edge), settings.grid, settings.spread_px)
            )
        return [np.stack(given), np.stack(wanted)[:, None]]

    def loss(self, net: nn.Module, batch: Sequence[torch.Tensor]) -> torch.Tensor:
        """Return the quality focal loss over the mass of the hills.

        Cross entropy times the squared difference of the map and what it should be:
        the many pixels far from anything, which are soon right, do not drown the few.
        Li et al., Generalized focal loss (NeurIPS 2020), equation 4, beta 2.
        """
        frames, wanted = batch
        logits = net(frames).float()
        off = (torch.sigmoid(logits) - wanted).square()
        cross = F.binary_cross_entropy_with_logits(logits, wanted, reduction="none")
        return (off * cross).sum() / wanted.sum().clamp(min=1.0)


def levelled(frames: npt.NDArray[Any]) -> Floats:
    """Return frames less their mean over their deviation, as the model's are."""
    made: Floats = (frames - frames.mean(dtype=np.float64)).astype(np.float32)
    made /= np.float32(frames.std(dtype=np.float64) + 1e-6)
    return made


def _other_contrast(rng: np.random.Generator, frames: Floats) -> Floats:
    gain = np.exp(rng.uniform(*np.log(_CONTRAST)))
    made: Floats = (frames * gain + rng.uniform(*_OFFSET)).astype(np.float32)
    return made
