"""Tensors as the bioimage.io description 0.5 words them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from smartscope.errors import Refused
from smartscope.inference.tensor import Axis, Step, TensorSpec, ends_in_probability

_LETTERS = {"batch": "b", "channel": "c", "time": "t", "index": "i"}
_MICRONS = {"nanometer": 1e-3, "micrometer": 1.0, "millimeter": 1e3}


def tensor_0_5(tensor: Any, where: str, inputs: Sequence[Any]) -> TensorSpec:
    """Return a tensor of a validated description.

    Parameters
    ----------
    tensor : Any
        An input or output as ``bioimageio.spec`` read it.
    where : str
        Begins the error.
    inputs : Sequence
        The inputs that the size of an output may follow.

    Raises
    ------
    smartscope.errors.Refused
        If the size of an output cannot be mapped back to the frame.
    """
    letters = {str(a.id): _letter(a) for a in tensor.axes}
    output = hasattr(tensor, "postprocessing")
    axes = tuple(_axis(a, where, inputs) for a in tensor.axes)
    listed = tensor.postprocessing if output else tensor.preprocessing
    steps = tuple(
        Step(
            str(s.id),
            _in_letters(s.kwargs.model_dump(), letters)
            if hasattr(s.kwargs, "model_dump")
            else dict(s.kwargs),
        )
        for s in listed
    )
    data = tensor.data if not isinstance(tensor.data, Sequence) else tensor.data[0]
    span = getattr(data, "range", None)
    return TensorSpec(
        name=str(tensor.id),
        axes=axes,
        dtype=str(getattr(data, "type", "float32")),
        steps=steps,
        probability=output
        and (ends_in_probability(steps) or tuple(span or ()) == (0, 1)),
    )


def pixel_size_um_0_5(tensor: Any) -> float | None:
    """Return the pixel size along x, None if it is not told in a length."""
    for axis in tensor.axes:
        if str(axis.id) == "x" and axis.unit in _MICRONS:
            return float(axis.scale) * _MICRONS[str(axis.unit)]
    return None


def _letter(axis: Any) -> str:
    return _LETTERS.get(axis.type, str(axis.id))


def _axis(axis: Any, where: str, inputs: Sequence[Any]) -> Axis:
    letter = _letter(axis)
    if letter == "b":
        return Axis("b", 1)
    if letter == "c":
        names = tuple(map(str, axis.channel_names))
        return Axis("c", len(names), names=names)
    size, minimum, step, stride, offset = axis.size, 1, 1, 1.0, 0
    if hasattr(size, "tensor_id"):
        target = _referenced(size, inputs)
        offset = int(size.offset)
        if target is None or offset % 2 or (offset and letter not in "yx"):
            raise Refused(
                f"{where}: the size of axis {letter} follows '{size.tensor_id}' with "
                f"an offset of {size.offset}.",
                rule="Only sizes that follow an input, with as many pixels taken away "
                "at one end as at the other, can be mapped back to the frame.",
                way_out="Export the model with padding.",
            )
        stride = float(axis.scale) / float(target.scale)
        size = target.size
        if stride != 1 or offset:
            size = round(size / stride) + offset if isinstance(size, int) else None
    elif isinstance(size, int) and letter in "yx":
        stride = _stride_of_fixed(axis, inputs)
    if hasattr(size, "min") and hasattr(size, "step"):
        minimum, step, size = int(size.min), int(size.step), None
    elif size is not None and not isinstance(size, int):
        if letter in "yx":
            raise Refused(
                f"{where}: the size of axis {letter} depends on the data.",
                rule="A dense output has the frame's size.",
                way_out="Take a model that gives a map.",
            )
        size = None
    halo = int(getattr(axis, "halo", 0) or 0)
    return Axis(letter, size, minimum, step, stride=stride, halo=halo, offset=offset)


def _stride_of_fixed(axis: Any, inputs: Sequence[Any]) -> float:
    """Return the stride of an output's fixed axis by the first input's size."""
    for other in inputs[0].axes if inputs else ():
        if str(other.id) == str(axis.id) and isinstance(other.size, int):
            return float(other.size) / float(axis.size)
    return 1.0


def _referenced(size: Any, inputs: Sequence[Any]) -> Any:
    return next(
        (
            a
            for t in inputs
            if str(t.id) == str(size.tensor_id)
            for a in t.axes
            if str(a.id) == str(size.axis_id)
        ),
        None,
    )


def _in_letters(
    kwargs: Mapping[str, Any], letters: Mapping[str, str]
) -> dict[str, Any]:
    """Turn names of axes in the arguments of a step into letters."""

    def letter(name: Any) -> str:
        return letters.get(str(name), _LETTERS.get(str(name), str(name)))

    told = {k: v for k, v in kwargs.items() if v is not None or k == "axes"}
    if told.get("axes") is not None:
        told["axes"] = [letter(a) for a in told["axes"]]
    if told.get("axis") is not None:
        told["axis"] = letter(told["axis"])
    if told.get("reference_tensor") is not None:
        told["reference_tensor"] = str(told["reference_tensor"])
    return told
