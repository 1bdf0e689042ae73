"""What a run shows of itself while it goes on.

It runs in the acquisition process, so it draws seldom and little: a snapshot at most
twice a second on a terminal, a line every few seconds elsewhere.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from smartscope.loop import Progress

_SECONDS = {True: 0.5, False: 5.0}  # between two drawings: on a terminal, elsewhere
_PLACES = 12


class LiveView:
    """Shows snapshots of a run on stderr; use as a context manager.

    Parameters
    ----------
    name : str
        Of the experiment.
    console : rich.console.Console, optional
        Default: stderr.
    clock : Callable
        Seconds.
    """

    def __init__(
        self,
        name: str,
        console: Console | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._name = name
        self._console = console or Console(stderr=True, highlight=False)
        self._clock = clock
        self._drawn_s = float("-inf")
        self._live = (
            Live(console=self._console, auto_refresh=False, transient=True)
            if self._console.is_terminal
            else None
        )

    def __enter__(self) -> LiveView:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def show(self, progress: Progress) -> None:
        """Draw a snapshot, unless the last one was drawn just now."""
        now = self._clock()
        if now - self._drawn_s < _SECONDS[self._live is not None]:
            return
        self._drawn_s = now
        if self._live is not None:
            self._live.update(_drawing(self._name, progress), refresh=True)
        else:
            self._console.print(line(progress), soft_wrap=True)


def line(progress: Progress) -> str:
    """Return a snapshot as one line."""
    parts = [_time(progress), _frames(progress)]
    if seen := _occurrences(progress):
        parts.append(seen)
    if progress.last_decisions:
        parts.append(progress.last_decisions[-1])
    return " | ".join(parts)


def _time(progress: Progress) -> str:
    planned = "" if progress.expected_s is None else f" of {span(progress.expected_s)}"
    return (
        f"{span(progress.time_s)}{planned} ({span(progress.wall_s)} by the wall clock)"
    )


def span(seconds: float) -> str:
    """Return seconds as ``1:02:03``, ``2:03`` or ``3.4 s``."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _frames(progress: Progress) -> str:
    words = ("acquired", "stored", "analysed", "skipped", "late", "failed")
    told = [f"{progress.counts.get(f'frames_{word}', 0)} {word}" for word in words[:4]]
    told += [
        f"{n} {word}"
        for word in words[4:]
        if (n := progress.counts.get(f"frames_{word}"))
    ]
    return "frames: " + ", ".join(told)


def _occurrences(progress: Progress) -> str:
    seen = [f"{n} {name}" for name, n in progress.occurrences.items()]
    return "seen: " + ", ".join(seen) if seen else ""


def _latency(progress: Progress) -> str:
    steps = [
        f"{step} {progress.latency_ms[step]['p95_ms']:.1f}"
        for step in ("decide", "inference", "act", "store")
        if step in progress.latency_ms
    ]
    return "p95 in ms: " + ", ".join(steps) if steps else ""


def _drawing(name: str, progress: Progress) -> Group:
    lines = [
        Text.assemble((name, "bold"), "  ", _time(progress)),
        Text(_frames(progress)),
    ]
    lines += [
        Text(said) for said in (_latency(progress), _occurrences(progress)) if said
    ]
    lines += [Text(f"  {said}", style="dim") for said in progress.last_decisions[-3:]]
    return Group(*lines, _places(progress))


def _places(progress: Progress) -> Table:
    table = Table("place", box=None, padding=(0, 2, 0, 0))
    for word in ("frames", "things", "exposure ms", "light ms·%", "x µm", "y µm"):
        table.add_column(word, justify="right")
    table.add_column("")
    rows = list(progress.places.items())
    for place, seen in rows[:_PLACES]:
        table.add_row(
            place,
            str(seen.get("frames", 0)),
            str(seen.get("things", "")),
            _number(seen.get("exposure_ms"), 1),
            _number(seen.get("light_ms_percent"), 0),
            _number(seen.get("x_um"), 1),
            _number(seen.get("y_um"), 1),
            "followed" if seen.get("followed") else "",
        )
    if len(rows) > _PLACES:
        table.add_row(f"and {len(rows) - _PLACES} more")
    return table


def _number(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:.{digits}f}"
