"""What smartscope raises; every error says what, rule, way out and state.

Each class carries the exit code of the command line: 2 refused before anything moved,
3 ran to its end but degraded, 4 broken off by an error.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import ClassVar

UNTOUCHED = "Nothing has moved and nothing was written."


class SmartscopeError(Exception):
    """An error told in four sentences.

    Parameters
    ----------
    what : str
        What was wrong, with the evidence.
    rule : str
        The rule that was broken.
    way_out : str
        What the user can do.
    state : str
        The state of the microscope (and of the data) now.
    """

    exit_code: ClassVar[int] = 4

    def __init__(
        self, what: str, *, rule: str = "", way_out: str = "", state: str = ""
    ) -> None:
        super().__init__(what)
        self.what = what
        self.rule = rule
        self.way_out = way_out
        self.state = state

    def __str__(self) -> str:
        told = (self.what, self.rule, self.way_out, self.state)
        return " ".join(sentence for sentence in told if sentence)

    def __reduce__(self) -> tuple[object, ...]:
        return (_rebuild, (type(self), self.what, self.rule, self.way_out, self.state))


def _rebuild(
    cls: type[SmartscopeError], what: str, rule: str, way_out: str, state: str
) -> SmartscopeError:
    return cls(what, rule=rule, way_out=way_out, state=state)


class Refused(SmartscopeError):
    """Bad input, found before anything moved (exit code 2)."""

    exit_code = 2

    def __init__(
        self, what: str, *, rule: str = "", way_out: str = "", state: str = UNTOUCHED
    ) -> None:
        super().__init__(what, rule=rule, way_out=way_out, state=state)


class LimitBroken(SmartscopeError):
    """An order to the hardware that would break a limit; it was not carried out."""


class BrokenOff(SmartscopeError):
    """A run ended by an error of hardware or disk; the data are kept (exit code 4)."""


class AnalysisFailed(SmartscopeError):
    """A model, detector or policy failed on a frame (exit code 3, the run goes on)."""

    exit_code = 3


def nearest(word: str, known: Iterable[str]) -> str:
    """Return ``' Did you mean 'x'?'`` for the nearest of the known words, or ``''``."""
    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.5)
    return f" Did you mean '{close[0]}'?" if close else ""
