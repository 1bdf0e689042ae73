"""When the focus of a place is looked for, and what its result changes.

It alone knows the corrections, by place. Everything else plans with the survey's z; the
queue adds the correction of its place to each event as it hands it out. A failure is a
decision: look again, take over a neighbour's correction, or keep what was, in the order
of the settings.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from useq import CustomAction, HardwareAutofocus, MDAEvent, MDASequence

from smartscope.acquisition import (
    Clock,
    EventTag,
    Focused,
    FocusOrder,
    Limits,
    SequencedEvent,
    focus_event,
    is_focus_event,
)
from smartscope.response.actions import MoveStage, Refocus, SetExposure, SetPower
from smartscope.response.decision import OutcomeStatus
from smartscope.response.focus_settings import FocusHow, FocusSettings, Rung
from smartscope.response.neighbours import Neighbours
from smartscope.response.reactions import Reaction, Reactions
from smartscope.response.survey import Planned
from smartscope.response.visits import Visits

Told = Callable[[dict[str, Any]], None]
Again = tuple[Reaction, MDAEvent]


@dataclass(slots=True)
class _Search:
    """A place's focus that is being looked for, until it is found or given up."""

    place: str
    by: str
    how: FocusHow
    where: MDAEvent
    order: FocusOrder
    power_percent: float | None
    rungs: list[Rung]
    reaction: Reaction | None = None
    retried: int = 0
    frames: int = 0
    said: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Stack:
    """Lowest, middle and highest z that the plan has at a place, µm."""

    low_um: float
    middle_um: float
    high_um: float


