"""Of which tensor the steps of a model take their statistics.

``bioimageio.core`` measures an input once, before any of its steps, and every step uses
that; the specification has a `reference_tensor` for it, "ID of the unprocessed input
tensor". So is a package read. In a card each step measures what the step before left,
unless it names a `reference_tensor`. Steps of an output by its own statistics always
do: the pipeline of the reference (0.11) cannot run them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from smartscope.errors import Refused
from smartscope.inference.normalize import UNPROCESSED, letter_of
from smartscope.inference.tensor import Step, TensorSpec

_MEASURING = frozenset({"scale_range", "zero_mean_unit_variance"})


def of_references(
    tensor: TensorSpec,
    inputs: Sequence[TensorSpec],
    where: str,
    *,
    measured_once: bool,
) -> TensorSpec:
    """Return a tensor whose steps say of which tensor their statistics are.

    Parameters
    ----------
    tensor : TensorSpec
        One of the inputs, or an output.
    inputs : Sequence of TensorSpec
        All inputs of the model.
    where : str
        Begins the error.
    measured_once : bool
        An input is measured before any of its steps, as packages mean it.

    Returns
    -------
    TensorSpec
        `reference_tensor` of a step is an input, with its letters as `reference_axes`;
        `UNPROCESSED`; or not there: the tensor as the steps before left it.

    Raises
    ------
    smartscope.errors.Refused
        If a step refers to a tensor that it cannot be scaled by.
    """
    given = tensor in inputs
    late = _measuring_late(tensor.steps) if given and measured_once else ()
    steps: list[Step] = []
    for step in tensor.steps:
        kwargs = dict(step.kwargs)
        name = kwargs.pop("reference_tensor", None)
        if name == tensor.name and not given:
            name = None
        if name is None:
            if step in late:
                kwargs["reference_tensor"] = UNPROCESSED
        elif name == tensor.name:
            kwargs["reference_tensor"] = UNPROCESSED
        else:
            kwargs.update(_of_input(step, tensor, name, inputs, where))
        steps.append(replace(step, kwargs=kwargs))
    return replace(tensor, steps=tuple(steps))


def _of_input(
    step: Step,
    tensor: TensorSpec,
    name: str,
    inputs: Sequence[TensorSpec],
    where: str,
) -> dict[str, str]:
    """Return what a step says of an input it takes its statistics of."""
    found = next((t for t in inputs if t.name == name), None)
    if found is None or tensor in inputs:
        raise Refused(
            f"{where} asks for the processing step '{step.id}' of '{tensor.name}' by "
            f"the statistics of '{name}'.",
            rule="A step takes its statistics of its own tensor, or after the graph of "
            "an input.",
            way_out="Where the scale does not matter, as with most heads, take the "
            "step out of the package and make its test output again.",
        )
    axes = step.kwargs.get("axes")
    over = set(tensor.letters if axes is None else map(letter_of, axes))
    for axis in found.axes:
        own = tensor.axis(axis.letter)
        if axis.letter in over or axis.letter == "b":
            continue
        fits = axis.size == (1 if own is None else own.size)
        if not fits or axis.letter in "yx":  # frames are padded, what comes out is not
            raise Refused(
                f"{where} scales '{tensor.name}' by the statistics of '{name}', each "
                f"place along '{axis.letter}' by its own.",
                rule="What is scaled by another tensor has one value for the whole "
                "image, and as many channels.",
                way_out=f"Name '{axis.letter}' in the axes of the step '{step.id}'.",
            )
    return {"reference_tensor": name, "reference_axes": found.letters}


def _measuring_late(steps: Sequence[Step]) -> list[Step]:
    """Return the steps that would measure what others have changed before them."""
    changed, late = False, []
    for step in steps:
        if changed and _measures(step) and not step.kwargs.get("reference_tensor"):
            late.append(step)
        changed = changed or not _keeps_values(step)
    return late


def check_packed(tensor: TensorSpec, where: str) -> None:
    """See whether the steps of a card's input mean the same in a package.

    Raises
    ------
    smartscope.errors.Refused
        If a step measures what a step before it has changed.
    """
    for step in _measuring_late(tensor.steps):
        raise Refused(
            f"{where}: the step '{step.id}' measures what the steps before it left.",
            rule="In a bioimage.io package an input is measured before any step.",
            way_out="Put it first, give it a 'reference_tensor: "
            f"{tensor.name}', or put the steps before it into the graph.",
        )


def _measures(step: Step) -> bool:
    if step.id == "clip":
        return bool({"min_percentile", "max_percentile"} & {*step.kwargs})
    return step.id in _MEASURING


def _keeps_values(step: Step) -> bool:
    return step.id == "ensure_dtype" and str(step.kwargs.get("dtype")).startswith(
        "float"
    )
