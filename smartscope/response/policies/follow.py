"""Keep a cell in the middle of the field."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field

from smartscope.recognition import Occurrence, Track
from smartscope.response.actions import Action, MoveStage
from smartscope.response.decision import Decision, Outcome
from smartscope.response.draw import drawn
from smartscope.response.follow_settings import FollowSettings
from smartscope.response.observation import Observation
from smartscope.response.policies.encounters import Encounters
from smartscope.response.policies.plane_of_cell import PlaneOfCell, Stack
from smartscope.response.policies.search import Search, look_of
from smartscope.response.target import Target

TAKE_UP_UM = 10.0
_ARRIVED_UM = 1.0
_TRAIL = 4  # sightings that its speed is taken from
_MOST_LEAD = 0.5  # of the dead band


@dataclass(slots=True)
class _Followed:
    """A cell that is followed: its track, where it is, where the stage shall go."""

    track_id: int
    x_um: float
    y_um: float
    last_seen_s: float
    missed: int = 0
    search: Search | None = None
    wanted: tuple[float, float] | None = None
    z_um: float | None = None
    look: tuple[float, float] = (math.nan, math.nan)
    trail: deque[tuple[float, float, float]] = field(
        default_factory=lambda: deque(maxlen=_TRAIL)
    )

    def off_um(self, x_um: float, y_um: float) -> float:
        """Return how far it is from a point."""
        return math.hypot(self.x_um - x_um, self.y_um - y_um)


class Follow:
    """Centres the visits to a place on a cell, from a hit on or chosen otherwise.

    One cell is followed at a place; hits on others are left to other policies until it
    is lost. After a division it goes on with the brighter daughter. If the track ends,
    a track that began since, within 10 µm of where it was last seen, is taken for the
    same cell. Whom it follows, takes up or gives up, and whom it may have been swapped
    with, is said in a remark.

    The target is where the cell was in the frame, in stage µm, and stays the same as
    long as the stage is on its way to it and the cell is within the dead band of it: a
    decision that takes effect frames later is not made a second time. Where the survey
    takes z stacks it keeps the cell's plane in the middle of them.
    """

    def __init__(self, settings: FollowSettings) -> None:
        self.settings = settings
        self._followed: dict[str, _Followed] = {}
        self._encounters: dict[str, Encounters] = {}
        self._stacks: dict[str, PlaneOfCell] = {}
        self._targets: dict[str, Target] = {}
        self._drawn: dict[str, int] = {}
        self._remarks: list[str] = []

    def decide(self, seen: Observation) -> list[Action]:
        """Wish a move if the followed cell is farther off centre than the dead band."""
        place = seen.frame.place
        followed = self._pointed_at(seen)
        if followed is None:
            followed = self._followed.get(place)
            if followed is None:
                followed = self._start(seen)
            else:
                followed = self._continue(followed, seen)
        if followed is not None and followed.search is not None:
            return self._searching(followed, seen)
        if followed is None:
            return []
        if self.settings.z is not None:
            return self._in_z(followed, seen)
        point = None if followed.missed else self._point(followed, seen)
        return [] if point is None else [_move(followed, place, point)]

    def _point(
        self, followed: _Followed, seen: Observation
    ) -> tuple[float, float] | None:
        """Return where the stage shall be; None if it is well where it is."""
        at = (seen.frame.state.x_um, seen.frame.state.y_um)
        most_um = self.settings.dead_band_um
        meets = self._encounters.get(seen.frame.place)
        if meets is not None and meets.open:
            # what is seen may be the middle of two, and jumps when they part
            most_um += self.settings.alike_um / 2
        if followed.off_um(*at) <= most_um:
            followed.wanted = None
            return None
        wanted = followed.wanted
        if (
            wanted is None
            or math.dist(wanted, at) <= _ARRIVED_UM
            or followed.off_um(*wanted) > most_um
        ):
            followed.wanted = wanted = self._ahead(followed)
        return wanted

    def _ahead(self, followed: _Followed) -> tuple[float, float]:
        """Return where the cell is, or will be a little later."""
        here = (followed.x_um, followed.y_um)
        then_s, *then = followed.trail[0] if followed.trail else (math.inf, *here)
        past_s = followed.last_seen_s - then_s
        if not self.settings.lead_s or not past_s > 0:
            return here
        dx, dy = (
            (now - before) * self.settings.lead_s / past_s
            for now, before in zip(here, then, strict=True)
        )
        most_um = _MOST_LEAD * self.settings.dead_band_um
        share = min(1.0, most_um / max(math.hypot(dx, dy), 1e-9))
        return here[0] + share * dx, here[1] + share * dy

    def _in_z(self, followed: _Followed, seen: Observation) -> list[Action]:
        """Decide once a visit, about x, y and z."""
        settings, place = self.settings.z, seen.frame.place
        assert settings is not None
        stack = self._stacks.setdefault(place, PlaneOfCell(settings)).take(
            seen.frame, followed.x_um, followed.y_um
        )
        if stack is None or followed.missed > settings.planes:
            return []
        kept = self.settings.smooth if followed.z_um is not None else 0.0
        followed.z_um = kept * (followed.z_um or 0.0) + (1 - kept) * stack.best_um
        point = self._point(followed, seen)
        if abs(followed.z_um - stack.middle_um) > settings.dead_band_um:
            state = seen.frame.state
            point = point or (state.x_um, state.y_um)
            return [_move(followed, place, point, stack)]
        return [] if point is None else [_move(followed, place, point)]

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
            target = (track.x_um, track.y_um)
            followed = self._take(track)
            followed.wanted = target
        else:
            point = search.look(seen)
            if point is None:
                self._give_up(followed, seen, f"not in {search.looked} fields about it")
                point = (followed.x_um, followed.y_um)
            target = point
        return [_move(followed, place, target)]

    def chosen_tracks(self) -> list[int]:
        """Return the tracks that are followed now."""
        return [followed.track_id for followed in self._followed.values()]

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
            target = self._targets.get(wish.place)
            if target is not None and target.time_s <= news.time_s:
                del self._targets[wish.place]

    def pointed(self, target: Target) -> None:
        """Take a point that a person has chosen; the next frame there answers it."""
        if self.settings.choose == "click":
            self._targets[target.place] = target

    # ---------------------------------------------------------------- whom to follow

    def _pointed_at(self, seen: Observation) -> _Followed | None:
        """Follow the cell that a person pointed at, if this frame shows it."""
        target = self._targets.pop(seen.frame.place, None)
        if target is None:
            return None
        far, track_id = min(
            (
                (math.hypot(t.x_um - target.x_um, t.y_um - target.y_um), t.track_id)
                for t in seen.tracks.values()
                if t.detection >= 0
            ),
            default=(math.inf, -1),
        )
        where = f"x {target.x_um:.1f}, y {target.y_um:.1f} µm"
        if far > self.settings.within_um:
            self._say(
                seen,
                f"no cell within {self.settings.within_um:g} µm of {where}, which was "
                "pointed at",
            )
            return None
        before = self._followed.get(seen.frame.place)
        instead = f" instead of track {before.track_id}" if before else ""
        self._say(
            seen,
            f"follows track {track_id}{instead}, {far:.1f} µm from {where}, which was "
            "pointed at",
        )
        return self._take(seen.tracks[track_id])

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
        choose, place = self.settings.choose, seen.frame.place
        shown = [t for t in seen.tracks.values() if t.detection >= 0]
        if choose in ("hit", "click") or not shown:
            return None
        if choose == "brightest":
            track = max(shown, key=lambda t: (t.intensity, -t.track_id))
        elif choose == "first":
            track = min(shown, key=lambda t: t.track_id)
        else:
            times = self._drawn[place] = self._drawn.get(place, 0) + 1
            share = drawn(self.settings.seed or 0, "follow", place, times)
            ordered = sorted(shown, key=lambda t: t.track_id)
            track = ordered[int(share * len(ordered))]
        said = f"one of {len(shown)} at random" if choose == "random" else choose
        said = said if choose == "random" else f"the {said}"
        self._say(seen, f"follows track {track.track_id}, {said}")
        return self._take(track)

    def _continue(self, followed: _Followed, seen: Observation) -> _Followed | None:
        place = seen.frame.place
        track = seen.tracks.get(followed.track_id)
        if track is not None and followed.search is None:
            encounters = self._encounters.setdefault(
                place, Encounters(self.settings.alike_um)
            )
            chosen, said = encounters.look(followed.track_id, seen.tracks)
            for each in said:
                self._say(seen, each)
            if chosen != followed.track_id:
                return self._take(seen.tracks[chosen])
        track = track or self._daughter(followed, seen)
        if track is None:
            track = self._same_again(followed, seen)
        if track is not None and track.detection >= 0:
            if track.track_id != followed.track_id:
                return self._take(track)
            return self._seen_again(followed, track)
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
                followed.look,
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
        self._encounters.pop(seen.frame.place, None)

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
        """Begin with a track, and with nothing of what was followed before."""
        followed = _Followed(track.track_id, track.x_um, track.y_um, track.last_seen_s)
        followed.look = look_of(track)
        followed.trail.append((track.last_seen_s, track.x_um, track.y_um))
        self._followed[track.place] = followed
        self._encounters.pop(track.place, None)
        return followed

    def _seen_again(self, followed: _Followed, track: Track) -> _Followed:
        kept = self.settings.smooth
        followed.x_um = kept * followed.x_um + (1 - kept) * track.x_um
        followed.y_um = kept * followed.y_um + (1 - kept) * track.y_um
        followed.last_seen_s, followed.missed = track.last_seen_s, 0
        followed.look = look_of(track)
        followed.trail.append((track.last_seen_s, followed.x_um, followed.y_um))
        return followed

    def _say(self, seen: Observation, what: str) -> None:
        self._remarks.append(f"{seen.frame.place}: {what}")


def _move(
    followed: _Followed,
    place: str,
    point: tuple[float, float],
    stack: Stack | None = None,
) -> MoveStage:
    wish = MoveStage(
        place=place, track_id=followed.track_id, x_um=point[0], y_um=point[1]
    )
    if stack is None:
        return wish
    return wish.model_copy(update={"z_um": followed.z_um, "z_span_um": stack.span_um})


def _followed_of(hit: Occurrence) -> int:
    """Return the track to follow: of a split the brighter daughter."""
    if not hit.track_ids:
        return -1
    return hit.track_ids[1] if hit.kind == "split" else hit.track_ids[0]
