"""How fast is it: one measurement a file; each returns a dict, or a list, for JSON.

Every bench is a module of its own, imported when it is asked for, with a function
``bench_<name>`` that needs no arguments.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

from smartscope.errors import Refused, nearest

Measured = dict[str, Any] | list[dict[str, Any]]

BENCHES = ("acquisition", "inference", "latency", "memory", "reflex", "storage")


def find_bench(name: str) -> Callable[[], Measured]:
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
    bench: Callable[[], Measured] = getattr(module, f"bench_{name}")
    return bench


__all__ = ["BENCHES", "Measured", "find_bench"]
