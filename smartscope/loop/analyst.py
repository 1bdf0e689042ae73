"""Who gives frames to the analysis and takes what it says; it never keeps the camera.

One frame is with the analysis process at a time, the newest others wait in the ring.
If the process hangs, dies or breaks, it is killed, counted and started again by rule,
seeded from what has been journalled.
"""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from smartscope.acquisition import Frame, FrameRing
from smartscope.errors import AnalysisFailed
from smartscope.loop.child import Child
from smartscope.reflex import Past
from smartscope.telemetry import Telemetry

_LOOK_S = 0.05
_JOIN_S = 150.0
_FAILED_IN_A_ROW = 20
_END_S, _WRITE_S = 2.0, 60.0


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
        How often it is started again; where one policy is to blame, that one is
        switched off, and it does not count.
    wait : bool
        Never drop a frame (``synchronized``, where the survey waits anyway).
    policies : sequence of str
        Names of the policies, in the order of the panel.
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
        policies: Sequence[str] = (),
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
        self._sendable = threading.Condition(self._lock)
        self._dropped: deque[tuple[Frame, str]] = deque()
        self._inputs: list[dict[str, Any]] = []
        self._targets: dict[str, dict[str, Any]] = {}
        self._in_flight: Frame | None = None
        self._asked_s = 0.0
        self._seq = 0
        self._open_ids: set[int] = set()
        self._failed_in_a_row = 0
        self._past = Past()
        self._policies = tuple(policies)
        self.dead = False
        self._closing = False
        self._child: Child | None = None
        self._released = False
        self._threads = [
            threading.Thread(target=self._guarded, args=(work,), name=name, daemon=True)
            for work, name in ((self._watch, "analyst"), (self._send, "sender"))
        ]

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
        for thread in self._threads:
            thread.start()
        return self._child.models

    # ---------------------------------------------------------------- runner's thread

    def submit(self, frame: Frame) -> None:
        """Hand a frame over; returns at once, nothing is copied or encoded here."""
        with self._lock:
            if self.dead or self._closing:
                self._drop(frame, "the analysis has ended")
            elif frame.pixels.nbytes > self._ring.slot_bytes:
                self._drop(frame, "larger than the ring's slot")
            else:
                self._open_ids.add(frame.frame_id)
                self._ring.put(frame)
                # a notification, unlike a pipe, does not hand the interpreter over:
                # the sender has its turn when the runner waits for the camera
                self._sendable.notify()
        self._tell_dropped()

    def give(self, given: dict[str, Any]) -> None:
        """Give the reflex something besides frames; it goes before the next frame."""
        with self._lock:
            if self._ended():
                return
            self._inputs.append(given)
            if given["input"] == "outcome":
                self._past.outcome(given["outcome"])
            elif given["input"] == "target":
                self._targets[given["place"]] = given

    def wait_for(self, frame_id: int, timeout_s: float | None) -> bool:
        """Wait until a frame is analysed, skipped or lost; False after the time."""
        with self._answered:
            return self._answered.wait_for(
                lambda: frame_id not in self._open_ids or self._over(), timeout_s
            )

    def settle(self, timeout_s: float | None = None) -> bool:
        """Wait until all frames handed over are analysed; False after the time."""
        with self._answered:
            return self._answered.wait_for(
                lambda: not self._open_ids or self._over(), timeout_s
            )

    def release(self) -> None:
        """Let nobody wait any more, because the run is stopped."""
        with self._answered:
            self._released = True
            self._answered.notify_all()

    def _over(self) -> bool:
        return self.dead or self._closing or self._released

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

    # ---------------------------------------------------------------- sending thread

    def _send(self) -> None:
        """Send the next frame whenever the process is idle."""
        while True:
            with self._sendable:
                self._sendable.wait_for(lambda: self._can_send() or self._ended())
                child = self._child
                frame = None if self._ended() else self._ring.take()
                if frame is None or child is None:
                    return
                self._in_flight = frame
                self._asked_s = time.monotonic()
                inputs, self._inputs = self._inputs, []
                for given in inputs:
                    given["seq"] = self._next_seq()
                    self._listener.given(given)
                order = {"seq": self._next_seq(), "inputs": inputs}
            self._ring.load(frame)
            # with an OSError the pipe has ended, which the watching thread sees
            with contextlib.suppress(OSError):
                child.ask(
                    json.dumps(order, separators=(",", ":")).encode(),
                    frame.encode_header(),
                )
            self._tell_dropped()

    def _can_send(self) -> bool:
        return (
            self._child is not None and self._in_flight is None and len(self._ring) > 0
        )

    def _ended(self) -> bool:
        return self._closing or self.dead

    def _next_seq(self) -> int:
        self._seq += 1
        return self._seq

    # ---------------------------------------------------------------- watching thread

    def _guarded(self, work: Callable[[], None]) -> None:
        try:
            work()
        except Exception as e:  # noqa: BLE001 the survey must go on without analysis
            self._die(f"the analyst failed: {e!r}")

    def _watch(self) -> None:
        while not self._ended():
            self._watch_once()

    def _watch_once(self) -> None:
        child = self._child
        if child is None:
            return
        try:
            if child.connection.poll(_LOOK_S):
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
            frame, self._in_flight = self._in_flight, None
            self._sendable.notify()
            if frame is not None:
                self._past.analysed(record)
        if frame is None:
            return
        self._listener.result(record)
        self._conclude(record["frame_id"])
        blind = record.get("blind", False)
        self._failed_in_a_row = self._failed_in_a_row + 1 if blind else 0
        if self._failed_in_a_row >= _FAILED_IN_A_ROW:
            self._die(f"on {_FAILED_IN_A_ROW} frames in a row the detector failed")

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
        guilty = self._policy_asked()
        if guilty is not None:
            self._past.switch_off(guilty, why)
            why = f"{why}, asking the policy {guilty}, which is now switched off"
        if lost is not None:
            frame_id = lost.frame_id
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
        if guilty is None:
            # each policy can be guilty only once
            if self._restarts_left <= 0:
                self._die(f"{why}, and it has been started again as often as allowed")
                return
            self._restarts_left -= 1
        self._telemetry.count("child_restarts")
        with self._lock:
            # the seed holds these outcomes already; where a person pointed at is told
            # again, for whoever has not begun with it
            self._inputs = [dict(given) for given in self._targets.values()]
            seed = self._past.seed()
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
            self._sendable.notify()

    def _policy_asked(self) -> str | None:
        """Return the policy that the process was asking when it was last heard of."""
        number = self._ring.marked()
        return self._policies[number - 1] if number else None

    def _die(self, why: str) -> None:
        with self._answered:
            self.dead = True
            child, self._child = self._child, None
            self._ring.drop_all("the analysis has ended")
            lost, self._in_flight = self._in_flight, None
            self._open_ids.clear()
            self._answered.notify_all()
            self._sendable.notify_all()
        if child is not None:
            child.kill()
        self._tell_dropped()
        if lost is not None:
            self._listener.failed(lost.frame_id, why)
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
                self._drop(in_flight, "the run was ended")
            self._answered.notify_all()
            self._sendable.notify_all()
        self._tell_dropped()
        for thread in self._threads:
            if thread.is_alive():
                thread.join(timeout=_JOIN_S)
        child = self._child
        if child is not None:
            # one that is not stuck in a frame may still write restored images
            writes = "restored" in self._init and in_flight is None
            child.close(_WRITE_S if writes else _END_S)
        self._ring.close()
