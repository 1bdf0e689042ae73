"""The events of one burst: times × channels × planes about a point."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import product

from useq import MDAEvent

from smartscope.acquisition import EventTag, Origin
from smartscope.response.actions import Burst


def burst_times(
    action: Burst,
    decision_id: str,
    *,
    image: str,
    origin: Origin = "burst",
    z_um: float | None,
    channel_group: str,
    power_of: Callable[[str, str | None], float | None],
) -> Iterator[list[MDAEvent]]:
    """Yield the events of each time of a burst, planes of a channel together.

    Parameters
    ----------
    action : Burst
        As granted.
    decision_id : str
        Of its decision.
    image : str
        Where its frames are stored.
    origin : {"burst", "audit"}
        Who ordered it.
    z_um : float or None
        Middle of its planes; None where the survey sets no z.
    channel_group : str
        Group of the channel presets.
    power_of : Callable
        Asked for each event: the power that the survey has at a place and channel.
    """
    middle = (action.z_planes - 1) / 2
    for t in range(action.frames):
        events = []
        for (c, channel), z in product(
            enumerate(action.presets), range(action.z_planes)
        ):
            event = MDAEvent(
                index={"t": t, "c": c, "z": z} if action.frames_each > 1 else {"t": t},
                x_pos=action.x_um,
                y_pos=action.y_um,
                z_pos=None if z_um is None else z_um + (z - middle) * action.z_step_um,
                exposure=action.exposure_ms,
                channel=(
                    {"config": channel, "group": channel_group} if channel else None
                ),
            )
            tag = EventTag(
                place=action.place,
                origin=origin,
                decision_id=decision_id,
                image=image,
                index=(t, c, z),
                power_percent=power_of(action.place, channel),
                roi_um=action.roi_um,
            )
            events.append(tag.on(event))
        yield events
