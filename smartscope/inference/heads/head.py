"""What a head is to a model: nodes at the end of its graph, and the same in numpy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from smartscope.inference.graph import GraphTail
from smartscope.inference.padding import Padding

Array = npt.NDArray[Any]

HEALTH = "smartscope_output_health"
"""0 if what the head saw is finite, else NaN; every extended graph gives it."""


class Head(Protocol):
    """The part of a head that ONNX can say.

    `append` and `find` give the same arrays under the same names: one at the end of
    the graph, the other outside, for graphs that cannot be extended and for tests.
    """

    @property
    def maps(self) -> int:
        """How many of the graph's first outputs are maps of the image that it reads.

        0 if it reads anything else, which cannot be put together from tiles.
        """

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the arrays that are found, without `HEALTH`."""

    def append(self, tail: GraphTail, given: Sequence[str]) -> None:
        """Append the search to a graph whose outputs are `given`."""

    def find(self, given: Sequence[Array]) -> dict[str, Array]:
        """Search the outputs of a graph; their finiteness is checked by the caller."""

    def within(self, found: Mapping[str, Array], padding: Padding) -> dict[str, Array]:
        """Return what was found in the padded image as it lies in the frame."""

    def cut(self, found: Mapping[str, Array]) -> str:
        """Return, in words, that there may be more than was found; ``""`` if not."""


def told_limit(kind: str, count: int, limit: int) -> str:
    """Return, in words, that a limit was reached; ``""`` if it was not."""
    if count < limit:
        return ""
    return f"{limit} {kind}, the most that are kept: there may be more, of lower score"


def channels_first(tail: GraphTail, name: str, letters: str) -> str:
    """Return an output with the axes `letters` as ``(b, c, y, x)``."""
    if letters == "bcyx":
        return name
    return tail.node("Transpose", [name], perm=[letters.index(a) for a in "bcyx"])


def append_health(tail: GraphTail, seen: Sequence[str], name: str = HEALTH) -> None:
    """Append what tells whether tensors are finite, so that they need not leave.

    Parameters
    ----------
    tail : GraphTail
        The end of the graph.
    seen : Sequence of str
        Names of float32 tensors.
    name : str
        Of the output: a number that is 0 if all their values are finite, else NaN.
    """
    zero = tail.constant(np.array([0], np.float32))
    sums = [
        tail.node("ReduceSum", [tail.node("Mul", [one, zero])], keepdims=0)
        for one in seen
    ]
    total = sums[0] if len(sums) == 1 else tail.node("Sum", sums)
    tail.output(total, name, "float32", [])


def health_of(seen: Sequence[Array]) -> float:
    """Return 0.0 if all values are finite, else NaN."""
    return 0.0 if all(np.isfinite(a.sum(dtype=np.float64)) for a in seen) else np.nan
