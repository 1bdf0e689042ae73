"""How planes become the tensor that a net takes: its channels and its window."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from smartscope.errors import Refused
from smartscope.inference.graph import GraphTail
from smartscope.inference.tensor import Axis

if TYPE_CHECKING:
    from smartscope.inference.model_package import ModelPackage

Image = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class Intake:
    """What one net takes at once.

    Attributes
    ----------
    channels : int
        Channels of the specimen: presets or cameras.
    window : int
        Frames of each, the newest last.
    letters : str
        Axes of the tensor.
    frames_are_channels : bool
        The axis c holds the window.
    """

    channels: int = 1
    window: int = 1
    letters: str = "bcyx"
    frames_are_channels: bool = False

    @classmethod
    def of(
        cls,
        package: ModelPackage,
        *,
        channels: int | None = None,
        window: int | None = None,
    ) -> Intake:
        """Plan it for a model.

        Parameters
        ----------
        package : ModelPackage
            The model.
        channels : int, optional
            How many there are, for a net that takes any number; default: 1.
        window : int, optional
            How many frames, for a net that takes any number; default: the fewest it
            takes.

        Raises
        ------
        smartscope.errors.Refused
            If the model takes another number, or nothing can be put into an axis.
        """
        given = package.input
        where = f"The model {package.name}"
        frames_are_channels = package.head.channels_are == "frames"
        if frames_are_channels and given.axis("t") is not None:
            raise Refused(
                f"{where} has the axis t, and its card says that its channels are "
                "frames.",
                rule="The frames of a window lie along one axis.",
                way_out="Leave 'channels_are: frames' out of the card.",
            )
        over = "c" if frames_are_channels else "t"
        frames = _length(given.axis(over), window, where)
        kinds = 1
        if not frames_are_channels:
            kinds = given.channels or channels or 1
        return cls(kinds, frames, given.letters, frames_are_channels)

    @property
    def planes(self) -> int:
        """Planes of one moment."""
        return self.channels * self.window

    @property
    def told(self) -> str:
        """What goes in, in words."""
        some = "1 channel" if self.channels == 1 else f"{self.channels} channels"
        return some if self.window == 1 else f"{some} of {self.window} frames each"

    def lengths(self, shape: tuple[int, int]) -> list[int]:
        """Return the lengths of all axes for images of this shape."""
        along = self._along(shape)
        return [along.get(a, 1) for a in self.letters]

    def _along(self, shape: tuple[int, int]) -> dict[str, int]:
        """Return lengths by letter, in the order in which planes are given."""
        if self.frames_are_channels:
            return {"c": self.window, "y": shape[0], "x": shape[1]}
        return {
            "c": self.channels,
            "t": self.window,
            "y": shape[0],
            "x": shape[1],
        }

    def tensor(self, planes: Sequence[Image]) -> Image:
        """Return planes ``(Y, X)`` of one kind as one tensor."""
        shape = (planes[0].shape[0], planes[0].shape[1])
        whole = planes[0] if len(planes) == 1 else np.stack(planes)
        whole = whole.reshape([*self._along(shape).values()])
        return whole.transpose(self._order(shape)).reshape(self.lengths(shape))

    def append(self, tail: GraphTail, name: str, shape: tuple[int, int]) -> str:
        """Append the same to a graph in which ``(1, planes, Y, X)`` is the image."""
        along, order = self._along(shape), self._order(shape)
        sizes = [*along.values()]
        moved = [i for i in order if sizes[i] > 1]
        if moved != sorted(moved):
            apart = tail.constant(np.asarray(sizes, np.int64))
            name = tail.node("Reshape", [name, apart])
            name = tail.node("Transpose", [name], perm=order)
        elif self.letters == "bcyx":
            return name
        lengths = tail.constant(np.asarray(self.lengths(shape), np.int64))
        return tail.node("Reshape", [name, lengths])

    def _order(self, shape: tuple[int, int]) -> list[int]:
        """Return the order of axes in the tensor; those it has not are 1 long."""
        along = self._along(shape)
        there = [a for a in along if a in self.letters]
        missing = [i for i, a in enumerate(along) if a not in there]
        places = {a: i for i, a in enumerate(along)}
        return missing + [places[a] for a in self.letters if a in places]


def _length(axis: Axis | None, wanted: int | None, where: str) -> int:
    """Return how many frames go in."""
    size = 1 if axis is None else axis.size
    if size is not None:
        if wanted not in (None, size):
            takes = "1 frame" if size == 1 else f"{size} frames"
            raise Refused(
                f"{where} takes {takes} at once, and the window is {wanted}.",
                rule="'window' is for a model with a free axis of time; the others "
                "have theirs.",
                way_out=f"Set 'window: {size}', or leave it out.",
            )
        return size
    assert axis is not None
    length = axis.minimum if wanted is None else wanted
    longer = axis.padded(length)
    if longer != length:
        raise Refused(
            f"{where} does not take {length} frames at once.",
            rule=f"It takes {axis.minimum} and any number of times {axis.step} more.",
            way_out=f"Set 'window: {longer}'.",
        )
    return length
