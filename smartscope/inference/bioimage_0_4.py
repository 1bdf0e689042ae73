"""Tensors as the bioimage.io description 0.4 words them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from smartscope.errors import Refused
from smartscope.inference.tensor import Axis, Step, TensorSpec, ends_in_probability


def tensor_0_4(tensor: Any, where: str, inputs: Sequence[Any]) -> TensorSpec:
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
    output = hasattr(tensor, "halo")
    letters = str(tensor.axes)
    reference = next(
        (
            t
            for t in inputs
            if str(t.name) == str(getattr(tensor.shape, "reference_tensor", ""))
        ),
        None,
    )
    axes = []
    for i, letter in enumerate(letters):
        size, minimum, step, stride, taken = None, 1, 1, 1.0, 0
        if hasattr(tensor.shape, "min"):
            minimum, step = int(tensor.shape.min[i]), int(tensor.shape.step[i])
            size = minimum if step == 0 else None
        elif hasattr(tensor.shape, "reference_tensor"):
            scale, offset = tensor.shape.scale[i], tensor.shape.offset[i]
            whole = float(offset).is_integer()
            if letter in "yx" and (not scale or not whole or reference is None):
                raise Refused(
                    f"{where}: axis {letter} of the output has scale {scale} and "
                    f"offset {offset}.",
                    rule="Only sizes that follow an input, with as many pixels taken "
                    "away at one end as at the other, can be mapped back to the frame.",
                    way_out="Export the model with padding.",
                )
            if letter in "yx":
                stride, taken = 1 / float(scale), round(2 * offset)
            elif not scale or letter == "c":
                size = _channels_0_4(scale, offset, reference)
        else:
            size = int(tensor.shape[i])
        axes.append(
            Axis(
                letter,
                1 if letter == "b" else size,
                minimum,
                max(1, step),
                stride=stride,
                halo=_halo(tensor, i),
                offset=taken,
            )
        )
    listed = tensor.postprocessing if output else tensor.preprocessing
    steps = tuple(
        _step_0_4(str(s.name), s.kwargs.model_dump(), letters) for s in listed or ()
    )
    span = tensor.data_range
    return TensorSpec(
        name=str(tensor.name),
        axes=tuple(axes),
        dtype=str(tensor.data_type),
        steps=steps,
        probability=output
        and (ends_in_probability(steps) or tuple(span or ()) == (0, 1)),
    )


def _channels_0_4(scale: float | None, offset: float, reference: Any) -> int | None:
    """Return the channels of a 0.4 output; the offset is in halves there."""
    if not scale:
        return round(2 * offset)
    index = str(reference.axes).find("c") if reference is not None else -1
    shape = getattr(reference, "shape", None)
    sizes = getattr(shape, "min", shape)
    if index < 0 or sizes is None:
        return None
    return int(sizes[index] * scale + 2 * offset)


def _halo(tensor: Any, i: int) -> int:
    halo = getattr(tensor, "halo", None)
    return int(halo[i]) if halo else 0


def _step_0_4(name: str, kwargs: Mapping[str, Any], letters: str) -> Step:
    """Return a step of 0.4 as 0.5 words it."""
    if name == "sigmoid":
        return Step(name)
    axes = None if kwargs.get("axes") is None else [*str(kwargs["axes"])]
    fixed = name == "zero_mean_unit_variance" and kwargs.get("mode") == "fixed"
    if fixed or name == "scale_linear":
        # of these, 0.4 names the axes that share a value; 0.5 the one that has several
        keys = ("mean", "std") if fixed else ("gain", "offset")
        told = {k: _one(kwargs[k]) for k in keys if kwargs.get(k) is not None}
        if any(isinstance(v, Sequence) for v in told.values()):
            left = [a for a in letters if a != "b" and a not in (axes or "zyx")]
            told["axis"] = left[0] if len(left) == 1 else "c"
        return Step("fixed_zero_mean_unit_variance" if fixed else name, told)
    kept = {k: v for k, v in kwargs.items() if k not in {"mode", "axes"}}
    if axes is not None:
        # 0.5 has no mode: a data set is what the batch axis runs over
        over_all = kwargs.get("mode") == "per_dataset" and "b" in letters
        kept["axes"] = [*(["b"] if over_all else []), *axes]
    if kept.get("reference_tensor") is not None:
        kept["reference_tensor"] = str(kept["reference_tensor"])
    return Step(name, {k: v for k, v in kept.items() if v is not None})


def _one(value: Any) -> Any:
    return value[0] if isinstance(value, Sequence) and len(value) == 1 else value
