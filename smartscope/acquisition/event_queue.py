"""Events the microscope still has to run: of those that are due, the most urgent."""

from __future__ import annotations

import heapq
import itertools
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
    """

    def __init__(
        self, clock: Clock | None = None, refill: Callable[[], bool] | None = None
    ) -> None:
        self._clock = clock or RealClock()
        self._refill = refill
        self._waiting: list[tuple[float, int, int, _Entry]] = []
        self._due: list[tuple[int, int, _Entry]] = []
        self._order = itertools.count()
        self._changed = threading.Condition()
        self._closed = False
        self._held = False

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
            If the event has a ``min_start_time``; it is not added, the run goes on.
        RuntimeError
            If the queue is closed; the event is not added, the run goes on.
        """
        if event.min_start_time is not None:
            raise ValueError(
                f"The event starts at min_start_time={event.min_start_time} s, and the "
                "runner would sleep until then. Give the time as due_s instead."
            )
        with self._changed:
            if self._closed:
                raise RuntimeError("The queue is closed; no event can be added.")
            ticket = next(self._order)
            entry = _Entry(event, admit)
            heapq.heappush(self._waiting, (due_s, -urgency, ticket, entry))
            self._changed.notify_all()
            return ticket

    def withdraw(self, ticket: int) -> bool:
        """Take an event back; False if the runner has it already."""
        with self._changed:
            for i, waiting in enumerate(self._waiting):
                if waiting[2] == ticket:
                    del self._waiting[i]
                    heapq.heapify(self._waiting)
                    return True
            for i, due in enumerate(self._due):
                if due[1] == ticket:
                    del self._due[i]
                    heapq.heapify(self._due)
                    return True
            return False

    def close(self, *, drop: bool = False) -> None:
        """Let the runner finish what is queued, or drop it, then end the run."""
        with self._changed:
            self._closed = True
            if drop:
                self._waiting.clear()
                self._due.clear()
            self._changed.notify_all()

    def hold(self, held: bool) -> None:
        """Hand out nothing while held, because the disk is behind."""
        with self._changed:
            self._held = held
            self._changed.notify_all()

    def wake(self) -> None:
        """Make a waiting runner look again, because the refill may have more now."""
        with self._changed:
            self._changed.notify_all()

    def __len__(self) -> int:
        with self._changed:
            return len(self._waiting) + len(self._due)

    def __next__(self) -> MDAEvent:
        """Return the most urgent event that is due, waiting for one if need be."""
        while True:
            more = self._refill() if self._refill is not None else True
            entry = self._next_due(more)
            if entry is not None and (entry.admit is None or entry.admit()):
                return entry.event

    def _next_due(self, more: bool) -> _Entry | None:
        """Return the next entry, or None if the refill should be asked again."""
        with self._changed:
            if self._held:
                if not self._closed:
                    self._changed.wait()
                    return None
                self._held = False
            while self._waiting and self._waiting[0][0] <= self._clock.now_s():
                heapq.heappush(self._due, heapq.heappop(self._waiting)[1:])
            if self._due:
                return heapq.heappop(self._due)[2]
            if not self._waiting and (self._closed or not more):
                self._closed = True
                raise StopIteration
            until_s = self._waiting[0][0] if self._waiting else None
            self._clock.wait(self._changed, until_s)
            return None
