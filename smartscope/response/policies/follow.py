"""Keep a cell in the middle of the field."""

from __future__ import annotations

import math
from dataclasses import dataclass

from smartscope.recognition import Occurrence, Track
from smartscope.response.actions import Action, MoveStage
from smartscope.response.decision import Decision, Outcome
from smartscope.response.observation import Observation
from smartscope.response.settings import FollowSettings

TAKE_UP_UM = 10.0


@dataclass(slots=True)
class _Followed:
    track_id: int
    x_um: float
    y_um: float
    last_seen_s: float
    missed: int = 0


class Follow:
    """Centres the visits to a place on a cell, from a hit on.

    One cell is followed at a place; hits on others are left to other policies until it
    is lost. After a division it goes on with the brighter daughter. If the track ends,
    a track that began since, within 10 µm of where it was last seen, is taken for the
    same cell. Whom it follows, takes up or gives up is said in a remark.

    The target is where the cell was in the frame, in stage µm: deciding again while the
    stage is still on its way wishes the same point and does not add up.
    """

    def __init__(self, settings: FollowSettings) -> None:
        self.settings = settings
        self._followed: dict[str, _Followed] = {}
        self._remarks: list[str] = []

    def decide(self, seen: Observation) -> list[Action]:
        """Wish a move if the followed cell is farther off centre than the dead band."""
        place = seen.frame.place
        followed = self._followed.get(place)
        if followed is None:
            followed = self._start(seen)
        else:
            followed = self._continue(followed, seen)
        if followed is None or followed.missed:
            return []
        state = seen.frame.state
        off_um = math.hypot(followed.x_um - state.x_um, followed.y_um - state.y_um)
        if off_um <= self.settings.dead_band_um:
            return []
        return [
            MoveStage(
                place=place,
                track_id=followed.track_id,
                x_um=followed.x_um,
                y_um=followed.y_um,
            )
        ]

    def remarks(self) -> list[str]:
        """Return, once, what it began, took up or gave up in this frame."""
        remarks, self._remarks = self._remarks, []
        return remarks

    def told(self, news: Decision | Outcome) -> None:
        """Take up the cell of an earlier decision after a restart."""
        if not isinstance(news, Decision) or not isinstance(news.wish, MoveStage):
            return
        wish = news.wish
        if wish.track_id >= 0 and wish.place not in self._followed:
            self._followed[wish.place] = _Followed(
                wish.track_id, wish.x_um, wish.y_um, news.time_s
            )

    def _start(self, seen: Observation) -> _Followed | None:
        for hit in seen.occurrences:
            if hit.name not in self.settings.on:
                continue
            track = seen.tracks.get(_followed_of(hit))
            if track is not None:
                self._say(seen, f"follows track {track.track_id} from a {hit.name} on")
                return self._take(track)
        return None

    def _continue(self, followed: _Followed, seen: Observation) -> _Followed | None:
        track = seen.tracks.get(followed.track_id) or self._daughter(followed, seen)
        if track is None:
            track = self._same_again(followed, seen)
        if track is not None and track.detection >= 0:
            return self._take(track)
        followed.missed += 1
        if followed.missed < self.settings.lost_after:
            return followed
        self._say(
            seen,
            f"gives up track {followed.track_id}: not found in {followed.missed} "
            f"frames in a row, last seen at x {followed.x_um:.1f}, "
            f"y {followed.y_um:.1f} µm",
        )
        del self._followed[seen.frame.place]
        return self._start(seen)

    def _daughter(self, followed: _Followed, seen: Observation) -> Track | None:
        daughters = [
            track
            for track in seen.tracks.values()
            if track.parent_id == followed.track_id
        ]
        if not daughters:
            return None
        track = max(daughters, key=lambda d: (d.intensity, -d.track_id))
        self._say(
            seen,
            f"track {followed.track_id} divided: goes on with its brighter daughter "
            f"{track.track_id}",
        )
        return track

    def _same_again(self, followed: _Followed, seen: Observation) -> Track | None:
        nearest = min(
            (
                (math.hypot(t.x_um - followed.x_um, t.y_um - followed.y_um), t.track_id)
                for t in seen.tracks.values()
                if t.first_seen_s > followed.last_seen_s and t.detection >= 0
            ),
            default=(math.inf, -1),
        )
        if nearest[0] > TAKE_UP_UM:
            return None
        self._say(
            seen,
            f"track {followed.track_id} was lost: takes up track {nearest[1]}, which "
            f"began {nearest[0]:.1f} µm from where it was last seen",
        )
        return seen.tracks[nearest[1]]

    def _take(self, track: Track) -> _Followed:
        followed = _Followed(track.track_id, track.x_um, track.y_um, track.last_seen_s)
        self._followed[track.place] = followed
        return followed

    def _say(self, seen: Observation, what: str) -> None:
        self._remarks.append(f"{seen.frame.place}: {what}")


def _followed_of(hit: Occurrence) -> int:
    """Return the track to follow: of a split the brighter daughter."""
    if not hit.track_ids:
        return -1
    return hit.track_ids[1] if hit.kind == "split" else hit.track_ids[0]
