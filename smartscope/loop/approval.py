"""A person says yes: granted decisions wait here until they are answered, or too long.

What light and stage would do is asked for; what only ends, steers or notes something
that was approved before is not.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from smartscope.acquisition import Limits
from smartscope.response import (
    Bookmark,
    Decision,
    EndSeries,
    KeepFrames,
    MoveSeries,
    Notify,
    edited,
)
from smartscope.settings import ApproveSettings

_FREE = (EndSeries, MoveSeries, KeepFrames, Bookmark, Notify)


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of a question.

    Attributes
    ----------
    decision : Decision
        The one that was asked about.
    yes : bool
        It may be done.
    why : str
        Who or what said so.
    waited_ms : float
        How long it took, wall time; its age limit is that much later.
    """

    decision: Decision
    yes: bool
    why: str
    waited_ms: float


@dataclass(frozen=True, slots=True)
class _Open:
    decision: Decision
    asked_s: float


_About = tuple[str, str, str, int]


def _about(decision: Decision) -> _About:
    """What two questions have in common that are the same to a person."""
    wish = decision.wish
    return (decision.policy, wish.place, wish.kind, wish.track_id)


class ApprovalDesk:
    """Keeps what is asked until it is answered.

    A newer question takes the place of one about the same (policy, place, kind of
    action, track), and a no holds for the same for ``no_holds_s``.

    Parameters
    ----------
    settings : ApproveSettings
        What is asked, how long is waited, and what then holds.
    asked : Callable
        Told of each question, and for how many seconds it stands.
    answered : Callable
        Told of each answer, once; called without a lock.
    clock : Callable
        Seconds of wall time.
    """

    def __init__(
        self,
        settings: ApproveSettings,
        *,
        asked: Callable[[Decision, float], None],
        answered: Callable[[Answer], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._asked = asked
        self._answered = answered
        self._clock = clock
        self._open: dict[str, _Open] = {}
        self._denied: dict[_About, float] = {}
        self._changed = threading.Condition()

    def wants(self, decision: Decision) -> bool:
        """Return whether a granted decision has to be asked for."""
        if isinstance(decision.granted, _FREE):
            return False
        named = self._settings.policies
        return not named or decision.policy in named

    def ask(self, decision: Decision) -> None:
        """Ask about a decision; returns at once."""
        about, now_s = _about(decision), self._clock()
        with self._changed:
            older = [i for i, o in self._open.items() if _about(o.decision) == about]
            denied_s = now_s - self._denied.get(about, -math.inf)
            self._open[decision.decision_id] = _Open(decision, now_s)
        for decision_id in older:
            self._end(decision_id, False, "replaced by a newer wish of the same kind")
        if denied_s < self._settings.no_holds_s:
            self._end(decision.decision_id, False, f"not approved {denied_s:.0f} s ago")
            return
        self._asked(decision, self._settings.within_s)

    def answer(self, decision_id: str, yes: bool) -> None:
        """Take a person's answer; one that comes too late changes nothing."""
        with self._changed:
            one = self._open.get(decision_id)
            if one is not None and not yes:
                self._denied[_about(one.decision)] = self._clock()
        self._end(decision_id, yes, "approved" if yes else "not approved")

    def edit(
        self, decision_id: str, changes: Mapping[str, Any], limits: Limits
    ) -> bool:
        """Change what is asked; False if it is not asked (any more).

        Raises
        ------
        EditRefused
            If it may not be changed so.
        """
        with self._changed:
            one = self._open.get(decision_id)
            if one is None:
                return False
            granted = edited(one.decision.granted, changes, limits)
            decision = one.decision.model_copy(update={"granted": granted})
            self._open[decision_id] = _Open(decision, one.asked_s)
        return True

    def look(self) -> None:
        """Give what has waited too long its default answer."""
        now_s = self._clock()
        with self._changed:
            late = [
                decision_id
                for decision_id, one in self._open.items()
                if now_s - one.asked_s > self._settings.within_s
            ]
        yes = self._settings.otherwise == "grant"
        for decision_id in late:
            self._end(
                decision_id,
                yes,
                f"nobody answered within {self._settings.within_s:g} s",
            )

    def wait(self, over: Callable[[], bool], look_s: float = 0.1) -> None:
        """Return when nothing is asked any more, or when `over` says so."""
        with self._changed:
            while self._open and not over():
                self._changed.wait(look_s)

    def close(self) -> None:
        """Answer no to what is still asked, because the run ends."""
        with self._changed:
            left = list(self._open)
        for decision_id in left:
            self._end(decision_id, False, "the run ended before it was answered")

    def _end(self, decision_id: str, yes: bool, why: str) -> None:
        with self._changed:
            one = self._open.pop(decision_id, None)
            self._changed.notify_all()
        if one is not None:
            waited_ms = (self._clock() - one.asked_s) * 1e3
            self._answered(Answer(one.decision, yes, why, waited_ms))
