"""What a restarted analysis process is seeded from, kept small through a long run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from smartscope.reflex.seed import (
    Record,
    Seed,
    kept_decisions,
    kept_occurrences,
    switched_off_in,
)

_SPARE = 1000


class Past:
    """Remembers of a run what a `Seed` needs, whatever its age, and nothing else.

    The seed is the same as from all lines of the journal. What it does not need is
    dropped whenever there is half as much again, and 1000 besides.

    Not safe for use from several threads at once.
    """

    def __init__(self) -> None:
        self._last: dict[str, Record] = {}
        self._decisions: list[Record] = []
        self._outcomes: dict[str, Record] = {}
        self._occurrences: list[Record] = []
        self._normalisation: Mapping[str, Any] = {}
        self._switched_off: dict[str, str] = {}
        self._most = _SPARE

    def __len__(self) -> int:
        return len(self._decisions) + len(self._outcomes) + len(self._occurrences)

    def analysed(self, record: Record) -> None:
        """Take the record of an analysed frame, with its decisions and occurrences."""
        self._last[record["place"]] = record
        self._normalisation = record.get("normalisation", self._normalisation)
        self._switched_off.update(switched_off_in(record))
        self._decisions += record["_decisions"]
        self._occurrences += [dict(o) for o in record["_occurrences"]]
        if len(self) > self._most:
            self._drop()
            self._most = len(self) * 3 // 2 + _SPARE

    def outcome(self, record: Record) -> None:
        """Take the outcome of a granted decision."""
        self._outcomes[record["decision_id"]] = record

    def switch_off(self, policy: str, why: str) -> None:
        """Note that a policy is not asked any more."""
        self._switched_off[policy] = why

    def seed(self) -> Seed:
        """Return what a new process goes on from."""
        return Seed.from_records(
            self._last.values(),
            self._decisions,
            occurrences=self._occurrences,
            outcomes=self._outcomes.values(),
            normalisation=self._normalisation,
            switched_off=self._switched_off,
        )

    def _drop(self) -> None:
        self._decisions = kept_decisions(self._decisions, self._outcomes, self._last)
        kept = {decision["decision_id"] for decision in self._decisions}
        self._outcomes = {k: o for k, o in self._outcomes.items() if k in kept}
        alive = {t["track_id"] for r in self._last.values() for t in r["tracks"]}
        self._occurrences = kept_occurrences(self._occurrences, alive)
