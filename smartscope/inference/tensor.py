"""What a model takes and gives, told by its package: axes, sizes, dtype, processing.

Nothing here knows where the description came from (a bioimage.io package, a card, the
graph itself) and nothing here runs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
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
    offset : int
        Of an output: pixels it has more than the input over the stride; convolutions
        without padding take some away, the same number at either end.
    """

    letter: str
    size: int | None = None
    minimum: int = 1
    step: int = 1
    names: tuple[str, ...] = ()
    stride: float = 1.0
    halo: int = 0
    offset: int = 0

    def padded(self, length: int) -> int | None:
        """Return the shortest length it takes that holds `length`; None if too long."""
        if self.size is not None:
            return self.size if length <= self.size else None
        steps = -(-max(0, length - self.minimum) // self.step)
        return self.minimum + steps * self.step


def stride_of(given: Axis, made: Axis) -> float:
    """Return the pixels of an input per pixel of an output along one axis."""
    if given.size is not None and made.size is not None:
        return given.size / (made.size - made.offset)
    return made.stride


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


def with_offsets(given: TensorSpec, made: TensorSpec) -> TensorSpec:
    """Return an output whose fixed sizes say what convolutions took away.

    A size that is no whole part of the input's, 388 of 572, is that of a net without
    padding: the rest is its offset.
    """
    axes = []
    for axis in made.axes:
        other = given.axis(axis.letter) if axis.letter in "yx" else None
        size, whole = axis.size, None if other is None else other.size
        if size and whole and not axis.offset and whole % size and size % whole:
            stride = max(1, round(whole / size))
            offset, odd = size - whole // stride, whole % stride
            if not odd and not offset % 2:
                axis = replace(axis, stride=float(stride), offset=offset)
        axes.append(axis)
    return replace(made, axes=tuple(axes))


def ends_in_probability(steps: Sequence[Step]) -> bool:
    """Return True if the last step that changes values makes probabilities."""
    last = [s.id for s in steps if s.id != "ensure_dtype"]
    return bool(last) and last[-1] in {"sigmoid", "softmax", "binarize"}
