"""How much of an image a pixel of a net's output depends on, read off the graph.

Known are the operators of convolutional nets; any other is taken to see the whole
image. So the answer may be larger than the truth, never smaller.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from smartscope.inference.net_graph import attributes

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
        "Softmax",
        "Softplus",
        "Softsign",
        "Sqrt",
        "Sub",
        "Sum",
        "Tanh",
        "Where",
    }
)
_BY_AXIS = 13  # opset from which a softmax is along its axis, not from it to the last
_WINDOWED = frozenset({"AveragePool", "Conv", "ConvTranspose", "MaxPool"})
_DOMAINS = ("", "ai.onnx")
# positions that do not depend on how long the image is
_PLACED = frozenset({b"half_pixel", b"asymmetric", b"pytorch_half_pixel"})


@dataclass(frozen=True, slots=True)
class ReceptiveField:
    """What of an image the outputs of a net depend on.

    Attributes
    ----------
    radius : int
        How far, in pixels of the image, an output sees.
    coarsest : int
        Pixels of the image per pixel of the coarsest tensor: an image moved by a
        multiple of it gives outputs that are moved alike.
    """

    radius: int
    coarsest: int

    @classmethod
    def of(cls, model: Any, letters: str = "bcyx") -> ReceptiveField | None:
        """Read it off a graph; None if an output may see the whole image.

        Parameters
        ----------
        model : onnx.ModelProto
            Its first input is the image.
        letters : str
            Axes of the image, y and x among them.
        """
        graph = model.graph
        constants = {t.name: t for t in graph.initializer}
        image = next(i.name for i in graph.input if i.name not in constants)
        place = (letters.index("y"), letters.index("x"))
        seen = {image: _Seen(1.0, 0.0, place)}
        opset = max(o.version for o in model.opset_import if o.domain in _DOMAINS)
        for node in graph.node:
            has = attributes(node)
            if node.op_type == "Softmax" and opset < _BY_AXIS:
                if has.get("axis", 1) % len(letters) != len(letters) - 1:
                    return None
            if node.op_type == "Constant":
                constants[node.output[0]] = _constant(has)
            given = {name: seen[name] for name in node.input if name in seen}
            if not given:
                continue
            made = _after(node, has, given, constants, len(letters))
            if made is None:
                return None
            seen.update((name, made) for name in node.output)
        coarsest = max(s.scale for s in seen.values())
        steps = {coarsest / s.scale for s in seen.values()}
        if not all(n.is_integer() for n in (coarsest, *steps)):
            return None
        radius = max(seen[o.name].radius for o in graph.output if o.name in seen)
        return cls(math.ceil(radius), int(coarsest))


@dataclass(frozen=True, slots=True)
class _Seen:
    """A tensor that depends on the image.

    Attributes
    ----------
    scale, radius : float
        Pixels of the image per pixel of it, and how far one sees.
    place : tuple of int
        Which axes are y and x.
    """

    scale: float
    radius: float
    place: tuple[int, int]


def _after(
    node: Any,
    has: Mapping[str, Any],
    given: Mapping[str, _Seen],
    constants: Mapping[str, Any],
    rank: int,
) -> _Seen | None:
    """Return what the outputs of a node see; None if that is not known."""
    if node.domain not in _DOMAINS:
        return None
    if len({(s.scale, s.place) for s in given.values()}) > 1:
        return None
    scale = next(iter(given.values())).scale
    place = next(iter(given.values())).place
    radius = max(s.radius for s in given.values())
    if node.op_type in _WINDOWED:
        if any(name in given for name in node.input[1:]) or min(place) < 2:
            return None
        return _windowed(node, has, _Seen(scale, radius, place), constants, rank)
    if node.op_type in ("Resize", "Upsample"):
        return _resized(node, has, _Seen(scale, radius, place), constants, rank)
    if node.op_type == "Pad":
        pads = _pads(node, has, constants, rank)
        if pads is None:
            return None
        most = max(abs(pads[i + n]) for i in place for n in (0, rank))
        return _Seen(scale, radius + scale * most, place)
    if node.op_type == "Transpose":
        perm = list(has.get("perm", range(rank)[::-1]))
        return _Seen(scale, radius, (perm.index(place[0]), perm.index(place[1])))
    if node.op_type in ("Slice", "Split"):
        axes = _cut_axes(node, has, constants, rank)
        return (
            None if axes is None or axes & set(place) else _Seen(scale, radius, place)
        )
    if node.op_type not in _POINTWISE:
        return None
    if node.op_type in ("Concat", "Softmax"):
        axis = has.get("axis", -1) % rank
        if axis in place:
            return None
        if node.op_type == "Concat" and len(given) < len(set(node.input)):
            return None  # of a constant, which is as large as the image
    elif node.op_type != "BatchNormalization" and any(
        name not in constants or _varies(constants[name], place, rank)
        for name in node.input
        if name and name not in given
    ):
        return None
    return _Seen(scale, radius, place)


def _constant(has: Mapping[str, Any]) -> Any:
    from onnx import numpy_helper

    value = has.get("value")
    if value is not None:
        return value
    numbers = [v for name, v in has.items() if name.startswith("value_")]
    return numpy_helper.from_array(np.asarray(numbers[0] if numbers else 0))


def _pads(
    node: Any, has: Mapping[str, Any], constants: Mapping[str, Any], rank: int
) -> list[int] | None:
    """Return what is added before each axis, then after each; None if not known."""
    from onnx import numpy_helper

    if "pads" in has:
        pads = list(has["pads"])
    elif len(node.input) < 4 and node.input[1] in constants:
        pads = numpy_helper.to_array(constants[node.input[1]]).tolist()
    else:
        return None
    return pads if len(pads) == 2 * rank and has.get("mode") != b"wrap" else None


def _cut_axes(
    node: Any, has: Mapping[str, Any], constants: Mapping[str, Any], rank: int
) -> set[int] | None:
    """Return the axes of which a part is taken; None if not known."""
    from onnx import numpy_helper

    if node.op_type == "Split":
        return {has.get("axis", 0) % rank}
    if len(node.input) > 3:
        if node.input[3] not in constants:
            return None
        return {int(a) % rank for a in numpy_helper.to_array(constants[node.input[3]])}
    return {a % rank for a in has["axes"]} if "axes" in has else None


def _windowed(
    node: Any,
    has: Mapping[str, Any],
    seen: _Seen,
    constants: Mapping[str, Any],
    rank: int,
) -> _Seen | None:
    kernel = has.get("kernel_shape")
    if kernel is None and len(node.input) > 1 and node.input[1] in constants:
        kernel = constants[node.input[1]].dims[2:]
    if kernel is None or len(kernel) != rank - 2:
        return None
    along = [axis - 2 for axis in seen.place]
    ones = [1] * len(kernel)
    strides = {has.get("strides", ones)[i] for i in along}
    if len(strides) > 1:
        return None
    stride = strides.pop()
    dilations = has.get("dilations", ones)
    reach = max(dilations[i] * (kernel[i] - 1) for i in along)
    pads = has.get("pads", [0] * 2 * len(kernel))
    even = all(
        pads[i] == pads[i + len(kernel)] == dilations[i] * (kernel[i] - 1) / 2
        for i in along
    ) and has.get("auto_pad", b"NOTSET") in (b"NOTSET", b"VALID", b"")
    if node.op_type == "ConvTranspose":
        made = seen.scale / stride
        return _Seen(
            made,
            seen.radius + seen.scale * math.ceil((reach + 1) / stride),
            seen.place,
        )
    # a window that is not padded evenly may lie on one side
    radius = seen.radius + seen.scale * (reach / 2 if even else reach)
    return _Seen(seen.scale * stride, radius, seen.place)


def _resized(
    node: Any,
    has: Mapping[str, Any],
    seen: _Seen,
    constants: Mapping[str, Any],
    rank: int,
) -> _Seen | None:
    from onnx import numpy_helper

    name = node.input[-1]
    placed = has.get("coordinate_transformation_mode", b"half_pixel") in _PLACED
    if len(node.input) > 3 or name not in constants or not placed:
        return None
    if "axes" in has or has.get("antialias", 0):
        return None
    scales = numpy_helper.to_array(constants[name]).astype(float)
    along = {scales[i] for i in seen.place}
    rest = {s for i, s in enumerate(scales) if i not in seen.place}
    if len(scales) != rank or len(along) > 1 or rest - {1.0}:
        return None
    factor = along.pop()
    reach = 2 if has.get("mode") == b"cubic" else 1
    return _Seen(seen.scale / factor, seen.radius + seen.scale * reach, seen.place)


def _varies(constant: Any, place: tuple[int, int], rank: int) -> bool:
    """Return True if a constant is not the same for every pixel."""
    dims = np.ones(rank, int)
    if len(constant.dims):
        dims[-len(constant.dims) :] = constant.dims
    return bool((dims[list(place)] > 1).any())
