"""Classes: scores of a whole image. They are few, so nothing is added to the graph."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from smartscope.errors import AnalysisFailed
from smartscope.inference.graph import GraphTail
from smartscope.inference.heads.head import append_health
from smartscope.inference.padding import Padding

Array = npt.NDArray[Any]

WHOLE_SCORES = "smartscope_whole_scores"

_ROUNDING = 1e-4


@dataclass(frozen=True, slots=True)
class ClassHead:
    """How the scores of a whole image are read.

    Attributes
    ----------
    classes : int
        How many scores there are.
    """

    classes: int

    @property
    def maps(self) -> int:
        """0: the scores are of the whole image."""
        return 0

    @property
    def names(self) -> tuple[str, ...]:
        """The scores ``(classes,)``, each from 0 to 1."""
        return (WHOLE_SCORES,)

    def append(self, tail: GraphTail, given: Sequence[str]) -> None:
        """Append the reading to a graph."""
        flat = tail.constant(np.array([-1], np.int64))
        tail.output(
            tail.node("Reshape", [given[0], flat]), WHOLE_SCORES, "float32", [None]
        )
        append_health(tail, given[:1])

    def find(self, given: Sequence[Array]) -> dict[str, Array]:
        """Read an output without the graph."""
        return {WHOLE_SCORES: given[0].reshape(-1).astype(np.float32)}

    def within(self, found: Mapping[str, Array], padding: Padding) -> dict[str, Array]:
        """Return the scores, which belong to the whole frame.

        Raises
        ------
        smartscope.errors.AnalysisFailed
            If there are more or fewer than classes, or they are no scores.
        """
        scores = found[WHOLE_SCORES]
        if len(scores) != self.classes:
            raise AnalysisFailed(
                f"The model gave {len(scores)} scores and {self.classes} classes are "
                "named.",
                rule="Every class has one score.",
                way_out="Correct 'classes' in the card or the detect settings.",
            )
        low, high = float(scores.min()), float(scores.max())
        if low < -_ROUNDING or high > 1 + _ROUNDING:
            raise AnalysisFailed(
                f"The model gave scores from {low:.3g} to {high:.3g}.",
                rule="Scores lie between 0 and 1.",
                way_out="Write 'postprocessing: softmax' (one class of several) or "
                "'sigmoid' into the card.",
            )
        return {WHOLE_SCORES: scores.clip(0, 1)}

    def cut(self, found: Mapping[str, Array]) -> str:
        """Return ``""``: all scores are read."""
        return ""
