"""The analysis process as the acquisition process holds it: start, ask, kill."""

from __future__ import annotations

import json
import os
import secrets
import socket
import subprocess
import sys
import threading
import time
from multiprocessing import AuthenticationError
from multiprocessing.connection import Connection, Listener
from typing import Any

from smartscope.errors import AnalysisFailed

_START_S = 120.0
# The child looks for modules exactly where this process does, before it imports any:
# a file in the working directory must not hide a library.
_BOOT = """\
import json, sys
init = json.loads(sys.stdin.buffer.readline())
sys.path[:] = init["sys_path"]
from smartscope.loop.analysis_process import main
main(init)
"""


class Child:
    """One analysis process and the pipe to it.

    Started with a fresh interpreter on every system, not by ``multiprocessing``, which
    would run the user's script a second time.

    Parameters
    ----------
    init : dict
        What ``analysis_process.build`` needs, plus ``ring``.

    Raises
    ------
    AnalysisFailed
        If it does not get ready; its own words are in the error.
    """

    def __init__(self, init: dict[str, Any]) -> None:
        key = secrets.token_bytes(16)
        with Listener(authkey=key) as listener:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-c", _BOOT],
                stdin=subprocess.PIPE,
                close_fds=True,
            )
            line = {**init, "address": listener.address, "key": key.hex()}
            line["sys_path"] = [p or os.getcwd() for p in sys.path]
            stdin = self._process.stdin
            assert stdin is not None  # it was asked for
            stdin.write(json.dumps(line).encode() + b"\n")
            stdin.close()
            self.connection = self._accept(listener)
        answer = self._first_answer()
        if "error" in answer:
            self.kill()
            raise AnalysisFailed(str(answer["error"]))
        self.models: dict[str, Any] = answer["models"]

    def _accept(self, listener: Listener) -> Connection:
        accepted: list[Connection] = []
        address = listener.address

        def accept() -> None:
            try:
                accepted.append(listener.accept())
            except (OSError, EOFError, AuthenticationError):
                return

        waiter = threading.Thread(target=accept, name="accept-child", daemon=True)
        waiter.start()
        deadline = time.monotonic() + _START_S
        while waiter.is_alive():
            waiter.join(0.05)
            if self._process.poll() is not None or time.monotonic() > deadline:
                _unblock(address)
                waiter.join(1.0)
                break
        if not accepted:
            self.kill()
            raise AnalysisFailed(
                "The analysis process did not start "
                f"(exit code {self._process.returncode})."
            )
        return accepted[0]

    def _first_answer(self) -> dict[str, Any]:
        deadline = time.monotonic() + _START_S
        while time.monotonic() < deadline:
            try:
                if self.connection.poll(0.1):
                    answer: dict[str, Any] = json.loads(self.connection.recv_bytes())
                    return answer
            except (EOFError, OSError):
                break
            if self._process.poll() is not None:
                break
        self.kill()
        return {"error": "The analysis process ended before it was ready."}

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    def alive(self) -> bool:
        """Whether the process runs."""
        return self._process.poll() is None

    def ask(self, order: bytes, header: bytes) -> None:
        """Send one frame; its pixels lie in the ring. Raises OSError if it is gone."""
        self.connection.send_bytes(order + b"\n" + header)

    def close(self, timeout_s: float) -> None:
        """Let it end by itself, or kill it after the time."""
        self.connection.close()
        try:
            self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """Kill it at once."""
        self._process.kill()
        self._process.wait()
        if hasattr(self, "connection"):
            self.connection.close()


def _unblock(address: object) -> None:
    """Visit a listener that nobody will come to, so that who waits in it goes on."""
    if isinstance(address, str) and sys.platform != "win32":
        with socket.socket(socket.AF_UNIX) as visitor:
            visitor.settimeout(0.2)
            visitor.connect_ex(address)
