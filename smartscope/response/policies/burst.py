"""Take a burst at a hit."""

from __future__ import annotations

from smartscope.acquisition import Frame
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
        settings = self.settings
        hits = [hit for hit in seen.occurrences if hit.name in settings.on]
        hits.sort(key=lambda hit: -hit.confidence)
        return [
            burst_at(
                settings,
                seen.frame,
                # of a split the brighter daughter: the mother's track has ended
                track_id=hit.track_ids[min(1, len(hit.track_ids) - 1)]
                if hit.track_ids
                else -1,
                x_um=hit.x_um,
                y_um=hit.y_um,
            )
            for hit in hits
        ]


def burst_at(
    settings: BurstSettings, frame: Frame, *, track_id: int, x_um: float, y_um: float
) -> Burst:
    """Return the burst that a policy with these settings wishes at a point.

    Parameters
    ----------
    settings : BurstSettings
        Of the policy.
    frame : Frame
        The one it was decided from: of its place, and with its exposure and channel
        where the settings have none.
    track_id : int
        The track it is about, or -1.
    x_um, y_um : float
        Its centre on the stage.
    """
    return Burst(
        place=frame.place,
        track_id=track_id,
        x_um=x_um,
        y_um=y_um,
        frames=settings.frames,
        exposure_ms=settings.exposure_ms or frame.state.exposure_ms,
        channel=None
        if settings.channels
        else settings.channel or frame.state.channel or None,
        channels=settings.channels,
        z_planes=settings.z_planes,
        z_step_um=settings.z_step_um,
        interval_s=settings.interval_s,
        roi_um=settings.roi_um,
    )
