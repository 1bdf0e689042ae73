"""One graph from the camera's counts to the head: what a pipeline does, said in ONNX.

The parts stay the reference: ``Pipeline.load(..., fuse=False)`` runs them one by one in
numpy and onnxruntime, and what cannot be said here is run that way, with a notice.
The graph is made for frames of one shape and dtype, so that every size in it is known
before the run.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from smartscope.inference.correction import Correction
from smartscope.inference.fuse_statistics import Source
from smartscope.inference.fuse_steps import CannotFuse, StepNodes
from smartscope.inference.graph import GraphTail, can_extend
from smartscope.inference.heads.class_peaks import ClassPeakHead
from smartscope.inference.heads.head import Head, append_health
from smartscope.inference.heads.peaks import append_peaks
from smartscope.inference.intake import Intake
from smartscope.inference.model_package import ModelPackage
from smartscope.inference.padding import Padding
from smartscope.inference.precision import halved
from smartscope.inference.resampling import OPSET as RESAMPLING_OPSET
from smartscope.inference.resampling import append_resampling
from smartscope.inference.rewrite import choose_first, quicken
from smartscope.inference.stored_weights import read_graph
from smartscope.inference.tensor import Step

End = Literal["map", "peaks"] | Head

FRAME = "smartscope_frame"
RESTORED = "smartscope_restored"
RESTORED_HEALTH = "smartscope_restored_health"
MAP = "smartscope_map"
MAP_HEALTH = "smartscope_dense_health"

SIZE = "smartscope_size_"
"""Rows and columns of the whole map of the stage whose number follows."""

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
        How its images fit in: frames, or what they are resampled to.
    channel : int
        Of its output, the one that is the map.
    intake : Intake
        How many planes it takes.
    steps : tuple of Step, optional
        Before the net; default: those of the package.
    half : bool
        The net in half precision.
    """

    package: ModelPackage
    padding: Padding
    channel: int
    intake: Intake
    steps: tuple[Step, ...] | None = None
    half: bool = False

    @property
    def output_shape(self) -> tuple[int, int]:
        """Rows and columns of the net's output."""
        return self.padding.output_shape


def fuse(
    stages: Sequence[Stage],
    *,
    shape: tuple[int, int],
    dtype: np.dtype[Any],
    end: End,
    correction: Correction | None = None,
    keep_restored: bool = True,
    static: bool = False,
) -> bytes:
    """Return one graph that takes planes ``(Y, X)`` through all stages.

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
    correction : Correction, optional
        Of the planes, before all else.
    keep_restored : bool
        Whether the restored image leaves the graph.
    static : bool
        All shapes are known, as a CUDA graph needs them.

    Raises
    ------
    CannotFuse
        If no single graph can say it.
    """
    import onnx

    if dtype.name not in _FRAMES:
        raise CannotFuse(f"frames of {dtype.name} have no place in a graph")
    models = [read_graph(s.package.onnx.path) for s in stages]
    resampled = any(s.padding.shape != shape for s in stages)
    opset = max(s.package.onnx.opset for s in stages)
    if min(s.package.onnx.opset for s in stages) < _OLDEST_OPSET:
        opset = max(opset, _OLDEST_OPSET)
    if resampled:
        opset = max(opset, RESAMPLING_OPSET)
    models = [
        m if s.package.onnx.opset == opset else _converted(m, opset, s.package.name)
        for m, s in zip(models, stages, strict=True)
    ]
    tail = GraphTail(opset)
    # a net of one plane restores each that the next one takes
    planes = max(s.intake.planes for s in stages)
    image = _taken(tail, planes, shape, dtype)
    seen, counts = shape, dtype
    if correction is not None:
        image = correction.append(tail, image)
        counts = np.dtype(np.float32)
    for i, (model, stage) in enumerate(zip(models, stages, strict=True)):
        # on a GPU, where shapes are static, and in half precision a net is as it was
        plain = static or stage.half
        net_shape = stage.intake.lengths(stage.padding.padded_shape)
        quicken(model, None if plain else net_shape)
        if stage.half:
            model = halved(model, stage.package.name)
        wanted = stage.padding.shape
        if wanted != seen:
            image = append_resampling(tail, image, planes, seen, wanted)
            counts = np.dtype(np.float32)
        several = planes // stage.intake.planes
        if several > 1 and any(s.id == "series_scaling" for s in stage.steps or ()):
            raise CannotFuse("each channel has its own statistics of a series")
        made = []
        for j, part in enumerate(_parted(tail, image, several)):
            name, source = _prepared(tail, stage, part, counts)
            prefix = f"net{i}_" if j == 0 else f"net{i}_{j}_"
            try:
                first, *rest = tail.include(
                    model, prefix, name, weights_of=f"net{i}_" if j else None
                )
            except ValueError as e:
                raise CannotFuse(str(e)) from e
            made.append(_finished(tail, stage, first, source))
        first = made[-1]
        if i < len(stages) - 1:
            maps = [_plane(tail, stage, m) for m in made]
            if not static:
                _sized(tail, maps[0], "yx", i)
            restored = [_as_image(tail, _cropped(tail, stage.padding, m)) for m in maps]
            image = restored[0]
            if several > 1:
                image = tail.node("Concat", restored, axis=1)
            seen, counts, planes = wanted, np.dtype(np.float32), several
            append_health(tail, [image], RESTORED_HEALTH)
            if keep_restored and several == 1:
                whole = append_resampling(tail, image, 1, seen, shape)
                flat = tail.constant(np.asarray(shape, np.int64))
                whole = tail.node("Reshape", [whole, flat])
                tail.output(whole, RESTORED, "float32", list(shape))
    if not isinstance(end, str):
        if not can_extend(stages[-1].package, one_map=False):
            raise CannotFuse("the output is not one that its head reads in a graph")
        if static and isinstance(end, ClassPeakHead):
            end = replace(end, shape=stages[-1].output_shape)
        end.append(tail, [first, *rest])
        seen_map, letters = first, stages[-1].package.output.letters
    elif end == "peaks":
        seen_map, letters = _plane(tail, stages[-1], first), "yx"
        append_peaks(
            tail,
            _as_image(tail, seen_map),
            shape=stages[-1].output_shape if static else None,
        )
    else:
        seen_map, letters = _plane(tail, stages[-1], first), "yx"
        dense = _cropped(tail, stages[-1].padding, seen_map)
        tail.output(dense, MAP, "float32", [None, None])
        append_health(tail, [dense], MAP_HEALTH)
    if not static and {*"yx"} <= {*letters}:
        _sized(tail, seen_map, letters, len(stages) - 1)
    choose_first(tail.model)
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


