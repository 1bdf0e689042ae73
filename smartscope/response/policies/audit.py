"""Looks at random times and places, whatever happens there."""

from __future__ import annotations

from smartscope.response.actions import Action, AuditLook
from smartscope.response.draw import drawn
from smartscope.response.observation import Observation
from smartscope.response.settings import AuditPolicySettings


class AuditLooks:
    """Wishes a look at the field of a frame that is drawn, after a time that is drawn.

    Both are hashes of seed and frame id: independent of what is in the frame and of
    each other, and the same in a replay. Places are looked at as often as the survey
    visits them; that a place has one look at a time is the cool-down, which the
    arbiter keeps.
    """

    def __init__(self, settings: AuditPolicySettings) -> None:
        self.settings = settings

    def decide(self, seen: Observation) -> list[Action]:
        """Wish a look if this frame of the survey is drawn."""
        settings, frame = self.settings, seen.frame
        what = (settings.label, frame.frame_id)
        if frame.origin != "survey" or drawn(settings.seed, *what) >= settings.share:
            return []
        delay_s = settings.spread_s * drawn(settings.seed, *what, "delay")
        return [
            AuditLook(
                place=frame.place,
                x_um=frame.state.x_um,
                y_um=frame.state.y_um,
                frames=settings.frames,
                exposure_ms=settings.exposure_ms or frame.state.exposure_ms,
                channel=frame.state.channel or None,
                interval_s=settings.interval_s,
                delay_s=round(delay_s, 3),
            )
        ]
