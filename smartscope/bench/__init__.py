"""How fast is it: one measurement a file; each returns a dict, or a list, for JSON.

Every bench is a module of its own, imported when it is asked for, with a function
``bench_<name>`` that needs no arguments.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from importlib import import_module
from inspect import signature
from typing import Any

from smartscope.errors import Refused, nearest

Measured = dict[str, Any] | list[dict[str, Any]]

BENCHES = (
    "acquisition",
    "inference",
    "latency",
    "memory",
    "policies",
    "reflex",
    "storage",
)


def find_bench(name: str, frames: int | None = None) -> Callable[[], Measured]:
    """Return a bench by its name.

    Parameters
    ----------
    name : str
        One of ``BENCHES``.
    frames : int, optional
        How many frames it takes, where it can be told so; default: its own number.

    Raises
    ------
    smartscope.errors.Refused
        If there is none of that name, or it cannot be told how many frames.
    """
    if name not in BENCHES:
        raise Refused(
            f"There is no bench '{name}'.{nearest(name, BENCHES)}",
            rule=f"There are: {', '.join(BENCHES)}.",
            way_out="Name one of them.",
        )
    module = import_module(f"smartscope.bench.{name}")
    bench: Callable[..., Measured] = getattr(module, f"bench_{name}")
    if frames is None:
        return bench
    if "frames" not in signature(bench).parameters:
        raise Refused(
            f"The bench '{name}' cannot be told how many frames it takes.",
            rule="--frames is for those that take so many frames of one kind.",
            way_out="Leave it out.",
        )
    return partial(bench, frames=frames)


__all__ = ["BENCHES", "Measured", "find_bench"]
