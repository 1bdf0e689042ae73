"""smartscope: watch a specimen, recognise what happens, react, record, replay.

The names below are imported when first used, so that ``import smartscope`` stays
quick: ``Experiment`` (what shall happen), ``run`` it, ``Run`` (what did happen). A run
is replayed by ``smartscope.replay.replay``.
"""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from smartscope.loop import RunResult, run
    from smartscope.settings import Experiment
    from smartscope.storage import Run

__version__ = version("smartscope")

_HOME = {
    "Experiment": "smartscope.settings",
    "Run": "smartscope.storage",
    "RunResult": "smartscope.loop",
    "run": "smartscope.loop",
}

__all__ = ["Experiment", "Run", "RunResult", "__version__", "run"]


def __getattr__(name: str) -> object:
    """Import a public name from its room when it is first asked for."""
    if (home := _HOME.get(name)) is None:
        raise AttributeError(f"module 'smartscope' has no attribute {name!r}")
    return getattr(import_module(home), name)


def __dir__() -> list[str]:
    return sorted(__all__)
