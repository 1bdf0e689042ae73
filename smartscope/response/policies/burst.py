"""Take a burst at a hit."""

from __future__ import annotations

from smartscope.response.actions import Action, Burst
from smartscope.response.observation import Observation
from smartscope.response.settings import BurstSettings


class BurstAtHit:
    """Wishes a burst centred on each hit, the most certain one first.

    Of several at one place in one frame the arbiter grants the first; how often a place
    may have one is the cool-down, which the arbiter keeps.
    """

    def __init__(self, settings: BurstSettings) -> None:
        self.settings = settings

    def decide(self, seen: Observation) -> list[Action]:
        """Wish one burst per hit of this frame."""
        settings, state = self.settings, seen.frame.state
        hits = [hit for hit in seen.occurrences if hit.name in settings.on]
        hits.sort(key=lambda hit: -hit.confidence)
        return [
            Burst(
                place=seen.frame.place,
                # of a split the brighter daughter: the mother's track has ended
                track_id=hit.track_ids[min(1, len(hit.track_ids) - 1)]
                if hit.track_ids
                else -1,
                x_um=hit.x_um,
                y_um=hit.y_um,
                frames=settings.frames,
                exposure_ms=settings.exposure_ms or state.exposure_ms,
                channel=settings.channel or state.channel or None,
                interval_s=settings.interval_s,
            )
            for hit in hits
        ]
