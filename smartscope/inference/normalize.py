"""Processing before and after the graph on numpy arrays, as bioimage.io specifies it.

Each step is a small pure function; ``chain`` compiles a package's list of them into one
call for the hot path. Formulas are those of the bioimage.io model specification 0.5.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, TypeAlias

import numpy as np

from smartscope.errors import Refused, nearest
from smartscope.inference.tensor import Step

Array: TypeAlias = Any
"""A numpy array of any dtype; numpy's own types lose it in arithmetic."""
Axes = tuple[int, ...] | None


def ensure_dtype(array: Array, dtype: str) -> Array:
    """Return the array as `dtype`, without a copy if it is that already."""
    return array.astype(dtype, copy=False)


def scale_linear(array: Array, gain: Any = 1.0, offset: Any = 0.0) -> Array:
    """Return ``gain * array + offset``; per-axis values are shaped to broadcast."""
    return _floating(array) * gain + offset


def zero_mean_unit_variance(
    array: Array, axes: Axes = None, eps: float = 1e-6
) -> Array:
    """Return ``(array - mean) / (std + eps)`` over `axes`."""
    array = _floating(array)
    mean = array.mean(axis=axes, keepdims=True, dtype=np.float64)
    std = array.std(axis=axes, keepdims=True, dtype=np.float64)
    return (array - mean.astype(array.dtype)) / (std + eps).astype(array.dtype)


def fixed_zero_mean_unit_variance(array: Array, mean: Any, std: Any) -> Array:
    """Return ``(array - mean) / std`` with values from training."""
    return (_floating(array) - mean) / std


def scale_range(
    array: Array,
    axes: Axes = None,
    min_percentile: float = 0.0,
    max_percentile: float = 100.0,
    eps: float = 1e-6,
) -> Array:
    """Return the array with its percentiles over `axes` mapped to 0 and 1."""
    low, high = np.percentile(
        array, [min_percentile, max_percentile], axis=axes, keepdims=True
    )
    array = _floating(array)
    scale = (high - low + eps).astype(array.dtype)
    return (array - low.astype(array.dtype)) / scale


def clip(
    array: Array,
    minimum: float | None = None,
    maximum: float | None = None,
    min_percentile: float | None = None,
    max_percentile: float | None = None,
    axes: Axes = None,
) -> Array:
    """Return the array cut to a range, given as values or as its own percentiles.

    These percentiles are values of the array, not between two of them, as
    bioimageio.core takes them for this step; those of `scale_range` are between.
    """
    percentile = partial(np.percentile, axis=axes, keepdims=True, method="inverted_cdf")
    low: Any = minimum
    high: Any = maximum
    if min_percentile is not None:
        low = percentile(array, min_percentile)
    if max_percentile is not None:
        high = percentile(array, max_percentile)
    return np.clip(array, low, high).astype(array.dtype, copy=False)


def binarize(array: Array, threshold: Any) -> Array:
    """Return 1 where the array is above `threshold`, else 0."""
    return (array > threshold).astype(array.dtype)


def sigmoid(array: Array) -> Array:
    """Return the logistic function of the array, without overflow."""
    array = _floating(array)
    # exp of minus the absolute value never overflows, so no warning needs silencing
    small = np.exp(-np.abs(array))
    return np.where(array >= 0, 1, small) / (1 + small)


def softmax(array: Array, axis: int = 1) -> Array:
    """Return the softmax along one axis."""
    array = _floating(array)
    raised = np.exp(array - array.max(axis=axis, keepdims=True))
    return raised / raised.sum(axis=axis, keepdims=True)


_FUNCTIONS: Mapping[str, Callable[..., Array]] = {
    "binarize": binarize,
    "clip": clip,
    "ensure_dtype": ensure_dtype,
    "fixed_zero_mean_unit_variance": fixed_zero_mean_unit_variance,
    "scale_linear": scale_linear,
    "scale_range": scale_range,
    "sigmoid": sigmoid,
    "softmax": softmax,
    "zero_mean_unit_variance": zero_mean_unit_variance,
}


def chain(steps: Sequence[Step], letters: str) -> Callable[[Array], Array]:
    """Compile steps for a tensor into one function.

    Parameters
    ----------
    steps : Sequence of Step
        In order.
    letters : str
        Axes of the tensor.

    Raises
    ------
    smartscope.errors.Refused
        If a step is unknown, has unknown arguments, or names an axis there is not.
    """
    calls = [resolve(step, letters) for step in steps]

    def run(array: Array) -> Array:
        for function, kwargs in calls:
            array = function(array, **kwargs)
        return array

    return run


def resolve(step: Step, letters: str) -> tuple[Callable[..., Array], dict[str, Any]]:
    """Return the function of a step and its arguments, axes counted from 0.

    Raises
    ------
    smartscope.errors.Refused
        As `chain`.
    """
    if step.id not in _FUNCTIONS or step.kwargs.get("reference_tensor") is not None:
        raise Refused(
            f"The model asks for the processing step '{step.id}'"
            + (" relative to another tensor" if step.id in _FUNCTIONS else "")
            + f", which smartscope does not have.{nearest(step.id, _FUNCTIONS)}",
            rule=f"Known steps: {', '.join(sorted(_FUNCTIONS))}.",
            way_out="Use one of them, or put the step into the graph.",
        )
    kwargs = dict(step.kwargs)
    kwargs.pop("reference_tensor", None)
    if "min" in kwargs:
        kwargs["minimum"] = kwargs.pop("min")
    if "max" in kwargs:
        kwargs["maximum"] = kwargs.pop("max")
    if kwargs.get("axes") is not None:
        kwargs["axes"] = tuple(_index(a, step, letters) for a in kwargs["axes"])
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
    function = _FUNCTIONS[step.id]
    # the arguments are tried once, on a tensor of ones, so that a wrong one is told now
    try:
        function(np.ones([1] * len(letters), np.float32), **kwargs)
    except (TypeError, ValueError) as e:
        raise Refused(
            f"The processing step '{step.id}' of the model has wrong arguments: {e}.",
            rule="The arguments are those of bioimage.io.",
            way_out="Correct them in the model's description.",
        ) from e
    return function, kwargs


def _index(axis: Any, step: Step, letters: str) -> int:
    letter = {"channel": "c", "batch": "b"}.get(str(axis), str(axis))
    if letter not in letters:
        raise Refused(
            f"The processing step '{step.id}' names the axis '{axis}', and the tensor "
            f"has the axes '{letters}'.",
            rule="A step works along axes of its tensor.",
            way_out="Correct the axis in the model's description.",
        )
    return letters.index(letter)


def _floating(array: Array) -> Array:
    """Return float arrays as they are and everything else as float32."""
    if np.issubdtype(array.dtype, np.floating):
        return array
    return array.astype(np.float32)
