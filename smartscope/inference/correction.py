"""Dark and flat field: ``(counts - dark) / flat``, the first thing done to a plane."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from smartscope.errors import Refused
from smartscope.inference.graph import GraphTail
from smartscope.inference.planes import Corrections

Field = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Correction:
    """What is done to the planes of one moment.

    Attributes
    ----------
    dark : np.ndarray or None
        ``(Y, X)``, float32.
    flats : np.ndarray or None
        ``(planes, Y, X)`` or ``(1, Y, X)`` for all, float32.
    """

    dark: Field | None
    flats: Field | None

    @classmethod
    def of(
        cls,
        corrections: Corrections | None,
        channels: Sequence[str],
        frames: int,
    ) -> Correction | None:
        """Choose the fields of some channels; None if there is nothing to correct.

        Parameters
        ----------
        corrections : Corrections or None
            Of the camera.
        channels : Sequence of str
            In the order of the planes.
        frames : int
            Planes of each.
        """
        if corrections is None:
            return None
        chosen = [corrections.flat(c) for c in channels]
        there = [f for f in chosen if f is not None]
        flats: Field | None = None
        if there:
            even = np.ones_like(there[0])
            each = [even if f is None else f for f in chosen for _ in range(frames)]
            flats = np.stack(each if any(f is not each[0] for f in each) else each[:1])
        if corrections.dark is None and flats is None:
            return None
        return cls(corrections.dark, flats)

    def apply(self, planes: Sequence[npt.NDArray[Any]]) -> list[Field]:
        """Return corrected planes, float32."""
        made = []
        for i, plane in enumerate(planes):
            image = plane.astype(np.float32)
            if self.dark is not None:
                image -= self.dark
            if self.flats is not None:
                image /= self.flats[i % len(self.flats)]
            made.append(image)
        return made

    def append(self, tail: GraphTail, name: str) -> str:
        """Append the same to a graph in which ``(1, planes, Y, X)`` is the image."""
        if self.dark is not None:
            name = tail.node("Sub", [name, tail.constant(self.dark)])
        if self.flats is not None:
            name = tail.node("Div", [name, tail.constant(self.flats)])
        return name


def check_fields(corrections: Corrections | None, shape: tuple[int, int]) -> None:
    """See whether dark and flat field are of the frames' shape.

    Raises
    ------
    smartscope.errors.Refused
        If one is not.
    """
    if corrections is None:
        return
    named = {"The dark field": corrections.dark}
    for channel, flat in corrections.flats.items():
        named[f"The flat field{f' of {channel}' if channel else ''}"] = flat
    for name, field in named.items():
        if field is not None and field.shape != shape:
            raise Refused(
                f"{name} has {_written(field.shape)} pixels and the frames have "
                f"{_written(shape)}.",
                rule="Dark and flat field are of the camera as it takes the frames, "
                "with its ROI and binning.",
                way_out="Take them again like the frames, or set 'correct: false'.",
            )


def told_of(corrections: Corrections | None) -> str:
    """Return what is corrected, in words; ``""`` if nothing is."""
    if corrections is None:
        return ""
    said = [] if corrections.dark is None else ["dark field"]
    said += [f"flat field of {c or 'every channel'}" for c in corrections.flats]
    return ", ".join(said)


def _written(shape: Sequence[int]) -> str:
    return " × ".join(map(str, shape))
