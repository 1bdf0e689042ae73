"""Keep a cell in the middle of the field."""

from __future__ import annotations

import math
from dataclasses import dataclass

from smartscope.recognition import Occurrence, Track
from smartscope.response.actions import Action, MoveStage
from smartscope.response.decision import Decision, Outcome
from smartscope.response.observation import Observation
from smartscope.response.policies.search import Search
from smartscope.response.settings import FollowSettings

TAKE_UP_UM = 10.0


@dataclass(slots=True)
class _Followed:
    track_id: int
    x_um: float
    y_um: float
    last_seen_s: float
    missed: int = 0
    search: Search | None = None


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
        if followed is not None and followed.search is not None:
            return self._searching(followed, seen)
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

    def _searching(self, followed: _Followed, seen: Observation) -> list[Action]:
        search, place = followed.search, seen.frame.place
        assert search is not None
        track = search.found(seen) if search.wanted or search.looked else None
        if track is not None:
            self._say(
                seen,
                f"found a cell in field {search.looked + 1} of the search: track "
                f"{followed.track_id} goes on as {track.track_id}",
            )
            self._take(track)
            target = (track.x_um, track.y_um)
        else:
            point = search.look(seen)
            if point is None:
                self._give_up(followed, seen, f"not in {search.looked} fields about it")
                point = (followed.x_um, followed.y_um)
            target = point
        return [
            MoveStage(
                place=place,
                track_id=track.track_id if track else followed.track_id,
                x_um=target[0],
                y_um=target[1],
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
        return self._chosen(seen)

    def _chosen(self, seen: Observation) -> _Followed | None:
        """Choose by the rule, among the cells that this frame shows."""
        choose = self.settings.choose
        shown = [t for t in seen.tracks.values() if t.detection >= 0]
        if choose == "hit" or not shown:
            return None
        if choose == "brightest":
            track = max(shown, key=lambda t: (t.intensity, -t.track_id))
        else:
            track = min(shown, key=lambda t: t.track_id)
        self._say(seen, f"follows track {track.track_id}, the {choose}")
        return self._take(track)

    def _continue(self, followed: _Followed, seen: Observation) -> _Followed | None:
        track = seen.tracks.get(followed.track_id) or self._daughter(followed, seen)
        if track is None:
            track = self._same_again(followed, seen)
        if track is not None and track.detection >= 0:
            return self._take(track)
        followed.missed += 1
        if followed.missed < self.settings.lost_after or followed.search is not None:
            return followed
        if self.settings.search:
            followed.search = Search.about(
                followed.x_um,
                followed.y_um,
                followed.last_seen_s,
                seen.frame,
                self.settings.search,
            )
            self._say(
                seen,
                f"track {followed.track_id} is lost: looks at {self.settings.search} "
                "fields about it",
            )
            return followed
        why = f"not found in {followed.missed} frames in a row"
        self._give_up(followed, seen, why)
        return self._start(seen)

    def _give_up(self, followed: _Followed, seen: Observation, why: str) -> None:
        self._say(
            seen,
            f"gives up track {followed.track_id}: {why}, last seen at x "
            f"{followed.x_um:.1f}, y {followed.y_um:.1f} µm",
        )
        del self._followed[seen.frame.place]

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
