"""The planner: owns the survey and turns granted decisions into events.

It lives in the acquisition process, hands the queue the next event of the survey only,
so that interval, place and exposure can still change, and says of each decision what
became of it.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from useq import MDAEvent, MDASequence

from smartscope.acquisition import Clock, EventQueue, EventTag, parts
from smartscope.response.actions import (
    Action,
    Burst,
    MoveStage,
    SetExposure,
    SetInterval,
)
from smartscope.response.decision import Decision, Outcome, OutcomeStatus
from smartscope.response.reactions import URGENT, Reaction, Reactions
from smartscope.response.survey import Planned, Survey
from smartscope.response.visits import Visits
from smartscope.telemetry import Telemetry

_LONGEST_SEQUENCE = 1000


@dataclass(frozen=True)
class _Visit:
    """An event of the survey in the queue or with the runner.

    ``decisions`` are those whose changes it was planned with.
    """

    ticket: int
    planned: list[Planned]
    decisions: list[str]


class Planner:
    """Feeds the event queue from the survey and from granted decisions.

    Parameters
    ----------
    sequence : useq.MDASequence
        The survey.
    clock : Clock
        The run's clock.
    outcome : Callable
        Told the outcome of each decision that was handed to ``act``.
    telemetry : Telemetry
        Counts requeued events, times decisions until their event starts.
    merge : Callable
        Merges events into sequences the hardware can take.
    merge_survey : bool
        False: only bursts are merged (``synchronized``: no sequence runs across a
        decision).
    gate : Callable
        Called before each event of the survey; returns when it may run
        (``synchronized``: when the decision is there).
    settle : Callable
        Called at the end of the survey; returns when no more decisions will come.
    time_scale : float
        Clock seconds in a second of wall time; ages are in wall time.
    max_age_ms : float
        Age at which a decision is stale that states none itself.
    channel_group : str
        Group of the channel presets.
    """

    def __init__(
        self,
        sequence: MDASequence,
        clock: Clock,
        *,
        outcome: Callable[[Outcome], None],
        telemetry: Telemetry,
        merge: Callable[[Iterable[MDAEvent]], Iterator[MDAEvent]] = iter,
        merge_survey: bool = True,
        gate: Callable[[], None] = lambda: None,
        settle: Callable[[], None] = lambda: None,
        time_scale: float = 1.0,
        max_age_ms: float = 5000.0,
        channel_group: str = "Channel",
    ) -> None:
        self._clock = clock
        self._survey = Survey(sequence, clock.now_s())
        self.queue = EventQueue(clock, self._refill)
        self._reactions = Reactions(
            clock, outcome, time_scale=time_scale, max_age_ms=max_age_ms
        )
        self._visits = Visits(self._reactions)
        self._telemetry = telemetry
        self._merge = merge
        self._merge_survey = merge_survey
        self._yields = False
        self._gate = gate
        self._settle = settle
        self._channel_group = channel_group
        self._lock = threading.RLock()
        self._z_um: dict[str, float] = {}
        self._bursts = itertools.count(1)
        self._out: _Visit | None = None
        self._running: list[Planned] = []
        self._finished = False

    # ---------------------------------------------------------------- the survey

    def _refill(self) -> bool:
        """Put the next event of the survey; False when nothing will come any more."""
        with self._lock:
            if self._finished:
                return False
            if self._out is not None:
                return True
        self._gate()
        with self._lock:
            if self._put_next():
                return True
        self._settle()
        with self._lock:
            return len(self.queue) > 0

    def _put_next(self) -> bool:
        now_s = self._clock.now_s()
        first = None if self._finished else self._survey.pop(now_s)
        if first is None:
            return False
        planned = [first]
        event = self._applied(first)
        if self._merge_survey and first.due_s <= now_s:
            event = next(self._merge(self._run_of(planned, now_s)))
            n = len(parts(event))
            self._survey.put_back(planned[n:])
            planned = planned[:n]
        decisions = self._visits.waiting_for(first.place, first.event)
        ticket = self.queue.put(event, due_s=first.due_s, admit=self._taken)
        self._out = _Visit(ticket, planned, decisions)
        return True

    def _run_of(self, planned: list[Planned], now_s: float) -> Iterator[MDAEvent]:
        """Pop what may run in one go, as far as it is asked for, into ``planned``."""
        first = planned[0]
        yield self._applied(first)
        while len(planned) < _LONGEST_SEQUENCE:
            more = self._survey.pop_with(first, now_s)
            if more is None:
                return
            planned.append(more)
            yield self._applied(more)

    def _applied(self, planned: Planned) -> MDAEvent:
        """Return the event with what decisions have changed, tagged."""
        event, place = planned.event, planned.place
        index = {**event.index, "t": planned.round} if event.index else event.index
        tag = EventTag(
            place=place,
            image=f"survey_{place}",
            index=(planned.round, index.get("c", 0), index.get("z", 0)),
        )
        update: dict[str, object] = {
            "index": index,
            "min_start_time": None,
            "reset_event_timer": False,
            "metadata": {**event.metadata, **tag.values()},
        }
        return event.model_copy(
            update={**update, **self._visits.of_event(place, event)}
        )

    def _taken(self) -> bool:
        """The runner takes the event of the survey: what it applies is now done."""
        with self._lock:
            visit, self._out = self._out, None
            if visit is None or self._finished:
                return False
            first = visit.planned[0]
            # decided since it was planned: it ends at once and is planned anew
            waiting = self._visits.waiting_for(first.place, first.event)
            self._yields = waiting != visit.decisions
            self._running = visit.planned
            place = first.place
            if (z_um := visit.planned[-1].event.z_pos) is not None:
                self._z_um[place] = z_um
            self._visits.applied(place, visit.decisions)
        return True

    def yields(self) -> bool:
        """Whether a running sequence of the survey shall end.

        It shall if it was planned before a decision that changes it, or if a burst is
        due.
        """
        return self._yields or self.queue.is_due(URGENT)

    def interrupted(self, events: Sequence[MDAEvent]) -> None:
        """Queue again what an ended sequence has not taken."""
        with self._lock:
            if self._finished:
                return
            self._telemetry.count("sequences_interrupted")
            self._telemetry.count("events_requeued", len(events))
            tag = EventTag.of(events[0])
            if tag.origin == "survey":
                self._take_back()
                # as planned, so that changes made meanwhile apply to the rest
                self._survey.put_back(self._running[-len(events) :])
                return
            reaction = self._reactions.get(tag.decision_id)
            if reaction is None:
                return
            merged = list(self._merge(events))
            reaction.events_left += len(merged)
            # what was begun goes on before what has not begun, of this burst too
            reaction.urgency += 1
            self._put_urgent(
                reaction, merged, partial(self._reactions.is_open, reaction.decision_id)
            )

    def _take_back(self) -> None:
        """Take the survey's waiting event back, to plan it anew."""
        if self._out is None:
            return
        if self.queue.withdraw(self._out.ticket):
            self._survey.put_back(self._out.planned)
            self._out = None

    # ---------------------------------------------------------------- decisions

    def act(self, decision: Decision) -> None:
        """Turn a granted decision into events or changes of the survey."""
        action = decision.granted
        if action is None:
            return
        with self._lock:
            if self._finished:
                self._reactions.say(decision.decision_id, "stale", "the run has ended")
                return
            reaction = self._reactions.begin(decision)
            if isinstance(action, Burst):
                self._put_burst(reaction, action)
                return
            self._change(decision, action)
        self.queue.wake()

    def _change(self, decision: Decision, action: Action) -> None:
        decision_id = decision.decision_id
        if self._reactions.is_stale(decision):
            self._reactions.end(decision_id, "stale", "too old when it arrived")
            return
        if isinstance(action, SetInterval):
            self._take_back()
            if self._survey.set_interval(action.interval_s):
                self._survey.replan()
                self._reactions.end(decision_id, "done", "from the next round on")
            else:
                self._reactions.end(
                    decision_id,
                    "refused",
                    "the survey has no rounds: time is not its outermost axis",
                )
            return
        if not isinstance(action, MoveStage | SetExposure):
            self._reactions.end(decision_id, "refused", "no part of a survey")
            return
        self._visits.change(decision_id, action)
        self._take_back()
        if self._running and self._running[0].place == action.place:
            # a sequence that runs was planned without the change
            self._yields = True

    def _put_burst(self, reaction: Reaction, action: Burst) -> None:
        decision = reaction.decision
        number = next(self._bursts)
        channel = action.channel
        z_um = self._z_um.get(action.place)
        events = []
        for i in range(action.frames):
            event = MDAEvent(
                index={"t": i},
                x_pos=action.x_um,
                y_pos=action.y_um,
                z_pos=z_um,
                exposure=action.exposure_ms,
                channel=(
                    {"config": channel, "group": self._channel_group}
                    if channel
                    else None
                ),
            )
            tag = EventTag(
                place=action.place,
                origin="burst",
                decision_id=decision.decision_id,
                image=f"burst_{number:04d}",
                index=(i, 0, 0),
            )
            events.append(tag.on(event))
        start_s = self._clock.now_s()
        merged = events if action.interval_s else list(self._merge(events))
        reaction.events_left = len(merged)
        due_s = [start_s + i * action.interval_s for i in range(len(merged))]
        self._put_urgent(reaction, merged, lambda: self._admit(reaction), due_s)

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
                self.queue.put(
                    event,
                    urgency=reaction.urgency,
                    due_s=0.0 if due_s is None else due_s[i],
                    admit=is_open if i else admit,
                )
        except RuntimeError:  # the queue has closed: the survey ended just now
            self._reactions.end(reaction.decision_id, "stale", "the run has ended")

    def _admit(self, reaction: Reaction) -> bool:
        """Whether a reaction may begin now: its first event has come to its turn."""
        decision = reaction.decision
        with self._lock:
            if not self._reactions.is_open(decision.decision_id):
                return False
            if self._reactions.is_stale(decision):
                self._reactions.end(
                    decision.decision_id, "stale", "too old when its turn came"
                )
                return False
        waited_ms = (time.monotonic() - reaction.received_s) * 1e3
        self._telemetry.took("act", waited_ms)
        return True

    # ---------------------------------------------------------------- outcomes

    def done(self, event: MDAEvent, frames: int) -> None:
        """An event has run; called by the engine."""
        self._ran(event, frames, None)

    def refused(self, event: MDAEvent, why: str) -> None:
        """An event was refused; called by the engine."""
        self._ran(event, 0, why)

    def _ran(self, event: MDAEvent, frames: int, refused: str | None) -> None:
        decision_id = EventTag.of(parts(event)[0]).decision_id
        with self._lock:
            reaction = self._reactions.get(decision_id)
            if not decision_id or reaction is None:
                return
            reaction.frames += frames
            reaction.events_left -= 1
            if reaction.events_left > 0 and refused is None:
                return
            if refused is not None:
                self._reactions.end(decision_id, "refused", refused)
            else:
                self._reactions.end(
                    decision_id, "done", f"{reaction.frames} frames taken"
                )

    # ---------------------------------------------------------------- the end

    def fall_back(self) -> None:
        """Survey as at the start again: no changed place, exposure or interval."""
        with self._lock:
            self._take_back()
            self._visits.clear()
            self._survey.clear_interval()
            self._survey.replan()
            self._yields = True
        self.queue.wake()

    def finish(self) -> None:
        """Say of every decision still on its way that it is stale."""
        with self._lock:
            self._finished = True
            for reaction in self._reactions:
                status: OutcomeStatus = "failed" if reaction.frames else "stale"
                self._reactions.end(reaction.decision_id, status, "the run ended first")
