"""Images cut into tiles, run, and put together: for memory, or for a fixed size.

A pixel of a convolutional net depends on the pixels within its receptive radius only.
So tiles overlap by twice that radius, and of each only what saw all it depends on is
kept: the result is that of the net run on the whole image. The radius is read off the
graph; a net in which every pixel depends on all others has none and is not cut.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from smartscope.errors import AnalysisFailed, Refused
from smartscope.inference.model_package import ModelPackage
from smartscope.inference.receptive_field import ReceptiveField
from smartscope.inference.stored_weights import read_graph
from smartscope.inference.tensor import stride_of

Array = npt.NDArray[Any]

_MOST_ALIGNED = 64  # where the graph does not tell: no net in use is coarser


@dataclass(frozen=True, slots=True)
class Tiles:
    """How one axis of an image is cut.

    Attributes
    ----------
    length : int
        Of the axis: a tile and a whole number of steps of `aligned`.
    tile : int
        Length of all tiles.
    halo : int
        Pixels at an inner end of a tile that are not kept.
    aligned : int
        Tiles begin at multiples of it, so that poolings fall as in the whole image.
    """

    length: int
    tile: int
    halo: int
    aligned: int

    def __iter__(self) -> Iterator[tuple[int, int, int]]:
        """Yield for each tile its first pixel, and the first and last + 1 it gives."""
        step = (self.tile - 2 * self.halo) // self.aligned * self.aligned
        last = self.length - self.tile
        starts = [*range(0, last, step), last] if last else [0]
        given = 0
        for i, start in enumerate(starts):
            end = self.length if i == len(starts) - 1 else start + self.tile - self.halo
            yield start, given, end
            given = end


@dataclass(frozen=True, slots=True)
class Cutting:
    """How the images of a model may be cut.

    Attributes
    ----------
    halo : int
        What a tile's end does not see, in pixels of the image.
    aligned : int
        What tiles begin at multiples of.
    stride : int
        Pixels of the image per pixel of the output.
    """

    halo: int
    aligned: int
    stride: int

    @classmethod
    def of(cls, package: ModelPackage) -> Cutting | None:
        """Return how, None if the images of this model cannot be cut.

        The halo is the receptive radius, or what the package says if that is more;
        where no radius can be read off the graph the package's word is taken.
        """
        given = {a.letter: a for a in package.input.axes}
        made = {a.letter: a for a in package.output.axes}
        if not {"y", "x"} <= given.keys() & made.keys():
            return None
        if any(made[a].offset for a in "yx"):
            return None
        strides = {stride_of(given[a], made[a]) for a in "yx"}
        stride = strides.pop()
        said = math.ceil(max(made[a].halo for a in "yx") * stride)
        field = ReceptiveField.of(read_graph(package.onnx.path), package.input.letters)
        if field is None and not said:
            return None
        halo = said if field is None else max(said, field.radius)
        sizes = [n for a in "yx" if (n := given[a].size) is not None]
        aligned = _MOST_ALIGNED if field is None else field.coarsest
        if field is None and sizes:
            aligned = math.gcd(*sizes, _MOST_ALIGNED)
        steps = [given[a].step for a in "yx" if given[a].size is None]
        aligned = math.lcm(aligned, *steps)
        if strides or stride < 1 or aligned % stride or any(n % aligned for n in sizes):
            return None
        whole = -(-halo // int(stride)) * int(stride)
        return cls(whole, aligned, int(stride))

    @property
    def shortest(self) -> int:
        """Least length of a tile of which anything is kept."""
        return self.aligned + 2 * self.halo


def check_tile(package: ModelPackage, cutting: Cutting | None, tile_px: int) -> None:
    """See whether the images of a model can be cut into tiles of this length.

    Raises
    ------
    smartscope.errors.Refused
        If they cannot.
    """
    told = f"Frames for {package.name} shall be cut into tiles of {tile_px} pixels"
    if cutting is None:
        raise Refused(
            f"{told}, and its output cannot be put together from them.",
            rule="Tiles are for nets whose receptive radius can be read off the graph "
            "(convolutions, poolings, upsampling by fixed factors) or whose package "
            "gives a halo, and that give one pixel for every n × n of the image.",
            way_out="Leave 'tile_px' out, or write 'halo: N' into the card.",
        )
    for axis in package.input.axes:
        if axis.letter in "yx" and axis.size not in (None, tile_px):
            raise Refused(
                f"{told}, and it takes images of {axis.size} along {axis.letter}.",
                rule="A net of a fixed size is run in tiles of that size.",
                way_out="Leave 'tile_px' out.",
            )
    # a tile is up to one step of the alignment shorter than was asked
    free = [a.minimum for a in package.input.axes if a.letter in "yx" and not a.size]
    least = max([cutting.shortest, *free]) + cutting.aligned
    if free and tile_px < least:
        raise Refused(
            f"{told}, and it sees up to {cutting.halo} pixels to each side.",
            rule="Of a tile only what saw all it depends on is kept.",
            way_out=f"Set 'tile_px' to {least} or more; four times that wastes little.",
        )


def is_larger(
    package: ModelPackage, shape: tuple[int, int], tile_px: int | None = None
) -> bool:
    """Return True if an image is larger than a model takes, or than it shall."""
    axes = {a.letter: a for a in package.input.axes}
    most = [(axes[a].size or tile_px) if a in axes else None for a in "yx"]
    return any(m is not None and n > m for m, n in zip(most, shape, strict=True))


def aligned_of(
    package: ModelPackage, cutting: Cutting, shape: tuple[int, int]
) -> int | None:
    """Return what the lengths of larger images are brought to, by steps of it.

    None if the model's size is not fixed, the image is not larger, or nothing of a
    tile of that size would be kept.
    """
    axes = {a.letter: a for a in package.input.axes}
    sizes = [
        size
        for letter, length in zip("yx", shape, strict=True)
        if (size := axes[letter].size) is not None and length > size
    ]
    if not sizes or min(sizes) < cutting.shortest:
        return None
    return cutting.aligned


def tiles_of(
    package: ModelPackage,
    cutting: Cutting,
    shape: tuple[int, int],
    tile_px: int | None,
) -> tuple[Tiles, Tiles] | None:
    """Return how rows and columns of a padded image are cut, None if they are not.

    Parameters
    ----------
    package, cutting
        The model, and how its images may be cut.
    shape : tuple of int
        Rows and columns of the padded image.
    tile_px : int or None
        Most rows and columns of a tile, for free sizes.
    """
    axes = {a.letter: a for a in package.input.axes}
    cut = []
    for letter, length in zip("yx", shape, strict=True):
        axis = axes[letter]
        tile = length if axis.size is None else axis.size
        fits = length % cutting.stride == 0
        if axis.size is None and tile_px is not None and length > tile_px and fits:
            tile = length - -(-(length - tile_px) // cutting.aligned) * cutting.aligned
        cut.append(Tiles(length, tile, cutting.halo, cutting.aligned))
    rows, columns = cut
    if (rows.tile, columns.tile) == shape:
        return None
    return rows, columns


def run_tiled(
    tensor: Array,
    rows: Tiles,
    columns: Tiles,
    letters: tuple[str, str],
    stride: int,
    run: Callable[[Array], Sequence[Array]],
) -> list[Array]:
    """Run a model on the tiles of a prepared tensor and put its outputs together.

    Parameters
    ----------
    tensor : np.ndarray
        As long along y and x as the tiles say.
    rows, columns : Tiles
        How it is cut.
    letters : tuple of str
        Axes of the input and of all outputs.
    stride : int
        Pixels of the input per pixel of the outputs.
    run : callable
        The model.

    Raises
    ------
    smartscope.errors.AnalysisFailed
        If an output has not the size that the stride tells.
    """
    taken, made = letters
    wholes: list[Array] = []
    for top, first_row, end_row in rows:
        for left, first_column, end_column in columns:
            places = {"y": (top, rows.tile), "x": (left, columns.tile)}
            cut = tuple(
                slice(places[a][0], sum(places[a])) if a in places else slice(None)
                for a in taken
            )
            outputs = run(np.ascontiguousarray(tensor[cut]))
            if not wholes:
                sizes = {"y": rows.length // stride, "x": columns.length // stride}
                wholes = [np.empty(_sized(o, made, sizes), o.dtype) for o in outputs]
            kept = {
                "y": (first_row, end_row, top),
                "x": (first_column, end_column, left),
            }
            into, out = [], []
            for a in made:
                if a not in kept:
                    into.append(slice(None))
                    out.append(slice(None))
                    continue
                first, end, start = (n // stride for n in kept[a])
                into.append(slice(first, end))
                out.append(slice(first - start, end - start))
            sizes = {"y": rows.tile // stride, "x": columns.tile // stride}
            for whole, output in zip(wholes, outputs, strict=True):
                if output.shape != _sized(output, made, sizes):
                    raise AnalysisFailed(
                        f"The model gave an output of shape {output.shape} for a tile "
                        f"of {rows.tile} × {columns.tile} pixels; one pixel for every "
                        f"{stride} was described."
                    )
                whole[tuple(into)] = output[tuple(out)]
    return wholes


def _sized(output: Array, letters: str, sizes: dict[str, int]) -> tuple[int, ...]:
    """Return the shape of an output with other rows and columns."""
    if output.ndim != len(letters):
        raise AnalysisFailed(
            f"The model gave an array of shape {output.shape}, not of axes '{letters}'."
        )
    return tuple(sizes.get(a, n) for a, n in zip(letters, output.shape, strict=True))
