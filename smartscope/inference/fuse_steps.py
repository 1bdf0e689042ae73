"""The processing steps as ONNX nodes: what ``normalize.py`` does on numpy arrays.

Numbers are float32 all the way. It is known of a tensor if numpy would have whole
numbers in it, so that what is cut off there after a clip is cut off here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from smartscope.inference.graph import GraphTail
from smartscope.inference.normalize import resolve
from smartscope.inference.tensor import Step


class CannotFuse(Exception):
    """A pipeline that no single graph can say; it runs as its parts, and says why."""


class StepNodes:
    """Appends steps to a graph.

    Parameters
    ----------
    tail : GraphTail
        The end of the graph.
    letters : str
        Axes of the tensor.
    lengths : Sequence of int
        Of each axis.
    dtype : numpy dtype
        What it would be in numpy.
    """

    def __init__(
        self,
        tail: GraphTail,
        letters: str,
        lengths: Sequence[int],
        dtype: np.dtype[Any],
    ) -> None:
        self._tail = tail
        self._letters = letters
        self._lengths = tuple(lengths)
        self._size = math.prod(lengths)
        self.dtype = dtype

    def append(self, steps: Sequence[Step], name: str) -> str:
        """Append all steps to a float32 tensor; return the name of the result.

        Raises
        ------
        CannotFuse
            If one of them cannot be said in ONNX.
        smartscope.errors.Refused
            If one is unknown or has wrong arguments.
        """
        for step in steps:
            function, kwargs = resolve(step, self._letters)
            name = getattr(self, f"_{function.__name__}")(name, **kwargs)
        return name

    def _float(self, value: Any) -> str:
        return self._tail.constant(np.asarray(value, np.float32))

    def _ints(self, values: Sequence[int]) -> str:
        return self._tail.constant(np.asarray(values, np.int64))

    def _floating(self) -> None:
        if not np.issubdtype(self.dtype, np.floating):
            self.dtype = np.dtype(np.float32)

    def _ensure_dtype(self, name: str, dtype: str) -> str:
        wanted = np.dtype(dtype)
        if wanted not in (self.dtype, np.dtype("float32"), np.dtype("float64")):
            name = self._tail.cast(self._tail.cast(name, str(wanted)), "float32")
        self.dtype = wanted
        return name

    def _scale_linear(self, name: str, gain: Any = 1.0, offset: Any = 0.0) -> str:
        self._floating()
        name = self._tail.node("Mul", [name, self._float(gain)])
        return self._tail.node("Add", [name, self._float(offset)])

    def _zero_mean_unit_variance(
        self, name: str, axes: tuple[int, ...] | None = None, eps: float = 1e-6
    ) -> str:
        self._floating()
        # the mean twice: float32 sums of large counts are a little off, those of what
        # is left around zero are not
        once = self._tail.node("Sub", [name, self._mean(name, axes)])
        centred = self._tail.node("Sub", [once, self._mean(once, axes)])
        variance = self._mean(self._tail.node("Mul", [centred, centred]), axes)
        spread = self._tail.node(
            "Add", [self._tail.node("Sqrt", [variance]), self._float(eps)]
        )
        return self._tail.node("Div", [centred, spread])

    def _fixed_zero_mean_unit_variance(self, name: str, mean: Any, std: Any) -> str:
        self._floating()
        name = self._tail.node("Sub", [name, self._float(mean)])
        return self._tail.node("Div", [name, self._float(std)])

    def _scale_range(
        self,
        name: str,
        axes: tuple[int, ...] | None = None,
        min_percentile: float = 0.0,
        max_percentile: float = 100.0,
        eps: float = 1e-6,
    ) -> str:
        self._floating()
        low = self._percentile(name, min_percentile, axes)
        high = self._percentile(name, max_percentile, axes)
        span = self._tail.node(
            "Add", [self._tail.node("Sub", [high, low]), self._float(eps)]
        )
        return self._tail.node("Div", [self._tail.node("Sub", [name, low]), span])

    def _clip(
        self,
        name: str,
        minimum: float | None = None,
        maximum: float | None = None,
        min_percentile: float | None = None,
        max_percentile: float | None = None,
        axes: tuple[int, ...] | None = None,
    ) -> str:
        low = None if minimum is None else self._float(minimum)
        high = None if maximum is None else self._float(maximum)
        # both are of the tensor as it came, before either has cut it
        if min_percentile is not None:
            low = self._percentile(name, min_percentile, axes, between=False)
        if max_percentile is not None:
            high = self._percentile(name, max_percentile, axes, between=False)
        if low is not None:
            name = self._tail.node("Max", [name, low])
        if high is not None:
            name = self._tail.node("Min", [name, high])
        if not np.issubdtype(self.dtype, np.floating):
            whole = self._tail.node("Floor", [self._tail.node("Abs", [name])])
            name = self._tail.node("Mul", [self._tail.node("Sign", [name]), whole])
        return name

    def _binarize(self, name: str, threshold: Any) -> str:
        above = self._tail.node("Greater", [name, self._float(threshold)])
        return self._tail.cast(above, "float32")

    def _sigmoid(self, name: str) -> str:
        self._floating()
        return self._tail.node("Sigmoid", [name])

    def _softmax(self, name: str, axis: int = 1) -> str:
        self._floating()
        return self._tail.node("Softmax", [name], axis=axis)

    def _mean(self, name: str, axes: tuple[int, ...] | None) -> str:
        every = tuple(range(len(self._letters))) if axes is None else axes
        return self._tail.mean(name, every)

    def _percentile(
        self,
        name: str,
        percentile: float,
        axes: tuple[int, ...] | None,
        *,
        between: bool = True,
    ) -> str:
        """Append a percentile of the whole tensor: between its two neighbours in order.

        Without `between` it is one of the values, the first that this many are not
        above.

        The values are taken in order from the nearer end, so that the usual percentiles
        (1, 99.8) order few of them.
        """
        apart = [n for i, n in enumerate(self._lengths) if i not in (axes or (i,))]
        if any(n > 1 for n in apart):
            raise CannotFuse(
                f"percentiles over part of the axes '{self._letters}' are not computed "
                "in the graph"
            )
        rank = percentile / 100 * (self._size - 1)
        if not between:
            rank = max(0, math.ceil(percentile / 100 * self._size) - 1)
        below = min(int(rank), self._size - 1)
        above = min(below + 1, self._size - 1)
        from_top = below > self._size // 2
        count = self._size - below if from_top else above + 1
        flat = self._tail.node("Reshape", [name, self._ints([-1])])
        ordered, _ = self._tail.nodes(
            "TopK", [flat, self._ints([count])], outputs=2, largest=int(from_top)
        )
        at = (count - 1, self._size - 1 - above) if from_top else (below, above)
        first, second = (
            self._tail.node("Gather", [ordered, self._ints([i])]) for i in at
        )
        step = self._tail.node(
            "Mul",
            [self._tail.node("Sub", [second, first]), self._float(rank - below)],
        )
        return self._tail.node("Add", [first, step])
