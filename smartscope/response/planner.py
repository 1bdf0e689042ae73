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
from dataclasses import dataclass, field

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
from smartscope.response.survey import Planned, Survey
from smartscope.telemetry import Telemetry

_URGENT = 10
_LONGEST_SEQUENCE = 1000


@dataclass
class _Reaction:
    """A granted decision on its way."""

    decision: Decision
    received_s: float
    events_left: int = 0
    frames: int = 0


@dataclass
class _Changes:
    """What decisions have changed about the visits to a place."""

    move: MoveStage | None = None
    exposures: dict[str, float] = field(default_factory=dict)


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
        self._outcome = outcome
        self._telemetry = telemetry
        self._merge = merge
        self._merge_survey = merge_survey
        self._yields = False
        self._gate = gate
        self._settle = settle
        self._time_scale = time_scale
        self._max_age_ms = max_age_ms
        self._channel_group = channel_group
        self._lock = threading.RLock()
        self._changes: dict[str, _Changes] = {}
        self._reactions: dict[str, _Reaction] = {}
        self._pending: dict[str, dict[str, str]] = {}
        self._z_um: dict[str, float] = {}
        self._bursts = itertools.count(1)
        self._out: tuple[int, list[Planned]] | None = None
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
            if self._out is not None:
                return True
            if self._put_next():
                return True
        self._settle()
        with self._lock:
            return len(self.queue) > 0

    def _put_next(self) -> bool:
        now_s = self._clock.now_s()
        first = self._survey.pop(now_s)
        if first is None:
            return False
        planned = [first]
        if self._merge_survey and first.due_s <= now_s:
            while len(planned) < _LONGEST_SEQUENCE and planned[-1].place == first.place:
                due_s = self._survey.peek_due_s(now_s)
                more = (
                    self._survey.pop(now_s)
                    if due_s is not None and due_s <= now_s
                    else None
                )
                if more is None:
                    break
                planned.append(more)
        event = self._applied(first)
        if len(planned) > 1:
            event = next(self._merge(self._applied(p) for p in planned))
            n = len(parts(event))
            self._survey.put_back(planned[n:])
            planned = planned[:n]
        ticket = self.queue.put(
            event, due_s=first.due_s, admit=lambda: self._taken(event)
        )
        self._out = (ticket, planned)
        return True

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
        if (changes := self._changes.get(place)) is not None:
            if changes.move is not None:
                update["x_pos"], update["y_pos"] = changes.move.x_um, changes.move.y_um
            channel = event.channel.config if event.channel else ""
            if (ms := changes.exposures.get(channel)) is not None:
                update["exposure"] = ms
        return event.model_copy(update=update)

    def _taken(self, event: MDAEvent) -> bool:
        """The runner takes an event of the survey: what it applies is now done."""
        with self._lock:
            self._out = None
            self._yields = False
            place = EventTag.of(parts(event)[0]).place
            if event.z_pos is not None:
                self._z_um[place] = event.z_pos
            waiting = self._pending.pop(place, {})
            channel = event.channel.config if event.channel else ""
            for slot, decision_id in list(waiting.items()):
                if slot in ("move", channel):
                    self._done(decision_id, "done", "applied to the next visit")
                    del waiting[slot]
            if waiting:
                self._pending[place] = waiting
        return True

    def yields(self) -> bool:
        """Whether a running sequence of the survey shall end: it was planned before
        the newest decision, or a burst waits.
        """
        return self._yields

    def interrupted(self, events: Sequence[MDAEvent]) -> None:
        """Queue again what an ended sequence has not taken."""
        with self._lock:
            if self._finished:
                return
            self._telemetry.count("sequences_interrupted")
            self._telemetry.count("events_requeued", len(events))
            tag = EventTag.of(events[0])
            if tag.origin == "survey":
                now_s = self._clock.now_s()
                self._take_back()
                again = [
                    Planned(e, now_s, EventTag.of(e).index[0], tag.place)
                    for e in events
                ]
                self._survey.put_back(again)
                return
            reaction = self._reactions.get(tag.decision_id)
            merged = list(self._merge(events))
            if reaction is not None:
                reaction.events_left += len(merged)
            for event in merged:
                self.queue.put(event, urgency=_URGENT)

    def _take_back(self) -> None:
        """Take the survey's waiting event back, to plan it anew."""
        if self._out is None:
            return
        ticket, planned = self._out
        if self.queue.withdraw(ticket):
            self._out = None
            self._survey.put_back(planned)

    # ---------------------------------------------------------------- decisions

    def act(self, decision: Decision) -> None:
        """Turn a granted decision into events or changes of the survey."""
        action = decision.granted
        if action is None:
            return
        with self._lock:
            if self._finished:
                self._say(decision.decision_id, "stale", "the run has ended")
                return
            reaction = _Reaction(decision, time.monotonic())
            self._reactions[decision.decision_id] = reaction
            if isinstance(action, Burst):
                self._put_burst(reaction, action)
                self._yields = True
                return
            self._change(decision, action)
        self.queue.wake()

    def _change(self, decision: Decision, action: Action) -> None:
        changes = self._changes.setdefault(action.place, _Changes())
        waiting = self._pending.setdefault(action.place, {})
        if self._is_stale(decision):
            self._done(decision.decision_id, "stale", "too old when it arrived")
            return
        if isinstance(action, SetInterval):
            self._take_back()
            if self._survey.set_interval(action.interval_s):
                self._survey.replan()
                self._done(decision.decision_id, "done", "from the next round on")
            else:
                self._done(
                    decision.decision_id,
                    "refused",
                    "the survey has no rounds: time is not its outermost axis",
                )
            return
        slot = ""
        if isinstance(action, MoveStage):
            changes.move, slot = action, "move"
        elif isinstance(action, SetExposure):
            changes.exposures[action.channel] = action.exposure_ms
            slot = action.channel
        if (older := waiting.get(slot)) is not None:
            self._done(older, "stale", "replaced by a newer decision before its visit")
        waiting[slot] = decision.decision_id
        self._take_back()
        # a running sequence of the survey was planned without the change
        self._yields = True

    def _put_burst(self, reaction: _Reaction, action: Burst) -> None:
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
        urgency = _URGENT + decision.priority
        start_s = self._clock.now_s()
        merged = events if action.interval_s else list(self._merge(events))
        reaction.events_left = len(merged)
        for i, event in enumerate(merged):
            self.queue.put(
                event,
                urgency=urgency,
                due_s=start_s + i * action.interval_s,
                admit=(lambda: self._admit(reaction)) if i == 0 else None,
            )

    def _admit(self, reaction: _Reaction) -> bool:
        decision = reaction.decision
        if self._is_stale(decision):
            self._done(decision.decision_id, "stale", "too old when its turn came")
            return False
        waited_ms = (time.monotonic() - reaction.received_s) * 1e3
        self._telemetry.took("act", waited_ms)
        return True

    def _is_stale(self, decision: Decision) -> bool:
        most = decision.max_age_ms or self._max_age_ms
        age_s = (self._clock.now_s() - decision.time_s) / self._time_scale
        return age_s * 1e3 > most

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
                self._done(decision_id, "refused", refused)
            else:
                self._done(decision_id, "done", f"{reaction.frames} frames taken")

    def _done(self, decision_id: str, status: OutcomeStatus, reason: str) -> None:
        reaction = self._reactions.pop(decision_id, None)
        self._say(decision_id, status, reason, reaction.frames if reaction else 0)

    def _say(
        self, decision_id: str, status: OutcomeStatus, reason: str, frames: int = 0
    ) -> None:
        self._outcome(
            Outcome(
                decision_id=decision_id,
                status=status,
                reason=reason,
                time_s=self._clock.now_s(),
                frames=frames,
            )
        )

    # ---------------------------------------------------------------- the end

    def fall_back(self) -> None:
        """Survey as at the start again: no changed place, exposure or interval."""
        with self._lock:
            self._take_back()
            self._changes.clear()
            self._survey.clear_interval()
        self.queue.wake()

    def finish(self) -> None:
        """Say of every decision still on its way that it is stale."""
        with self._lock:
            self._finished = True
            for decision_id in list(self._reactions):
                reaction = self._reactions[decision_id]
                status: OutcomeStatus = "failed" if reaction.frames else "stale"
                self._done(decision_id, status, "the run ended first")
            self._pending.clear()
