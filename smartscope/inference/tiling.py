"""Frames larger than the fixed size of a model: cut into tiles, run, put together.

A pixel of a convolutional net depends on the pixels within its receptive radius only.
So tiles overlap by twice that radius, and of each only what saw all it depends on is
kept: the result is that of the net run on the whole frame. The radius is read off the
graph; a net in which every pixel depends on all others has none and is not tiled.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from smartscope.inference.model_package import ModelPackage
from smartscope.inference.rewrite import attributes

_POINTWISE = frozenset(
    {
        "Abs",
        "Add",
        "BatchNormalization",
        "Cast",
        "Ceil",
        "Clip",
        "Concat",
        "Constant",
        "Div",
        "Dropout",
        "Elu",
        "Equal",
        "Erf",
        "Exp",
        "Floor",
        "Gelu",
        "Greater",
        "HardSigmoid",
        "HardSwish",
        "Identity",
        "LeakyRelu",
        "Less",
        "Log",
        "Max",
        "Min",
        "Mul",
        "Neg",
        "Not",
        "PRelu",
        "Pow",
        "Relu",
        "Selu",
        "Sigmoid",
        "Softplus",
        "Softsign",
        "Sqrt",
        "Sub",
        "Sum",
        "Tanh",
        "Where",
    }
)
_WINDOWED = frozenset({"AveragePool", "Conv", "ConvTranspose", "MaxPool"})
_MOST_ALIGNED = 64


@dataclass(frozen=True, slots=True)
class Tiles:
    """How one axis of a frame is cut.

    Attributes
    ----------
    length : int
        Of the axis, already a tile and a whole number of steps of `aligned`.
    tile : int
        Length the model takes.
    halo : int
        Pixels at an inner end of a tile that are not kept.
    aligned : int
        Tiles begin at multiples of it, so that poolings fall as in the whole frame.
    """

    length: int
    tile: int
    halo: int
    aligned: int

    def __iter__(self) -> Iterator[tuple[int, int, int]]:
        """Yield for each tile its first pixel, and the first and last + 1 it gives."""
        step = (self.tile - 2 * self.halo) // self.aligned * self.aligned
        last = self.length - self.tile
        starts = [*range(0, last, step), last]
        given = 0
        for i, start in enumerate(starts):
            end = self.length if i == len(starts) - 1 else start + self.tile - self.halo
            yield start, given, end
            given = end


def alignment(size: int) -> int:
    """Return what tiles of a fixed size are aligned to: powers of 2 that divide it."""
    return math.gcd(size, _MOST_ALIGNED)


def halo_of(package: ModelPackage) -> int | None:
    """Return the halo that tiles of a model need, None if it cannot be tiled.

    It is the receptive radius, or what the package says if that is more; where no
    radius can be read off the graph the package's word is taken.
    """
    import onnx

    given = {a.letter: a for a in package.input.axes}
    made = {a.letter: a for a in package.output.axes}
    said = max((a.halo for a in package.output.axes), default=0)
    radius = receptive_radius(onnx.load(str(package.onnx.path)))
    halo = max(said, radius) if radius is not None else said or None
    if halo is None or not {"y", "x"} <= made.keys():
        return None
    strides = set()
    for letter in "yx":
        size, out = given[letter].size, made[letter].size
        if size is not None and size - 2 * halo < alignment(size):
            return None
        if size is not None and out is not None:
            strides.add(size / out)
        else:
            strides.add(made[letter].stride)
    stride = strides.pop()
    whole = not strides and stride >= 1 and _MOST_ALIGNED % stride == 0
    return halo if whole else None


def run_tiled(
    tensor: npt.NDArray[Any],
    rows: Tiles,
    columns: Tiles,
    letters: tuple[str, str],
    run: Callable[[npt.NDArray[Any]], npt.NDArray[Any]],
) -> npt.NDArray[Any]:
    """Run a model on the tiles of a prepared tensor and put its outputs together.

    Parameters
    ----------
    tensor : np.ndarray
        As long along y and x as the tiles say.
    rows, columns : Tiles
        How it is cut.
    letters : tuple of str
        Axes of the input and of the output.
    run : callable
        The model; its output is as large as a tile over a whole number.
    """
    taken, made = letters
    whole: npt.NDArray[Any] | None = None
    for top, first_row, end_row in rows:
        for left, first_column, end_column in columns:
            places = {"y": (top, rows.tile), "x": (left, columns.tile)}
            cut = tuple(
                slice(places[a][0], sum(places[a])) if a in places else slice(None)
                for a in taken
            )
            output = run(np.ascontiguousarray(tensor[cut]))
            stride = rows.tile // output.shape[made.index("y")]
            if whole is None:
                sizes = {"y": rows.length // stride, "x": columns.length // stride}
                shape = [
                    sizes.get(a, n) for a, n in zip(made, output.shape, strict=True)
                ]
                whole = np.empty(shape, output.dtype)
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
            whole[tuple(into)] = output[tuple(out)]
    assert whole is not None  # there is at least one tile
    return whole


def receptive_radius(model: Any) -> int | None:
    """Return how far, in input pixels, an output of a net sees; None if everywhere.

    Parameters
    ----------
    model : onnx.ModelProto
        With one image ``(b, c, y, x)`` as input. Operators that are not known here are
        taken to see everywhere.
    """
    from onnx import numpy_helper

    graph = model.graph
    constants = {t.name: t for t in graph.initializer}
    # for each tensor that depends on the image: pixels of it a step makes, radius
    seen = {i.name: (1.0, 0.0) for i in graph.input if i.name not in constants}
    for node in graph.node:
        if node.op_type == "Constant" and "value" in attributes(node):
            constants[node.output[0]] = attributes(node)["value"]
        given = [seen[i] for i in node.input if i in seen]
        if not given:
            continue
        scale, radius = max(s for s, _ in given), max(r for _, r in given)
        has = attributes(node)
        if node.domain not in ("", "ai.onnx") or len({s for s, _ in given}) > 1:
            return None
        if node.op_type in _WINDOWED:
            kernel = has.get("kernel_shape")
            if kernel is None and node.input[1] in constants:
                kernel = constants[node.input[1]].dims[2:]
            if kernel is None or len(kernel) != 2:
                return None
            dilation = max(has.get("dilations", [1]))
            stride = has.get("strides", [1, 1])
            reach = dilation * (max(kernel) - 1)
            if len(set(stride)) > 1:
                return None
            if node.op_type == "ConvTranspose":
                radius += scale * math.ceil((reach + 1) / stride[0])
                scale /= stride[0]
            else:
                # an even window may lie on one side
                radius += scale * (reach if max(kernel) % 2 == 0 else reach / 2)
                scale *= stride[0]
        elif node.op_type in ("Resize", "Upsample"):
            name = node.input[-1] if node.input else ""
            if len(node.input) > 3 or name not in constants:
                return None
            scales = numpy_helper.to_array(constants[name])
            if len(scales) != 4 or len(set(scales[2:])) > 1 or "axes" in has:
                return None
            radius += scale * (2 if has.get("mode") == b"cubic" else 1)
            scale /= float(scales[2])
        elif node.op_type == "Transpose":
            pass
        elif node.op_type == "Softmax":
            if has.get("axis", -1) != 1:
                return None
        elif node.op_type not in _POINTWISE or (
            node.op_type == "Concat" and has["axis"] != 1
        ):
            return None
        seen.update((o, (scale, radius)) for o in node.output)
    return math.ceil(max(seen.get(o.name, (1.0, 0.0))[1] for o in graph.output))
