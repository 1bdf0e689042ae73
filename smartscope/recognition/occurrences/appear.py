"""A thing is there that was not there before."""

from __future__ import annotations

from smartscope.recognition.occurrences.sighting import Sighting
from smartscope.recognition.settings import Appear, TrackSettings
from smartscope.recognition.tracker import Tracking


class AppearRecognizer:
    """Says so when a track has been seen in a number of frames in a row.

    What is not an arrival: what the first frame of a place shows; what comes into
    view because the field moved; what crosses the field's edge; daughters; and a thing
    beside a track lost a few frames ago, which is that thing seen again.

    The confidence is ``1 - 2 ** -frames``: each further frame halves the doubt.
    """

    def __init__(self, settings: Appear, track: TrackSettings) -> None:
        self.settings = settings
        self._track = track

    def look(self, tracking: Tracking) -> list[Sighting]:
        """Return the arrivals that this frame completes."""
        settings = self.settings
        found = []
        for life in tracking.lives.values():
            if (
                life.row < 0
                or life.frames != settings.frames
                or life.gaps
                or life.parent_id >= 0
                or not life.was_visible
                or life.lost_near_um <= self._track.max_distance_um
            ):
                continue
            last = life.last
            edge_um = tracking.field_of_view.inside_um(last.x_um, last.y_um)
            if edge_um < settings.edge_um:
                continue
            found.append(
                Sighting(
                    x_um=last.x_um,
                    y_um=last.y_um,
                    onset_s=life.first_seen_s,
                    confidence=1 - 0.5**settings.frames,
                    lives=(life,),
                    frame_ids=tuple(seen.frame_id for seen in life.trail)[:-1],
                )
            )
        return found

    def resume(self, track_id: int) -> None:
        """Nothing is remembered."""

    def forget(self, track_id: int) -> None:
        """Nothing is remembered."""
