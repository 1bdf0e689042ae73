"""The processing steps as ONNX nodes: what ``operations.py`` does on numpy arrays.

Numbers are float32 all the way. It is known of a tensor if numpy would have whole
numbers in it, so that what is cut off there after a clip is cut off here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np

from smartscope.inference.fuse_statistics import (
    Source,
    append_aligned,
    append_less,
    append_mean,
    append_percentile,
    append_std,
)
from smartscope.inference.graph import GraphTail
from smartscope.inference.normalize import UNPROCESSED, Call, resolve
from smartscope.inference.tensor import Step

Axes = tuple[int, ...] | None
_NONE: Mapping[str, Source] = MappingProxyType({})


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
        self.dtype = dtype

    def append(
        self,
        steps: Sequence[Step],
        name: str,
        references: Mapping[str, Source] = _NONE,
    ) -> str:
        """Append all steps to a float32 tensor; return the name of the result.

        Parameters
        ----------
        steps : Sequence of Step
            A ``series_scaling`` adds the graph's input that it names: float32, shape
            ``(2, C)``.
        name : str
            Of the tensor.
        references : Mapping of str to Source
            Inputs of the model before any step, by name, with the input's axes; needed
            if `needs_reference`.

        Raises
        ------
        CannotFuse
            If one of them cannot be said in ONNX.
        smartscope.errors.Refused
            If one is unknown or has wrong arguments.
        """
        known = {UNPROCESSED: Source(name, self._lengths), **references}
        for step in steps:
            call = resolve(step, self._letters)
            others = {call.takes: self._other(call, known)} if call.takes else {}
            append = getattr(self, f"_{call.function.__name__}")
            name = append(name, **others, **call.kwargs)
        return name

    def _other(self, call: Call, known: Mapping[str, Source]) -> Source | str:
        if not call.letters:
            channels = (
                self._lengths[self._letters.index("c")] if ("c" in self._letters) else 1
            )
            return self._tail.input(call.other, (2, channels))
        return append_aligned(
            self._tail, known[call.other], call.letters, self._letters
        )

    def _float(self, value: Any) -> str:
        return self._tail.constant(np.asarray(value, np.float32))

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

    def _series_scaling(self, name: str, values: str, axis: int | None) -> str:
        self._floating()
        shape = [1] * len(self._letters)
        if axis is not None:
            shape[axis] = -1
        places = self._tail.constant(np.asarray(shape, np.int64))
        for i, op in enumerate(("Sub", "Div")):
            row = self._tail.constant(np.asarray(i, np.int64))
            given = self._tail.node("Gather", [values, row], axis=0)
            given = self._tail.node("Reshape", [given, places])
            name = self._tail.node(op, [name, given])
        return name

    def _zero_mean_unit_variance(
        self,
        name: str,
        axes: Axes = None,
        eps: float = 1e-6,
        source: Source | None = None,
    ) -> str:
        self._floating()
        of = source or Source(name, self._lengths)
        mean = append_mean(self._tail, of, axes)
        centred = append_less(self._tail, name, mean)
        around = centred if source is None else append_less(self._tail, of.name, mean)
        std = append_std(self._tail, around, axes, len(of.lengths))
        spread = self._tail.node("Add", [std, self._float(eps)])
        return self._tail.node("Div", [centred, spread])

    def _scale_mean_variance(
        self, name: str, reference: Source, axes: Axes = None, eps: float = 1e-6
    ) -> str:
        name = self._zero_mean_unit_variance(name, axes, eps)
        mean = append_mean(self._tail, reference, axes)
        around = append_less(self._tail, reference.name, mean)
        std = append_std(self._tail, around, axes, len(reference.lengths))
        spread = self._tail.node("Add", [std, self._float(eps)])
        name = self._tail.node("Mul", [name, spread])
        for part in mean:
            name = self._tail.node("Add", [name, part])
        return name

    def _fixed_zero_mean_unit_variance(
        self, name: str, mean: Any, std: Any, eps: float = 1e-6
    ) -> str:
        self._floating()
        name = self._tail.node("Sub", [name, self._float(mean)])
        return self._tail.node("Div", [name, self._float(np.add(std, eps))])

    def _scale_range(
        self,
        name: str,
        axes: Axes = None,
        min_percentile: float = 0.0,
        max_percentile: float = 100.0,
        eps: float = 1e-6,
        source: Source | None = None,
    ) -> str:
        self._floating()
        of = source or Source(name, self._lengths)
        low = append_percentile(self._tail, of, min_percentile, axes)
        high = append_percentile(self._tail, of, max_percentile, axes)
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
        axes: Axes = None,
        between: bool = False,
        source: Source | None = None,
    ) -> str:
        # both are of the tensor as it came, before either has cut it
        of = source or Source(name, self._lengths)
        bounds = ((minimum, min_percentile, "Max"), (maximum, max_percentile, "Min"))
        cuts = []
        for value, percentile, op in bounds:
            if percentile is not None:
                cut = append_percentile(
                    self._tail, of, percentile, axes, between=between
                )
                cuts.append((op, cut))
            elif value is not None:
                cuts.append((op, self._float(value)))
        for op, cut in cuts:
            name = self._tail.node(op, [name, cut])
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
