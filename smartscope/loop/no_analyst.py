"""Nobody looks at the frames: a run that only records."""

from __future__ import annotations

from typing import Any

from smartscope.acquisition import Frame


class NoAnalyst:
    """Stands where ``Analyst`` does, and is done with everything at once."""

    dead = False

    def start(self) -> dict[str, Any]:
        """Return that there are no models."""
        return {}

    def submit(self, frame: Frame) -> None:
        """Let a frame pass."""

    def give(self, given: dict[str, Any]) -> None:
        """Let an input pass."""

    def wait_for(self, frame_id: int, timeout_s: float | None) -> bool:
        """Return True: there is nothing to wait for."""
        return True

    def settle(self, timeout_s: float | None = None) -> bool:
        """Return True: there is nothing to wait for."""
        return True

    def release(self) -> None:
        """Nobody waits."""

    def child_pid(self) -> int | None:
        """Return None: there is no other process."""
        return None

    def close(self) -> None:
        """Nothing is open."""
