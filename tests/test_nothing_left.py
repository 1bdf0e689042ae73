"""Tracks that have ended leave nothing behind in the reflex."""

from __future__ import annotations

import types
from collections import deque
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from smartscope.acquisition import Frame, Limits
from smartscope.bench.reflex import _CHANNELS, _EXPERIMENT, _Cells, _Outcomes
from smartscope.reflex import Reflex
from smartscope.settings import Experiment

FIRST = 10**9  # ids of tracks are easily told from all else
EXPERIMENT: dict[str, Any] = {
    **_EXPERIMENT,
    "analysis": {
        **_EXPERIMENT["analysis"],
        "occurrences": {
            **_EXPERIMENT["analysis"]["occurrences"],
            "fast": {"kind": "speed", "above": 0.01},
            "gone_far": {"kind": "displacement", "above": 3},
            "classes": {"kind": "class_change", "through": ["0", "1"]},
            "out": {"kind": "leave", "x_um": [0, 100], "y_um": [0, 100]},
            "after_it": {"kind": "split", "after": "bright"},
        },
    },
    "response": [
        *_EXPERIMENT["response"],
        {"policy": "visit", "on": "bright"},
        {"policy": "pre_trigger", "on": "bright"},
        {
            "policy": "stimulate",
            "on": "gone_far",
            "channel": "S",
            "exposure_ms": 1,
            "radius_um": 5,
            "again_after_s": 6000,
        },
    ],
    "controls": {"placebo": 0.1},
}


def inside(found: Any, seen: set[int], path: str = "reflex") -> Iterator[str]:
    """Yield where an id of a track is kept, in anything reachable."""
    if isinstance(found, bool | float | str | bytes | np.ndarray | None):
        return
    if isinstance(found, int | np.integer):
        if FIRST <= found < 2 * FIRST:
            yield f"{path} = {int(found) - FIRST}"
        return
    if id(found) in seen or isinstance(found, type | types.ModuleType):
        return
    seen.add(id(found))
    if isinstance(found, dict):
        for key, value in list(found.items()):
            yield from inside(key, seen, f"{path} key")
            yield from inside(value, seen, f"{path}[{key!r}]")
        return
    if isinstance(found, list | tuple | set | frozenset | deque):
        for value in list(found):
            yield from inside(value, seen, f"{path}[]")
        return
    if isinstance(found, types.FunctionType | types.MethodType):
        for cell in getattr(found, "__closure__", None) or ():
            yield from inside(cell.cell_contents, seen, f"{path}()")
        yield from inside(getattr(found, "__self__", None), seen, path)
        return
    for name in (
        *getattr(found, "__dict__", ()),
        *(n for c in type(found).__mro__ for n in getattr(c, "__slots__", ())),
    ):
        yield from inside(getattr(found, name, None), seen, f"{path}.{name}")


def test_tracks_that_have_ended_leave_nothing_behind() -> None:
    places = 3
    cells = _Cells(places, 60, 1)
    reflex = Reflex(Experiment.parse(EXPERIMENT), Limits(), detector=cells)
    outcomes = _Outcomes()
    reflex._tracker._next_id = FIRST
    kinds: set[str] = set()
    number = 0

    def look(turn: int) -> None:
        nonlocal number
        for place in range(places):
            for channel in _CHANNELS:
                frame: Frame = cells.frame(number, turn, place, channel)
                for outcome in outcomes.by(frame.time_s):
                    reflex.take(outcome)
                reaction = reflex.step(frame)
                assert not reaction.failures
                outcomes.await_of(reaction.decisions)
                kinds.update(o.name for o in reaction.occurrences)
                number += 1

    for turn in range(60):
        cells.move()
        look(turn)
    assert {"bright", "flash", "division", "fast", "gone_far", "in"} <= kinds
    assert any(inside(reflex, set())), "tracks that live are found"
    for place in range(places):
        cells._xy[place] = np.zeros((0, 2))
        cells._level[place] = np.zeros(0)
    for turn in range(60, 75):
        look(turn)
    left = list(inside(reflex, set()))
    assert left == [f"reflex._tracker._next_id = {reflex._tracker.next_id - FIRST}"]


@pytest.mark.parametrize("kept", [[FIRST], {FIRST: 1}, {1: (FIRST,)}, deque([FIRST])])
def test_what_is_kept_would_be_found(kept: Any) -> None:
    def closure() -> Any:
        return kept

    assert list(inside(closure, set()))
