"""Hits are revisited later, in tours."""

from __future__ import annotations

from smartscope.acquisition import Frame
from smartscope.recognition import Occurrence
from smartscope.response.actions import Action
from smartscope.response.observation import Observation
from smartscope.response.visit_settings import VisitSettings
from smartscope.response.visiting import Visit


class VisitHits:
    """Wishes a visit to each hit, the most certain one first.

    When tours begin and which hits they take is settled in the acquisition process,
    which knows the rounds of the survey.
    """

    def __init__(self, settings: VisitSettings) -> None:
        self.settings = settings

    def decide(self, seen: Observation) -> list[Action]:
        """Wish one visit per hit of this frame."""
        hits = [hit for hit in seen.occurrences if hit.name in self.settings.on]
        hits.sort(key=lambda hit: -hit.confidence)
        return [self._to(hit, seen.frame) for hit in hits]

    def _to(self, hit: Occurrence, frame: Frame) -> Visit:
        settings, state = self.settings, frame.state
        return Visit(
            place=frame.place,
            # of a split the brighter daughter: the mother's track has ended
            track_id=hit.track_ids[min(1, len(hit.track_ids) - 1)]
            if hit.track_ids
            else -1,
            x_um=hit.x_um,
            y_um=hit.y_um,
            z_um=state.z_um,
            objective=settings.objective,
            exposure_ms=settings.exposure_ms or state.exposure_ms,
            channels=settings.channels or ((state.channel,) if state.channel else ()),
            z_planes=settings.z_planes,
            z_step_um=settings.z_step_um,
            frames=settings.frames,
            interval_s=settings.interval_s,
            max_wait_s=settings.max_wait_s,
            field_um=settings.field_um,
        )
