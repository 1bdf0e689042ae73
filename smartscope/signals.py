"""Signals of a run, for whoever wants to show or log it while it goes on.

The loop does not hang on them: it emits, and a listener that fails is logged and
changes nothing. Whoever needs an order of events reads the journal instead.
"""

from __future__ import annotations

import logging
from typing import Any

from psygnal import EmitLoopError, Signal, SignalGroup

from smartscope.acquisition import Frame
from smartscope.response import Decision, Outcome

_log = logging.getLogger(__name__)


class RunSignals(SignalGroup):
    """What happens in a run; listeners are called in the thread that is named.

    A listener must be quick, or connect with ``thread="main"``.
    """

    frameAcquired = Signal(Frame)
    """After a frame was handed over to storage and analysis; runner's thread."""
    frameAnalysed = Signal(dict)
    """The record of an analysed frame, as in the journal; analyst's thread."""
    occurrenceRecognised = Signal(dict)
    """The record of an occurrence; analyst's thread."""
    decisionMade = Signal(Decision)
    """Each decision, whatever its verdict; analyst's thread."""
    outcomeReached = Signal(Outcome)
    """What became of a granted decision; runner's or analyst's thread."""
    decisionAsked = Signal(Decision, float)
    """A decision that a person shall approve, and for how many seconds it stands."""
    decisionAnswered = Signal(str, bool)
    """Emit it to answer: the decision's id, and whether it may be done."""
    decisionEdited = Signal(str, dict)
    """Emit it to change a burst or series that is asked, or waits for its turn: the
    decision's id, and fields with their new values, such as ``{"frames": 10}``."""
    editRefused = Signal(str, str)
    """A change was not made: the decision's id, and why; the editor's thread."""
    targetChosen = Signal(str, float, float)
    """Emit it to point at a cell: place, stage x and y in µm; for ``choose: click``."""
    noteWritten = Signal(str, str)
    """Level and text of a note in the journal; any thread."""

    def tell(self, name: str, *args: Any) -> None:
        """Emit a signal; an error in a listener is logged and goes no further."""
        signal = self[name]
        if not len(signal):
            return
        try:
            signal.emit(*args)
        except EmitLoopError:
            _log.exception("A listener of %s failed", name)
