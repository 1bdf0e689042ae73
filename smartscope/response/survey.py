"""The survey: what runs when nothing happens, unrolled one round ahead.

It alone turns ``min_start_time`` and ``reset_event_timer`` of useq into due times.
Where time is the outermost axis, the survey has rounds and its interval can be changed:
extra rounds are put between those of the plan, or some are left out; the end stays
where the plan has it.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace

from useq import MDAEvent, MDASequence

from smartscope.acquisition import EventTag


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


class Survey:
    """A useq sequence as a lazy source of due events.

    Parameters
    ----------
    sequence : useq.MDASequence
        The plan.
    start_s : float
        Time on the run's clock at which it starts.
    """

    def __init__(self, sequence: MDASequence, start_s: float = 0.0) -> None:
        self._timer_s = start_s
        self._start_s = start_s
        used = [a for a in sequence.axis_order if a in sequence.used_axes]
        self.has_rounds = bool(used) and used[0] == "t"
        self._rounds = self._unroll(sequence)
        self._next_round = next(self._rounds, None)
        self._again: list[MDAEvent] = []
        self._events: deque[Planned] = deque()
        self._interval_s: float | None = None
        self._last_due_s: float | None = None
        self._round = 0

    def _unroll(self, sequence: MDASequence) -> Iterator[list[MDAEvent]]:
        if not self.has_rounds:
            # one endless flow: as many events at a time as make no difference
            for event in sequence:
                yield [event]
            return
        for _, events in itertools.groupby(sequence, key=lambda e: e.index.get("t")):
            yield list(events)

    @property
    def interval_s(self) -> float | None:
        """The interval that was set, or None while the plan's own one holds."""
        return self._interval_s

    def set_interval(self, interval_s: float) -> bool:
        """Change the time between rounds; False if the survey has no rounds."""
        if not self.has_rounds:
            return False
        self._interval_s = interval_s
        return True

    def clear_interval(self) -> None:
        """Go back to the plan's own interval."""
        self._interval_s = None

    def peek_due_s(self, now_s: float) -> float | None:
        """Return when the next event is due, or None at the end of the survey."""
        if self._events:
            return self._events[0].due_s
        self._fill(now_s)
        return self._events[0].due_s if self._events else None

    def pop(self, now_s: float) -> Planned | None:
        """Take the next event, or None at the end of the survey."""
        if self.peek_due_s(now_s) is None:
            return None
        return self._events.popleft()

    def put_back(self, planned: list[Planned]) -> None:
        """Put events that were not taken in front again, in their order."""
        self._events.extendleft(reversed(planned))

    def replan(self) -> None:
        """Forget the due time of a round that has not begun, after a new interval."""
        if not self.has_rounds or not self._events:
            return
        first = self._events[0]
        whole = first.round == self._round - 1 and (
            len(self._events) == len(self._again)
        )
        if whole and self._interval_s is not None and self._previous_s is not None:
            due_s = self._previous_s + self._interval_s
            self._events = deque(
                replace(p, due_s=p.due_s - first.due_s + due_s) for p in self._events
            )
            self._last_due_s = due_s

    _previous_s: float | None = None

    def _plan_s(self, events: list[MDAEvent]) -> float:
        return self._timer_s + (events[0].min_start_time or 0.0)

    def _fill(self, now_s: float) -> None:
        upcoming = self._next_round
        if upcoming is None:
            return
        if upcoming[0].reset_event_timer and self._round:
            self._timer_s = now_s
        due_s = self._plan_s(upcoming)
        extra = False
        if self._interval_s is not None and self._last_due_s is not None:
            wanted_s = self._last_due_s + self._interval_s
            while due_s < wanted_s:  # slower than the plan: leave rounds out
                self._next_round = next(self._rounds, None)
                if self._next_round is None:
                    return
                upcoming = self._next_round
                due_s = self._plan_s(upcoming)
            # faster than the plan: a round of our own before the plan's next one; not
            # one that the plan's own round would follow at once, and none in the past
            wanted_s = max(wanted_s, now_s)
            extra = wanted_s + 0.5 * self._interval_s < due_s
            if extra:
                due_s, upcoming = wanted_s, self._again
        if not extra:
            self._next_round = next(self._rounds, None)
        self._again = upcoming
        self._previous_s, self._last_due_s = self._last_due_s, due_s
        first_s = upcoming[0].min_start_time or 0.0
        for event in upcoming:
            offset_s = max(0.0, (event.min_start_time or 0.0) - first_s)
            t = self._round if self.has_rounds else event.index.get("t", 0)
            place = EventTag.of_survey(event).place
            self._events.append(Planned(event, due_s + offset_s, t, place))
        self._round += 1
