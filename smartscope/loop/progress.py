"""What a run says of itself while it goes on, and when it has ended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Progress:
    """A snapshot of a running run.

    Attributes
    ----------
    time_s : float
        On the run's clock (specimen time).
    wall_s : float
        Since the run began.
    expected_s : float or None
        Planned length on the run's clock; None if the survey has no end.
    counts : Mapping
        The counters.
    places : Mapping
        By place: ``frames``, ``light_ms_percent``, ``exposure_ms``, ``things``,
        ``x_um``, ``y_um``, ``followed``.
    last_decisions : tuple of str
        The newest decisions in words, newest last.
    occurrences : Mapping
        How many of each name.
    latency_ms : Mapping
        Percentiles per step.
    """

    time_s: float
    wall_s: float
    expected_s: float | None
    counts: Mapping[str, int]
    places: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    last_decisions: tuple[str, ...] = ()
    occurrences: Mapping[str, int] = field(default_factory=dict)
    latency_ms: Mapping[str, Mapping[str, float]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RunResult:
    """How a run ended.

    Attributes
    ----------
    folder : Path
        The run's folder; complete.
    outcome : str
        completed, degraded, stopped or broken_off.
    exit_code : int
        0, 3, 130 or 4.
    reason : str
        Why, in words.
    summary : dict
        As ``smartscope show`` prints it.
    """

    folder: Path
    outcome: str
    exit_code: int
    reason: str
    summary: dict[str, Any]
