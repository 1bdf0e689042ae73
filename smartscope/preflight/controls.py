"""Whether the controls of an experiment can tell what they are asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import useq

from smartscope.acquisition import EventTag
from smartscope.errors import nearest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from smartscope.preflight.orders import Orders
    from smartscope.settings import Experiment

# share of a dark field that fields beside it may cover
_OVERLAP = 0.01


def wrong_dark(experiment: Experiment, orders: Orders) -> Iterator[str]:
    """Yield why dark fields would not stay dark, or would never be looked at."""
    if experiment.controls.dark is None:
        return
    where, survey = "controls.dark", experiment.survey
    used = [a for a in survey.axis_order if a in survey.used_axes]
    if used[:1] != ["t"] or survey.sizes.get("t", 0) < 2:
        yield (
            f"{where}: dark fields are lit in the survey's last round, and it has no "
            "rounds. Give it a time_plan of at least 2 loops, and 't' first in "
            "axis_order."
        )
        return
    at = _positions(survey, orders)
    dark = experiment.dark_places()
    for name in sorted(dark - at.keys()):
        yield (
            f"{where}: the survey has no place '{name}'.{nearest(name, at)} It has: "
            f"{', '.join(list(at)[:20])}."
        )
    if at.keys() <= dark:
        yield f"{where}: all places are dark; leave at least one to survey."
        return
    width, height = orders.field_um
    for name in sorted(dark & at.keys()):
        x, y = at[name]
        for lit, (x_lit, y_lit) in at.items():
            if lit in dark:
                continue
            across = max(0.0, width - abs(x - x_lit))
            along = max(0.0, height - abs(y - y_lit))
            share = across * along / (width * height)
            if share > _OVERLAP:
                yield (
                    f"{where}: '{name}' would not be dark: the field of '{lit}' covers "
                    f"{share:.0%} of it. Put them {width:g} by {height:g} µm apart."
                )
                break


def dark_notices(experiment: Experiment, orders: Orders) -> Iterator[str]:
    """Yield which fields are dark, and which of them reactions could light."""
    dark = experiment.dark_places()
    if not dark:
        return
    yield f"Dark until the survey's last round: {', '.join(sorted(dark))}."
    at = _positions(experiment.survey, orders)
    width, height = orders.field_um
    # a reaction is centred on a thing, which lies in the field: half a field beyond
    near = [
        name
        for name in sorted(dark & at.keys())
        if any(
            abs(at[name][0] - x) < 1.5 * width and abs(at[name][1] - y) < 1.5 * height
            for lit, (x, y) in at.items()
            if lit not in dark
        )
    ]
    if near and experiment.response:
        yield (
            f"Reactions beside {', '.join(near)} may light them before their time; the "
            "summary leaves out those on which light fell. Put dark fields 1.5 fields "
            "away from lit ones."
        )


def _positions(
    survey: useq.MDASequence, orders: Orders
) -> dict[str, tuple[float, float]]:
    """Return where each place of the first round lies on the stage, µm."""
    at: dict[str, tuple[float, float]] = {}
    x, y, _ = orders.position_um
    for event in survey:
        if event.index.get("t", 0) > 0:
            break
        x = x if event.x_pos is None else event.x_pos
        y = y if event.y_pos is None else event.y_pos
        at.setdefault(EventTag.of_survey(event).place, (x, y))
    return at
