"""The planner: owns the survey and turns granted decisions into events.

It lives in the acquisition process, hands the queue the next event of the survey only,
so that interval, place and exposure can still change, and says of each decision what
became of it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from useq import MDAEvent, MDASequence

from smartscope.acquisition import Clock, EventQueue, EventTag, parts
from smartscope.response.actions import (
    Action,
    Bookmark,
    Burst,
    EndSeries,
    EndSurvey,
    KeepFrames,
    MoveSeries,
    MoveStage,
    Notify,
    Pause,
    Series,
    SetExposure,
    SetInterval,
    SetPower,
    SetProperty,
)
from smartscope.response.decision import Decision, Outcome, OutcomeStatus
from smartscope.response.reactions import URGENT, Reactions
from smartscope.response.survey import Planned, Survey
from smartscope.response.urgent import UrgentOrders
from smartscope.response.visits import Visits
from smartscope.telemetry import Telemetry

_LONGEST_SEQUENCE = 1000
_BEFORE_ALL = 1_000_000  # urgency of a visit that has waited too long


def _keeps_none(frame_id: int, action: KeepFrames) -> tuple[OutcomeStatus, str]:
    return "refused", "nothing waits for a hit"


@dataclass(frozen=True)
class _Visit:
    """An event of the survey in the queue or with the runner.

    ``decisions`` are those whose changes it was planned with; ``first``: it has waited
    so long that it goes before bursts and series.
    """

    ticket: int
    event: MDAEvent
    due_s: float
    planned: list[Planned]
    decisions: list[str]
    first: bool = False


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
    declare : Callable
        Told of a series that begins, and the name of its image, before its frames.
    notify : Callable
        Takes a message that was granted; ``notified`` is told what became of it.
    keep : Callable
        Stores the frames about the frame of that id; returns status and reason.
    longest_wait_s : float, optional
        A visit of the survey that is due waits at most so long for bursts and series,
        and for the one that runs then; default: as long as they take.
    dark : collection of str
        Places that only the survey's last round shows.
    has_power : bool
        The microscope can set the power of its light.

    Attributes
    ----------
    ended_by : str
        Who ended the survey before its plan, and why; ``""`` if nobody did.
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
        declare: Callable[[Series, str], None] = lambda series, image: None,
        notify: Callable[[Decision, Notify], None] = lambda decision, action: None,
        keep: Callable[[int, KeepFrames], tuple[OutcomeStatus, str]] = _keeps_none,
        longest_wait_s: float | None = None,
        dark: Collection[str] = (),
        has_power: bool = True,
    ) -> None:
        self._clock = clock
        self._has_power = has_power
        self._survey = Survey(sequence, clock.now_s(), dark)
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
        self._lock = threading.RLock()
        self._urgent = UrgentOrders(
            self.queue,
            clock,
            self._reactions,
            self._lock,
            telemetry=telemetry,
            merge=merge,
            channel_group=channel_group,
            declare=declare,
            power_of=self._visits.lit_percent,
        )
        self._notify = notify
        self._keep = keep
        self._longest_wait_s = longest_wait_s
        self._paused_until_s = 0.0
        self.ended_by = ""
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
                self._hurry(self._out)
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
        due_s = max(first.due_s, self._paused_until_s)
        if self._merge_survey and due_s <= now_s:
            event = next(self._merge(self._run_of(planned, now_s)))
            n = len(parts(event))
            self._survey.put_back(planned[n:])
            planned = planned[:n]
        decisions = self._visits.waiting_for(first.place, first.event)
        ticket = self.queue.put(event, due_s=due_s, admit=self._taken)
        self._out = _Visit(ticket, event, due_s, planned, decisions)
        return True

    def _hurry(self, visit: _Visit) -> None:
        """Let a visit that has waited too long go before bursts and series."""
        most_s = self._longest_wait_s
        if most_s is None or visit.first or self._clock.now_s() - visit.due_s <= most_s:
            return
        if self.queue.withdraw(visit.ticket):
            ticket = self.queue.put(
                visit.event, urgency=_BEFORE_ALL, due_s=visit.due_s, admit=self._taken
            )
            self._out = replace(visit, ticket=ticket, first=True)
            self._telemetry.count("visits_hurried")

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
            power_percent=self._visits.power_percent(
                place, event.channel.config if event.channel is not None else None
            )
            or EventTag.of(event).power_percent,
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
                self._urgent.z_um[place] = z_um
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
            self._urgent.requeue(tag.decision_id, events)

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
            match action:
                case Burst():
                    self._urgent.burst(reaction, action)
                case Series():
                    self._urgent.series(reaction, action)
                case SetProperty():
                    self._urgent.set_property(reaction, action)
                case MoveSeries() | EndSeries():
                    self._urgent.steer(decision.decision_id, action)
                case Bookmark():
                    self._reactions.end(decision.decision_id, "done", "noted")
                case Notify():
                    self._notify(decision, action)
                case KeepFrames():
                    # never stale: what has gone from memory is told
                    kept = self._keep(decision.frame_id, action)
                    self._reactions.end(decision.decision_id, *kept)
                case _:
                    self._change(decision, action)
        self.queue.wake()

    def _change(self, decision: Decision, action: Action) -> None:
        decision_id = decision.decision_id
        if self._reactions.is_stale(decision):
            self._reactions.end(decision_id, "stale", "too old when it arrived")
            return
        if isinstance(action, EndSurvey):
            self._take_back()
            self._survey.end(self._clock.now_s())
            self.ended_by = f"{decision.policy}: {action.why}"
            self._yields = True
            self._reactions.end(decision_id, "done", "the survey ends here")
            return
        if isinstance(action, Pause):
            self._take_back()
            until_s = self._clock.now_s() + action.for_s
            self._paused_until_s = max(self._paused_until_s, until_s)
            self._yields = True
            self._reactions.end(decision_id, "done", "the survey is held")
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
        if isinstance(action, SetPower) and not self._has_power:
            why = "the microscope's file names no power_property of the light"
            self._reactions.end(decision_id, "refused", why)
            return
        if not isinstance(action, MoveStage | SetExposure | SetPower):
            self._reactions.end(decision_id, "refused", "no part of a survey")
            return
        self._visits.change(decision_id, action)
        self._take_back()
        if self._running and self._running[0].place == action.place:
            # a sequence that runs was planned without the change
            self._yields = True

    # ---------------------------------------------------------------- outcomes

    def declined(self, decision_id: str, why: str) -> None:
        """A granted decision was not approved, and will not be done."""
        with self._lock:
            self._reactions.say(decision_id, "refused", why)

    def notified(self, decision_id: str, status: OutcomeStatus, reason: str) -> None:
        """A message was handed over, or was not."""
        with self._lock:
            self._reactions.end(decision_id, status, reason)

    def done(self, event: MDAEvent, frames: int) -> None:
        """An event has run; called by the engine."""
        self._ran(event, frames, None)

    def refused(self, event: MDAEvent, why: str) -> None:
        """An event was refused; called by the engine."""
        self._ran(event, 0, why)

    def told(self, event: MDAEvent, what: str) -> None:
        """A property was set, or set back; called by the engine."""
        with self._lock:
            self._urgent.told(EventTag.of(event).decision_id, what)

    def _ran(self, event: MDAEvent, frames: int, refused: str | None) -> None:
        decision_id = EventTag.of(parts(event)[0]).decision_id
        with self._lock:
            self._urgent.ran(decision_id, frames, refused)

    # ---------------------------------------------------------------- the end

    def fall_back(self) -> None:
        """Survey as at the start again: no changed place, exposure or interval."""
        with self._lock:
            self._take_back()
            self._visits.clear()
            self._urgent.end_series("the survey fell back")
            self._paused_until_s = 0.0
            self._survey.clear_interval()
            self._survey.replan()
            self._yields = True
        self.queue.wake()

    def finish(self) -> None:
        """Say of every decision still on its way that it is stale."""
        with self._lock:
            self._finished = True
            self._urgent.finish()
            for reaction in self._reactions:
                status: OutcomeStatus = "failed" if reaction.frames else "stale"
                self._reactions.end(reaction.decision_id, status, "the run ended first")
