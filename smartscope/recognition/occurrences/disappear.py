"""A thing is not there any more."""

from __future__ import annotations

from smartscope.recognition.occurrences.sighting import Sighting
from smartscope.recognition.settings import Disappear
from smartscope.recognition.tracker import Tracking


class DisappearRecognizer:
    """Says so when a track that was old enough ends away from the field's edge.

    The confidence is ``1 - (1 - p) ** missed``, where p is the share of frames in which
    the thing had been found before (with one success and one failure added, so that a
    short life does not count as certain): how unlikely it is that it is still there and
    was missed by chance.
    """

    def __init__(self, settings: Disappear) -> None:
        self.settings = settings

    def look(self, tracking: Tracking) -> list[Sighting]:
        """Return the tracks that ended with this frame and count."""
        found = []
        for life in tracking.ended:
            last = life.last
            edge_um = tracking.field_of_view.inside_um(last.x_um, last.y_um)
            if life.frames < self.settings.min_age or edge_um < self.settings.edge_um:
                continue
            earlier_gaps = life.gaps - life.missed
            found_share = (life.frames + 1) / (life.frames + earlier_gaps + 2)
            onset = life.first_missed or (last.frame_id, last.time_s)
            found.append(
                Sighting(
                    x_um=last.x_um,
                    y_um=last.y_um,
                    onset_s=onset[1],
                    confidence=1 - (1 - found_share) ** life.missed,
                    lives=(life,),
                    frame_ids=tuple(i for i in (last.frame_id, onset[0]) if i >= 0),
                )
            )
        return found

    def resume(self, track_id: int) -> None:
        """Nothing is remembered."""

    def forget(self, track_id: int) -> None:
        """Nothing is remembered."""
