"""The processing steps of a package, compiled for its tensor.

What a step computes is in ``operations.py``; here its arguments are checked, its axes
are counted, and it gets the other tensors that it names.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np

from smartscope.errors import Refused, nearest
from smartscope.inference import operations
from smartscope.inference.operations import Array
from smartscope.inference.tensor import Step

UNPROCESSED = "(unprocessed)"
"""As `reference_tensor` of a step: its own tensor, as it was before any step."""

_NONE: Mapping[str, Array] = MappingProxyType({})

_OPERATIONS: Mapping[str, Callable[..., Array]] = {
    f.__name__: f
    for f in (
        operations.binarize,
        operations.clip,
        operations.ensure_dtype,
        operations.fixed_zero_mean_unit_variance,
        operations.scale_linear,
        operations.scale_mean_variance,
        operations.scale_range,
        operations.sigmoid,
        operations.softmax,
        operations.zero_mean_unit_variance,
    )
}
_TAKES = {"scale_mean_variance": "reference"}
"""The argument that a reference tensor is; of the others it is ``source``."""
_ARGUMENTS = {"min": "minimum", "max": "maximum"}


@dataclass(frozen=True, slots=True)
class Call:
    """A step with its arguments checked, axes counted from 0.

    Attributes
    ----------
    function : callable
        One of ``operations.py``.
    kwargs : dict
        Its arguments, but for the array and the other tensor.
    takes : str
        Argument that the other tensor is; ``""`` if there is none.
    other : str
        Name of that tensor: an input of the model, `UNPROCESSED`, or where the values
        of a `Scaling` are.
    letters : str
        Axes of that tensor; ``""`` for the values of a `Scaling`.
    """

    function: Callable[..., Array]
    kwargs: dict[str, Any]
    takes: str = ""
    other: str = ""
    letters: str = ""


def chain(steps: Sequence[Step], letters: str) -> Callable[..., Array]:
    """Compile steps for a tensor into one function.

    Parameters
    ----------
    steps : Sequence of Step
        In order.
    letters : str
        Axes of the tensor.

    Returns
    -------
    callable
        ``run(array, references={})``: references are arrays by name, inputs of the
        model before any step, with the input's axes, and the values of a `Scaling`.
        Inputs are needed if `needs_reference`.

    Raises
    ------
    smartscope.errors.Refused
        If a step is unknown, has unknown arguments, or names an axis there is not.
    """
    calls = [resolve(step, letters) for step in steps]

    def run(array: Array, references: Mapping[str, Array] = _NONE) -> Array:
        unprocessed = array
        for call in calls:
            if not call.takes:
                array = call.function(array, **call.kwargs)
                continue
            other = unprocessed if call.other == UNPROCESSED else references[call.other]
            if call.letters:
                other = aligned(other, call.letters, letters)
            array = call.function(array, **{call.takes: other}, **call.kwargs)
        return array

    return run


def needs_reference(steps: Sequence[Step]) -> bool:
    """Return True if steps take the statistics of an input of the model."""
    named = {s.kwargs.get("reference_tensor") for s in steps}
    return bool(named - {None, UNPROCESSED})


def aligned(array: Array, have: str, letters: str) -> Array:
    """Return a tensor with the axes of another one, in its order, without a copy.

    Axes that it has not are added with length 1; those that the other has not are 1
    long and dropped.
    """
    array = array[tuple(slice(None) if a in letters else 0 for a in have)]
    kept = [a for a in have if a in letters]
    array = array.transpose([kept.index(a) for a in letters if a in kept])
    return array[tuple(slice(None) if a in kept else None for a in letters)]


def resolve(step: Step, letters: str) -> Call:
    """Return a step for a tensor.

    Raises
    ------
    smartscope.errors.Refused
        As `chain`.
    """
    if step.id == "series_scaling":
        axis = letters.index("c") if "c" in letters else None
        return Call(
            operations.series_scaling,
            {"axis": axis},
            takes="values",
            other=str(step.kwargs["input"]),
        )
    if step.id not in _OPERATIONS:
        raise Refused(
            f"The model asks for the processing step '{step.id}', which smartscope "
            f"does not have.{nearest(step.id, _OPERATIONS)}",
            rule=f"Known steps: {', '.join(sorted(_OPERATIONS))}.",
            way_out="Use one of them, or put the step into the graph.",
        )
    kwargs = {_ARGUMENTS.get(k, k): v for k, v in step.kwargs.items()}
    other = kwargs.pop("reference_tensor", None)
    other_letters = kwargs.pop("reference_axes", None) or letters
    if kwargs.get("axes") is not None:
        kwargs["axes"] = tuple(_index(a, step, letters) for a in kwargs["axes"])
    if step.id == "clip":
        # the reference takes those of a data set (over all axes, or the batch) so
        axes = kwargs.get("axes")
        kwargs["between"] = axes is None or letters.find("b") in axes
    if "axis" in kwargs:
        index = _index(kwargs.pop("axis"), step, letters)
        if step.id == "softmax":
            kwargs["axis"] = index
        else:
            shape = [1] * len(letters)
            shape[index] = -1
            for key, value in kwargs.items():
                if isinstance(value, (list, tuple)):
                    kwargs[key] = np.asarray(value, np.float32).reshape(shape)
    call = Call(_OPERATIONS[step.id], kwargs)
    if other is not None:
        takes = _TAKES.get(step.id, "source")
        call = Call(call.function, kwargs, takes, str(other), other_letters)
    _try(call, step, len(letters))
    return call


def _try(call: Call, step: Step, axes: int) -> None:
    """Try a step once, on a tensor of ones, so that a wrong argument is told now."""
    ones = np.ones([1] * axes, np.float32)
    others = {call.takes: ones} if call.takes else {}
    try:
        call.function(ones, **others, **call.kwargs)
    except (TypeError, ValueError) as e:
        raise Refused(
            f"The processing step '{step.id}' of the model has wrong arguments: {e}.",
            rule="The arguments are those of bioimage.io.",
            way_out="Correct them in the model's description.",
        ) from e


def letter_of(axis: Any) -> str:
    """Return the letter of an axis that may be named in full."""
    return {"channel": "c", "batch": "b", "time": "t", "index": "i"}.get(
        str(axis), str(axis)
    )


def _index(axis: Any, step: Step, letters: str) -> int:
    letter = letter_of(axis)
    if letter not in letters:
        raise Refused(
            f"The processing step '{step.id}' names the axis '{axis}', and the tensor "
            f"has the axes '{letters}'.",
            rule="A step works along axes of its tensor.",
            way_out="Correct the axis in the model's description.",
        )
    return letters.index(letter)
