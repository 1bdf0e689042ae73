"""One graph from the camera's counts to the head: what a pipeline does, said in ONNX.

The parts stay the reference: ``Pipeline.load(..., fuse=False)`` runs them one by one in
numpy and onnxruntime, and what cannot be said here is run that way, with a notice.
The graph is made for frames of one shape and dtype, so that every size in it is known
before the run.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from smartscope.inference.fuse_steps import CannotFuse, StepNodes
from smartscope.inference.graph import GraphTail, can_extend
from smartscope.inference.heads.head import Head
from smartscope.inference.heads.peaks import append_peaks
from smartscope.inference.model_package import ModelPackage
from smartscope.inference.padding import Padding
from smartscope.inference.rewrite import quicken

End = Literal["map", "peaks"] | Head

FRAME = "smartscope_frame"
RESTORED = "smartscope_restored"
RESTORED_HEALTH = "smartscope_restored_health"
MAP = "smartscope_map"
MAP_HEALTH = "smartscope_dense_health"

_OLDEST_OPSET = 13
_FRAMES = frozenset({"uint8", "uint16", "int16", "int32", "uint32", "float32"})


@dataclass(frozen=True, slots=True)
class Stage:
    """One net of a pipeline.

    Attributes
    ----------
    package : ModelPackage
        Whose graph it is.
    padding : Padding
        How frames fit in.
    channel : int
        Of its output, the one that is the map.
    """

    package: ModelPackage
    padding: Padding
    channel: int


def fuse(
    stages: Sequence[Stage],
    *,
    shape: tuple[int, int],
    dtype: np.dtype[Any],
    end: End,
) -> bytes:
    """Return one graph that takes a frame ``(Y, X)`` through all stages.

    Parameters
    ----------
    stages : Sequence of Stage
        The last one detects; one before it restores the image.
    shape : tuple of int
        Rows and columns of the frames.
    dtype : numpy dtype
        Of the frames.
    end : {"map", "peaks"} or Head
        Ends it in the map, in the search for candidates, or in a head's own nodes.

    Raises
    ------
    CannotFuse
        If no single graph can say it.
    """
    import onnx

    if dtype.name not in _FRAMES:
        raise CannotFuse(f"frames of {dtype.name} have no place in a graph")
    models = [onnx.load(str(s.package.onnx.path)) for s in stages]
    opset = max(s.package.onnx.opset for s in stages)
    if min(s.package.onnx.opset for s in stages) < _OLDEST_OPSET:
        opset = max(opset, _OLDEST_OPSET)
    models = [
        m if s.package.onnx.opset == opset else _converted(m, opset, s.package.name)
        for m, s in zip(models, stages, strict=True)
    ]
    tail = GraphTail(opset)
    image = tail.cast(tail.input(FRAME, shape, dtype.name), "float32")
    for i, (model, stage) in enumerate(zip(models, stages, strict=True)):
        quicken(model)
        name = _prepared(tail, stage, image, dtype)
        try:
            first, *rest = tail.include(model, f"net{i}_", name)
        except ValueError as e:
            raise CannotFuse(str(e)) from e
        first = _finished(tail, stage, first)
        if i < len(stages) - 1:
            image = _cropped(tail, stage.padding, _plane(tail, stage, first))
            tail.output(image, RESTORED, "float32", list(shape))
            _health(tail, image, RESTORED_HEALTH)
            dtype = np.dtype(np.float32)
    if not isinstance(end, str):
        if not can_extend(stages[-1].package, one_map=False):
            raise CannotFuse("the output is not one that its head reads in a graph")
        end.append(tail, [first, *rest])
    elif end == "peaks":
        plane = _plane(tail, stages[-1], first)
        whole = tail.constant(np.array([0, 1], np.int64))
        append_peaks(tail, tail.node("Unsqueeze", [plane, whole]))
    else:
        plane = _plane(tail, stages[-1], first)
        dense = _cropped(tail, stages[-1].padding, plane)
        tail.output(dense, MAP, "float32", [None, None])
        _health(tail, dense, MAP_HEALTH)
    fused = tail.serialized()
    try:
        onnx.checker.check_model(fused)
    except onnx.checker.ValidationError as e:
        raise CannotFuse(f"the graph would not be valid: {e}") from e
    return fused


def _converted(model: Any, opset: int, name: str) -> Any:
    from onnx import version_converter

    try:
        return version_converter.convert_version(model, opset)
    except Exception as e:  # it raises whatever its C++ part does
        raise CannotFuse(
            f"the graph of {name} cannot be brought to opset {opset}"
        ) from e


def _prepared(tail: GraphTail, stage: Stage, image: str, dtype: np.dtype[Any]) -> str:
    """Append what makes an image the tensor that a net takes, as `Model.prepare`."""
    spec = stage.package.input
    letters = spec.letters
    rows, columns = stage.padding.shape
    if letters.index("y") > letters.index("x"):
        image = tail.node("Transpose", [image], perm=[1, 0])
    lengths = [{"y": rows, "x": columns}.get(a, 1) for a in letters]
    name = tail.node("Reshape", [image, tail.constant(np.asarray(lengths, np.int64))])
    steps = StepNodes(tail, letters, lengths, dtype)
    name = steps.append(spec.steps, name)
    name = _padded(tail, stage.padding, name, letters)
    wanted = np.dtype(spec.dtype)
    if wanted.kind in "iu" and not np.can_cast(steps.dtype, wanted):
        raise CannotFuse("counts are not cut off to fit a model")
    if wanted != np.float32:
        name = tail.cast(name, wanted.name)
    return name


def _padded(tail: GraphTail, padding: Padding, name: str, letters: str) -> str:
    """Append the mirroring of an image outward, as `Padding.pad`."""
    for i, letter in enumerate("yx"):
        length, pads = padding.shape[i], (padding.before[i], padding.after[i])
        if pads == (0, 0):
            continue
        # gathered by place: mirrored several times where the image is very small
        places = np.pad(np.arange(length, dtype=np.int64), pads, mode="reflect")
        name = tail.node(
            "Gather", [name, tail.constant(places)], axis=letters.index(letter)
        )
    return name


def _finished(tail: GraphTail, stage: Stage, name: str) -> str:
    """Append the processing after a net, all axes kept, as `Model.predict`."""
    spec = stage.package.output
    sizes = {"c": spec.channels or 1}
    pad = stage.padding
    for letter, length, stride in zip("yx", pad.padded_shape, pad.stride, strict=True):
        sizes[letter] = round(length / stride)
    lengths = [sizes.get(a, 1) for a in spec.letters]
    steps = StepNodes(tail, spec.letters, lengths, np.dtype(spec.dtype))
    return steps.append(spec.steps, tail.cast(name, "float32"))


def _plane(tail: GraphTail, stage: Stage, name: str) -> str:
    """Append the choice of the map ``(Y, X)`` out of a finished output."""
    letters = stage.package.output.letters
    for i in reversed(range(len(letters))):
        if letters[i] not in "yx":
            one = np.array(stage.channel if letters[i] == "c" else 0, np.int64)
            name = tail.node("Gather", [name, tail.constant(one)], axis=i)
    if letters.index("y") > letters.index("x"):
        name = tail.node("Transpose", [name], perm=[1, 0])
    return name


def _cropped(tail: GraphTail, padding: Padding, name: str) -> str:
    """Append the cropping of a map to the part that shows the frame."""
    if padding.padded_shape == padding.shape:
        return name
    start = np.asarray(padding.map_offset, np.int64)
    stop = start + np.asarray(padding.map_shape, np.int64)
    return tail.node("Slice", [name, tail.constant(start), tail.constant(stop)])


def _health(tail: GraphTail, name: str, output: str) -> None:
    """Append a number that is 0 if every pixel is finite, else NaN."""
    zeros = tail.node("Mul", [name, tail.constant(np.array([0], np.float32))])
    tail.output(tail.node("ReduceSum", [zeros], keepdims=0), output, "float32", [])
