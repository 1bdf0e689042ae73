"""Bursts at chance: what would be seen without any recognition."""

from __future__ import annotations

from smartscope.recognition import Track
from smartscope.response.actions import Action
from smartscope.response.draw import drawn
from smartscope.response.observation import Observation
from smartscope.response.policies.burst import burst_at
from smartscope.response.settings import PlaceboPolicySettings


class PlaceboBursts:
    """Wishes bursts like those of a burst policy, where that one has no hit.

    Of the survey's analysed frames without a hit a stated share is drawn, by a hash of
    seed, name and frame id: independently of each other and of what is in them, and the
    same in a replay. The burst is centred on a thing drawn from those seen in the
    frame that no hit has been about; without any, on the middle of the field.

    It says when and where it looks by itself; limits, light, cool-down and staleness
    hold for it as for the burst policy.
    """

    def __init__(self, settings: PlaceboPolicySettings) -> None:
        self.settings = settings
        self._hit: dict[str, set[int]] = {}

    def decide(self, seen: Observation) -> list[Action]:
        """Wish a burst if this frame has no hit and is drawn."""
        settings, frame, burst = self.settings, seen.frame, self.settings.burst
        hits = [hit for hit in seen.occurrences if hit.name in burst.on]
        before = self._hit.get(frame.place, set())
        about = before.union(*(hit.track_ids for hit in hits))
        self._hit[frame.place] = about & seen.tracks.keys()
        if frame.origin != "survey" or hits:
            return []
        what = (settings.label, frame.frame_id)
        if drawn(settings.seed, *what) >= settings.share:
            return []
        thing = self._chosen(seen, drawn(settings.seed, *what, "thing"))
        state = frame.state
        return [
            burst_at(
                burst,
                frame,
                track_id=-1 if thing is None else thing.track_id,
                x_um=state.x_um if thing is None else thing.x_um,
                y_um=state.y_um if thing is None else thing.y_um,
            )
        ]

    def _chosen(self, seen: Observation, chance: float) -> Track | None:
        hit = self._hit[seen.frame.place]
        things = [
            track
            for track_id, track in sorted(seen.tracks.items())
            if track.detection >= 0 and track_id not in hit
        ]
        return things[int(chance * len(things))] if things else None