def _taken(
    tail: GraphTail, planes: int, shape: tuple[int, int], dtype: np.dtype[Any]
) -> str:
    """Add the planes as inputs; return them as one image ``(1, planes, Y, X)``."""
    names = [FRAME] if planes == 1 else [f"{FRAME}_{i}" for i in range(planes)]
    given = [tail.input(n, shape, dtype.name) for n in names]
    whole = given[0] if planes == 1 else tail.node("Concat", given, axis=0)
    lengths = tail.constant(np.asarray([1, planes, *shape], np.int64))
    return tail.node("Reshape", [tail.cast(whole, "float32"), lengths])


def _parted(tail: GraphTail, image: str, count: int) -> list[str]:
    """Append what cuts an image ``(1, planes, Y, X)`` into so many of fewer planes."""
    if count == 1:
        return [image]
    return [
        tail.node("Gather", [image, tail.constant(np.array([i], np.int64))], axis=1)
        for i in range(count)
    ]


def _as_image(tail: GraphTail, plane: str) -> str:
    """Append the axes that make a plane ``(Y, X)`` an image ``(1, 1, Y, X)``."""
    first = tail.constant(np.array([0, 1], np.int64))
    return tail.node("Unsqueeze", [plane, first])


def _prepared(
    tail: GraphTail, stage: Stage, image: str, dtype: np.dtype[Any]
) -> tuple[str, Source]:
    """Append what makes planes the tensor that a net takes, as `Model.prepare`.

    Returns
    -------
    name : str
        The tensor.
    source : Source
        The same before any step.
    """
    spec = stage.package.input
    letters, shape = stage.intake.letters, stage.padding.shape
    name = stage.intake.append(tail, image, shape)
    lengths = stage.intake.lengths(shape)
    source = Source(name, tuple(lengths))
    steps = StepNodes(tail, letters, lengths, dtype)
    name = steps.append(spec.steps if stage.steps is None else stage.steps, name)
    name = _padded(tail, stage.padding, name, letters)
    wanted = np.dtype(spec.dtype)
    if wanted.kind in "iu" and not np.can_cast(steps.dtype, wanted):
        raise CannotFuse("counts are not cut off to fit a model")
    if wanted != np.float32:
        name = tail.cast(name, wanted.name)
    return name, source


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


def _finished(tail: GraphTail, stage: Stage, name: str, source: Source) -> str:
    """Append the processing after a net, all axes kept, as `Model.predict`."""
    spec = stage.package.output
    rows, columns = stage.output_shape
    sizes = {"c": spec.channels or 1, "t": stage.intake.window, "y": rows, "x": columns}
    if (frames := spec.axis("t")) is not None and frames.size is not None:
        sizes["t"] = frames.size
    lengths = [sizes.get(a, 1) for a in spec.letters]
    steps = StepNodes(tail, spec.letters, lengths, np.dtype(spec.dtype))
    given = {stage.package.input.name: source}
    if stage.package.onnx.outputs[0].dtype != "float32":
        name = tail.cast(name, "float32")
    return steps.append(spec.steps, name, given)


def _plane(tail: GraphTail, stage: Stage, name: str) -> str:
    """Append the choice of the map ``(Y, X)`` out of a finished output."""
    letters = stage.package.output.letters
    for i in reversed(range(len(letters))):
        if letters[i] not in "yx":
            # of frames the newest
            one = np.array(stage.channel if letters[i] == "c" else -1, np.int64)
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


def _sized(tail: GraphTail, name: str, letters: str, number: int) -> None:
    """Append the rows and columns of a map; see `SIZE`."""
    places = np.array([letters.index(a) for a in "yx"], np.int64)
    shape = tail.node("Shape", [name])
    size = tail.node("Gather", [shape, tail.constant(places)], axis=0)
    tail.output(size, f"{SIZE}{number}", "int64", [2])
