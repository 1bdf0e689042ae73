"""A frame into the sizes a model takes, and its map back out again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from smartscope.errors import Refused
from smartscope.inference.tensor import TensorSpec


@dataclass(frozen=True, slots=True)
class Padding:
    """How a frame of one shape is padded, and what is cropped from the output.

    Attributes
    ----------
    shape : tuple of int
        Rows and columns of the frame.
    before, after : tuple of int
        Rows and columns added.
    stride : tuple of float
        Frame pixels per output pixel.
    """

    shape: tuple[int, int]
    before: tuple[int, int]
    after: tuple[int, int]
    stride: tuple[float, float]

    @classmethod
    def plan(
        cls,
        shape: tuple[int, int],
        given: TensorSpec,
        got: TensorSpec,
        name: str,
        *,
        aligned: int | None = None,
    ) -> Padding:
        """Plan it for frames of one shape.

        Parameters
        ----------
        shape : tuple of int
            Rows and columns of the frames.
        given, got : TensorSpec
            Input and output of the model.
        name : str
            Of the model, for errors.
        aligned : int, optional
            Frames larger than a fixed size are cut into tiles that begin at multiples
            of it.

        Raises
        ------
        smartscope.errors.Refused
            If the model's size is fixed, the frames are larger and not tiled.
        """
        before, after, strides = [], [], []
        for letter, length in zip("yx", shape, strict=True):
            axis, out = given.axis(letter), got.axis(letter)
            if axis is None:  # ruled out when the package was loaded
                raise Refused(
                    f"The model {name} has no axis {letter}.",
                    rule="Frames have rows and columns.",
                    way_out="Take a model of images.",
                )
            padded = axis.padded(length)
            if padded is None and aligned is not None and axis.size is not None:
                padded = axis.size - (axis.size - length) // aligned * aligned
            if padded is None:
                raise Refused(
                    f"The model {name} takes images of {axis.size} pixels along "
                    f"{letter}, and the frames have {length}.",
                    rule="A frame larger than the fixed size of a model does not fit "
                    "if its net cannot be run in tiles; smaller ones are padded.",
                    way_out="Use a smaller field (ROI, binning), or export the model "
                    "with free sizes.",
                )
            # scores and boxes have no axes of an image
            stride = 1.0 if out is None else out.stride
            if out is not None and axis.size is not None and out.size is not None:
                stride = axis.size / out.size
            # a whole number of output pixels, so that cropping is exact
            unit = max(1, round(stride))
            first = (padded - length) // 2 // unit * unit
            before.append(first)
            after.append(padded - length - first)
            strides.append(stride)
        return cls(
            shape,
            (before[0], before[1]),
            (after[0], after[1]),
            (strides[0], strides[1]),
        )

    @property
    def padded_shape(self) -> tuple[int, int]:
        """Rows and columns the model sees."""
        return (
            self.shape[0] + self.before[0] + self.after[0],
            self.shape[1] + self.before[1] + self.after[1],
        )

    @property
    def map_offset(self) -> tuple[int, int]:
        """Row and column of the model's output at which the frame begins."""
        return (
            round(self.before[0] / self.stride[0]),
            round(self.before[1] / self.stride[1]),
        )

    @property
    def map_shape(self) -> tuple[int, int]:
        """Rows and columns of the output that show the frame."""
        return (
            int(np.ceil(self.shape[0] / self.stride[0])),
            int(np.ceil(self.shape[1] / self.stride[1])),
        )

    def pad(self, image: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return the image mirrored outward; several times if it is very small."""
        if self.padded_shape == self.shape:
            return image
        return np.pad(
            image,
            tuple(zip(self.before, self.after, strict=True)),
            mode="reflect",
        )

    def crop(self, output: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return the part of an output ``(Y, X)`` that shows the frame."""
        row, column = self.map_offset
        rows, columns = self.map_shape
        return output[row : row + rows, column : column + columns]

    def to_frame(self, points: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        """Map ``(n, 2)`` row, column of the cropped output to pixels of the frame."""
        return map_to_frame(points, self.stride)


def map_to_frame(
    points: npt.NDArray[Any], stride: tuple[float, float]
) -> npt.NDArray[np.float32]:
    """Map ``(n, 2)`` row, column of a map to pixels of the frame.

    Pixel centres are integers in both: the centre of map pixel 0 lies in the middle of
    the frame pixels it covers, at ``(stride - 1) / 2``.
    """
    step = np.asarray(stride, np.float64)
    mapped: npt.NDArray[np.float32] = (
        (np.asarray(points, np.float64) + 0.5) * step - 0.5
    ).astype(np.float32)
    return mapped
