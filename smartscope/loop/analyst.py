"""Who gives frames to the analysis and takes what it says; it never keeps the camera.

One frame is with the analysis process at a time, the newest others wait in the ring.
If the process hangs, dies or breaks, it is killed, counted and started again by rule,
seeded from what has been journalled.
"""

from __future__ import annotations

import json
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing import Pipe
from multiprocessing.connection import wait
from typing import Any

from smartscope.acquisition import Frame, FrameRing, Waiting
from smartscope.errors import AnalysisFailed
from smartscope.loop.child import Child
from smartscope.reflex import Seed
from smartscope.telemetry import Telemetry

_REMEMBERED = 256
_LOOK_S = 0.05
_JOIN_S = 150.0
_FAILED_IN_A_ROW = 20


@dataclass(frozen=True, slots=True)
class AnalystListener:
    """Who is told; all but ``given`` are called without a lock of the analyst.

    Attributes
    ----------
    result : Callable
        Takes the record of each analysed frame.
    skipped : Callable
        A frame will not be analysed: the frame, the rule. Must be quick.
    given : Callable
        Something was given to the reflex besides a frame: its record with ``seq``.
        Called under the lock: it may only write.
    failed : Callable
        The analysis failed on a frame: its id, why.
    dead : Callable
        The analysis has failed for good: why.
    """

    result: Callable[[dict[str, Any]], None]
    skipped: Callable[[Frame, str], None]
    given: Callable[[dict[str, Any]], None]
    failed: Callable[[int, str], None]
    dead: Callable[[str], None]


