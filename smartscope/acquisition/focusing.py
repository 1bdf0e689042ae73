"""Finding the focus at a place: by the autofocus device, or by a sweep of images.

It alone knows how a focus is looked for. What is made of it, of a failure too, is known
to who ordered it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from useq import CustomAction, MDAEvent

from smartscope.acquisition.event_tag import EventTag
from smartscope.acquisition.guarded_core import GuardedCore, GuardedUniCore
from smartscope.acquisition.hand_over import Payload
from smartscope.acquisition.sharpest import (
    NoPeak,
    Plane,
    coarse_peak_um,
    measure_sharpness,
    peak,
    sweep_um,
)
from smartscope.errors import LimitBroken

FOCUS = "smartscope.focus"
FocusMethod = Literal["hardware", "image"]
_FINER = 3  # a step of the fine sweep is so much smaller than one of the coarse


@dataclass(frozen=True, slots=True)
class FocusOrder:
    """How the focus is looked for.

    Attributes
    ----------
    method : {"hardware", "image"}
        By the autofocus device, or by images.
    range_um : float
        Of images: how far the sweep goes to either side.
    step_um : float
        Of images: between the planes of the coarse sweep; the fine one, about the
        sharpest of these, has a third of it.
    shift_um : float
        Of images: middle of the sweep, from the event's z.
    device : str
        Of the autofocus: the stage that sets its offset; ``""``: the core's way.
    device_offset_um : float or None
        Of the autofocus: its offset; None: as it is.
    """

    method: FocusMethod
    range_um: float = 10.0
    step_um: float = 2.0
    shift_um: float = 0.0
    device: str = ""
    device_offset_um: float | None = None

    @property
    def frames(self) -> int:
        """Exposures it takes at most."""
        if self.method == "hardware":
            return 0
        coarse = sweep_um(0.0, self.range_um, self.step_um)
        return len(coarse) + 2 * _FINER + 1


@dataclass(frozen=True, slots=True)
class Focused:
    """What came of it.

    Attributes
    ----------
    z_um : float or None
        Where the plane is, as the focus drive says; None: it was not found.
    why : str
        Why not, in words; else ``""``.
    sharpest_um : float or None
        Of a failed sweep of images the sharpest plane, if it tells anything.
    sharpness : tuple of float or None
        At the z of before, and at the plane; None where no image was taken.
    frames : int
        Taken, of all cameras.
    """

    z_um: float | None
    why: str = ""
    sharpest_um: float | None = None
    sharpness: tuple[float | None, float | None] = (None, None)
    frames: int = 0


def focus_event(tag: EventTag, order: FocusOrder, where: MDAEvent) -> MDAEvent:
    """Return the event that looks for the focus.

    Parameters
    ----------
    tag : EventTag
        Whose order it is, and the image its frames go to.
    order : FocusOrder
        How.
    where : MDAEvent
        Position, and of images channel and exposure.
    """
    event = MDAEvent(
        x_pos=where.x_pos,
        y_pos=where.y_pos,
        z_pos=where.z_pos,
        channel=where.channel,
        exposure=where.exposure,
        action=CustomAction(name=FOCUS, data=asdict(order)),
    )
    return tag.on(event)


def is_focus_event(event: MDAEvent) -> bool:
    """Whether an event looks for the focus."""
    return isinstance(event.action, CustomAction) and event.action.name == FOCUS


class Focusing:
    """Carries out focus events.

    Planes are taken in rising order, so that play of the drive is the same at each.

    Parameters
    ----------
    core : GuardedCore or GuardedUniCore
        The microscope.
    bring : Callable
        Brings the hardware into the state an event asks for; raises LimitBroken or
        ``refusal`` if it may not be.
    snap : Callable
        Takes an image there, hands it over, and returns what the runner takes.
    check_light : Callable
        Raises ``refusal`` if an event's place may not be lit so often.
    settle : Callable
        Waits for all devices and forgets what the focus drive was told.
    refusal : type
        Another error, besides LimitBroken, that is no reason to end the run.
    ended : Callable
        Whether the run is ended now.
    """

    def __init__(
        self,
        core: GuardedCore | GuardedUniCore,
        *,
        bring: Callable[[MDAEvent], None],
        snap: Callable[[MDAEvent], Sequence[Payload]],
        check_light: Callable[[MDAEvent, int], None],
        settle: Callable[[], None],
        refusal: type[Exception],
        ended: Callable[[], bool],
    ) -> None:
        self._core = core
        self._bring = bring
        self._snap = snap
        self._check_light = check_light
        self._settle = settle
        self._refusal = refusal
        self._ended = ended

    def carry_out(self, event: MDAEvent) -> Generator[Payload, Any, Focused]:
        """Look for the focus; yields frames, returns what came of it.

        A failure leaves the drive at the z of before. Errors of the stage or camera go
        on to the caller.
        """
        assert isinstance(event.action, CustomAction)
        order = FocusOrder(**event.action.data)
        if order.method == "hardware":
            return self._hardware(event, order)
        return (yield from self._images(event, order))

    # ---------------------------------------------------------------- the device

    def _hardware(self, event: MDAEvent, order: FocusOrder) -> Focused:
        core = self._core
        try:
            self._bring(_there(event, event.z_pos))
        except (LimitBroken, self._refusal) as e:
            return Focused(None, str(e))
        before_um = float(core.getPosition())
        try:
            if order.device_offset_um is not None:
                if order.device:
                    core.setPosition(order.device, order.device_offset_um)
                else:
                    core.setAutoFocusOffset(order.device_offset_um)
            core.fullFocus()
            self._settle()
            return Focused(float(core.getPosition()))
        # whatever a device says of its failure, it is no reason to end the survey
        except Exception as e:  # noqa: BLE001
            why = e.what if isinstance(e, LimitBroken) else str(e)
        self._settle()
        self._bring(_there(event, before_um))
        return Focused(None, f"the autofocus did not find it: {why}")

    # ---------------------------------------------------------------- images

    def _images(
        self, event: MDAEvent, order: FocusOrder
    ) -> Generator[Payload, Any, Focused]:
        taken: list[Plane] = []
        frames = 0
        guard = self._core.guard
        limits = guard.limits.z_um if guard is not None else None
        z_um = float(self._core.getPosition()) if event.z_pos is None else event.z_pos

        def look(
            planes: Sequence[float],
        ) -> Generator[Payload, Any, list[Plane]]:
            nonlocal frames
            for plane_um in planes:
                if self._ended():
                    raise NoPeak("the run was ended")
                there = _plane(event, plane_um, len(taken))
                self._bring(there)
                payloads = self._snap(there)
                frames += len(payloads)
                shown = measure_sharpness(payloads[0][0])
                taken.append(Plane(plane_um, shown.value, shown.error))
                for payload in payloads:
                    if (yield payload) == "cancel":
                        raise NoPeak("the run was ended")
            return taken[-len(planes) :]

        middle_um = z_um + order.shift_um
        coarse = sweep_um(middle_um, order.range_um, order.step_um, limits)
        try:
            self._check_light(_plane(event, z_um, 0), order.frames)
            near_um = coarse_peak_um((yield from look(coarse)) if coarse else [])
            fine = sweep_um(near_um, order.step_um, order.step_um / _FINER, limits)
            found = peak((yield from look(fine)))
        except (NoPeak, LimitBroken, self._refusal) as e:
            sharpest_um = e.z_um if isinstance(e, NoPeak) else None
            if taken and not self._ended():
                self._bring(_there(event, z_um))
            why = e.what if isinstance(e, LimitBroken) else str(e)
            return Focused(None, why, sharpest_um, frames=frames)
        before = min(taken, key=lambda plane: abs(plane.z_um - z_um))
        was = None if math.isnan(before.sharpness) else before.sharpness
        return Focused(found.z_um, sharpness=(was, found.sharpness), frames=frames)


def _there(event: MDAEvent, z_um: float | None) -> MDAEvent:
    """Return the event that goes where another one is, and takes no image."""
    there = MDAEvent(
        x_pos=event.x_pos,
        y_pos=event.y_pos,
        z_pos=z_um,
        action=CustomAction(name=FOCUS),
    )
    return EventTag.of(event).on(there)


def _plane(event: MDAEvent, z_um: float, number: int) -> MDAEvent:
    """Return the event of one plane of a sweep, stored as the next of its image."""
    tag = EventTag.of(event)
    plane = MDAEvent(
        index={"t": number},
        x_pos=event.x_pos,
        y_pos=event.y_pos,
        z_pos=z_um,
        channel=event.channel,
        exposure=event.exposure,
    )
    return EventTag(
        place=tag.place,
        origin="focus",
        decision_id=tag.decision_id,
        image=tag.image,
        index=(number, 0, 0),
        power_percent=tag.power_percent,
    ).on(plane)
