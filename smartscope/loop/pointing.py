"""A person points at a place: what is chosen becomes an input of the analysis."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

from smartscope.acquisition import Clock
from smartscope.response import Target


class Pointing:
    """Takes points from anywhere and gives them to the reflex.

    Parameters
    ----------
    places : collection of str
        Of the survey.
    listens : bool
        Whether a policy of the experiment takes points.
    clock : Clock
        The run's clock: the time of a point is when it was chosen.
    give : Callable
        Takes the input.
    note : Callable
        Takes level and text of a note.
    """

    def __init__(
        self,
        places: Collection[str],
        *,
        listens: bool,
        clock: Clock,
        give: Callable[[dict[str, Any]], None],
        note: Callable[[str, str], None],
    ) -> None:
        self._places = frozenset(places)
        self._listens = listens
        self._clock = clock
        self._give = give
        self._note = note

    def choose(self, place: str, x_um: float, y_um: float) -> None:
        """Take a point; the next frame of its place answers it. Any thread."""
        where = f"x {x_um:.1f}, y {y_um:.1f} µm at {place}"
        if place not in self._places:
            known = ", ".join(sorted(self._places))
            self._note("warning", f"Nothing is at {where}: the survey has {known}.")
            return
        if not self._listens:
            self._note(
                "warning", f"Nobody follows {where}: no policy has choose: click."
            )
            return
        target = Target(place=place, x_um=x_um, y_um=y_um, time_s=self._clock.now_s())
        self._give({"input": "target", **target.model_dump()})
        self._note("info", f"Somebody points at {where}.")