class Analyst:
    """Feeds the analysis process and watches over it.

    Parameters
    ----------
    init : dict
        What ``analysis_process.build`` needs.
    slot_bytes : int
        Largest frame.
    listener : AnalystListener
        Who is told.
    telemetry : Telemetry
        Counts restarts.
    timeout_s : float
        An answer that takes longer means that the process hangs.
    restarts : int
        How often it is started again.
    wait : bool
        Never drop a frame (``synchronized``, where the survey waits anyway).
    """

    def __init__(
        self,
        init: dict[str, Any],
        slot_bytes: int,
        listener: AnalystListener,
        telemetry: Telemetry,
        *,
        timeout_s: float = 10.0,
        restarts: int = 3,
        wait: bool = False,
    ) -> None:
        self._init = init
        self._listener = listener
        self._telemetry = telemetry
        self._timeout_s = timeout_s
        self._restarts_left = restarts
        self._ring = FrameRing(
            slot_bytes,
            per_place=0 if wait else 2,
            max_frames=100_000 if wait else 64,
            max_bytes=2**40 if wait else 512 * 2**20,
            dropped=self._drop,
        )
        self._lock = threading.RLock()
        self._answered = threading.Condition(self._lock)
        self._dropped: deque[tuple[Frame, str]] = deque()
        self._inputs: list[dict[str, Any]] = []
        self._in_flight: Waiting | None = None
        self._asked_s = 0.0
        self._seq = 0
        self._last_submitted = -1
        self._open_ids: set[int] = set()
        self._failed_in_a_row = 0
        # what a restarted process is seeded from
        self._last_of_place: dict[str, dict[str, Any]] = {}
        self._decisions: deque[dict[str, Any]] = deque(maxlen=_REMEMBERED)
        self._occurrences: deque[dict[str, Any]] = deque(maxlen=_REMEMBERED)
        self._outcomes: deque[dict[str, Any]] = deque(maxlen=_REMEMBERED)
        self.dead = False
        self._closing = False
        self._child: Child | None = None
        # wakes the watching thread, which alone copies and sends frames
        self._woken, self._wake = Pipe(duplex=False)
        self._thread = threading.Thread(target=self._watch, name="analyst", daemon=True)

    def start(self) -> dict[str, Any]:
        """Start the process and return what it says of its models.

        Raises
        ------
        AnalysisFailed
            If it does not get ready.
        """
        try:
            self._child = Child({**self._init, "ring": self._ring.name})
        except BaseException:
            self._ring.close()
            raise
        self._thread.start()
        return self._child.models

    # ---------------------------------------------------------------- runner's thread

    def submit(self, frame: Frame, header: bytes) -> None:
        """Hand a frame over; returns at once, its pixels are not copied here."""
        idle = False
        with self._lock:
            if self.dead or self._closing:
                self._drop(frame, "the analysis has ended")
            elif frame.pixels.nbytes > self._ring.slot_bytes:
                self._drop(frame, "larger than the ring's slot")
            else:
                self._open_ids.add(frame.frame_id)
                self._ring.put(Waiting(frame, header))
                idle = self._in_flight is None
        if idle:
            self._wake.send_bytes(b".")
        self._tell_dropped()

    def give(self, given: dict[str, Any]) -> None:
        """Give the reflex something besides frames; it goes before the next frame."""
        with self._lock:
            self._inputs.append(given)
            if given["input"] == "outcome":
                self._outcomes.append(given["outcome"])

    def wait_for(self, frame_id: int, timeout_s: float | None) -> bool:
        """Wait until a frame is analysed, skipped or lost; False after the time."""
        with self._answered:
            return self._answered.wait_for(
                lambda: frame_id not in self._open_ids or self.dead or self._closing,
                timeout_s,
            )

    def settle(self, timeout_s: float | None = None) -> bool:
        """Wait until all frames handed over are analysed; False after the time."""
        with self._answered:
            return self._answered.wait_for(
                lambda: not self._open_ids or self.dead or self._closing, timeout_s
            )

    def _drop(self, frame: Frame, rule: str) -> None:
        # called under the lock; told later, without it
        self._dropped.append((frame, rule))
        self._open_ids.discard(frame.frame_id)

    def _tell_dropped(self) -> None:
        while True:
            try:
                frame, rule = self._dropped.popleft()
            except IndexError:
                return
            self._listener.skipped(frame, rule)

    def _dispatch(self) -> None:
        """Send the next frame if the process is idle; under the lock."""
        child = self._child
        if self._in_flight is not None or child is None:
            return
        waiting = self._ring.take()
        if waiting is None:
            return
        inputs, self._inputs = self._inputs, []
        for given in inputs:
            given["seq"] = self._next_seq()
            self._listener.given(given)
        order = {"seq": self._next_seq(), "inputs": inputs}
        self._in_flight = waiting
        self._asked_s = time.monotonic()
        try:
            child.ask(json.dumps(order, separators=(",", ":")).encode(), waiting.header)
        except OSError:
            return  # the watching thread sees the end of the pipe

    def _next_seq(self) -> int:
        self._seq += 1
        return self._seq

    # ---------------------------------------------------------------- watching thread

    def _watch(self) -> None:
        try:
            while not self._closing and not self.dead:
                self._watch_once()
        except Exception as e:  # noqa: BLE001 the survey must go on without analysis
            self._die(f"the analyst failed: {e!r}")

    def _watch_once(self) -> None:
        child = self._child
        if child is None:
            return
        try:
            ready = wait([child.connection, self._woken], _LOOK_S)
            if self._woken in ready:
                self._woken.recv_bytes()
                with self._lock:
                    self._dispatch()
                self._tell_dropped()
            if child.connection in ready:
                self._take(child.connection.recv_bytes())
                return
        except (EOFError, OSError):
            if not self._closing:
                self._restart("the analysis process has died")
            return
        with self._lock:
            late = (
                self._in_flight is not None
                and time.monotonic() - self._asked_s > self._timeout_s
            )
        if late:
            self._restart(f"no answer within {self._timeout_s:g} s")
        elif not child.alive() and not self._closing:
            self._restart("the analysis process has died")

    def _take(self, message: bytes) -> None:
        record: dict[str, Any] = json.loads(message)
        with self._lock:
            waiting, self._in_flight = self._in_flight, None
            self._dispatch()
        self._tell_dropped()
        if waiting is None:
            return
        self._last_of_place[record["place"]] = record
        self._decisions.extend(record["_decisions"])
        self._occurrences.extend(dict(o) for o in record["_occurrences"])
        self._listener.result(record)
        self._conclude(record["frame_id"])
        self._failed_in_a_row = self._failed_in_a_row + 1 if record["failures"] else 0
        if self._failed_in_a_row >= _FAILED_IN_A_ROW:
            self._die(f"{_FAILED_IN_A_ROW} frames in a row failed")

    def _conclude(self, frame_id: int) -> None:
        with self._answered:
            self._open_ids.discard(frame_id)
            self._answered.notify_all()

    def _restart(self, why: str) -> None:
        child = self._child
        if child is not None:
            child.kill()
        with self._lock:
            self._child = None
            lost, self._in_flight = self._in_flight, None
        if lost is not None:
            frame_id = lost.frame.frame_id
            with self._lock:
                self._listener.given(
                    {
                        "input": "lost",
                        "frame_id": frame_id,
                        "reason": why,
                        "seq": self._next_seq(),
                    }
                )
            self._listener.failed(frame_id, why)
            self._conclude(frame_id)
        if self._restarts_left <= 0:
            self._die(f"{why}, and it has been started again as often as allowed")
            return
        self._restarts_left -= 1
        self._telemetry.count("child_restarts")
        with self._lock:
            self._inputs.clear()  # the seed holds these outcomes already
            outcomes = list(self._outcomes)
        seed = Seed.from_records(
            list(self._last_of_place.values()),
            list(self._decisions),
            occurrences=list(self._occurrences),
            outcomes=outcomes,
        )
        plain = seed.model_dump(mode="json")
        try:
            fresh = Child({**self._init, "ring": self._ring.name, "seed": plain})
        except AnalysisFailed as e:
            self._die(str(e))
            return
        with self._lock:
            if self._closing:
                fresh.kill()
                return
            self._listener.given(
                {"input": "restart", "seq": self._next_seq(), "seed": plain}
            )
            self._child = fresh
            self._dispatch()
        self._tell_dropped()

    def _die(self, why: str) -> None:
        with self._answered:
            self.dead = True
            child, self._child = self._child, None
            self._ring.drop_all("the analysis has ended")
            lost, self._in_flight = self._in_flight, None
            self._open_ids.clear()
            self._answered.notify_all()
        if child is not None:
            child.kill()
        self._tell_dropped()
        if lost is not None:
            self._listener.failed(lost.frame.frame_id, why)
        self._listener.dead(why)

    # ---------------------------------------------------------------- the end

    def child_pid(self) -> int | None:
        """Process id of the analysis, for tests and the curious."""
        child = self._child
        return None if child is None else child.pid

    def close(self) -> None:
        """End the process; frames that still wait are told as skipped."""
        with self._answered:
            if self._closing:
                return
            self._closing = True
            self._ring.drop_all("the run was ended")
            in_flight, self._in_flight = self._in_flight, None
            if in_flight is not None:
                self._drop(in_flight.frame, "the run was ended")
            self._answered.notify_all()
        self._wake.send_bytes(b".")
        self._tell_dropped()
        if self._thread.is_alive():
            self._thread.join(timeout=_JOIN_S)
        child = self._child
        if child is not None:
            child.close()
        self._ring.close()
        self._wake.close()
        self._woken.close()
