"""A session on a GPU whose inputs and outputs keep their places.

Frames are copied into the same memory of the GPU each time, and results are written to
the same and copied once, into arrays of the caller's; so nothing is allocated there
from frame to frame, and a CUDA graph, which repeats what was once recorded with its
addresses, can run. On a CPU nothing is bound:
onnxruntime reads the camera's array where it lies, and bound outputs would only have to
be copied again.

Not tried on a GPU: tests run this class on values of the CPU and look at what is asked.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

_SMALL = 1024  # elements up to which it is cheaper to look whether they changed

_DTYPES = {
    "tensor(bool)": np.dtype(np.bool_),
    "tensor(double)": np.dtype(np.float64),
    "tensor(float)": np.dtype(np.float32),
    "tensor(float16)": np.dtype(np.float16),
    "tensor(int16)": np.dtype(np.int16),
    "tensor(int32)": np.dtype(np.int32),
    "tensor(int64)": np.dtype(np.int64),
    "tensor(uint8)": np.dtype(np.uint8),
    "tensor(uint16)": np.dtype(np.uint16),
    "tensor(uint32)": np.dtype(np.uint32),
}


class BoundRun:
    """One session, its inputs and outputs bound once.

    Not for several threads at once.

    Parameters
    ----------
    ort : module
        onnxruntime.
    session : onnxruntime.InferenceSession
        All shapes of its inputs and outputs are known; see `can_bind`.
    device, number : str, int
        Where the values lie, as onnxruntime names it.
    """

    def __init__(
        self, ort: Any, session: Any, *, device: str = "cuda", number: int = 0
    ) -> None:
        def value(port: Any) -> Any:
            return ort.OrtValue.ortvalue_from_shape_and_type(
                list(port.shape), _DTYPES[port.type].type, device, number
            )

        self._session = session
        self._binding = session.io_binding()
        self._inputs = {i.name: i for i in session.get_inputs()}
        self._given = {name: value(i) for name, i in self._inputs.items()}
        self._gave = {o.name: value(o) for o in session.get_outputs()}
        for name, bound in self._given.items():
            self._binding.bind_ortvalue_input(name, bound)
        for name, bound in self._gave.items():
            self._binding.bind_ortvalue_output(name, bound)
        self._last: dict[str, Array] = {}

    def rehearse(self) -> None:
        """Run once on zeros: memory is taken, algorithms are chosen, a graph recorded.

        A CUDA graph belongs to the thread that runs it first, and other threads must
        leave the GPU alone meanwhile.
        """
        self.run(
            {
                name: np.zeros(tuple(i.shape), _DTYPES[i.type])
                for name, i in self._inputs.items()
            }
        )

    def run(
        self, feeds: Mapping[str, Array], outputs: Sequence[str] | None = None
    ) -> list[Array]:
        """Run once; the arrays that come back are the caller's own.

        Raises
        ------
        ValueError
            If an input is missing, unknown, or of another shape or dtype than bound.
        """
        if feeds.keys() != self._given.keys():
            raise ValueError(f"got {sorted(feeds)}, bound are {sorted(self._given)}")
        for name, array in feeds.items():
            self._put(name, array)
        self._session.run_with_iobinding(self._binding)
        return [
            _own(self._gave[name].numpy())
            for name in (self._gave if outputs is None else outputs)
        ]

    def _put(self, name: str, array: Array) -> None:
        # onnxruntime copies bytes and looks only at their number
        port = self._inputs[name]
        wanted = (tuple(port.shape), _DTYPES[port.type])
        if (array.shape, array.dtype) != wanted:
            raise ValueError(
                f"'{name}' is {array.shape} {array.dtype}, bound are {wanted[0]} "
                f"{wanted[1]}"
            )
        if array.size <= _SMALL:
            last = self._last.get(name)
            if last is not None and last.tobytes() == array.tobytes():
                return
        self._given[name].update_inplace(array)
        if array.size <= _SMALL:
            self._last[name] = array.copy()


def can_bind(session: Any) -> bool:
    """Return True if every shape of inputs and outputs is known before the run."""
    return all(
        port.type in _DTYPES and all(isinstance(n, int) for n in port.shape)
        for port in (*session.get_inputs(), *session.get_outputs())
    )


def _own(array: Array) -> Array:
    """Return an array that the next run does not write into."""
    return array if array.flags.owndata else array.copy()
