"""Cells that come so near to a followed one that they may be taken for it."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from statistics import median

from smartscope.recognition import Track

_LOOKS = 15
_LOOKS_NEEDED = 3
_APART = 1.5  # times the distance at which they meet: they have parted
_REMEMBERED = 4.0  # times that distance: whose looks are kept
# of ln intensity: what still is the same cell, and what tells two cells apart
_SAME = 0.10
_OTHER = 0.12


@dataclass(slots=True)
class _Meeting:
    """Who is near the followed cell, since one came near it."""

    look: float
    ids: set[int] = field(default_factory=set)
    # seen alone since they have parted: what is compared
    since: dict[int, list[float]] = field(default_factory=dict)


class Encounters:
    """Watches who comes near a followed cell, and tells them apart after it.

    A cell that comes nearer than ``alike_um`` may be taken for the followed one from
    then on: in the picture they are one thing, or the nearest detection is that of the
    other. When they have parted, their intensities (per light ordered) are compared
    with what the followed one had before, each the median of its frames without a
    neighbour: within 10 % it is the same, and 12 % farther off it is another.

    Parameters
    ----------
    alike_um : float
        Nearer cells may be taken for each other; 0: nobody is watched.
    """

    def __init__(self, alike_um: float) -> None:
        self._alike_um = alike_um
        self._looks: dict[int, deque[float]] = {}
        self._meeting: _Meeting | None = None

    @property
    def open(self) -> bool:
        """Whether the followed cell cannot be told from another one now."""
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
        about = [
            t
            for t in tracks.values()
            if _apart_um(t, mine) < _REMEMBERED * self._alike_um
        ]
        said: list[str] = []
        near = {
            t.track_id: _apart_um(t, mine)
            for t in about
            if t is not mine and _apart_um(t, mine) < self._alike_um
        }
        new = near.keys() - (self._meeting.ids if self._meeting else set())
        for track_id in sorted(new):
            if self._meeting is None:
                self._meeting = _Meeting(self._usual(followed_id))
            self._meeting.ids.add(track_id)
            said.append(
                f"ambiguous: track {track_id} is {near[track_id]:.1f} µm from track "
                f"{followed_id} and may be swapped with it"
            )
        self._remember(about)
        if self._meeting is None:
            return followed_id, said
        if near or mine.missed:
            self._meeting.since.clear()
            return followed_id, said
        chosen, told = self._parted(self._meeting, mine, tracks)
        return chosen, said + told

    def _parted(
        self, meeting: _Meeting, mine: Track, tracks: Mapping[int, Track]
    ) -> tuple[int, list[str]]:
        """Compare those that have parted, once each has been seen alone for a while."""
        left = [tracks[i] for i in sorted(meeting.ids) if i in tracks]
        for track in (mine, *left):
            if track is not mine and _apart_um(track, mine) < _APART * self._alike_um:
                return mine.track_id, []
            look = _look(track)
            if math.isfinite(look) and self._is_alone(track, tracks.values()):
                meeting.since.setdefault(track.track_id, []).append(look)
        if any(
            len(meeting.since.get(t.track_id, ())) < _LOOKS_NEEDED
            for t in (mine, *left)
        ):
            return mine.track_id, []
        self._meeting = None
        named = ", ".join(map(str, sorted(meeting.ids)))
        doubt = f"track {mine.track_id} may have been swapped with track {named}"
        if not left or not math.isfinite(meeting.look):
            why = "it is gone" if not left else "it was not seen alone before"
            return mine.track_id, [f"{doubt}: {why}"]
        off = {
            t.track_id: abs(median(meeting.since[t.track_id]) - meeting.look)
            for t in (mine, *left)
        }
        best, second = sorted(off, key=lambda i: (off[i], i))[:2]
        if len(left) < len(meeting.ids) or (
            off[best] > _SAME or off[second] - off[best] < _OTHER
        ):
            return mine.track_id, [f"{doubt}: their intensities do not tell"]
        if best == mine.track_id:
            return best, [
                f"told apart from track {named}: track {best} is as bright as before"
            ]
        self._looks.pop(mine.track_id, None)
        return best, [
            f"track {mine.track_id} was swapped with track {best}: goes on as {best}, "
            "which is as bright as it was"
        ]

    def _remember(self, about: list[Track]) -> None:
        kept = {t.track_id for t in about}
        self._looks = {i: looks for i, looks in self._looks.items() if i in kept}
        for track in about:
            look = _look(track)
            if math.isfinite(look) and self._is_alone(track, about):
                looks = self._looks.setdefault(track.track_id, deque(maxlen=_LOOKS))
                looks.append(look)

    def _is_alone(self, track: Track, others: Iterable[Track]) -> bool:
        least_um = _APART * self._alike_um
        return not any(
            t.track_id != track.track_id and _apart_um(t, track) < least_um
            for t in others
        )

    def _usual(self, track_id: int) -> float:
        looks = self._looks.get(track_id, ())
        return median(looks) if len(looks) >= _LOOKS_NEEDED else math.nan


def _apart_um(a: Track, b: Track) -> float:
    return math.hypot(a.x_um - b.x_um, a.y_um - b.y_um)


def _look(track: Track) -> float:
    """Return ln of its intensity in this frame; NaN if it was missed."""
    if track.detection < 0 or not track.intensity > 0:
        return math.nan
    return math.log(track.intensity)
