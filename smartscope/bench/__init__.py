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
    "catches",
    "equal_light",
    "flashes",
    "following",
    "inference",
    "latency",
    "memory",
    "policies",
    "quiet_nights",
    "reflex",
    "storage",
)


def find_bench(
    name: str,
    frames: int | None = None,
    hours: float | None = None,
    seeds: int | None = None,
    tell: Callable[[str], None] | None = None,
) -> Callable[[], Measured]:
    """Return a bench by its name.

    Parameters
    ----------
    name : str
        One of ``BENCHES``.
    frames : int, optional
        How many frames it takes, where it can be told so; default: its own number.
    hours : float, optional
        How long it simulates, where it can be told so; default: its own length.
    seeds : int, optional
        Over how many simulated specimens, where it can be told so.
    tell : Callable, optional
        Is told a line by a long one whenever a part of it is done.

    Raises
    ------
    smartscope.errors.Refused
        If there is none of that name, or it cannot be told how many frames, hours
        or seeds.
    """
    if name not in BENCHES:
        raise Refused(
            f"There is no bench '{name}'.{nearest(name, BENCHES)}",
            rule=f"There are: {', '.join(BENCHES)}.",
            way_out="Name one of them.",
        )
    module = import_module(f"smartscope.bench.{name}")
    bench: Callable[..., Measured] = getattr(module, f"bench_{name}")
    wanted = {"frames": frames, "hours": hours, "seeds": seeds}
    takes = signature(bench).parameters
    given: dict[str, Any] = {
        key: value for key, value in wanted.items() if value is not None
    }
    for key in given:
        if key not in takes:
            raise Refused(
                f"The bench '{name}' cannot be told how many {key} it takes.",
                rule=f"--{key} is for those whose length is counted in {key}.",
                way_out="Leave it out.",
            )
    if tell is not None and "tell" in takes:
        given["tell"] = tell
    return partial(bench, **given)


__all__ = ["BENCHES", "Measured", "find_bench"]
