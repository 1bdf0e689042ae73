"""A visit of the survey that waits for its turn."""

from __future__ import annotations

from dataclasses import dataclass

from useq import MDAEvent

from smartscope.response.survey import Planned


@dataclass(frozen=True)
class WaitingVisit:
    """An event of the survey in the queue or with the runner.

    ``decisions`` are those whose changes it was planned with; it waits since
    ``ready_s``. ``first``: its round has waited so long that it goes before bursts and
    series.
    """

    ticket: int
    event: MDAEvent
    due_s: float
    planned: list[Planned]
    decisions: list[str]
    ready_s: float
    first: bool = False
