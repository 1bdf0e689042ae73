"""Events the microscope still has to run: of those that are due, the most urgent."""

from __future__ import annotations

import heapq
import itertools
import math
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from useq import MDAEvent

from smartscope.acquisition.clock import Clock, RealClock


@dataclass(frozen=True, slots=True)
class _Entry:
    event: MDAEvent
    admit: Callable[[], bool] | None


class EventQueue(Iterator[MDAEvent]):
    """Events the microscope still has to run: of those that are due, the most urgent.

    Hand it to ``core.mda.run`` as it is. Because it is an *iterator*, the runner takes
    each event the moment it is handed out; a mere iterable would be looked ahead by
    hardware sequencing, and the first frame would wait for the second event.

    An event is kept here until it is due and carries no ``min_start_time``: the runner
    would sleep through that time, and an urgent event put meanwhile would come later.

    Parameters
    ----------
    clock : Clock, optional
        The run's clock.
    refill : Callable, optional
        Called, without a lock, each time an event is asked for; the planner then puts
        the next event of the survey if none is waiting. Returns False when the survey
        has ended.
    finish : Callable, optional
        Given each event as it is handed out; what it returns is handed out instead.
    """

    def __init__(
        self,
        clock: Clock | None = None,
        refill: Callable[[], bool] | None = None,
        finish: Callable[[MDAEvent], MDAEvent] = lambda event: event,
    ) -> None:
        self._clock = clock or RealClock()
        self._refill = refill
        self._finish = finish
        self._waiting: list[tuple[float, int, int, _Entry]] = []
        self._due: list[tuple[int, int, _Entry]] = []
        self._order = itertools.count()
        self._changed = threading.Condition()
        self._closed = False
        self._held = False
        # counts what a waiting runner must look at again: a change that comes between
        # its refill and its wait would otherwise be slept through
        self._changes = 0

    def _tell(self) -> None:
        """Make a waiting runner look again; called under the lock."""
        self._changes += 1
        self._changed.notify_all()

    def put(
        self,
        event: MDAEvent,
        *,
        urgency: int = 0,
        due_s: float = 0.0,
        admit: Callable[[], bool] | None = None,
    ) -> int:
        """Add an event and return a ticket with which it can be withdrawn.

        Parameters
        ----------
        event : MDAEvent
            What the microscope shall do.
        urgency : int
            Of the events that are due, higher runs first; equal ones in turn.
        due_s : float
            Time on the clock before which it does not run.
        admit : Callable, optional
            Asked when its turn has come; if it says False the event is dropped.

        Raises
        ------
        ValueError
            If the event has a ``min_start_time`` or ``due_s`` is NaN; it is not added,
            the run goes on.
        RuntimeError
            If the queue is closed; the event is not added, the run goes on.
        """
        if event.min_start_time is not None:
            raise ValueError(
                f"The event starts at min_start_time={event.min_start_time} s, and the "
                "runner would sleep until then. Give the time as due_s instead."
            )
        if math.isnan(due_s):
            raise ValueError("An event cannot be due at NaN; the order would be lost.")
        with self._changed:
            if self._closed:
                raise RuntimeError("The queue is closed; no event can be added.")
            ticket = next(self._order)
            entry = _Entry(event, admit)
            heapq.heappush(self._waiting, (due_s, -urgency, ticket, entry))
            self._tell()
            return ticket

    def withdraw(self, ticket: int) -> bool:
        """Take an event back; False if the runner has it already."""
        with self._changed:
            for i, waiting in enumerate(self._waiting):
                if waiting[2] == ticket:
                    del self._waiting[i]
                    heapq.heapify(self._waiting)
                    self._tell()
                    return True
            for i, due in enumerate(self._due):
                if due[1] == ticket:
                    del self._due[i]
                    heapq.heapify(self._due)
                    self._tell()
                    return True
            return False

    def close(self, *, drop: bool = False) -> None:
        """Let the runner finish what is queued, or drop it, then end the run."""
        with self._changed:
            self._closed = True
            if drop:
                self._waiting.clear()
                self._due.clear()
            self._tell()

    def hold(self, held: bool) -> None:
        """Hand out nothing while held, because the disk is behind."""
        with self._changed:
            self._held = held
            self._tell()

    def wake(self) -> None:
        """Make a waiting runner look again, because the refill may have more now."""
        with self._changed:
            self._tell()

    def is_due(self, urgency: int) -> bool:
        """Whether an event of at least this urgency could be handed out now."""
        with self._changed:
            if self._held:
                return False
            if self._due and -self._due[0][0] >= urgency:
                return True
            now_s = self._clock.now_s()
            return any(
                due_s <= now_s and -negative >= urgency
                for due_s, negative, _, _ in self._waiting
            )

    def __len__(self) -> int:
        with self._changed:
            return len(self._waiting) + len(self._due)

    def __next__(self) -> MDAEvent:
        """Return the most urgent event that is due, waiting for one if need be."""
        while True:
            seen = self._changes
            more = self._refill() if self._refill is not None else True
            entry = self._next_due(more, seen)
            if entry is not None and (entry.admit is None or entry.admit()):
                return self._finish(entry.event)

    def _next_due(self, more: bool, seen: int) -> _Entry | None:
        """Return the next entry, or None if the refill should be asked again."""
        with self._changed:
            if self._held and not self._closed:
                if self._changes == seen:
                    self._changed.wait()
                return None
            while self._waiting and self._waiting[0][0] <= self._clock.now_s():
                heapq.heappush(self._due, heapq.heappop(self._waiting)[1:])
            if self._due:
                return heapq.heappop(self._due)[2]
            if self._closed and not self._waiting:
                raise StopIteration
            if self._changes != seen:
                return None
            if not self._waiting and not more:
                self._closed = True
                raise StopIteration
            until_s = self._waiting[0][0] if self._waiting else None
            self._clock.wait(self._changed, until_s)
            return None
