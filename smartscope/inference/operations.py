"""The operations of bioimage.io on numpy arrays, each a small pure function.

Formulas are those of the bioimage.io model specification 0.5. Operations that take
statistics take them of `source`, or of the array itself where that is None; a source
has the array's axes in its order.
"""

from __future__ import annotations

from functools import partial
from typing import Any, TypeAlias

import numpy as np

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
    array: Array, axes: Axes = None, eps: float = 1e-6, source: Array = None
) -> Array:
    """Return ``(array - mean) / (std + eps)`` over `axes`."""
    array = _floating(array)
    mean, std = _mean_and_std(array if source is None else source, axes)
    return (array - mean.astype(array.dtype)) / (std + eps).astype(array.dtype)


def fixed_zero_mean_unit_variance(
    array: Array, mean: Any, std: Any, eps: float = 1e-6
) -> Array:
    """Return ``(array - mean) / (std + eps)`` with values from training.

    The specification names no eps here; bioimageio.core adds it.
    """
    return (_floating(array) - mean) / (std + eps)


def scale_range(
    array: Array,
    axes: Axes = None,
    min_percentile: float = 0.0,
    max_percentile: float = 100.0,
    eps: float = 1e-6,
    source: Array = None,
) -> Array:
    """Return the array with the percentiles over `axes` mapped to 0 and 1."""
    low, high = np.percentile(
        array if source is None else source,
        [min_percentile, max_percentile],
        axis=axes,
        keepdims=True,
    )
    array = _floating(array)
    scale = (high - low + eps).astype(array.dtype)
    return (array - low.astype(array.dtype)) / scale


def scale_mean_variance(
    array: Array, reference: Array, axes: Axes = None, eps: float = 1e-6
) -> Array:
    """Return ``(array - mean) / (std + eps) * (ref_std + eps) + ref_mean``."""
    centred = zero_mean_unit_variance(array, axes, eps)
    mean, std = _mean_and_std(reference, axes)
    return centred * (std + eps).astype(centred.dtype) + mean.astype(centred.dtype)


def series_scaling(array: Array, values: Array, axis: int | None = None) -> Array:
    """Return ``(array - values[0]) / values[1]``, channel by channel along `axis`.

    Parameters
    ----------
    array : np.ndarray
        Any shape.
    values : np.ndarray
        Shape ``(2, C)``, float32, as `Scaling` gives them.
    axis : int, optional
        Of the channels; without one there is one channel.
    """
    shape = [1] * array.ndim
    if axis is not None:
        shape[axis] = -1
    less, by = (v.reshape(shape) for v in values)
    return (_floating(array) - less) / by


def clip(
    array: Array,
    minimum: float | None = None,
    maximum: float | None = None,
    min_percentile: float | None = None,
    max_percentile: float | None = None,
    axes: Axes = None,
    between: bool = False,
    source: Array = None,
) -> Array:
    """Return the array cut to a range, given as values or as percentiles.

    These percentiles are values of the array, or `between` two of them, as
    bioimageio.core takes them; those of `scale_range` are always between.
    """
    percentile = partial(
        np.percentile,
        array if source is None else source,
        axis=axes,
        keepdims=True,
        method="linear" if between else "inverted_cdf",
    )
    low: Any = minimum if min_percentile is None else percentile(min_percentile)
    high: Any = maximum if max_percentile is None else percentile(max_percentile)
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


def _mean_and_std(array: Array, axes: Axes) -> tuple[Array, Array]:
    mean = array.mean(axis=axes, keepdims=True, dtype=np.float64)
    return mean, array.std(axis=axes, keepdims=True, dtype=np.float64)


def _floating(array: Array) -> Array:
    """Return float arrays as they are and everything else as float32."""
    if np.issubdtype(array.dtype, np.floating):
        return array
    return array.astype(np.float32)
