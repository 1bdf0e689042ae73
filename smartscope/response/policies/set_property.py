"""Set a property of a device at a hit."""

from __future__ import annotations

from smartscope.response.actions import Action, SetProperty
from smartscope.response.observation import Observation
from smartscope.response.settings import SetPropertySettings


class SetPropertyAtHit:
    """Sets a pump, a laser line, a TTL: any property that the limits declare."""

    def __init__(self, settings: SetPropertySettings) -> None:
        self.settings = settings

    def decide(self, seen: Observation) -> list[Action]:
        """Wish it once for all hits of a frame."""
        settings = self.settings
        hits = [hit for hit in seen.occurrences if hit.name in settings.on]
        if not hits:
            return []
        surest = max(hits, key=lambda hit: hit.confidence)
        return [
            SetProperty(
                place=seen.frame.place,
                track_id=surest.track_ids[0] if surest.track_ids else -1,
                device=settings.device,
                property=settings.property,
                value=settings.value,
                back_after_s=settings.back_after_s,
            )
        ]
