"""The two processes, their threads and failure rules; closes the circle."""

from smartscope.loop.progress import Progress, RunResult
from smartscope.loop.run import run
from smartscope.loop.run_loop import RunLoop

__all__ = ["Progress", "RunLoop", "RunResult", "run"]
