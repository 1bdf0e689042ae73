"""The survey: what runs when nothing happens, unrolled one round ahead.

It alone turns ``min_start_time`` and ``reset_event_timer`` of useq into due times.
Where time is the outermost axis, the survey has rounds and its interval can be changed:
extra rounds are put between those of the plan, or some are left out; the last one stays
where the plan has it.
"""

from __future__ import annotations

import itertools
import math
from collections import deque
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from useq import MDAEvent, MDASequence

from smartscope.acquisition import EventTag
from smartscope.response.decision import OutcomeStatus


@dataclass(frozen=True, slots=True)
class Planned:
    """An event of the survey as planned, and what it has become.

    Attributes
    ----------
    event : useq.MDAEvent
        As the plan has it.
    due_s : float
        Time before which it does not run.
    round : int
        Which visit of the survey it belongs to, counting extra ones; its index along t.
    place : str
        The place it shows.
    """

    event: MDAEvent
    due_s: float
    round: int
    place: str


@dataclass(frozen=True, slots=True)
class _Round:
    """The round that was planned last, and what to go back to if it is planned anew."""

    events: list[MDAEvent]
    extra: bool
    due_before_s: float | None
    plan_before_s: float | None
    events_before: list[MDAEvent] | None


class Survey:
    """A useq sequence as a lazy source of due events.

    Parameters
    ----------
    sequence : useq.MDASequence
        The plan.
    start_s : float
        Time on the run's clock at which it starts.
    dark : collection of str
        Places that are left out of every round but the last. If the survey is ended
        before, a closing round of all places is its last one.
    """

    def __init__(
        self,
        sequence: MDASequence,
        start_s: float = 0.0,
        dark: Collection[str] = (),
    ) -> None:
        self._timer_s = start_s
        self._dark = frozenset(dark)
        self._whole: list[MDAEvent] = []
        # round from which on nothing can be ended any more: the one with the dark
        self._closing: float = math.inf
        used = [a for a in sequence.axis_order if a in sequence.used_axes]
        self.has_rounds = bool(used) and used[0] == "t"
        self._rounds = self._unroll(sequence)
        self._upcoming: deque[list[MDAEvent]] = deque()
        self._events: deque[Planned] = deque()
        self._interval_s: float | None = None
        self._last: _Round | None = None
        self._last_due_s: float | None = None
        self._last_plan_s: float | None = None
        self._count = 0
        self._ended = False

    def _unroll(self, sequence: MDASequence) -> Iterator[list[MDAEvent]]:
        if not self.has_rounds:
            for event in sequence:
                yield [event]
            return
        rounds = itertools.groupby(sequence, key=lambda e: e.index.get("t"))
        if not self._dark:
            for _, events in rounds:
                yield list(events)
            return
        for _, events in rounds:
            if self._whole and (lit := self._lit(self._whole)):
                yield lit
            self._whole = list(events)
        if self._whole:
            yield self._whole

    def _lit(self, events: list[MDAEvent]) -> list[MDAEvent]:
        """Return a round without the dark places; it begins as the whole one does."""
        lit = [e for e in events if EventTag.of_survey(e).place not in self._dark]
        if lit and events[0].reset_event_timer and lit[0] is not events[0]:
            lit[0] = lit[0].model_copy(update={"reset_event_timer": True})
        return lit

    # ---------------------------------------------------------------- the interval

    @property
    def interval_s(self) -> float | None:
        """The interval that was set, or None while the plan's own one holds."""
        return self._interval_s

    def set_interval(self, interval_s: float) -> bool:
        """Change the time between rounds; False if the survey has no rounds.

        A round that has been planned and has not begun keeps its time until
        ``replan``.
        """
        if not self.has_rounds:
            return False
        self._interval_s = interval_s
        return True

    def change(self, interval_s: float) -> tuple[OutcomeStatus, str]:
        """Change the time between rounds from the next one on; return what came of it.

        Call it with all events put back that the runner has not taken.
        """
        if not self.set_interval(interval_s):
            why = "the survey has no rounds: time is not its outermost axis"
            return "refused", why
        self.replan()
        return "done", "from the next round on"

    def clear_interval(self) -> None:
        """Go back to the plan's own interval."""
        self._interval_s = None

    def replan(self) -> None:
        """Forget a round that has been planned and has not begun: it is planned anew.

        Call it after the interval has changed, with all events put back that the
        runner has not taken.
        """
        last = self._last
        if last is None or not self.has_rounds or self._ended:
            return
        waiting = sum(p.round == self._count - 1 for p in self._events)
        if waiting != len(last.events):
            return
        for _ in last.events:
            self._events.pop()
        if not last.extra:
            self._upcoming.appendleft(last.events)
        self._last_due_s, self._last_plan_s = last.due_before_s, last.plan_before_s
        self._before = last.events_before
        self._last = None
        self._count -= 1
        self._closing = math.inf

    def end(self, now_s: float = 0.0) -> None:
        """Have no more events, also none that are put back.

        Where dark places have not had their turn, the round that shows them is still
        to come, at once.
        """
        if self._ended:
            return
        self._ended = True
        if not math.isfinite(self._closing):
            self._events.clear()
        self._upcoming.clear()
        self._rounds = iter(())
        if self._dark and self._whole and not math.isfinite(self._closing):
            self._closing = self._count
            self._plan_round(self._whole, now_s)

    # ---------------------------------------------------------------- events

    def peek_due_s(self, now_s: float) -> float | None:
        """Return when the next event is due, or None at the end of the survey."""
        if not self._events:
            self._fill(now_s)
        return self._events[0].due_s if self._events else None

    def pop(self, now_s: float) -> Planned | None:
        """Take the next event, or None at the end of the survey."""
        if self.peek_due_s(now_s) is None:
            return None
        return self._events.popleft()

    def pop_with(self, first: Planned, now_s: float) -> Planned | None:
        """Take the next event if it may run in one go with the first; else None.

        It may if it is due, at the same place, and does not start the timer anew:
        that counts from when the events before it have run.
        """
        if not self._events:
            following = self._next()
            if following is None or following[0].reset_event_timer:
                return None
            self._fill(now_s)
        if not self._events:
            return None
        event = self._events[0]
        if event.due_s > now_s or event.place != first.place:
            return None
        return self._events.popleft()

    def put_back(self, planned: Sequence[Planned]) -> None:
        """Put events that were not taken in front again, in their order."""
        if self._ended:
            planned = [p for p in planned if p.round >= self._closing]
        self._events.extendleft(reversed(planned))

    # ---------------------------------------------------------------- rounds

    def _next(self, ahead: int = 0) -> list[MDAEvent] | None:
        """Return a round of the plan that comes, without taking it."""
        while len(self._upcoming) <= ahead:
            following = next(self._rounds, None)
            if following is None:
                return None
            self._upcoming.append(following)
        return self._upcoming[ahead]

    def _plan_s(self, events: list[MDAEvent]) -> float:
        return self._timer_s + (events[0].min_start_time or 0.0)

    def _fill(self, now_s: float) -> None:
        """Plan the next round."""
        upcoming = self._next()
        if upcoming is None:
            return
        if upcoming[0].reset_event_timer and self._count:
            self._timer_s = now_s
        before_s = (self._last_due_s, self._last_plan_s)
        due_s, extra = self._plan_s(upcoming), False
        if self._interval_s is not None and self._last_due_s is not None:
            wanted_s = self._last_due_s + self._interval_s
            if self._last_plan_s is not None and due_s <= self._last_plan_s:
                # a plan without times: its rounds are delayed, none is left out
                due_s = max(due_s, wanted_s)
            else:
                due_s, extra = self._between(due_s, wanted_s, now_s)
        if extra and self._before is not None:
            upcoming = self._before
        else:
            upcoming = self._upcoming.popleft()
            self._last_plan_s = self._plan_s(upcoming)
        self._last = _Round(upcoming, extra, *before_s, self._before)
        self._before, self._last_due_s = upcoming, due_s
        if self._dark and not extra and self._next() is None:
            self._closing = self._count
        self._plan_round(upcoming, due_s)

    def _plan_round(self, events: list[MDAEvent], due_s: float) -> None:
        first_s = events[0].min_start_time or 0.0
        for event in events:
            offset_s = max(0.0, (event.min_start_time or 0.0) - first_s)
            t = self._count if self.has_rounds else event.index.get("t", 0)
            place = EventTag.of_survey(event).place
            self._events.append(Planned(event, due_s + offset_s, t, place))
        self._count += 1

    _before: list[MDAEvent] | None = None

    def _between(
        self, due_s: float, wanted_s: float, now_s: float
    ) -> tuple[float, bool]:
        """Return when a round shall come and whether it is an extra one."""
        # slower than the plan: leave rounds out, but for the last
        while due_s < wanted_s and (following := self._next(1)) is not None:
            self._upcoming.popleft()
            due_s = self._plan_s(following)
        # faster than the plan: a round of our own before the plan's next one; not one
        # that the plan's own round would follow at once, and none in the past
        wanted_s = max(wanted_s, now_s)
        if wanted_s + 0.5 * (self._interval_s or 0.0) < due_s:
            return wanted_s, True
        return due_s, False
