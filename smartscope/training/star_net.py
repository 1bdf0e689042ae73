"""The network of the outlines: probability and ray lengths, on a coarse grid."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F  # the name it has everywhere
from torch import nn

from smartscope.training.half_weights import rounded

Size = Literal["small", "medium", "large"]

CHANNELS: dict[str, tuple[int, int, int, int, int]] = {
    # four depths, and the width before the output; processors reckon 16 side by side,
    # so that 24 cost what 32 do
    "small": (16, 32, 48, 64, 32),
    "medium": (32, 48, 96, 192, 32),
    "large": (32, 64, 128, 256, 64),
}
GRID = 2
"""Input pixels for each point of the output."""

STEP = 16
"""Sizes of images are multiples of it."""

_LOG_SHORTEST, _LOG_LONGEST = -3.0, 6.0
_UNLIKELY, _LOG_FIRST = -4.0, 1.5


def _conv(given: int, made: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(given, made, 3, stride, 1, bias=False),
        nn.BatchNorm2d(made),
        nn.ReLU(inplace=True),
    )


def _twice(x: torch.Tensor) -> torch.Tensor:
    return F.interpolate(x, scale_factor=2.0, mode="nearest")


class StarNet(nn.Module):
    """Probability and ray lengths on a grid of every second pixel.

    After Schmidt et al., Cell detection with star-convex polygons (MICCAI 2018). It
    begins at half the resolution, where its output is, and gives the logarithm of the
    lengths, so that small and large things weigh alike.

    Parameters
    ----------
    rays : int
        Rays of an outline.
    size : {"small", "medium", "large"}
        How wide it is.
    """

    def __init__(self, rays: int = 32, size: Size = "medium") -> None:
        super().__init__()
        a, b, c, d, head = CHANNELS[size]
        self.stem = _conv(1, a, 2)
        self.e0 = _conv(a, a)
        self.e1 = nn.Sequential(_conv(a, b, 2), _conv(b, b))
        self.e2 = nn.Sequential(_conv(b, c, 2), _conv(c, c))
        self.e3 = nn.Sequential(_conv(c, d, 2), _conv(d, d), _conv(d, d))
        self.u2 = nn.Conv2d(d, c, 1)
        self.d2 = nn.Sequential(_conv(c, c), _conv(c, c))
        self.u1 = nn.Conv2d(c, b, 1)
        self.d1 = _conv(b, b)
        self.u0 = nn.Conv2d(b, a, 1)
        self.d0 = _conv(a, head)
        self.out = nn.Conv2d(head, 1 + rays, 1)
        bias = self.out.bias
        assert bias is not None
        with torch.no_grad():
            # before it has learned anything it finds next to nothing, and rays are
            # short: thousands of long outlines in every pixel take minutes to thin
            bias[0] = _UNLIKELY
            bias[1:] = _LOG_FIRST

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return ``(n, 1 + rays, Y / 2, X / 2)``: logit, logarithms of lengths in px.

        Parameters
        ----------
        x : torch.Tensor
            ``(n, 1, Y, X)``, percentiles 1 and 99.8 at 0 and 1; sizes of 16.
        """
        e0 = self.e0(self.stem(x))
        e1 = self.e1(e0)
        e2 = self.e2(e1)
        x = self.d2(_twice(self.u2(self.e3(e2))) + e2)
        x = self.d1(_twice(self.u1(x)) + e1)
        x = self.d0(_twice(self.u0(x)) + e0)
        return self.out(x)


def star_lengths(made: torch.Tensor) -> torch.Tensor:
    """Return the lengths of the rays in pixels from what a star net gives."""
    return torch.exp(made[:, 1:].clamp(_LOG_SHORTEST, _LOG_LONGEST))


class StarPackage(nn.Module):
    """A star net as it is shipped: two outputs, weights rounded to half precision.

    Parameters
    ----------
    net : StarNet
        Trained.
    longer_px : float
        Added to every ray. The length that is least wrong for a ray is a little short
        for an outline: what is shared with a thing grows with the square.
    """

    def __init__(self, net: StarNet, longer_px: float = 0.0) -> None:
        super().__init__()
        self.net = rounded(net)
        self.longer_px = longer_px

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return ``(n, 1, Y / 2, X / 2)`` in [0, 1] and ``(n, rays, Y / 2, X / 2)``."""
        made = self.net(x)
        return torch.sigmoid(made[:, :1]), star_lengths(made) + self.longer_px
