"""How fast is it: one measurement a file, each returns a dict that is valid JSON.

Every bench is a module of its own, imported when it is asked for, with a function
``bench_<name>`` that needs no arguments.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

from smartscope.errors import Refused, nearest

BENCHES = ("acquisition", "latency", "storage")


def find_bench(name: str) -> Callable[[], dict[str, Any]]:
    """Return a bench by its name.

    Raises
    ------
    smartscope.errors.Refused
        If there is none of that name.
    """
    if name not in BENCHES:
        raise Refused(
            f"There is no bench '{name}'.{nearest(name, BENCHES)}",
            rule=f"There are: {', '.join(BENCHES)}.",
            way_out="Name one of them.",
        )
    module = import_module(f"smartscope.bench.{name}")
    bench: Callable[[], dict[str, Any]] = getattr(module, f"bench_{name}")
    return bench


__all__ = ["BENCHES", "find_bench"]
