"""What a model takes and gives, told by its package: axes, sizes, dtype, processing.

Nothing here knows where the description came from (a bioimage.io package, a card, the
graph itself) and nothing here runs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

AXES = "bcyxtzi"
"""Letters of axes: batch, channel, y, x, time, z, index."""


@dataclass(frozen=True, slots=True)
class Step:
    """One step of processing before or after the graph, as bioimage.io names it.

    Attributes
    ----------
    id : str
        As in the specification, such as ``"zero_mean_unit_variance"``.
    kwargs : Mapping
        Its arguments; axes are letters of ``AXES``.
    """

    id: str
    kwargs: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Axis:
    """One axis of a tensor.

    Attributes
    ----------
    letter : str
        One of ``AXES``.
    size : int or None
        Of a fixed axis; None if it is free.
    minimum, step : int
        A free axis is ``minimum + k * step`` long.
    names : tuple of str
        Names of channels.
    stride : float
        Of an output: input pixels per output pixel along this axis.
    halo : int
        Of an output: pixels at either end that saw too little of the image around
        them; where tiles meet they are cut off.
    """

    letter: str
    size: int | None = None
    minimum: int = 1
    step: int = 1
    names: tuple[str, ...] = ()
    stride: float = 1.0
    halo: int = 0

    def padded(self, length: int) -> int | None:
        """Return the shortest length it takes that holds `length`; None if too long."""
        if self.size is not None:
            return self.size if length <= self.size else None
        steps = -(-max(0, length - self.minimum) // self.step)
        return self.minimum + steps * self.step


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """One input or output of a model.

    Attributes
    ----------
    name : str
        As the package calls it; the graph may call it otherwise.
    axes : tuple of Axis
        In the order of the tensor.
    dtype : str
        Of the tensor the graph sees.
    steps : tuple of Step
        Before the graph (input) or after it (output).
    probability : bool
        Of an output: its values lie in [0, 1] by description.
    """

    name: str
    axes: tuple[Axis, ...]
    dtype: str = "float32"
    steps: tuple[Step, ...] = ()
    probability: bool = False

    @property
    def letters(self) -> str:
        """Letters of the axes in order, such as ``"bcyx"``."""
        return "".join(a.letter for a in self.axes)

    def axis(self, letter: str) -> Axis | None:
        """Return the axis of that letter, None if there is none."""
        return next((a for a in self.axes if a.letter == letter), None)

    @property
    def channels(self) -> int | None:
        """Number of channels: 1 without such an axis, None if it is free."""
        if (axis := self.axis("c")) is None:
            return 1
        return axis.size


def ends_in_probability(steps: Sequence[Step]) -> bool:
    """Return True if the last step that changes values makes probabilities."""
    last = [s.id for s in steps if s.id != "ensure_dtype"]
    return bool(last) and last[-1] in {"sigmoid", "softmax", "binarize"}
