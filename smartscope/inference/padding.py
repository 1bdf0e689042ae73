"""A frame into the sizes a model takes, and its map back out again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from smartscope.errors import AnalysisFailed, Refused
from smartscope.inference.tensor import TensorSpec, stride_of


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
    offset : tuple of int
        As `Axis.offset`; where pixels are taken away, the image is mirrored outward so
        far that the output still covers the frame.
    """

    shape: tuple[int, int]
    before: tuple[int, int]
    after: tuple[int, int]
    stride: tuple[float, float]
    offset: tuple[int, int] = (0, 0)

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
        before, after, strides, offsets = [], [], [], []
        for letter, length in zip("yx", shape, strict=True):
            axis, out = given.axis(letter), got.axis(letter)
            if axis is None:  # ruled out when the package was loaded
                raise Refused(
                    f"The model {name} has no axis {letter}.",
                    rule="Frames have rows and columns.",
                    way_out="Take a model of images.",
                )
            # scores and boxes have no axes of an image
            stride = 1.0 if out is None else stride_of(axis, out)
            offset = 0 if out is None else out.offset
            lost = max(0, round(-offset * stride / 2))
            padded = axis.padded(length + 2 * lost)
            if (
                padded is None
                and not offset
                and aligned is not None
                and axis.size is not None
            ):
                padded = axis.size - (axis.size - length) // aligned * aligned
            if padded is None:
                raise Refused(
                    f"The model {name} takes images of {axis.size} pixels along "
                    f"{letter}"
                    + (f" of which {lost} at either end are lost" if lost else "")
                    + f", and the frames have {length}.",
                    rule="A frame larger than the fixed size of a model does not fit "
                    "if its net cannot be run in tiles, as one that finds boxes, "
                    "labels or classes, or sees the whole image; smaller ones are "
                    "padded.",
                    way_out="Use a smaller field (ROI, binning), or export the model "
                    "with free sizes.",
                )
            # a whole number of output pixels, so that cropping is exact
            unit = max(1, round(stride))
            first = lost + (padded - length - 2 * lost) // 2 // unit * unit
            before.append(first)
            after.append(padded - length - first)
            strides.append(stride)
            offsets.append(offset)
        return cls(
            shape,
            (before[0], before[1]),
            (after[0], after[1]),
            (strides[0], strides[1]),
            (offsets[0], offsets[1]),
        )

    @property
    def padded_shape(self) -> tuple[int, int]:
        """Rows and columns the model sees."""
        return (
            self.shape[0] + self.before[0] + self.after[0],
            self.shape[1] + self.before[1] + self.after[1],
        )

    @property
    def output_shape(self) -> tuple[int, int]:
        """Rows and columns the model gives."""
        rows, columns = (
            round(n / s) + o
            for n, s, o in zip(self.padded_shape, self.stride, self.offset, strict=True)
        )
        return rows, columns

    @property
    def map_offset(self) -> tuple[int, int]:
        """Row and column of the model's output at which the frame begins."""
        return (
            round(self.before[0] / self.stride[0]) + self.offset[0] // 2,
            round(self.before[1] / self.stride[1]) + self.offset[1] // 2,
        )

    @property
    def origin(self) -> tuple[float, float]:
        """Row and column of the frame's first pixel, from where the output begins."""
        row, column = self.map_offset
        return row * self.stride[0], column * self.stride[1]

    @property
    def map_shape(self) -> tuple[int, int]:
        """Rows and columns of the output that show the frame."""
        return (
            int(np.ceil(self.shape[0] / self.stride[0])),
            int(np.ceil(self.shape[1] / self.stride[1])),
        )

    def pad(self, image: npt.NDArray[Any], letters: str = "yx") -> npt.NDArray[Any]:
        """Return an image with these axes mirrored outward along y and x.

        Several times if it is very small.
        """
        if self.padded_shape == self.shape:
            return image
        sides = zip(self.before, self.after, strict=True)
        around = dict(zip("yx", sides, strict=True))
        return np.pad(image, [around.get(a, (0, 0)) for a in letters], mode="reflect")

    def crop(self, output: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return the part of an output ``(Y, X)`` that shows the frame."""
        row, column = self.map_offset
        rows, columns = self.map_shape
        return output[row : row + rows, column : column + columns]

    def check_output(self, shape: Sequence[int], name: str) -> None:
        """See whether a model's whole output ``(Y, X)`` has the size described.

        Raises
        ------
        smartscope.errors.AnalysisFailed
            If it has not: what lies in it would be looked for at the wrong places.
        """
        got = (int(shape[0]), int(shape[1]))
        if got == self.output_shape:
            return
        seen = self.padded_shape
        ratios = {n / m if m else 0.0 for n, m in zip(seen, got, strict=True)}
        ratio = max(ratios)
        whole = len(ratios) == 1 and ratio >= 1 and ratio.is_integer()
        raise AnalysisFailed(
            f"The model {name} gave a map of {got} pixels for an image of {seen}; "
            f"{self.output_shape} were described.",
            rule="The card or the package says how many pixels of the image one of the "
            "output stands for, and how many are lost at the edges.",
            way_out=f"Write 'stride: {ratio:g}' into the card, or the output's axes of "
            "the package with that scale."
            if whole
            else "Correct 'stride', 'offset' or 'step' in the card, or the sizes of "
            "the output's axes in the package.",
        )


def map_to_frame(
    points: npt.NDArray[Any], stride: tuple[float, float]
) -> npt.NDArray[np.float32]:
    """Map ``(..., 2)`` row, column of a map to pixels of the frame.

    Pixel centres are integers in both: the centre of map pixel 0 lies in the middle of
    the frame pixels it covers, at ``(stride - 1) / 2``.
    """
    step = np.asarray(stride, np.float64)
    mapped: npt.NDArray[np.float32] = (
        (np.asarray(points, np.float64) + 0.5) * step - 0.5
    ).astype(np.float32)
    return mapped
