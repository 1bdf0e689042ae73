"""The two processes, their threads and failure rules; closes the circle.

The names are imported when first used: the analysis process starts in this package too
and needs neither microscope nor storage.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from smartscope.loop.equal_light import EqualLight, run_at_equal_light
    from smartscope.loop.progress import Progress, RunResult
    from smartscope.loop.rivals import compare
    from smartscope.loop.run_loop import RunLoop
    from smartscope.loop.start import run

_HOME = {
    "EqualLight": "equal_light",
    "Progress": "progress",
    "RunLoop": "run_loop",
    "RunResult": "progress",
    "compare": "rivals",
    "run": "start",
    "run_at_equal_light": "equal_light",
}

__all__ = [
    "EqualLight",
    "Progress",
    "RunLoop",
    "RunResult",
    "compare",
    "run",
    "run_at_equal_light",
]


def __getattr__(name: str) -> object:
    """Import a name of this package from its module when it is first asked for."""
    if (home := _HOME.get(name)) is None:
        raise AttributeError(f"module 'smartscope.loop' has no attribute {name!r}")
    return getattr(import_module(f"smartscope.loop.{home}"), name)
