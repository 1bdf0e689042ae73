"""The network: a small U-Net with the counts' scale inside, so that counts go in."""

from __future__ import annotations

import torch
from torch import nn

from smartscope.training import blind_net
from smartscope.training.settings import TrainSettings


class Net(nn.Module):
    """A U-Net that restores an image in the counts it came in.

    Parameters
    ----------
    width : int
        Channels of the first level; each further one has twice as many.
    levels : int
        How often sizes are halved: those of images are multiples of ``2**levels``.
    mean, scale : float
        Of the counts it is trained on: part of the graph, so that a model is true in
        intensity whatever the frame shows.
    frames : int
        Images of one input, the newest last; that one is restored.
    """

    mean: torch.Tensor
    scale: torch.Tensor

    def __init__(
        self, width: int, levels: int, mean: float, scale: float, frames: int = 1
    ) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(float(mean)))
        self.register_buffer("scale", torch.tensor(float(scale)))
        widths = [width * 2**level for level in range(levels + 1)]
        self.down = nn.ModuleList(
            _block(frames if i == 0 else widths[i - 1], w) for i, w in enumerate(widths)
        )
        self.up = nn.ModuleList(
            _block(widths[i + 1] + widths[i], widths[i])
            for i in reversed(range(levels))
        )
        self.last = nn.Conv2d(width, 1, 1)
        self.smaller = nn.MaxPool2d(2)
        self.larger = nn.Upsample(scale_factor=2, mode="nearest")

    def forward(self, counts: torch.Tensor) -> torch.Tensor:
        """Return restored counts ``(B, 1, Y, X)`` of counts ``(B, frames, Y, X)``."""
        return self.restore((counts - self.mean) / self.scale) * self.scale + self.mean

    def restore(self, x: torch.Tensor) -> torch.Tensor:
        """Do the same in units of the scale."""
        kept = []
        for i, block in enumerate(self.down):
            x = block(x if i == 0 else self.smaller(x))
            kept.append(x)
        kept.pop()
        for block in self.up:
            x = block(torch.cat([self.larger(x), kept.pop()], dim=1))
        return self.last(x)


def net_of(settings: TrainSettings, mean: float, scale: float) -> nn.Module:
    """Return the network that settings ask for, knowing nothing but the counts' scale.

    Parameters
    ----------
    settings : TrainSettings
        With ``widths`` it is that of the shipped denoiser, which goes by each frame
        itself and needs no scale.
    mean, scale : float
        Of the counts.
    """
    if settings.widths is not None:
        return blind_net.BlindNet(settings.widths)
    return Net(settings.width, settings.levels, mean, scale, settings.frames)


def step_of(settings: TrainSettings) -> int:
    """Return what sizes of images are multiples of."""
    return blind_net.STEP if settings.widths is not None else 2**settings.levels


def in_units(net: nn.Module, given: torch.Tensor) -> torch.Tensor:
    """Return what a network makes of images in units of the scale, in the same."""
    made: torch.Tensor = net.restore(given) if isinstance(net, Net) else net(given)
    return made


def _block(given: int, made: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(given, made, 3, padding=1, padding_mode="zeros"),
        nn.LeakyReLU(0.1),
        nn.Conv2d(made, made, 3, padding=1, padding_mode="zeros"),
        nn.LeakyReLU(0.1),
    )
