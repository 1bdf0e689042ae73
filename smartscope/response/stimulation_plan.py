"""The events of one stimulation: its pattern, its pulses, its light."""

from __future__ import annotations

from useq import MDAEvent, SLMImage

from smartscope.acquisition import EventTag, SlmMap
from smartscope.response.stimulation import Stimulate


def stimulation_events(
    action: Stimulate,
    decision_id: str,
    *,
    image: str,
    slm: SlmMap | None,
    z_um: float | None,
    channel_group: str,
) -> tuple[list[MDAEvent], str]:
    """Return the event of each pulse, and what is to be said of them.

    Parameters
    ----------
    action : Stimulate
        As granted.
    decision_id : str
        Of its decision.
    image : str
        Where its frames are stored.
    slm : SlmMap or None
        The light modulator as it lies on the stage; None: there is none.
    z_um : float or None
        The survey's at the place; None where it sets no z.
    channel_group : str
        Group of the channel presets.

    Returns
    -------
    tuple
        No events if nothing could be lit: then why. Else which targets lie outside the
        modulator, or ``''``.
    """
    if slm is None:
        return [], "the microscope's file names no light modulator ([slm])"
    mask, found = slm.mask(
        [(target.outline_um, target.grown_um) for target in action.targets],
        (action.x_um, action.y_um),
    )
    outside = found.count(0)
    if outside == len(found):
        which = "the target lies" if outside == 1 else f"all {outside} targets lie"
        return [], f"{which} outside the light modulator '{slm.device}'"
    pattern = SLMImage(data=mask, device=slm.device)
    events = []
    for t in range(action.pulses):
        tag = EventTag(
            place=action.place,
            origin="stimulation",
            decision_id=decision_id,
            image=image,
            index=(t, 0, 0),
            power_percent=action.power_percent,
            lit_share=action.share,
        )
        event = MDAEvent(
            index={"t": t},
            x_pos=action.x_um,
            y_pos=action.y_um,
            z_pos=z_um,
            exposure=action.exposure_ms,
            channel={"config": action.channel, "group": channel_group},
            slm_image=pattern,
        )
        events.append(tag.on(event))
    said = f"{outside} of {len(found)} targets lie outside the light modulator"
    return events, said if outside else ""
