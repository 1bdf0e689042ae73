"""The survey gone through event by event, on paper: limits, light, time, size."""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING

import useq

from smartscope.acquisition import EventTag, LightBudget

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from smartscope.preflight.orders import Orders

# events looked at one by one (about 2 s); a longer survey repeats itself in time
MOST_EVENTS = 100_000
# places told of each problem
_SHOWN = 3


@dataclass(slots=True)
class SurveyWalk:
    """What a survey would do.

    Attributes
    ----------
    problems : dict of str to list of str
        What is wrong, with where it is.
    events, frames : int
        Looked at.
    analysed : int
        Of these frames, those that are analysed.
    whole : bool
        True if these are all.
    duration_s : float
        When the last event ends, on the run's clock.
    channels : set of str
        Presets in which frames are taken; ``""`` for the one that is set now.
    exposures_ms : set of float
        Exposures of the frames.
    light_ms_percent : dict
        By place.
    z_um : set of float
        Of the frames; where the focus is now for those that name none.
    rounds : dict
        By place, tiles each their own, in how many rounds it is visited.
    """

    problems: dict[str, list[str]] = field(default_factory=dict)
    events: int = 0
    frames: int = 0
    analysed: int = 0
    whole: bool = True
    duration_s: float = 0.0
    channels: set[str] = field(default_factory=set)
    exposures_ms: set[float] = field(default_factory=set)
    light_ms_percent: dict[str, float] = field(default_factory=dict)
    z_um: set[float] = field(default_factory=set)
    rounds: dict[str, int] = field(default_factory=dict)

    def told(self) -> list[str]:
        """Return the problems in words, each once."""
        lines = []
        for what, where in self.problems.items():
            more = f" and {len(where) - _SHOWN} more" if len(where) > _SHOWN else ""
            lines.append(f"survey, {', '.join(where[:_SHOWN])}{more}: {what}.")
        return lines


def walk(
    survey: useq.MDASequence,
    orders: Orders,
    *,
    time_scale: float = 1.0,
    most_events: int = MOST_EVENTS,
    dark: Collection[str] = (),
    channels: Collection[str] = (),
) -> SurveyWalk:
    """Go through a survey and say what is wrong with it and what it would take.

    Parameters
    ----------
    survey : useq.MDASequence
        Iterated lazily, up to ``most_events``.
    orders : Orders
        What the microscope can be told.
    time_scale : float
        Seconds of the run's clock in a second of exposure.
    most_events : int
        How many events to look at.
    dark : collection of str
        Places that only the last round shows.
    channels : collection of str
        Presets or cameras that are analysed; none is all.
    """
    now = orders.channel_now
    last_round = survey.sizes.get("t", 0) - 1
    walked = SurveyWalk()
    seen: set[tuple[object, ...]] = set()
    light: defaultdict[tuple[float, float], float] = defaultdict(float)
    at: dict[str, set[tuple[float, float]]] = defaultdict(set)
    powers: dict[tuple[str, str], float] = {}
    last: dict[str, int] = {}
    x, y, z = orders.position_um
    time_s = started_s = 0.0
    events = iter(survey)
    for event in islice(events, most_events):
        walked.events += 1
        if (
            dark
            and event.index.get("t", 0) < last_round
            and EventTag.of_survey(event).place in dark
        ):
            continue
        before = (x, y)
        x = x if event.x_pos is None else event.x_pos
        y = y if event.y_pos is None else event.y_pos
        z = z if event.z_pos is None else event.z_pos
        preset, group = "", ""
        if event.channel is not None:
            preset, group = event.channel.config, event.channel.group
        if event.reset_event_timer:
            started_s = time_s
        time_s = max(time_s, started_s + (event.min_start_time or 0.0))
        key = (*before, x, y, event.z_pos, event.exposure, preset, group,
               str(event.properties), event.action.type)  # fmt: skip
        if key not in seen:
            seen.add(key)
            for what, where in _wrong(event, orders, before, (x, y)):
                places = walked.problems.setdefault(what, [])
                if where not in places:
                    places.append(where)
        if not isinstance(event.action, useq.AcquireImage):
            continue
        exposure_ms = event.exposure or orders.exposure_ms
        if (group, preset) not in powers:
            powers[group, preset] = orders.power_percent(group, preset)
        walked.frames += 1
        walked.analysed += not channels or bool(
            {preset or now, orders.camera} & set(channels)
        )
        walked.channels.add(preset)
        walked.exposures_ms.add(exposure_ms)
        walked.z_um.add(z)
        place, round_ = EventTag.of_survey(event).place, event.index.get("t", 0)
        if last.get(place) != round_:
            last[place] = round_
            walked.rounds[place] = walked.rounds.get(place, 0) + 1
        time_s += exposure_ms / 1000 * time_scale
        asked = EventTag.of(event).power_percent
        light[x, y] += exposure_ms * (powers[group, preset] if asked is None else asked)
        at[f"p{event.index.get('p', 0)}"].add((x, y))
    walked.whole = next(events, None) is None
    walked.duration_s = time_s
    if not walked.problems and light and min(orders.field_um) > 0:
        budget = LightBudget(orders.field_um)
        for (x, y), ms_percent in light.items():
            budget.charge(x, y, ms_percent)
        walked.light_ms_percent = {
            place: max(budget.account(*xy) for xy in where)
            for place, where in at.items()
        }
    return walked


