"""What happens in a run, written down and counted as it happens.

The one place that knows which lines the journal of a run has.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter, deque
from typing import Any

from smartscope.acquisition import Clock, Frame
from smartscope.loop.progress import Progress
from smartscope.response import Decision, Outcome
from smartscope.signals import RunSignals
from smartscope.storage import Journal
from smartscope.telemetry import Telemetry

_log = logging.getLogger(__name__)
_TOLD = 100
_LEVELS = {"info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


class Witness:
    """Journals what happens, keeps what progress shows, emits the signals."""

    def __init__(
        self,
        journal: Journal,
        telemetry: Telemetry,
        clock: Clock,
        expected_s: float | None,
        signals: RunSignals | None = None,
    ) -> None:
        self._journal = journal
        self._signals = signals or RunSignals()
        self._telemetry = telemetry
        self._clock = clock
        self._expected_s = expected_s
        self._began = time.monotonic()
        self._lock = threading.Lock()
        self._places: dict[str, dict[str, Any]] = {}
        self._said: deque[str] = deque(maxlen=6)
        self._occurrences: Counter[str] = Counter()
        self._dropped: set[str] = set()
        self.degraded: list[str] = []

    def frame(self, frame: Frame) -> None:
        """A frame was acquired and handed over."""
        self._signals.tell("frameAcquired", frame)
        with self._lock:
            place = self._places.setdefault(frame.place, {"frames": 0})
            place["frames"] += 1
            place["light_ms_percent"] = frame.light_ms_percent
            place["exposure_ms"] = frame.state.exposure_ms
            place["x_um"], place["y_um"] = frame.state.x_um, frame.state.y_um
            if frame.origin == "burst":
                place["bursts"] = place.get("bursts", 0) + 1

    def skipped(self, frame: Frame, rule: str) -> None:
        """A frame will not be analysed."""
        self._telemetry.count("frames_skipped")
        self._journal.write(
            {"kind": "skipped", "frame_id": frame.frame_id, "reason": rule}
        )

    def given(self, record: dict[str, Any]) -> None:
        """The reflex was given something besides a frame."""
        self._journal.write({"kind": "input", **record})

    def analysed(self, record: dict[str, Any]) -> list[Decision]:
        """A frame was analysed; returns its decisions."""
        decisions = record.pop("_decisions")
        occurrences = record.pop("_occurrences")
        self._journal.write({"kind": "analysed", **record})
        for occurrence in occurrences:
            how = occurrence.pop("kind")
            self._journal.write({**occurrence, "how": how, "kind": "occurrence"})
            self._signals.tell("occurrenceRecognised", occurrence)
        for decision in decisions:
            self._journal.write({**decision, "kind": "decision"})
        timings = record["timings_ms"]
        for step, ms in timings.items():
            self._telemetry.took(step, ms)
        self._telemetry.count("frames_analysed")
        if record["failures"]:
            self._telemetry.count("frames_failed")
            for why in record["failures"]:
                self.fail(why, record["frame_id"])
        self._restored(record)
        for remark in record["remarks"]:
            self.note("info", remark)
        with self._lock:
            for occurrence in occurrences:
                self._occurrences[occurrence["name"]] += 1
            if record["tracks"]:
                place = record["tracks"][0]["place"]
                self._places.setdefault(place, {"frames": 0})["things"] = len(
                    record["tracks"]
                )
            for decision in decisions:
                self._said.append(
                    f"{decision['policy']}: {decision['wish']['kind']} at "
                    f"{decision['wish']['place']} {decision['verdict']}"
                    f" ({decision['reason']})"
                )
        made = [Decision.model_validate(d) for d in decisions]
        self._signals.tell("frameAnalysed", record)
        for decision in made:
            self._signals.tell("decisionMade", decision)
        return made

    def _restored(self, record: dict[str, Any]) -> None:
        """Count what became of the restored image of a frame, where it is kept."""
        what = record.get("restored")
        if what is None:
            return
        how, _, why = str(what).partition(": ")
        self._telemetry.count(f"restored_{how}")
        if how == "failed":
            self.fail(why, record["frame_id"])
        elif how == "dropped" and why not in self._dropped:
            self._dropped.add(why)
            self.note(
                "warning",
                f"A restored image was dropped: {why} (first on frame "
                f"{record['frame_id']}). Raw frames are kept; the others that are "
                "dropped are counted.",
            )

    def focused(self, record: dict[str, Any]) -> None:
        """The focus of a place was looked for: what came of it, and what was decided.

        In the journal as a line of kind ``focus``; ``decided`` is what was done about a
        failure: ``retry``, ``neighbour`` or ``skip``.
        """
        self._journal.write({"kind": "focus", **record})
        self._telemetry.count(f"focus_{record['status']}")
        if record["decided"]:
            self._telemetry.count(f"focus_{record['decided']}")
        if record["status"] != "done":
            self.note(
                "warning",
                f"The focus of {record['place']} was not found: {record['why']}. "
                f"{record['told'].capitalize()}.",
            )

    def outcome(self, outcome: Outcome) -> None:
        """A granted decision has ended."""
        self._journal.write({"kind": "outcome", **outcome.to_record()})
        self._signals.tell("outcomeReached", outcome)

    def failed(self, frame_id: int, why: str) -> None:
        """The analysis failed on a frame."""
        self._telemetry.count("frames_failed")
        self.fail(why, frame_id)

    def fail(self, why: str, frame_id: int | None = None) -> None:
        """Analysis or response failed for some of the run.

        Each reason is told once, and no more than 100 of them: words may differ in
        every frame.
        """
        if why not in self.degraded and len(self.degraded) < _TOLD:
            self.degraded.append(why)
            where = "" if frame_id is None else f" (first on frame {frame_id})"
            self.note("error", why + where)

    def note(self, level: str, text: str) -> None:
        """Something worth a line in the journal."""
        self._journal.write(
            {
                "kind": "note",
                "level": level,
                "text": text,
                "time_s": self._clock.now_s(),
            }
        )
        with self._lock:
            self._said.append(f"{level}: {text}")
        _log.log(_LEVELS[level], "%s", text)
        self._signals.tell("noteWritten", level, text)

    def close(self, outcome: str, exit_code: int, reason: str) -> None:
        """Write the telemetry and the end."""
        self._journal.write(
            {
                "kind": "telemetry",
                "counts": self._telemetry.counts(),
                "latencies": self._telemetry.latencies(),
            }
        )
        self._journal.write(
            {
                "kind": "end",
                "outcome": outcome,
                "exit_code": exit_code,
                "reason": reason,
                "time_s": self._clock.now_s(),
            }
        )

    def progress(self) -> Progress:
        """Return a snapshot."""
        with self._lock:
            places = {name: dict(values) for name, values in self._places.items()}
            said, occurrences = tuple(self._said), dict(self._occurrences)
        return Progress(
            time_s=self._clock.now_s(),
            wall_s=time.monotonic() - self._began,
            expected_s=self._expected_s,
            counts=self._telemetry.counts(),
            places=places,
            last_decisions=said,
            occurrences=occurrences,
            latency_ms=self._telemetry.latencies(),
        )
