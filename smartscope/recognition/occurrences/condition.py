"""When something has held often enough to be told, and when it may be told again."""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import NamedTuple

from smartscope.recognition.occurrence_base import CountedBase

_ARMED_AGAIN_AFTER = 15  # looks, where a baseline follows what it is held against


class Look(NamedTuple):
    """One value that was looked at."""

    frame_id: int
    time_s: float
    beyond: bool


class Held(NamedTuple):
    """A condition that has just come to hold.

    ``onset_s`` and ``frame_ids`` are of the looks that were counted, the present one
    left out of the ids; ``share`` is theirs of all looks that were taken into account.
    """

    onset_s: float
    frame_ids: tuple[int, ...]
    share: float


@dataclass(slots=True)
class _Watch:
    recent: deque[Look]
    fired: bool = False
    since: int = field(default=0)


class Condition:
    """n of the last m looks beyond a bound, told once until it has come back.

    Parameters
    ----------
    settings : CountedBase
        How many of how many.
    follows : bool
        The bound follows the value (a running baseline): after 15 looks beyond, what
        was new is usual, and it may be told again.
    """

    def __init__(self, settings: CountedBase, *, follows: bool = False) -> None:
        self._frames = settings.frames
        self._of = settings.of
        self._follows = follows
        self._watched: dict[Hashable, _Watch] = {}

    def look(
        self, key: Hashable, frame_id: int, time_s: float, *, beyond: bool, back: bool
    ) -> Held | None:
        """Take one value into account; return what holds if it does so from now on.

        Parameters
        ----------
        key : hashable
            What the value is of: a track, a place.
        frame_id, time_s
            Of the frame.
        beyond : bool
            The value is beyond the bound.
        back : bool
            It has come back far enough to be told again.
        """
        watch = self._watch(key)
        if watch.fired:
            watch.since += 1
            if back or (self._follows and watch.since >= _ARMED_AGAIN_AFTER):
                watch.fired = False
                watch.recent.clear()
            return None
        watch.recent.append(Look(frame_id, time_s, beyond))
        shown = [look for look in watch.recent if look.beyond]
        if not beyond or len(shown) < self._frames:
            return None
        watch.fired, watch.since = True, 0
        return Held(
            shown[0].time_s,
            tuple(look.frame_id for look in shown[:-1]),
            len(shown) / len(watch.recent),
        )

    def fired(self, key: Hashable) -> bool:
        """Return whether it holds and has been told."""
        watch = self._watched.get(key)
        return watch is not None and watch.fired

    def resume(self, key: Hashable) -> None:
        """After a restart: it was told, and is not armed."""
        self._watch(key).fired = True

    def forget(self, key: Hashable) -> None:
        """Drop what is remembered."""
        self._watched.pop(key, None)

    def _watch(self, key: Hashable) -> _Watch:
        if key not in self._watched:
            self._watched[key] = _Watch(deque(maxlen=self._of))
        return self._watched[key]


class Baseline:
    """The median of up to 15 earlier values, for each key."""

    def __init__(self, least: int) -> None:
        self._least = least
        self._levels: dict[Hashable, deque[float]] = {}

    def of(self, key: Hashable) -> float | None:
        """Return it, None while there are fewer values than asked for."""
        levels = self._levels.get(key)
        if levels is None or len(levels) < self._least:
            return None
        ordered = sorted(levels)
        half = len(ordered) // 2
        if len(ordered) % 2:
            return ordered[half]
        return (ordered[half - 1] + ordered[half]) / 2

    def add(self, key: Hashable, value: float) -> None:
        """Take a value in."""
        self._levels.setdefault(key, deque(maxlen=_ARMED_AGAIN_AFTER)).append(value)

    def forget(self, key: Hashable) -> None:
        """Drop the values of a key."""
        self._levels.pop(key, None)