def _wrong(
    event: useq.MDAEvent,
    orders: Orders,
    before: tuple[float, float],
    here: tuple[float, float],
) -> Iterator[tuple[str, str]]:
    """Yield what is wrong with an event, and where in the survey that is."""
    position, depth, channel = _where(event, "pg"), _where(event, "pgz"), ""
    if event.x_pos is not None or event.y_pos is not None:
        yield from _told(orders.xy(), position)
        yield from _outside(orders, "x_um", here[0], position)
        yield from _outside(orders, "y_um", here[1], position)
        step = math.dist(before, here)
        longest = orders.limits.max_step_um
        if longest is not None and step > longest:
            yield (
                f"a single move is longer than limits.max_step_um {longest:g}",
                f"{position} ({step:.1f} µm from where the stage was before)",
            )
    if event.z_pos is not None:
        yield from _told(orders.z(), depth)
        yield from _outside(orders, "z_um", event.z_pos, depth)
    if event.channel is not None:
        channel = f"channel '{event.channel.config}'"
        wrong = orders.channel(event.channel.config, event.channel.group)
        yield from _told(wrong, channel)
    if isinstance(event.action, useq.AcquireImage):
        preset = event.channel
        group, config = (preset.group, preset.config) if preset else ("", "")
        asked = EventTag.of(event).power_percent
        if asked is not None and not orders.has_power:
            yield (
                "the power of the light cannot be set: the microscope's file names no "
                "light.power_property",
                channel or position,
            )
        power = asked or orders.power_percent(group, config)
        if orders.has_power and orders.within("power_percent", power):
            yield from _outside(orders, "power_percent", power, channel or position)
    if event.exposure is not None:
        yield from _outside(orders, "exposure_ms", event.exposure, channel or position)
    for prop in event.properties or ():
        yield from _told(orders.property(str(prop[0]), str(prop[1])), position)
    if isinstance(event.action, useq.HardwareAutofocus):
        yield from _told(orders.autofocus(), position)


def _told(wrong: str | None, where: str) -> Iterator[tuple[str, str]]:
    if wrong:
        yield wrong.rstrip("."), where


def _outside(
    orders: Orders, name: str, value: float, where: str
) -> Iterator[tuple[str, str]]:
    if orders.within(name, value):
        low, high = getattr(orders.limits, name)
        yield (
            f"{name} is outside the limits {low:g} to {high:g}",
            f"{where} ({value:g})",
        )


def _where(event: useq.MDAEvent, axes: str) -> str:
    words = {"p": "position", "g": "tile", "z": "z"}
    parts = [
        f"{words[axis]} {event.index[axis]}" for axis in axes if axis in event.index
    ]
    if event.pos_name and parts:
        parts[0] += f" '{event.pos_name}'"
    return " ".join(parts) or "everywhere"
