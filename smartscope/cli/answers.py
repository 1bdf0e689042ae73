"""Yes and no from the keyboard, for decisions that a person shall approve."""

from __future__ import annotations

import sys
import threading
from collections import deque
from collections.abc import Iterable
from typing import TYPE_CHECKING

from rich.console import Console

if TYPE_CHECKING:
    from smartscope.response import Decision
    from smartscope.signals import RunSignals

_YES, _NO = ("y", "yes"), ("n", "no")


class KeyboardAnswers:
    """Prints each question and reads ``y`` or ``n`` and Enter for the oldest one.

    Parameters
    ----------
    signals : RunSignals
        Of the run; the answers are emitted there.
    lines : iterable of str, optional
        Default: standard input.
    console : rich.console.Console, optional
        Default: stderr.
    """

    def __init__(
        self,
        signals: RunSignals,
        lines: Iterable[str] | None = None,
        console: Console | None = None,
    ) -> None:
        self._signals = signals
        self._lines = lines if lines is not None else sys.stdin
        self._console = console or Console(stderr=True, highlight=False)
        self._open: deque[str] = deque()
        self._lock = threading.Lock()
        signals.decisionAsked.connect(self._ask)
        signals.outcomeReached.connect(lambda outcome: self._drop(outcome.decision_id))
        # it may wait for a key for ever, and ends with the program
        threading.Thread(target=self._read, name="keyboard", daemon=True).start()

    def _ask(self, decision: Decision, within_s: float) -> None:
        with self._lock:
            self._open.append(decision.decision_id)
        wish = decision.granted or decision.wish
        self._console.print(
            f"{decision.policy} asks for a {wish.kind.replace('_', ' ')} at "
            f"{wish.place}: y or n, then Enter, within {within_s:g} s",
            soft_wrap=True,
        )

    def _drop(self, decision_id: str) -> None:
        with self._lock:
            if decision_id in self._open:
                self._open.remove(decision_id)

    def _read(self) -> None:
        for line in self._lines:
            word = line.strip().lower()
            if word not in (*_YES, *_NO):
                self._console.print("Answer with y or n.")
                continue
            with self._lock:
                decision_id = self._open.popleft() if self._open else None
            if decision_id is None:
                self._console.print("Nothing is asked.")
            else:
                self._signals.tell("decisionAnswered", decision_id, word in _YES)
