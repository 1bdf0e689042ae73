"""A denoising network without a scale of its own: gain and offset go through it."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # the name it has everywhere
from torch import nn

STEP = 16
_COARSE = 8  # cells of the local mean, in pixels of half the size
_TINY = 1e-6


class BlindNet(nn.Module):
    """A U-Net without biases that says by how much each pixel is off.

    Without biases and with rectifiers it is homogeneous: g(a·x) = a·g(x) for a > 0. The
    mean of the frame is taken off before and what it says is added to the frame, so
    that f(a·x + b) = a·f(x) + b: gain and offset of a camera need not be known, and dim
    places fare as they would if they were bright. After S. Mohan et al., Robust and
    interpretable blind image denoising via bias-free convolutional neural networks
    (ICLR 2020).

    It works at half the size, four neighbours side by side (after Zhang, Zuo and Zhang,
    FFDNet, IEEE Trans. Image Process. 27 (2018) 4608), and is shown apart from these:
    their difference from a local mean, that mean, and the strength of the finest
    detail around, which is mostly noise.

    Parameters
    ----------
    widths : tuple of int
        Channels at a half, a quarter and an eighth of the size.
    """

    def __init__(self, widths: tuple[int, int, int] = (32, 48, 96)) -> None:
        super().__init__()
        first, second, third = widths
        self.down = nn.ModuleList(
            (_block(6, first), _block(first, second), _block(second, third))
        )
        self.middle = _block(third, third)
        self.up = nn.ModuleList((_conv(third, second, 1), _conv(second, first, 1)))
        self.back = nn.ModuleList((_block(second, second), _block(first, first)))
        self.last = _conv(first, 4, 3)
        with torch.no_grad():
            self.last.weight.mul_(0.1)
        fine = torch.tensor([[1.0, -2, 1], [-2, 4, -2], [1, -2, 1]]) / 6
        self.register_buffer("fine", fine[None, None])

    fine: torch.Tensor

    def forward(self, counts: torch.Tensor) -> torch.Tensor:
        """Return restored counts ``(B, 1, Y, X)`` of counts of that shape."""
        mean = counts.mean((1, 2, 3), keepdim=True)
        centred = counts - mean
        # only so that numbers are near 1: without biases it changes nothing
        scale = (centred**2).mean((1, 2, 3), keepdim=True).sqrt()
        scale = scale + _TINY * mean.abs() + _TINY * _TINY
        return counts + scale * self.off(centred / scale)

    def off(self, x: torch.Tensor) -> torch.Tensor:
        """Return what is to be added, in the units of what goes in."""
        four = F.pixel_unshuffle(x, 2)
        local = _coarse(four.mean(1, keepdim=True))
        detail = F.avg_pool2d(F.conv2d(x, self.fine, padding=1).abs(), 2)
        x = torch.cat([four - local, local, _coarse(detail)], dim=1)
        kept: list[torch.Tensor] = []
        for block in self.down:
            x = block(x if not kept else F.max_pool2d(x, 2))
            kept.append(x)
        x = x + self.middle(x)
        kept.pop()
        for thinner, block in zip(self.up, self.back, strict=True):
            wide = F.interpolate(thinner(x), scale_factor=2.0, mode="nearest")
            x = block(wide + kept.pop())
        return F.pixel_shuffle(self.last(x), 2)


def _coarse(x: torch.Tensor) -> torch.Tensor:
    """Return local means, linear between the middles of their cells."""
    return F.interpolate(
        F.avg_pool2d(x, _COARSE),
        scale_factor=float(_COARSE),
        mode="bilinear",
        align_corners=False,
    )


def _conv(given: int, made: int, size: int) -> nn.Conv2d:
    return nn.Conv2d(given, made, size, padding=size // 2, bias=False)


def _block(given: int, made: int) -> nn.Sequential:
    return nn.Sequential(
        _conv(given, made, 3), nn.ReLU(), _conv(made, made, 3), nn.ReLU()
    )
