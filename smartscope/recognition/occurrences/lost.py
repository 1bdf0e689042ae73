"""A chosen thing is missed."""

from __future__ import annotations

from collections.abc import Callable

from smartscope.recognition.ending_kinds import Lost
from smartscope.recognition.life import Life
from smartscope.recognition.occurrences.sighting import Sighting
from smartscope.recognition.tracker import Tracking


class LostRecognizer:
    """Says so when a chosen track has been missed in ``missed`` frames in a row.

    It is told where it was last seen, with the first frame that did not show it as the
    onset, and again only after it has been seen. One whose place on the stage is not in
    the field is not missed, and a mother that has divided is not lost.

    The confidence is that of `DisappearRecognizer`: how unlikely it is that it is still
    there and was missed by chance.

    Parameters
    ----------
    settings : Lost
        After how many frames.
    chosen : callable
        Whether a track is a chosen one at a time.
    """

    def __init__(self, settings: Lost, chosen: Callable[[int, float], bool]) -> None:
        self.settings = settings
        self._chosen = chosen
        self._told: set[int] = set()

    def look(self, tracking: Tracking) -> list[Sighting]:
        """Return the chosen tracks that are lost with this frame."""
        found = []
        for life in (*tracking.lives.values(), *tracking.ended):
            if life.missed < self.settings.missed:
                if life.row >= 0:
                    self._told.discard(life.track_id)
                continue
            if life.track_id in self._told or life.first_missed is None:
                continue
            if self._chosen(life.track_id, tracking.time_s):
                self._told.add(life.track_id)
                found.append(self._sighting(life))
        return found

    def resume(self, track_id: int) -> None:
        """After a restart: it was told for this track."""
        self._told.add(track_id)

    def forget(self, track_id: int) -> None:
        """Drop a track that is gone."""
        self._told.discard(track_id)

    @staticmethod
    def _sighting(life: Life) -> Sighting:
        last, first = life.last, life.first_missed
        assert first is not None
        earlier_gaps = life.gaps - life.missed
        found_share = (life.frames + 1) / (life.frames + earlier_gaps + 2)
        return Sighting(
            x_um=last.x_um,
            y_um=last.y_um,
            onset_s=first[1],
            confidence=1 - (1 - found_share) ** life.missed,
            lives=(life,),
            frame_ids=tuple(i for i in (last.frame_id, first[0]) if i >= 0),
        )
