"""From the keyboard: yes and no to decisions, and cells that are pointed at."""

from __future__ import annotations

import sys
import threading
from collections import deque
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import yaml
from rich.console import Console

from smartscope.cli.pointed import typed_target

if TYPE_CHECKING:
    from smartscope.response import Decision
    from smartscope.signals import RunSignals

_YES, _NO = ("y", "yes"), ("n", "no")


class KeyboardAnswers:
    """Prints each question and reads ``y`` or ``n`` and Enter for the oldest one.

    ``y frames=10 exposure_ms=5`` changes what was asked for before it is approved;
    ``t p0 12.5 -30`` points at a cell to follow, at a place and stage x, y in µm.

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
        self._why: dict[str, str] = {}
        signals.decisionAsked.connect(self._ask)
        signals.editRefused.connect(self._why.__setitem__)
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
            if (target := typed_target(line)) is not None:
                point = (target.place, target.x_um, target.y_um)
                self._signals.tell("targetChosen", *point)
                continue
            word, *changes = line.split() or [""]
            word = word.lower()
            fields = _fields(changes)
            if word not in (*_YES, *_NO) or fields is None or (fields and word in _NO):
                self._console.print(
                    "Answer with y or n, or change it: y frames=10 exposure_ms=5; "
                    "or point at a cell: t PLACE X Y."
                )
                continue
            with self._lock:
                decision_id = self._open.popleft() if self._open else None
            if decision_id is None:
                self._console.print("Nothing is asked.")
                continue
            if fields and (why := self._refused(decision_id, fields)):
                self._console.print(f"It was not changed: {why}. Answer again.")
                with self._lock:
                    self._open.appendleft(decision_id)
                continue
            self._signals.tell("decisionAnswered", decision_id, word in _YES)

    def _refused(self, decision_id: str, fields: dict[str, Any]) -> str:
        """Change what is asked; return why that was refused, or ``''``."""
        self._why.clear()
        self._signals.tell("decisionEdited", decision_id, fields)
        return self._why.get(decision_id, "")


def _fields(words: list[str]) -> dict[str, Any] | None:
    """Return the values of words like ``frames=10``; None if one is no such word."""
    fields = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not (key and equals and value):
            return None
        try:
            fields[key] = yaml.safe_load(value)
        except yaml.YAMLError:
            return None
    return fields
