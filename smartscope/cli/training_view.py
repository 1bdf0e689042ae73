"""What a training shows of itself while it goes on."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

if TYPE_CHECKING:
    from smartscope.training.learning import Course


class TrainingView:
    """A bar on a terminal, and a line for each look; use as a context manager.

    Parameters
    ----------
    page : Path
        Where the curves are; said when the data have been read and it begins.
    console : rich.console.Console, optional
        Default: stderr.
    """

    def __init__(self, page: Path, console: Console | None = None) -> None:
        self._page = page
        self._console = console or Console(stderr=True, highlight=False)
        self._bar = Progress(
            TextColumn("training"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left, at most"),
            TimeRemainingColumn(),
            console=self._console,
            disable=not self._console.is_terminal,
            transient=True,
        )
        self._task = self._bar.add_task("training", total=None)
        self._begun = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.stop()
        if kind is KeyboardInterrupt and self._begun:
            folder = self._page.parent
            self._say(
                "What was learned is kept: go on with the same command and --resume, "
                f"or make a package of it by 'smartscope train pack {folder}'."
            )

    def ticked(self, course: Course) -> None:
        """Show how far it is."""
        if not self._begun:
            self._begun = True
            self._say(f"Curves, drawn anew at each look: {self._page}")
            self._bar.start()
        self._bar.update(self._task, completed=course.step, total=course.planned)

    def told(self, course: Course) -> None:
        """Say what a look has found."""
        over = ", it overfits" if course.overfits else ""
        self._say(
            f"step {course.step}, {course.seconds:.0f} s: training "
            f"{course.train[-1]:.4g}, validation {course.watch[-1]:.4g} (best "
            f"{course.best:.4g}){over}"
        )

    def _say(self, line: str) -> None:
        self._console.print(line, markup=False, soft_wrap=True)
