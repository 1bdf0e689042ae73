"""The reflex in the acquisition process itself: for tests and debugging only.

A slow model then slows the camera, and one that hangs hangs the run.
"""

from __future__ import annotations

import json
from typing import Any

from smartscope.acquisition import Frame
from smartscope.loop.analysis_process import build, feed, look, open_restored
from smartscope.loop.analyst import AnalystListener
from smartscope.storage import RestoredStore


class InlineAnalyst:
    """Does what ``Analyst`` does, at once and in the caller's thread."""

    def __init__(self, init: dict[str, Any], listener: AnalystListener) -> None:
        self._init = init
        self._listener = listener
        self._inputs: list[dict[str, Any]] = []
        self._seq = 0
        self._restored: RestoredStore | None = None
        self.dead = False

    def start(self) -> dict[str, Any]:
        """Build the reflex and return what it says of its models."""
        self._reflex = build(self._init)
        self._restored = open_restored(self._init)
        return self._reflex.models()

    def submit(self, frame: Frame) -> None:
        """Analyse the frame."""
        inputs, self._inputs = self._inputs, []
        for given in inputs:
            given["seq"] = self._next_seq()
            self._listener.given(given)
        feed(self._reflex, inputs)
        seq = self._next_seq()
        header = json.loads(frame.encode_header())
        record = look(self._reflex, seq, header, frame.pixels, self._restored)
        self._listener.result(json.loads(json.dumps(record)))

    def _next_seq(self) -> int:
        self._seq += 1
        return self._seq

    def give(self, given: dict[str, Any]) -> None:
        """Give the reflex something besides frames; it goes before the next frame."""
        self._inputs.append(given)

    def wait_for(self, frame_id: int, timeout_s: float | None) -> bool:
        """Return True: it is done already."""
        return True

    def settle(self, timeout_s: float | None = None) -> bool:
        """Return True: it is done already."""
        return True

    def release(self) -> None:
        """Nobody waits."""

    def child_pid(self) -> int | None:
        """Return None: there is no other process."""
        return None

    def close(self) -> None:
        """Write the restored images that wait."""
        if self._restored is not None:
            self._restored.close()
