"""What goes before the survey: bursts, visits of child series, properties."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import chain
from typing import Any

from useq import MDAEvent

from smartscope.acquisition import (
    Clock,
    EventQueue,
    EventTag,
    Limits,
    Origin,
    SlmMap,
    property_event,
    set_back_event,
)
from smartscope.response.actions import (
    AuditLook,
    Burst,
    EndSeries,
    MoveSeries,
    Series,
    SetProperty,
)
from smartscope.response.burst_plan import burst_times
from smartscope.response.child_series import ChildSeries
from smartscope.response.decision import OutcomeStatus
from smartscope.response.edits import EditRefused, edited
from smartscope.response.reactions import URGENT, Reaction, Reactions
from smartscope.response.stimulation import Stimulate
from smartscope.response.stimulation_plan import stimulation_events
from smartscope.response.tour import TourPlan
from smartscope.response.touring import Tours
from smartscope.response.visiting import Visit
from smartscope.telemetry import Telemetry


class UrgentOrders:
    """Turns bursts, series and properties into events, and follows them to the end.

    The planner calls it under its lock, which is handed over for what the queue asks
    later.

    Parameters
    ----------
    queue : EventQueue
        Where the events go.
    clock : Clock
        The run's clock.
    reactions : Reactions
        Where decisions get their outcomes.
    lock : threading.RLock
        The planner's.
    telemetry : Telemetry
        Times decisions until their event starts.
    merge : Callable
        Merges events into sequences the hardware can take.
    channel_group : str
        Group of the channel presets.
    declare : Callable
        Told of what takes several channels, planes or visits, and its image's name.
    power_of : Callable
        Asked for the power that the survey has at a place and channel; None: as it is.
    slm : SlmMap, optional
        The light modulator as it lies on the stage.

    Attributes
    ----------
    tours : Tours
        Hits that wait for a visit.
    z_um : dict
        The z that the survey last had at each place.
    """

    def __init__(
        self,
        queue: EventQueue,
        clock: Clock,
        reactions: Reactions,
        lock: threading.RLock,
        *,
        telemetry: Telemetry,
        merge: Callable[[Iterable[MDAEvent]], Iterator[MDAEvent]],
        channel_group: str,
        declare: Callable[[Burst | Series | Visit, str], None],
        power_of: Callable[[str, str | None], float | None],
        slm: SlmMap | None = None,
        tours: Mapping[str, TourPlan] | None = None,
    ) -> None:
        self._queue = queue
        self._clock = clock
        self._reactions = reactions
        self._lock = lock
        self._telemetry = telemetry
        self._merge = merge
        self._channel_group = channel_group
        self._declare = declare
        self._power_of = power_of
        self._slm = slm
        self.tours = Tours(
            queue,
            clock,
            reactions,
            plans=tours or {},
            merge=merge,
            channel_group=channel_group,
            declare=declare,
            power_of=power_of,
        )
        self._stimulations = itertools.count(1)
        self._left_out: dict[str, str] = {}
        self._settings: dict[str, list[str]] = {}
        self._bursts = itertools.count(1)
        self._audits = itertools.count(1)
        self._all_series = itertools.count(1)
        self._series: dict[str, ChildSeries] = {}
        self.z_um: dict[str, float] = {}

    def burst(self, reaction: Reaction, action: Burst) -> None:
        """Queue a burst, or a look of an audit."""
        decision = reaction.decision
        audit = isinstance(action, AuditLook)
        origin: Origin = "audit" if audit else "burst"
        number = next(self._audits if audit else self._bursts)
        image = f"{origin}_{number:04d}"
        if action.frames_each > 1:
            self._declare(action, image)
        start_s = self._clock.now_s()
        if isinstance(action, AuditLook):
            start_s += action.delay_s
        times = burst_times(
            action,
            decision.decision_id,
            image=image,
            origin=origin,
            z_um=self.z_um.get(action.place),
            channel_group=self._channel_group,
            power_of=self._power_of,
        )
        if action.interval_s:
            merged, due_s = [], []
            for i, events in enumerate(times):
                of_time = list(self._merge(events))
                merged += of_time
                due_s += [start_s + i * action.interval_s] * len(of_time)
        else:
            merged = list(self._merge(chain.from_iterable(times)))
            due_s = [start_s] * len(merged)
        reaction.events_left = len(merged)
        # a look at a field is never too old: it begins when it was drawn to
        is_open = partial(self._reactions.is_open, reaction.decision_id)
        admit = is_open if audit else partial(self._admit, reaction, reaction.edits)
        self._put_urgent(reaction, merged, admit, due_s)

    def stimulate(self, reaction: Reaction, action: Stimulate) -> None:
        """Queue the pulses of a stimulation."""
        decision_id = reaction.decision_id
        events, said = stimulation_events(
            action,
            decision_id,
            image=f"stimulation_{next(self._stimulations):04d}",
            slm=self._slm,
            z_um=self.z_um.get(action.place),
            channel_group=self._channel_group,
        )
        if not events:
            self._reactions.end(decision_id, "refused", said)
            return
        if said:
            self._left_out[decision_id] = f", {said}"
        start_s = self._clock.now_s()
        due_s = [start_s + i * action.interval_s for i in range(len(events))]
        reaction.events_left = len(events)
        admit = partial(self._admit, reaction, reaction.edits)
        self._put_urgent(reaction, events, admit, due_s)

    def series(self, reaction: Reaction, action: Series) -> None:
        """Begin a series: its first visit is due at once."""
        image = f"series_{next(self._all_series):04d}"
        self._declare(action, image)
        series = ChildSeries(
            reaction,
            action,
            image=image,
            z_um=self.z_um.get(action.place),
            start_s=self._clock.now_s(),
            channel_group=self._channel_group,
            power_of=self._power_of,
        )
        self._series[reaction.decision_id] = series
        self._put_visit(series, partial(self._admit, reaction, reaction.edits))

    def _put_visit(
        self, series: ChildSeries, admit: Callable[[], bool] | None = None
    ) -> None:
        """Put the next visit of a series; after its last one it is done."""
        reaction = series.reaction
        visit = series.next_visit(self._clock.now_s())
        if visit is None:
            self._end(series, "all were taken")
            return
        due_s, events = visit
        reaction.urgency = URGENT + reaction.decision.priority
        merged = list(self._merge(events))
        reaction.events_left = len(merged)
        is_open = partial(self._reactions.is_open, reaction.decision_id)
        self._put_urgent(reaction, merged, admit or is_open, [due_s] * len(merged))

    def set_property(self, reaction: Reaction, action: SetProperty) -> None:
        """Queue the setting of a property."""
        decision_id = reaction.decision_id
        tag = EventTag(place=action.place, decision_id=decision_id)
        event = property_event(
            tag,
            action.device,
            action.property,
            action.value,
            then="stay" if action.back_after_s is None else "back",
        )
        self._settings[decision_id] = []
        reaction.events_left = 1
        admit = partial(self._admit, reaction, reaction.edits)
        self._put_urgent(reaction, [event], admit)

    def focus(self, reaction: Reaction, event: MDAEvent) -> None:
        """Queue an event that looks for the focus, for the first time or again."""
        admit: Callable[[], bool]
        if reaction.begun:
            admit = partial(self._reactions.is_open, reaction.decision_id)
        else:
            admit = partial(self._admit, reaction, reaction.edits)
        self._put_urgent(reaction, [event], admit)

    def told(self, decision_id: str, what: str) -> None:
        """Learn what was done about a property, in words."""
        if decision_id in self._settings:
            self._settings[decision_id].append(what)

    def _has_set(self, reaction: Reaction, action: SetProperty) -> None:
        """A property was set, or set back: go on, or end."""
        said, decision_id = self._settings[reaction.decision_id], reaction.decision_id
        if action.back_after_s is not None and len(said) < 2:
            tag = EventTag(place=action.place, decision_id=decision_id)
            event = set_back_event(tag, action.device, action.property)
            due_s = self._clock.now_s() + action.back_after_s
            reaction.events_left = 1
            is_open = partial(self._reactions.is_open, decision_id)
            self._put_urgent(reaction, [event], is_open, [due_s])
            return
        del self._settings[decision_id]
        if action.back_after_s is not None:
            said.insert(1, f"after {action.back_after_s:g} s")
        self._reactions.end(decision_id, "done", ", ".join(said))

    def finish(self) -> None:
        """Properties that are set for a time are set back by the engine: say so."""
        self.tours.finish()
        for decision_id, said in list(self._settings.items()):
            if said:
                self._reactions.end(
                    decision_id, "done", f"{said[0]}, back at the end of the run"
                )
        self._settings.clear()

    def steer(self, decision_id: str, action: MoveSeries | EndSeries) -> None:
        """Move or end a series that is under way."""
        series = self._series.get(action.series)
        if series is None or not self._reactions.is_open(action.series):
            why = f"no series {action.series} is under way"
            self._reactions.end(decision_id, "refused", why)
            return
        if isinstance(action, MoveSeries):
            series.move(action)
            self._reactions.end(decision_id, "done", "from its next visit on")
            return
        self._end(series, action.why)
        self._reactions.end(decision_id, "done", "the series has ended")

    def edit(
        self, decision_id: str, changes: Mapping[str, Any], limits: Limits
    ) -> None:
        """Change a burst or series that has not begun.

        Raises
        ------
        EditRefused
            If it has begun, or may not be changed so.
        """
        reaction = self._reactions.get(decision_id)
        if reaction is None:
            raise EditRefused(f"no decision {decision_id} waits")
        action = edited(reaction.decision.granted, changes, limits)
        if reaction.begun:
            raise EditRefused(f"decision {decision_id} has begun")
        # the first last: as long as it waits, nothing else of it is taken; one that
        # waits for this lock now is not admitted
        for ticket in reversed(reaction.tickets):
            self._queue.withdraw(ticket)
        reaction.tickets.clear()
        reaction.edits += 1
        reaction.decision = reaction.decision.model_copy(update={"granted": action})
        if isinstance(action, Burst):
            self.burst(reaction, action)
        else:
            self.series(reaction, action)

    def _end(self, series: ChildSeries, why: str) -> None:
        left_out = f", {series.left_out} left out as late" if series.left_out else ""
        reaction = series.reaction
        self._series.pop(reaction.decision_id, None)
        self._reactions.end(
            reaction.decision_id,
            "done",
            f"{why}: {reaction.frames} frames of {series.visits} visits{left_out}",
        )

    def _put_urgent(
        self,
        reaction: Reaction,
        events: Sequence[MDAEvent],
        admit: Callable[[], bool],
        due_s: Sequence[float] | None = None,
    ) -> None:
        is_open = partial(self._reactions.is_open, reaction.decision_id)
        try:
            for i, event in enumerate(events):
                ticket = self._queue.put(
                    event,
                    urgency=reaction.urgency,
                    due_s=0.0 if due_s is None else due_s[i],
                    admit=is_open if i else admit,
                )
                reaction.tickets.append(ticket)
        except RuntimeError:  # the queue has closed: the survey ended just now
            self._reactions.end(reaction.decision_id, "stale", "the run has ended")

    def _admit(self, reaction: Reaction, edits: int) -> bool:
        """Whether a reaction may begin now: its first event has come to its turn."""
        decision = reaction.decision
        with self._lock:
            if edits != reaction.edits:
                return False
            if not self._reactions.is_open(decision.decision_id):
                return False
            if self._reactions.is_stale(decision):
                self._reactions.end(
                    decision.decision_id, "stale", "too old when its turn came"
                )
                self._series.pop(decision.decision_id, None)
                self._settings.pop(decision.decision_id, None)
                self._left_out.pop(decision.decision_id, None)
                return False
            reaction.begun = True
        waited_ms = (time.monotonic() - reaction.received_s) * 1e3
        self._telemetry.took("act", waited_ms)
        return True

    def requeue(self, decision_id: str, events: Sequence[MDAEvent]) -> None:
        """Queue again what an ended sequence of a reaction has not taken."""
        reaction = self._reactions.get(decision_id)
        if reaction is None:
            return
        merged = list(self._merge(events))
        reaction.events_left += len(merged)
        # what was begun goes on before what has not begun, of this reaction too
        reaction.urgency += 1
        self._put_urgent(
            reaction, merged, partial(self._reactions.is_open, decision_id)
        )

    def ran(self, decision_id: str, frames: int, refused: str | None) -> None:
        """One event of a reaction has run, or was refused."""
        if self.tours.ran(decision_id, frames, refused):
            return
        reaction = self._reactions.get(decision_id)
        if reaction is None:
            return
        reaction.frames += frames
        reaction.events_left -= 1
        if reaction.events_left > 0 and refused is None:
            return
        action = reaction.decision.granted
        if isinstance(action, SetProperty) and refused is None:
            self._has_set(reaction, action)
            return
        series = self._series.get(decision_id)
        if refused is not None:
            self._series.pop(decision_id, None)
            status: OutcomeStatus = "refused"
            said = self._settings.pop(decision_id, [])
            if said or (series is not None and reaction.frames):
                status = "failed"  # the rest of what was begun
            self._reactions.end(decision_id, status, refused)
        elif series is not None:
            self._put_visit(series)
        else:
            left_out = self._left_out.pop(decision_id, "")
            self._reactions.end(
                decision_id, "done", f"{reaction.frames} frames taken{left_out}"
            )

    def end_series(self, why: str) -> None:
        """End all series that are under way."""
        for series in list(self._series.values()):
            self._end(series, why)
