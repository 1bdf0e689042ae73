"""Cells that come so near to a followed one that they may be taken for it."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median

from smartscope.recognition import Track

Look = tuple[float, float]
"""ln of intensity over that of the field's median thing, ln of the area."""

_LOOKS = 15
_LOOKS_NEEDED = 3
_APART = 1.5  # times the distance at which they meet: they have parted
_REMEMBERED = 4.0  # times that distance: whose looks are kept
_PATIENCE = 60  # frames in which one that has vanished may come out of the other
# between two looks: what still is the same cell, and what tells two cells apart
_SAME = 0.12
_OTHER = 0.10


@dataclass(slots=True)
class _Meeting:
    """Who is near the followed cell, since one came near it."""

    look: Look | None
    ids: set[int] = field(default_factory=set)
    # since they have parted: how they look, each alone
    since: dict[int, list[Look]] = field(default_factory=dict)
    alone: int = 0


class Encounters:
    """Watches who comes near a followed cell, and tells them apart after it.

    A cell that comes nearer than ``alike_um`` may be taken for the followed one from
    then on: in the picture they are one thing, or the nearest detection is that of the
    other. When they have parted, brightness and size of each (medians over its frames
    without a neighbour) are compared with those that the followed one had before:
    within 12 % it is the same, and another one is 10 % farther off. A track that has
    ended meanwhile is waited for, for 60 frames: it may come out of the other.

    Parameters
    ----------
    alike_um : float
        Nearer cells may be taken for each other; 0: nobody is watched.
    """

    def __init__(self, alike_um: float) -> None:
        self._alike_um = alike_um
        self._looks: dict[int, deque[Look]] = {}
        self._meeting: _Meeting | None = None

    @property
    def open(self) -> bool:
        """Whether the followed cell and another one may be one thing in the picture."""
        return self._meeting is not None

    def look(
        self, followed_id: int, tracks: Mapping[int, Track]
    ) -> tuple[int, list[str]]:
        """Take a frame in.

        Parameters
        ----------
        followed_id : int
            The track that is followed.
        tracks : Mapping[int, Track]
            Alive at the place after the frame.

        Returns
        -------
        tuple of int and list of str
            The track to follow from now on, and what is to be said.
        """
        mine = tracks.get(followed_id)
        if mine is None or not self._alike_um:
            return followed_id, []
        shown = [t.intensity for t in tracks.values() if _is_shown(t)]
        usual = median(shown) if shown else math.nan
        about = [
            t
            for t in tracks.values()
            if _apart_um(t, mine) < _REMEMBERED * self._alike_um
        ]
        near = {
            t.track_id: _apart_um(t, mine)
            for t in about
            if t is not mine and _apart_um(t, mine) < self._alike_um
        }
        said = self._met(mine, near)
        self._remember(about, usual)
        meeting = self._meeting
        if meeting is None:
            return followed_id, said
        if near or mine.missed:
            meeting.since.clear()
            meeting.alone = 0
            return followed_id, said
        meeting.alone += 1
        chosen, told = self._parted(meeting, mine, tracks, about, usual)
        return chosen, said + told

    def _met(self, mine: Track, near: Mapping[int, float]) -> list[str]:
        """Return what is said of those that were not near before."""
        said = []
        for track_id, apart_um in sorted(near.items()):
            if self._meeting is None:
                self._meeting = _Meeting(self._usual(mine.track_id))
            if track_id not in self._meeting.ids:
                self._meeting.ids.add(track_id)
                said.append(
                    f"ambiguous: track {track_id} is {apart_um:.1f} µm from track "
                    f"{mine.track_id} and may be swapped with it"
                )
        return said

    def _parted(
        self,
        meeting: _Meeting,
        mine: Track,
        tracks: Mapping[int, Track],
        about: Sequence[Track],
        usual: float,
    ) -> tuple[int, list[str]]:
        """Compare those that have parted, once each has been seen alone for a while."""
        left = [tracks[i] for i in sorted(meeting.ids) if i in tracks]
        if not left and meeting.alone < _PATIENCE:
            return mine.track_id, []
        named = ", ".join(map(str, sorted(meeting.ids)))
        doubt = f"track {mine.track_id} may have been swapped with track {named}"
        if not left:
            self._meeting = None
            return mine.track_id, [f"{doubt}, which is gone"]
        least_um = _APART * self._alike_um
        for track in (mine, *left):
            if track is not mine and _apart_um(track, mine) < least_um:
                return mine.track_id, []
            if _is_shown(track) and self._is_alone(track, about):
                looks = meeting.since.setdefault(track.track_id, [])
                looks.append(_look(track, usual))
        compared = (mine, *left)
        if any(
            len(meeting.since.get(t.track_id, ())) < _LOOKS_NEEDED for t in compared
        ):
            return mine.track_id, []
        self._meeting = None
        if meeting.look is None:
            return mine.track_id, [f"{doubt}: it was not seen alone before"]
        off = {
            t.track_id: _differ(_middle(meeting.since[t.track_id]), meeting.look)
            for t in compared
        }
        best, second = sorted(off, key=lambda i: (off[i], i))[:2]
        if off[best] > _SAME or off[second] - off[best] < _OTHER:
            return mine.track_id, [f"{doubt}: their looks do not tell"]
        if best == mine.track_id:
            return best, [
                f"told apart from track {named}: track {best} looks as it did before"
            ]
        return best, [
            f"track {mine.track_id} was swapped with track {best}: goes on as {best}, "
            "which looks as it did before"
        ]

    def _remember(self, about: Sequence[Track], usual: float) -> None:
        kept = {t.track_id for t in about}
        self._looks = {i: looks for i, looks in self._looks.items() if i in kept}
        for track in about:
            if _is_shown(track) and self._is_alone(track, about):
                looks = self._looks.setdefault(track.track_id, deque(maxlen=_LOOKS))
                looks.append(_look(track, usual))

    def _is_alone(self, track: Track, others: Iterable[Track]) -> bool:
        least_um = _APART * self._alike_um
        return not any(
            t.track_id != track.track_id and _apart_um(t, track) < least_um
            for t in others
        )

    def _usual(self, track_id: int) -> Look | None:
        looks = self._looks.get(track_id, ())
        return _middle(looks) if len(looks) >= _LOOKS_NEEDED else None


def _apart_um(a: Track, b: Track) -> float:
    return math.hypot(a.x_um - b.x_um, a.y_um - b.y_um)


def _is_shown(track: Track) -> bool:
    return track.detection >= 0 and track.intensity > 0


def _look(track: Track, usual: float) -> Look:
    area = math.log(track.area_um2) if track.area_um2 > 0 else 0.0
    return math.log(track.intensity / usual), area


def _middle(looks: Iterable[Look]) -> Look:
    brightness, size = zip(*looks, strict=True)
    return median(brightness), median(size)


def _differ(a: Look, b: Look) -> float:
    return math.hypot(a[0] - b[0], a[1] - b[1])
