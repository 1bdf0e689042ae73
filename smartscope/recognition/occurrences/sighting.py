"""What a recognizer says; the OccurrenceRecognizer makes an Occurrence of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from smartscope.recognition.life import Life
from smartscope.recognition.tracker import Tracking


@dataclass(frozen=True, slots=True, eq=False)
class Sighting:
    """Something one recognizer saw happen.

    Attributes
    ----------
    x_um, y_um : float
        Where on the stage.
    onset_s : float
        Time of the first frame that shows it.
    confidence : float
        0 to 1, by the formula of its recognizer.
    lives : tuple of Life
        The tracks it is about; of a split the mother, then this frame's two tracks;
        none if it is about the field.
    frame_ids : tuple of int
        Frames that show it, before the present one.
    """

    x_um: float
    y_um: float
    onset_s: float
    confidence: float
    lives: tuple[Life, ...]
    frame_ids: tuple[int, ...] = ()


class Recognizer(Protocol):
    """Looks for one kind of occurrence."""

    def look(self, tracking: Tracking, /) -> Sequence[Sighting]:
        """Return what happened in the frame, in a fixed order."""

    def resume(self, track_id: int, /) -> None:
        """After a restart: it was told for this track."""

    def forget(self, track_id: int, /) -> None:
        """Drop what is remembered of a track that is gone."""
