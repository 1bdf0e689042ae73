"""Calls users' functions at hits, each in a process of its own, one after the other.

What hangs is killed after its time, what fails is told; neither keeps the camera, the
analysis or the next message for longer.
"""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any

from smartscope.response import Decision, Notify, OutcomeStatus

_MOST_WAITING = 100
# as for the analysis process: modules are looked for where this process does
_BOOT = """\
import importlib, json, sys
init = json.loads(sys.stdin.buffer.read())
sys.path[:] = init["sys_path"]
module, _, name = init["call"].partition(":")
getattr(importlib.import_module(module), name)(init["message"])
"""


class Messenger:
    """Hands messages over, one at a time, in a thread of its own.

    Parameters
    ----------
    told : Callable
        Takes the decision's id, its outcome and the reason; called in that thread.
    timeout_s : float
        Longest time of one call.
    """

    def __init__(
        self, told: Callable[[str, OutcomeStatus, str], None], timeout_s: float = 30.0
    ) -> None:
        self._told = told
        self._timeout_s = timeout_s
        self._waiting: queue.Queue[tuple[Decision, Notify] | None] = queue.Queue()
        self._thread: threading.Thread | None = None
        self._closed = False

    def send(self, decision: Decision, action: Notify) -> None:
        """Take a message; returns at once."""
        if self._closed or self._waiting.qsize() >= _MOST_WAITING:
            why = "the run has ended" if self._closed else "too many messages wait"
            self._told(decision.decision_id, "failed", why)
            return
        if self._thread is None:
            self._thread = threading.Thread(
                target=self._work, name="messenger", daemon=True
            )
            self._thread.start()
        self._waiting.put((decision, action))

    def close(self) -> None:
        """Send what waits, as long as one call may take in all; then end."""
        self._closed = True
        if self._thread is not None:
            self._waiting.put(None)
            self._thread.join(self._timeout_s + 5.0)

    def _work(self) -> None:
        while (item := self._waiting.get()) is not None:
            decision, action = item
            status, reason = self._call(decision, action)
            self._told(decision.decision_id, status, reason)

    def _call(self, decision: Decision, action: Notify) -> tuple[OutcomeStatus, str]:
        message: dict[str, Any] = {
            **action.model_dump(mode="json", exclude={"kind", "call"}),
            "decision_id": decision.decision_id,
            "policy": decision.policy,
            "time_s": decision.time_s,
            "occurrence_ids": list(decision.occurrence_ids),
        }
        init = {
            "sys_path": [p or os.getcwd() for p in sys.path],
            "call": action.call,
            "message": message,
        }
        try:
            ended = subprocess.run(
                [sys.executable, "-P", "-c", _BOOT],
                input=json.dumps(init).encode(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                timeout=self._timeout_s,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return "failed", f"{action.call} took longer than {self._timeout_s:g} s"
        except OSError as e:
            return "failed", f"{action.call} could not be started: {e}"
        if ended.returncode:
            said = ended.stderr.decode(errors="replace").strip().splitlines()
            last = said[-1] if said else f"exit code {ended.returncode}"
            return "failed", f"{action.call}: {last[:200]}"
        return "done", f"{action.call} was called"
