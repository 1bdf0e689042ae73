"""Who is told what the engine did."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from useq import MDAEvent

from smartscope.acquisition.focusing import Focused
from smartscope.acquisition.frame import Frame


@dataclass(frozen=True, slots=True)
class EngineListener:
    """Who is told what the engine did; all are called in the runner's thread.

    Attributes
    ----------
    frame : Callable
        Takes each frame the moment it is there; an error it raises ends the run.
    done : Callable
        An event has run: the event, and how many frames it gave, of all cameras.
    incomplete : Callable
        Of cameras that expose together not all gave a frame when a sequence was ended:
        the event, and the labels of those that gave none.
    interrupted : Callable
        A sequence was ended early: the events of which no camera gave a frame.
    refused : Callable
        An event was not run: the event, and why.
    told : Callable
        A property was set, or set back: the event, and what was done, in words.
    focused : Callable
        The focus was looked for: the event, and what came of it.
    yields : Callable
        Asked before each frame of a sequence of the survey: shall it end now, because
        something more urgent waits?
    """

    frame: Callable[[Frame], None]
    done: Callable[[MDAEvent, int], None] = lambda _event, _frames: None
    incomplete: Callable[[MDAEvent, Sequence[str]], None] = lambda _event, _none: None
    interrupted: Callable[[Sequence[MDAEvent]], None] = lambda _events: None
    refused: Callable[[MDAEvent, str], None] = lambda _event, _why: None
    told: Callable[[MDAEvent, str], None] = lambda _event, _what: None
    focused: Callable[[MDAEvent, Focused], None] = lambda _event, _found: None
    yields: Callable[[], bool] = lambda: False
