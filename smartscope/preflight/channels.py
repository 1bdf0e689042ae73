"""Whether the survey takes what is looked at: each channel, at every place, in time."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING

import useq

from smartscope.acquisition import EventTag
from smartscope.errors import nearest
from smartscope.recognition import Gathering, visit_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from smartscope.preflight.orders import Orders
    from smartscope.settings import Experiment

# of a longer survey the first ones: what comes after them repeats
_MOST_EVENTS = 20_000
_SHOWN = 3


def wrong_channels(
    experiment: Experiment,
    orders: Orders,
    taken: Collection[str],
    notices: list[str],
) -> Iterator[str]:
    """Yield what is wrong with the channels to analyse.

    Parameters
    ----------
    experiment : Experiment
        The experiment.
    orders : Orders
        What the microscope can be told.
    taken : Collection of str
        Presets in which the survey takes frames.
    notices : list of str
        Appended to, where sets will stay incomplete now and then.
    """
    names, cameras = experiment.analysis.channels, orders.cameras
    presets = {preset or orders.preset for preset in taken}
    named = sorted(c for c in presets if c)
    several = len(cameras) > 1
    unknown = [n for n in names if n not in presets and n not in cameras]
    for name in unknown:
        also = f" Its cameras are: {', '.join(cameras)}." if several else ""
        yield (
            f"analysis.channel: the survey takes no frame in '{name}'."
            f"{nearest(name, [*named, *(cameras if several else ())])} It takes: "
            f"{', '.join(named) or 'no channel'}.{also}"
        )
    if several and not unknown and len(names) < 2 and not set(names) & set(cameras):
        notices.append(
            f"Frames of {' and '.join(cameras)} are looked at as if they were of one "
            "camera. Name one of them in analysis.channel, or several for a model that "
            "takes them together."
        )
    if unknown or len(names) < 2:
        return
    by_camera = [name for name in names if name in cameras]
    if by_camera and len(by_camera) < len(names):
        yield (
            f"analysis.channel: {', '.join(by_camera)} is a camera and "
            f"{', '.join(n for n in names if n not in by_camera)} a preset. Name "
            "presets, which are taken one after the other, or cameras, which expose "
            "together."
        )
    elif by_camera:
        return
    elif several:
        yield (
            "analysis.channel: each preset is taken by the cameras "
            f"{', '.join(cameras)}, and one frame of each channel makes a set. Name "
            "the cameras in its place, or make one of them the core's camera."
        )
    elif experiment.analysis.bursts:
        yield (
            "analysis.bursts: a burst is taken in one channel, and the model looks at "
            f"{' and '.join(names)} together. Set 'bursts: false'."
        )
    else:
        yield from _sets(experiment.survey, names, orders.preset, notices)


@dataclass(slots=True)
class _Sets:
    """Sets of one place, on paper."""

    whole: int = 0
    incomplete: int = 0
    # by plane of the stack the visit that goes on, and channels it has
    waiting: dict[int, tuple[object, set[str]]] = field(default_factory=dict)
    seen: set[str] = field(default_factory=set)
    lacking: Counter[str] = field(default_factory=Counter)

    def add(self, z: int, visit: object, preset: str, names: tuple[str, ...]) -> None:
        self.seen.add(preset)
        before, there = self.waiting.get(z, (visit, set()))
        if before != visit:
            self.give_up(there, names)
            there = set()
        there.add(preset)
        self.waiting[z] = (visit, there)
        if len(there) == len(names):
            self.whole += 1
            del self.waiting[z]

    def give_up(self, there: set[str], names: tuple[str, ...]) -> None:
        self.incomplete += 1
        self.lacking.update(n for n in names if n not in there)


def _sets(
    survey: useq.MDASequence, names: tuple[str, ...], preset: str, notices: list[str]
) -> Iterator[str]:
    """Yield places that never have a whole set, on paper."""
    places: dict[str, _Sets] = {}
    events = iter(survey)
    for event in islice(events, _MOST_EVENTS):
        if event.channel is not None:
            preset = event.channel.config
        if not isinstance(event.action, useq.AcquireImage):
            continue
        sets = places.setdefault(EventTag.of_survey(event).place, _Sets())
        if preset in names:
            visit = visit_of(event.index, cameras=False)
            sets.add(event.index.get("z", 0), visit, preset, names)
    if next(events, None) is None:
        for sets in places.values():
            for _, there in sets.waiting.values():
                sets.give_up(there, names)
    absent = {p: [n for n in names if n not in s.seen] for p, s in places.items()}
    for told in dict.fromkeys(tuple(lacking) for lacking in absent.values() if lacking):
        where = [p for p, lacking in absent.items() if tuple(lacking) == told]
        more = f" and {len(where) - _SHOWN} more" if len(where) > _SHOWN else ""
        yield (
            f"analysis.channel: the survey takes no frame in '{', '.join(told)}' at "
            f"{', '.join(where[:_SHOWN])}{more}: the model would wait there for ever."
        )
    if any(absent.values()):
        return
    apart = [p for p, s in places.items() if not s.whole and s.incomplete]
    if apart:
        yield (
            f"analysis.channel: {', '.join(names)} are never taken in one visit of "
            f"{', '.join(apart[:_SHOWN])}. Take them one after the other: put 'c' "
            "after 't' and 'p' in the survey's axis_order."
        )
    elif lost := sum(s.incomplete for s in places.values()):
        lacking = Counter[str]()
        for sets in places.values():
            lacking.update(sets.lacking)
        notices.append(
            f"{lost} of {lost + sum(s.whole for s in places.values())} sets of "
            f"{', '.join(names)} will stay incomplete, because the survey does not "
            f"take {', '.join(lacking)} each time: their frames are stored and not "
            "looked at."
        )


def too_much_kept(
    experiment: Experiment, orders: Orders, channels: int, window: int
) -> Iterator[str]:
    """Yield if the windows of all places are more than the analysis keeps.

    Parameters
    ----------
    experiment : Experiment
        The experiment.
    orders : Orders
        What the microscope can be told.
    channels, window : int
        What the model looks at together.
    """
    if window < 2:
        return
    named = experiment.analysis.channels
    places = {
        (
            EventTag.of_survey(event).place,
            event.index.get("z", 0),
            "" if len(named) > 1 or event.channel is None else event.channel.config,
        )
        for event in islice(iter(experiment.survey), _MOST_EVENTS)
        if len(named) != 1 or event.channel is None or event.channel.config in named
    }
    each = (window - 1) * channels * orders.bytes_per_frame
    most = Gathering.most_places_of(each)
    if len(places) > most:
        yield (
            f"analysis.detect: a window of {window} frames at {len(places)} places "
            f"(planes of a stack and channels counted) takes "
            f"{len(places) * each / 2**30:.3g} GiB; {most} places are kept. Survey "
            "fewer, or take a model of a shorter window."
        )
