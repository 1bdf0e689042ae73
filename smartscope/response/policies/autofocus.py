"""Look for the focus of a place at a hit."""

from __future__ import annotations

from smartscope.response.actions import Action, Refocus
from smartscope.response.focus_settings import AutofocusPolicySettings, FocusHow
from smartscope.response.observation import Observation


class AutofocusAtHit:
    """Has the place of a hit focused: where the frame was taken, with its light."""

    def __init__(self, settings: AutofocusPolicySettings) -> None:
        self.settings = settings

    def decide(self, seen: Observation) -> list[Action]:
        """Wish it once for all hits of a frame."""
        settings, state = self.settings, seen.frame.state
        if not any(hit.name in settings.on for hit in seen.occurrences):
            return []
        how = FocusHow(**{n: getattr(settings, n) for n in FocusHow.model_fields})
        return [
            Refocus(
                place=seen.frame.place,
                x_um=state.x_um,
                y_um=state.y_um,
                exposure_ms=settings.exposure_ms or state.exposure_ms,
                channel=settings.channel or state.channel or None,
                how=how,
            )
        ]