class FocusOrders:
    """Orders the focus of places, and keeps what was found.

    The planner calls it under its lock; ``corrected`` alone is called by the queue.

    Parameters
    ----------
    settings : FocusSettings or None
        Of the survey; None: only what useq's plan or reactions ask for.
    sequence : useq.MDASequence
        The survey: its planes.
    active : bool
        Whether the focus is looked for at all; else no event is touched.
    home_um : float or None
        Where the focus is at the start, for a survey that names no z.
    limits : Limits
        No correction takes a plane of the survey out of ``z_um``.
    channel_group : str
        Group of the channel presets.
    told : Callable
        Takes the record of each result, and of what was decided on it.
    """

    def __init__(
        self,
        settings: FocusSettings | None = None,
        sequence: MDASequence | None = None,
        *,
        active: bool = False,
        home_um: float | None = None,
        limits: Limits | None = None,
        channel_group: str = "Channel",
        told: Told = lambda record: None,
    ) -> None:
        self._settings = settings
        self._sequence = sequence
        self._active = active
        self._home_um = home_um
        self._limits = limits or Limits()
        self._group = channel_group
        self._told = told
        self._numbers = itertools.count(1)
        self._corrections: dict[str, float] = {}
        self._neighbours = Neighbours()
        self._stacks: dict[str, _Stack] = {}
        self._last_round: dict[str, int] = {}
        self._searches: dict[str, _Search] = {}

    def join(self, clock: Clock, reactions: Reactions, visits: Visits) -> None:
        """Learn who else plans.

        Parameters
        ----------
        clock : Clock
            The run's clock.
        reactions : Reactions
            Where decisions get their outcomes.
        visits : Visits
            Asked for the z that a decision has set for a place, and for its light.
        """
        self._clock = clock
        self._reactions = reactions
        self._visits = visits

    # ---------------------------------------------------------------- corrections

    def corrected(self, event: MDAEvent) -> MDAEvent:
        """Return an event with the correction of its place; sequences too.

        An event that has one already gets the present one instead.
        """
        if not self._active or _sets_property(event):
            return event
        if not isinstance(event, SequencedEvent):
            return self._shifted(event)
        events = tuple(self._shifted(sub) for sub in event.events)
        if all(new is old for new, old in zip(events, event.events, strict=True)):
            return event
        z_um = [sub.z_pos for sub in events]
        changed: dict[str, Any] = {"events": events, "z_pos": z_um[0]}
        if event.z_sequence:
            changed["z_sequence"] = tuple(z_um)
        return event.model_copy(update=changed)

    def _shifted(self, event: MDAEvent) -> MDAEvent:
        tag = EventTag.of(event)
        correction = self._corrections.get(tag.place)
        base_um = self._home_um if event.z_pos is None else event.z_pos
        if base_um is None or (event.z_pos is not None and correction == tag.focus_um):
            return event
        z_um = base_um - (tag.focus_um or 0.0) + (correction or 0.0)
        moved = event.model_copy(update={"z_pos": z_um})
        return replace(tag, focus_um=correction or 0.0).on(moved)

    def as_planned(
        self, action: MoveStage | SetExposure | SetPower
    ) -> MoveStage | SetExposure | SetPower:
        """Return a move in z, which was decided from a corrected one, without it."""
        if not isinstance(action, MoveStage) or action.z_um is None:
            return action
        z_um = action.z_um - self._corrections.get(action.place, 0.0)
        return action.model_copy(update={"z_um": z_um})

    # ---------------------------------------------------------------- the survey

    def is_due(self, planned: Planned) -> bool:
        """Whether a place's focus is to be looked for before this event, or by it."""
        if not self._active:
            return False
        self._stacks[planned.place] = self._stack(planned.event)
        if isinstance(planned.event.action, HardwareAutofocus):
            return True
        if planned.place in self._searches:
            return True
        if self._settings is None:
            return False
        last = self._last_round.get(planned.place)
        return last is None or planned.round - last >= self._settings.rounds

    def before(self, planned: Planned, applied: MDAEvent) -> MDAEvent:
        """Return the event that looks for the focus of the place of a visit.

        Parameters
        ----------
        planned : Planned
            An event of the survey, for which ``is_due`` is true.
        applied : useq.MDAEvent
            The same with what decisions have changed.
        """
        place = planned.place
        search = self._searches.get(place)
        if search is None:
            search = self._search(planned, applied)
        return self._event(search)

    def begun(self, planned: Planned, event: MDAEvent) -> list[Planned]:
        """The runner takes such an event: returns what of the survey is still to come.

        An event of useq's plan is done by it; a visit follows.
        """
        place = planned.place
        if place not in self._searches:
            self._searches[place] = self._search(planned, event)
        self._last_round[place] = planned.round
        return [] if isinstance(planned.event.action, HardwareAutofocus) else [planned]

    def _search(self, planned: Planned, applied: MDAEvent) -> _Search:
        how: FocusHow = self._settings or FocusHow()
        order, by = how.order, "survey"
        if isinstance(action := planned.event.action, HardwareAutofocus):
            by = "autofocus_plan"
            order = FocusOrder(
                "hardware",
                device=action.autofocus_device_name or "",
                device_offset_um=action.autofocus_motor_offset,
            )
        channel = applied.channel.config if applied.channel is not None else None
        return _Search(
            planned.place,
            by,
            how,
            self._where(
                planned.place,
                (applied.x_pos, applied.y_pos),
                how.channel or channel,
                how.exposure_ms or applied.exposure,
            ),
            order,
            EventTag.of(applied).power_percent,
            list(how.on_failure),
        )

    def _where(
        self,
        place: str,
        xy_um: tuple[float | None, float | None],
        channel: str | None,
        exposure_ms: float | None,
    ) -> MDAEvent:
        stack = self._stacks.get(place)
        planned_um = self._home_um if stack is None else stack.middle_um
        moved_um = self._visits.middle_um(place)
        return MDAEvent(
            x_pos=xy_um[0],
            y_pos=xy_um[1],
            z_pos=planned_um if moved_um is None else moved_um,
            channel={"config": channel, "group": self._group} if channel else None,
            exposure=exposure_ms,
        )

    def _stack(self, event: MDAEvent) -> _Stack:
        """Return the planes that the plan has at the place of one of its events."""
        z_um = self._home_um if event.z_pos is None else event.z_pos
        z_um = z_um or 0.0
        plan = None if self._sequence is None else self._sequence.z_plan
        if self._sequence is not None and "p" in event.index:
            below = self._sequence.stage_positions[event.index["p"]].sequence
            if below is not None and below.z_plan is not None:
                plan = below.z_plan
        if plan is None or "z" not in event.index:
            return _Stack(z_um, z_um, z_um)
        planes = list(plan)
        low, high = min(planes), max(planes)
        first_um = z_um
        if not (plan.is_relative and isinstance(event.action, HardwareAutofocus)):
            first_um -= planes[event.index["z"]]  # useq has done so for the other
        return _Stack(first_um + low, first_um + (low + high) / 2, first_um + high)

    # ---------------------------------------------------------------- reactions

    def of_reaction(self, reaction: Reaction, action: Refocus) -> MDAEvent:
        """Return the event that looks for the focus because a policy wished it."""
        search = _Search(
            action.place,
            reaction.decision_id,
            action.how,
            self._where(
                action.place,
                (action.x_um, action.y_um),
                action.channel,
                action.exposure_ms,
            ),
            action.how.order,
            self._visits.lit_percent(action.place, action.channel),
            list(action.how.on_failure),
            reaction,
        )
        # one that has had its outcome without being run is forgotten
        self._searches = {
            key: other
            for key, other in self._searches.items()
            if other.reaction is None or self._reactions.is_open(key)
        }
        self._searches[reaction.decision_id] = search
        return self._event(search)

    def _event(self, search: _Search) -> MDAEvent:
        tag = EventTag(
            place=search.place,
            origin="focus",
            decision_id="" if search.reaction is None else search.by,
            image=f"focus_{next(self._numbers):04d}",
            power_percent=search.power_percent,
        )
        return focus_event(tag, search.order, search.where)

    # ---------------------------------------------------------------- results

    def take(self, event: MDAEvent, found: Focused) -> Again | None:
        """Learn what came of an event; returns what a reaction orders anew, or None.

        Parameters
        ----------
        event : useq.MDAEvent
            As the engine got it, with its correction.
        found : Focused
            What came of it.
        """
        tag = EventTag.of(event)
        search = self._searches.get(tag.decision_id or tag.place)
        if search is None:
            return None
        search.frames += found.frames
        if search.reaction is not None:
            search.reaction.frames += found.frames
        why = found.why
        if found.z_um is not None:
            planned_um = (event.z_pos or 0.0) - (tag.focus_um or 0.0)
            why = self._set(search, round(found.z_um - planned_um, 4))
            if not why:
                self._neighbours.add(search.place, search.where, self._now(search))
                self._end(search, event, found, "done", "", _moved(event, found))
                return None
        search.said.append(why)
        return self._failed(search, event, found)

    def _now(self, search: _Search) -> float:
        return self._corrections.get(search.place, 0.0)

    def _set(self, search: _Search, correction_um: float) -> str:
        """Correct the focus of a place; returns why it may not be, or ``""``."""
        stack = self._stacks.get(search.place)
        if stack is not None:
            moved_um = self._visits.middle_um(search.place)
            shift_um = 0.0 if moved_um is None else moved_um - stack.middle_um
            for plane_um in (stack.low_um, stack.high_um):
                z_um = plane_um + shift_um + correction_um
                if self._limits.clip("z_um", z_um) != z_um:
                    return (
                        f"with a correction of {correction_um:+.2f} µm the survey "
                        f"would go to z {z_um:.2f} µm, out of limits.z_um"
                    )
        self._corrections[search.place] = correction_um
        return ""

    def _failed(self, search: _Search, event: MDAEvent, found: Focused) -> Again | None:
        """Decide what is done now, by the next step of the settings that can be."""
        while search.rungs:
            rung = search.rungs[0]
            if rung == "retry":
                if search.retried < search.how.retries:
                    search.retried += 1
                    return self._retry(search, event, found)
                search.rungs.pop(0)
                continue
            search.rungs.pop(0)
            if rung == "neighbour":
                told = self._as_neighbours(search)
                if told:
                    self._end(search, event, found, "failed", "neighbour", told)
                    return None
            else:
                break
        self._end(search, event, found, "failed", "skip", "the z of before is kept")
        return None

    def _retry(self, search: _Search, event: MDAEvent, found: Focused) -> Again | None:
        if found.sharpest_um is not None:
            # the middle of the next sweep is where this one was sharpest
            shift_um = found.sharpest_um - (event.z_pos or 0.0)
            search.order = FocusOrder("image", search.how.range_um,
                                      search.how.step_um, shift_um)  # fmt: skip
        again = f"looked for again, {search.retried} of {search.how.retries}"
        self._record(search, event, found, "failed", "retry", search.said[-1], again)
        if search.reaction is None:
            return None  # before the place's next event, which is the next one
        return search.reaction, self._event(search)

    def _as_neighbours(self, search: _Search) -> str:
        """Take over the correction of neighbours; returns how, ``""`` without any."""
        taken = self._neighbours.correction(search.place, search.where, search.how)
        if taken is None:
            search.said.append("no neighbour has been focused")
            return ""
        correction_um, whose = taken
        if why := self._set(search, correction_um):
            search.said.append(f"as {whose}: {why}")
            return ""
        return f"now {whose}: {correction_um:+.2f} µm"

    def _end(
        self,
        search: _Search,
        event: MDAEvent,
        found: Focused,
        status: OutcomeStatus,
        decided: str,
        told: str,
    ) -> None:
        key = search.place if search.reaction is None else search.by
        del self._searches[key]
        why = "; ".join(dict.fromkeys(search.said)) if status == "failed" else ""
        self._record(search, event, found, status, decided, why, told)
        if search.reaction is not None:
            tries = f" after {search.retried + 1} tries" if search.retried else ""
            reason = f"{why}{tries}: {told}" if why else f"{told}{tries}"
            self._reactions.end(search.by, status, reason)

    def _record(
        self,
        search: _Search,
        event: MDAEvent,
        found: Focused,
        status: OutcomeStatus,
        decided: str,
        why: str,
        told: str,
    ) -> None:
        before, after = found.sharpness
        self._told(
            {
                "place": search.place,
                "time_s": self._clock.now_s(),
                "by": search.by,
                "method": search.order.method,
                "status": status,
                "decided": decided,
                "why": why,
                "told": told,
                "x_um": event.x_pos,
                "y_um": event.y_pos,
                "from_um": event.z_pos,
                "z_um": found.z_um,
                "correction_um": self._now(search),
                "sharpness": [before, after],
                "frames": found.frames,
                "image": EventTag.of(event).image if found.frames else "",
            }
        )


def _sets_property(event: MDAEvent) -> bool:
    return isinstance(event.action, CustomAction) and not is_focus_event(event)


def _moved(event: MDAEvent, found: Focused) -> str:
    assert found.z_um is not None
    before, after = found.sharpness
    by_um = found.z_um - (event.z_pos or 0.0)
    told = f"moved by {by_um:+.2f} µm to z {found.z_um:.2f} µm"
    if after is None:
        return f"{told} by the autofocus"
    was = "none" if before is None else f"{before:.3g}"
    return f"{told}, sharpness {was} to {after:.3g}, {found.frames} frames"
