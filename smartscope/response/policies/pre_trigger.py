"""The baseline before a hit, and what comes after it, made data."""

from __future__ import annotations

from smartscope.response.actions import Action, KeepFrames
from smartscope.response.observation import Observation
from smartscope.response.settings import PreTriggerSettings


class PreTrigger:
    """Wishes that the survey's frames about each hit are stored.

    Where the survey stores everything, it changes nothing.
    """

    def __init__(self, settings: PreTriggerSettings) -> None:
        self.settings = settings

    def decide(self, seen: Observation) -> list[Action]:
        """Wish it once for all hits of a frame: they have one place and one time."""
        hits = [hit for hit in seen.occurrences if hit.name in self.settings.on]
        if not hits:
            return []
        return [
            KeepFrames(
                place=seen.frame.place,
                before=self.settings.before,
                after=self.settings.after,
                onset_s=min(hit.onset_s for hit in hits),
            )
        ]
