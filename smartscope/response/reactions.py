"""Granted decisions on their way: who is open, who is stale, what became of each."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from smartscope.acquisition import Clock
from smartscope.response.decision import Decision, Outcome, OutcomeStatus

URGENT = 10
"""Urgency of a reaction of priority 0 in the event queue; the survey has 0."""


@dataclass(slots=True)
class Reaction:
    """A granted decision on its way.

    Attributes
    ----------
    received_s : float
        ``time.monotonic()`` when the planner got it.
    urgency : int
        Of its events in the queue.
    events_left : int
        Of those put into the queue.
    frames : int
        Taken so far.
    begun : bool
        Its first event has been taken.
    edits : int
        How often it was changed while it waited.
    tickets : list of int
        Of its events in the queue, those that have been taken too.
    """

    decision: Decision
    received_s: float
    urgency: int
    events_left: int = 0
    frames: int = 0
    begun: bool = False
    edits: int = 0
    tickets: list[int] = field(default_factory=list)

    @property
    def decision_id(self) -> str:
        """Of its decision."""
        return self.decision.decision_id


class Reactions:
    """Keeps granted decisions until each has its one outcome.

    Not safe for use from several threads at once: the planner holds a lock.

    Parameters
    ----------
    clock : Clock
        The run's clock.
    outcome : Callable
        Told the outcome of each.
    time_scale : float
        Clock seconds in a second of wall time; ages are in wall time.
    max_age_ms : float
        Age at which a decision is stale that states none itself.
    """

    def __init__(
        self,
        clock: Clock,
        outcome: Callable[[Outcome], None],
        *,
        time_scale: float,
        max_age_ms: float,
    ) -> None:
        self._clock = clock
        self._outcome = outcome
        self._time_scale = time_scale
        self._max_age_ms = max_age_ms
        self._open: dict[str, Reaction] = {}

    def begin(self, decision: Decision) -> Reaction:
        """Take up a granted decision."""
        reaction = Reaction(decision, time.monotonic(), URGENT + decision.priority)
        self._open[decision.decision_id] = reaction
        return reaction

    def get(self, decision_id: str) -> Reaction | None:
        """Return one that has no outcome yet."""
        return self._open.get(decision_id)

    def is_open(self, decision_id: str) -> bool:
        """Whether it has no outcome yet; what is left of others is dropped."""
        return decision_id in self._open

    def is_stale(self, decision: Decision) -> bool:
        """Whether it is too old to begin now."""
        most = decision.max_age_ms or self._max_age_ms
        age_s = (self._clock.now_s() - decision.time_s) / self._time_scale
        return age_s * 1e3 > most

    def end(self, decision_id: str, status: OutcomeStatus, reason: str) -> None:
        """Give it its outcome; every decision has one, whoever is first to know it."""
        reaction = self._open.pop(decision_id, None)
        if reaction is not None:
            self.say(decision_id, status, reason, reaction.frames)

    def say(
        self, decision_id: str, status: OutcomeStatus, reason: str, frames: int = 0
    ) -> None:
        """Tell an outcome."""
        self._outcome(
            Outcome(
                decision_id=decision_id,
                status=status,
                reason=reason,
                time_s=self._clock.now_s(),
                frames=frames,
            )
        )

    def end_all(self, reason: str) -> None:
        """Give an outcome to all that have none: failed if begun, else stale."""
        for reaction in self:
            status: OutcomeStatus = "failed" if reaction.frames else "stale"
            self.end(reaction.decision_id, status, reason)

    def __iter__(self) -> Iterator[Reaction]:
        return iter(list(self._open.values()))
