"""The network of the hills: a map with one hill on each thing that is to be found."""

from __future__ import annotations

from typing import Any, Literal

import torch
import torch.nn.functional as F  # the name it has everywhere
from torch import nn

Size = Literal["small", "medium"]

CHANNELS: dict[str, tuple[int, int, int]] = {
    # at half, quarter and eighth of the resolution; processors reckon 16 side by side
    "small": (16, 32, 48),
    "medium": (16, 48, 96),
}
STEP = 8
"""Sizes of images are multiples of it."""

_UNLIKELY = -4.0
# mean absolute value of the band for white noise of deviation 1: 6 sqrt(2 / pi)
_OF_NOISE = 4.79
_MOST = 5.0


class LocalContrast(nn.Module):
    """Frames beside what stands out in them, in units of the noise around.

    So that dim things in a quiet part of a frame look like bright ones in a noisy part.
    The noise is told by the band [1 -2 1] along both axes, as that of ``dog`` is, from
    about 40 × 40 pixels; of the same the mean is taken off. Both what stands out and
    the frames themselves are bounded, so that a few pixels much brighter than all the
    rest do no harm.

    Parameters
    ----------
    frames : int
        Images of one input.
    least_noise : float
        Deviations of the frame: what noise is taken for where there is less.
    most : float
        Times the noise: what stands out by much more is hardly told apart any more.
    """

    band: torch.Tensor

    def __init__(self, frames: int, least_noise: float, most: float) -> None:
        super().__init__()
        self._least_noise, self._most = least_noise, most
        line = torch.tensor([1.0, -2.0, 1.0])
        band = torch.outer(line, line).expand(frames, 1, 3, 3)
        self.register_buffer("band", band.clone(), persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return ``(n, 2 frames, Y, X)``; sizes are multiples of 8."""
        mirrored = (
            _Mirrored.apply(x) if torch.onnx.is_in_onnx_export() else _mirrored(x)
        )
        fine = F.conv2d(mirrored, self.band, groups=self.band.shape[0]).abs()
        noise = _around(fine) / _OF_NOISE + self._least_noise
        out = (x - _around(x)) / noise
        return torch.cat([_bounded(x, _MOST), 0.3 * _bounded(out, self._most)], dim=1)


class HeatNet(nn.Module):
    """A small U-Net from frames to the logit of a map of hills.

    It begins at half the resolution, so that a frame costs little; a map of full
    resolution is made of it in the last step.

    Parameters
    ----------
    frames : int
        Images of one input, the newest last.
    size : {"small", "medium"}
        How wide it is.
    grid : {1, 2}
        Pixels of the image for each pixel of the map.
    least_noise, most_contrast : float
        See ``LocalContrast``.
    """

    def __init__(
        self,
        frames: int = 1,
        size: Size = "small",
        grid: Literal[1, 2] = 2,
        least_noise: float = 0.01,
        most_contrast: float = 10.0,
    ) -> None:
        super().__init__()
        a, b, c = CHANNELS[size]
        self.contrast = LocalContrast(frames, least_noise, most_contrast)
        self.stem = _conv(2 * frames, a, 2)
        self.e0 = _conv(a, a)
        self.e1 = nn.Sequential(_conv(a, b, 2), _conv(b, b))
        self.e2 = nn.Sequential(_conv(b, c, 2), _conv(c, c), _conv(c, c))
        self.u1 = nn.Conv2d(c, b, 1)
        self.d1 = nn.Sequential(_conv(b, b), _conv(b, b))
        self.u0 = nn.Conv2d(b, a, 1)
        self.d0 = nn.Sequential(_conv(a, a), _conv(a, a))
        self.out: nn.Conv2d | nn.ConvTranspose2d = (
            nn.Conv2d(a, 1, 1) if grid == 2 else nn.ConvTranspose2d(a, 1, 2, 2)
        )
        assert self.out.bias is not None
        # before it has learned anything it finds next to nothing
        nn.init.constant_(self.out.bias, _UNLIKELY)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the logits ``(n, 1, Y / grid, X / grid)``.

        Parameters
        ----------
        x : torch.Tensor
            ``(n, frames, Y, X)``, mean 0 and deviation 1 of all frames together; sizes
            of 8.
        """
        e0 = self.e0(self.stem(self.contrast(x)))
        e1 = self.e1(e0)
        x = self.d1(_twice(self.u1(self.e2(e1))) + e1)
        made: torch.Tensor = self.out(self.d0(_twice(self.u0(x)) + e0))
        return made


class HeatPackage(nn.Module):
    """A heat net as it is shipped: scores instead of logits."""

    def __init__(self, net: HeatNet) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return ``(n, 1, Y / grid, X / grid)`` in [0, 1]."""
        return torch.sigmoid(self.net(x))


class _Mirrored(torch.autograd.Function):
    """One pixel more on each side, in a graph as one node with a constant.

    torch itself writes nodes that work the widths out, which nobody who reads how far a
    graph sees can follow.
    """

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
        return _mirrored(x)

    @staticmethod
    def symbolic(g: Any, x: Any) -> Any:
        widths = torch.tensor([0, 0, 1, 1, 0, 0, 1, 1])
        return g.op("Pad", x, g.op("Constant", value_t=widths), mode_s="reflect")


def _mirrored(x: torch.Tensor) -> torch.Tensor:
    return F.pad(x, (1, 1, 1, 1), mode="reflect")


def _around(x: torch.Tensor) -> torch.Tensor:
    """Return the mean of about 40 x 40 pixels around each."""
    coarse = F.avg_pool2d(F.avg_pool2d(x, 8), 5, 1, 2, count_include_pad=False)
    return F.interpolate(coarse, scale_factor=8.0, mode="nearest")


def _conv(given: int, made: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(given, made, 3, stride, 1, bias=False),
        nn.BatchNorm2d(made),
        nn.ReLU(inplace=True),
    )


def _twice(x: torch.Tensor) -> torch.Tensor:
    return F.interpolate(x, scale_factor=2.0, mode="nearest")


def _bounded(x: torch.Tensor, most: float) -> torch.Tensor:
    return x / (1 + x.abs() / most)
