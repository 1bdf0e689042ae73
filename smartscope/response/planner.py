"""The planner: owns the survey and turns granted decisions into events.

It lives in the acquisition process, hands the queue the next event of the survey only,
so that interval, place and exposure can still change, and says of each decision what
became of it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from useq import MDAEvent, MDASequence

from smartscope.acquisition import (
    Clock,
    EventQueue,
    EventTag,
    Focused,
    Limits,
    SlmMap,
    is_focus_event,
    parts,
)
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
    Refocus,
    Series,
    SetExposure,
    SetInterval,
    SetPower,
    SetProperty,
)
from smartscope.response.decision import Decision, Outcome, OutcomeStatus
from smartscope.response.focus_orders import FocusOrders
from smartscope.response.patience import Patience
from smartscope.response.reactions import URGENT, Reactions
from smartscope.response.stimulation import Stimulate
from smartscope.response.survey import Planned, Survey
from smartscope.response.tour import TourPlan
from smartscope.response.urgent import UrgentOrders
from smartscope.response.visiting import Visit
from smartscope.response.visits import Visits
from smartscope.response.waiting_visit import WaitingVisit
from smartscope.telemetry import Telemetry

_LONGEST_SEQUENCE = 1000
_BEFORE_ALL = 1_000_000  # urgency of a visit that has waited too long


def _keeps_none(frame_id: int, action: KeepFrames) -> tuple[OutcomeStatus, str]:
    return "refused", "nothing waits for a hit"


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
        Told of what takes several channels, planes or visits, and the name of its
        image, before its frames.
    notify : Callable
        Takes a message that was granted; ``notified`` is told what became of it.
    keep : Callable
        Stores the frames about the frame of that id; returns status and reason.
    longest_wait_s : float, optional
        The visits of a round that are due wait together at most so long for bursts
        and series, and for the one that runs then; default: as long as they take.
    dark : collection of str
        Places that only the survey's last round shows.
    has_power : bool
        The microscope can set the power of its light.
    tours : Mapping, optional
        By the name of a policy that visits, how its tours are.
    slm : SlmMap, optional
        Its light modulator.
    limits : Limits, optional
        For changes that a person makes.
    focus : FocusOrders, optional
        When the focus of places is looked for; default: never.

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
        declare: Callable[[Burst | Series | Visit, str], None] = lambda what, image: (
            None
        ),
        notify: Callable[[Decision, Notify], None] = lambda decision, action: None,
        keep: Callable[[int, KeepFrames], tuple[OutcomeStatus, str]] = _keeps_none,
        longest_wait_s: float | None = None,
        dark: Collection[str] = (),
        has_power: bool = True,
        tours: Mapping[str, TourPlan] | None = None,
        slm: SlmMap | None = None,
        limits: Limits | None = None,
        focus: FocusOrders | None = None,
    ) -> None:
        self._clock = clock
        self._has_power = has_power
        self._limits = limits or Limits()
        self._survey = Survey(sequence, clock.now_s(), dark)
        self._focus = focus or FocusOrders()
        self.queue = EventQueue(clock, self._refill, self._focus.corrected)
        self._reactions = Reactions(
            clock, outcome, time_scale=time_scale, max_age_ms=max_age_ms
        )
        self._visits = Visits(self._reactions)
        self._focus.join(clock, self._reactions, self._visits)
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
            slm=slm,
            tours=tours or {},
        )
        self._tours = self._urgent.tours
        self._tours.begins = self._take_back
        self._notify = notify
        self._keep = keep
        self._patience = Patience(clock, longest_wait_s)
        self._paused_until_s = 0.0
        self.ended_by = ""
        self._out: WaitingVisit | None = None
        self._running: list[Planned] = []
        self._runs_first = False
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
            if self._tours.running:
                return True
        self._gate()
        with self._lock:
            if self._put_next():
                return True
        self._settle()
        with self._lock:
            self._tours.end_survey()
            return len(self.queue) > 0

    def _put_next(self) -> bool:
        now_s = self._clock.now_s()
        first = None if self._finished else self._survey.pop(now_s)
        if first is None:
            return False
        if self._tours.begin_round(first.round):
            self._survey.put_back([first])
            return True
        goes_first = self._patience.of_round(first.round)
        planned = [first]
        event = self._visits.event_of(first)
        due_s = max(first.due_s, self._paused_until_s)
        if self._focus.is_due(first):
            event = self._focus.before(first, event)
        elif self._merge_survey and due_s <= now_s:
            event = next(self._merge(self._run_of(planned, now_s, goes_first)))
            n = len(parts(event))
            self._survey.put_back(planned[n:])
            planned = planned[:n]
        decisions = self._visits.waiting_for(first.place, first.event)
        ticket = self.queue.put(
            event,
            urgency=_BEFORE_ALL if goes_first else 0,
            due_s=due_s,
            admit=self._taken,
        )
        if goes_first:
            self._telemetry.count("visits_hurried")
        self._out = WaitingVisit(
            ticket, event, due_s, planned, decisions, max(due_s, now_s), goes_first
        )
        return True

    def _hurry(self, visit: WaitingVisit) -> None:
        """Let a visit that has waited too long go before bursts and series."""
        if visit.first or not self._patience.ends(visit.ready_s):
            return
        if self.queue.withdraw(visit.ticket):
            ticket = self.queue.put(
                visit.event, urgency=_BEFORE_ALL, due_s=visit.due_s, admit=self._taken
            )
            self._out = replace(visit, ticket=ticket, first=True)
            self._telemetry.count("visits_hurried")

    def _run_of(
        self, planned: list[Planned], now_s: float, one_round: bool
    ) -> Iterator[MDAEvent]:
        """Pop what may run in one go, as far as it is asked for, into ``planned``."""
        first = planned[0]
        yield self._visits.event_of(first)
        while len(planned) < _LONGEST_SEQUENCE:
            more = self._survey.pop_with(first, now_s)
            if more is None:
                return
            other = one_round and more.round != first.round
            if other or self._focus.is_due(more):
                self._survey.put_back([more])
                return
            planned.append(more)
            yield self._visits.event_of(more)

    def _taken(self) -> bool:
        """The runner takes the event of the survey: what it applies is now done."""
        with self._lock:
            visit, self._out = self._out, None
            if visit is None or self._finished:
                return False
            self._patience.waited(visit.ready_s)
            self._runs_first = visit.first
            first = visit.planned[0]
            if is_focus_event(visit.event):
                self._survey.put_back(self._focus.begun(first, visit.event))
                self._running, self._yields = [], False
                return True
            # decided since it was planned: it ends at once and is planned anew
            waiting = self._visits.waiting_for(first.place, first.event)
            self._yields = waiting != visit.decisions
            self._running = visit.planned
            place = first.place
            self._tours.see(first.event)
            z_um = self._visits.middle_um(place)
            if z_um is None:
                z_um = visit.planned[-1].event.z_pos
            if z_um is not None:
                self._urgent.z_um[place] = z_um
            self._visits.applied(place, visit.decisions)
        return True

    def yields(self) -> bool:
        """Whether a running sequence of the survey shall end.

        It shall if it was planned before a decision that changes it, or if a burst is
        due and it has not waited too long itself.
        """
        return self._yields or (not self._runs_first and self.queue.is_due(URGENT))

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
            self._patience.waited(self._out.ready_s)
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
                case Stimulate():
                    self._urgent.stimulate(reaction, action)
                case Visit():
                    self._tours.take(reaction, action)
                case SetProperty():
                    self._urgent.set_property(reaction, action)
                case Refocus():
                    event = self._focus.of_reaction(reaction, action)
                    self._urgent.focus(reaction, event)
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
            self._reactions.end(decision_id, *self._survey.change(action.interval_s))
            return
        if isinstance(action, SetPower) and not self._has_power:
            why = "the microscope's file names no power_property of the light"
            self._reactions.end(decision_id, "refused", why)
            return
        if not isinstance(action, MoveStage | SetExposure | SetPower):
            self._reactions.end(decision_id, "refused", "no part of a survey")
            return
        self._visits.change(decision_id, self._focus.as_planned(action))
        self._take_back()
        if self._running and self._running[0].place == action.place:
            # a sequence that runs was planned without the change
            self._yields = True

    def edit(self, decision_id: str, changes: Mapping[str, Any]) -> None:
        """Change a granted burst or series that waits for its turn.

        Raises
        ------
        EditRefused
            If it has begun, or may not be changed so.
        """
        with self._lock:
            self._urgent.edit(decision_id, changes, self._limits)
        self.queue.wake()

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

    def focused(self, event: MDAEvent, found: Focused) -> None:
        """The focus of a place was looked for; called by the engine."""
        with self._lock:
            if (again := self._focus.take(event, found)) is not None:
                self._urgent.focus(*again)

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
            self._reactions.end_all("the run ended first")
