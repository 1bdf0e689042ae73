"""Counters and latencies of a run: every loss has a name, times are percentiles."""

from __future__ import annotations

import threading
from collections import Counter, deque

import numpy as np

_KEPT = 100_000


class Telemetry:
    """Named counters and named series of durations, safe to use from any thread.

    Of each series the last 100 000 values are kept.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()
        self._series: dict[str, deque[float]] = {}

    def count(self, name: str, n: int = 1) -> None:
        """Add ``n`` to the counter ``name``."""
        with self._lock:
            self._counts[name] += n

    def took(self, step: str, ms: float) -> None:
        """Add one duration in ms to the series of a step."""
        with self._lock:
            series = self._series.get(step)
            if series is None:
                series = self._series[step] = deque(maxlen=_KEPT)
            series.append(ms)

    def counts(self) -> dict[str, int]:
        """Return a copy of all counters."""
        with self._lock:
            return dict(self._counts)

    def latencies(self) -> dict[str, dict[str, float]]:
        """Return per step ``{"n", "p50_ms", "p95_ms", "p99_ms", "max_ms"}``."""
        with self._lock:
            copies = {k: list(v) for k, v in self._series.items()}
        return {step: percentiles(values) for step, values in copies.items() if values}


def percentiles(ms: list[float]) -> dict[str, float]:
    """Summarise durations in ms: count, median, 95th and 99th percentile, maximum."""
    p50, p95, p99 = np.percentile(ms, [50, 95, 99])
    return {
        "n": len(ms),
        "p50_ms": round(float(p50), 3),
        "p95_ms": round(float(p95), 3),
        "p99_ms": round(float(p99), 3),
        "max_ms": round(max(ms), 3),
    }
