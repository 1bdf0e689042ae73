"""Labels: the part of the head that ONNX can say, for nets that give a label image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from smartscope.errors import AnalysisFailed
from smartscope.inference.graph import GraphTail
from smartscope.inference.heads.head import append_health, channels_first
from smartscope.inference.padding import Padding

Array = npt.NDArray[Any]

LABELS = "smartscope_labels"


@dataclass(frozen=True, slots=True)
class LabelHead:
    """How a label image is read.

    Attributes
    ----------
    letters : str
        Axes of the output, y and x among them.
    channel : int
        Which channel holds the labels.
    """

    letters: str
    channel: int = 0

    @property
    def maps(self) -> int:
        """0: a thing has another number in every tile."""
        return 0

    @property
    def names(self) -> tuple[str, ...]:
        """The labels ``(Y, X)``, int32."""
        return (LABELS,)

    def append(self, tail: GraphTail, given: Sequence[str]) -> None:
        """Append rounding to whole numbers to a graph of opset 13 or later."""
        from onnx import TensorProto

        first = channels_first(tail, given[0], self.letters)
        whole = tail.node("Round", [first])
        number = tail.node("Cast", [whole], to=TensorProto.INT32)
        plane = tail.node(
            "Gather",
            [number, tail.constant(np.array(self.channel, np.int64))],
            axis=1,
        )
        batch = tail.constant(np.array(0, np.int64))
        image = tail.node("Gather", [plane, batch], axis=0)
        tail.output(image, LABELS, "int32", [None, None])
        append_health(tail, given[:1])

    def find(self, given: Sequence[Array]) -> dict[str, Array]:
        """Read an output without the graph."""
        index = tuple(
            slice(None) if a in "yx" else (self.channel if a == "c" else 0)
            for a in self.letters
        )
        image = given[0][index]
        if self.letters.index("y") > self.letters.index("x"):
            image = image.T
        return {LABELS: np.rint(image).astype(np.int32)}

    def within(self, found: Mapping[str, Array], padding: Padding) -> dict[str, Array]:
        """Return the labels of the frame.

        Raises
        ------
        smartscope.errors.AnalysisFailed
            If a label is negative, or the image has another size than described.
        """
        labels = padding.crop(found[LABELS])
        if labels.shape != padding.map_shape:
            raise AnalysisFailed(
                f"The model gave labels of {labels.shape} pixels for a frame of "
                f"{padding.shape}; {padding.map_shape} were described."
            )
        if labels.size and labels.min() < 0:
            raise AnalysisFailed(
                f"The model gave a label of {labels.min()}.",
                rule="0 is background, things are 1 and more.",
            )
        return {LABELS: labels}

    def cut(self, found: Mapping[str, Array]) -> str:
        """Return ``""``: all labels are read."""
        return ""
