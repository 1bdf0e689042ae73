"""Light chosen objects through a light modulator."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from smartscope.response.actions import Action
from smartscope.response.decision import LET_THROUGH, Decision, Outcome
from smartscope.response.observation import Observation
from smartscope.response.stimulate_settings import StimulateSettings
from smartscope.response.stimulation import Spot, Stimulate


@dataclass(frozen=True, slots=True)
class _Thing:
    """What a stimulation is about: its track, its row in the detections, its place."""

    track_id: int
    row: int
    at_um: tuple[float, float]


class StimulateObjects:
    """Wishes a stimulation for each thing it is about, the surest first.

    A thing it was about, stimulated or withheld as sham, is left alone from then on, or
    for as long as the settings say.
    """

    def __init__(self, settings: StimulateSettings) -> None:
        self.settings = settings
        self._about: dict[int, tuple[str, float, str]] = {}
        self._remarks: list[str] = []
        self._unlit: set[tuple[int, str]] = set()

    def decide(self, seen: Observation) -> list[Action]:
        """Wish a stimulation for each thing that is chosen in this frame."""
        self._forget_ended(seen)
        settings, state = self.settings, seen.frame.state
        rows, columns = state.field_px or seen.frame.pixels.shape
        field_um2 = rows * columns * state.pixel_size_um**2
        wishes: list[Action] = []
        for thing in self._chosen(seen):
            if self._is_left_alone(thing.track_id, seen.frame.time_s):
                continue
            targets = self._targets(thing, seen)
            if not targets:
                self._say_none(thing.track_id, seen.frame.place)
                continue
            share = sum(target.area_um2 for target in targets) / field_um2
            wishes.append(
                Stimulate(
                    place=seen.frame.place,
                    track_id=thing.track_id,
                    x_um=state.x_um,
                    y_um=state.y_um,
                    targets=targets,
                    share=min(max(round(share, 6), 1e-6), 1.0),
                    channel=settings.channel,
                    exposure_ms=settings.exposure_ms,
                    power_percent=settings.power_percent,
                    pulses=settings.pulses,
                    interval_s=settings.interval_s,
                )
            )
        return wishes

    def told(self, news: Decision | Outcome) -> None:
        """Remember whom a wish was about that was let through."""
        if isinstance(news, Decision):
            if news.verdict in LET_THROUGH and news.wish.track_id >= 0:
                self._about[news.wish.track_id] = (
                    news.decision_id,
                    news.time_s,
                    news.wish.place,
                )
        elif news.status in ("stale", "refused") and not news.frames:
            for track_id, (decision_id, *_) in list(self._about.items()):
                if decision_id == news.decision_id:
                    del self._about[track_id]

    def remarks(self) -> list[str]:
        """Return what could not be lit."""
        said, self._remarks = self._remarks, []
        return said

    def _say_none(self, track_id: int, place: str) -> None:
        """Say once of a track that there is nothing to light."""
        if (track_id, place) not in self._unlit:
            self._unlit.add((track_id, place))
            self._remarks.append(
                f"nothing to light for track {track_id} at {place}: no outline in the "
                "frame (radius_um needs none), or no other thing"
            )

    def _forget_ended(self, seen: Observation) -> None:
        """Forget tracks of this place that are not there any more: none comes back."""
        place = seen.frame.place
        alive = set(seen.tracks).union(*(hit.track_ids for hit in seen.occurrences))
        for track_id, (*_, where) in list(self._about.items()):
            if where == place and track_id not in alive:
                del self._about[track_id]
        self._unlit = {(i, p) for i, p in self._unlit if p != place or i in alive}

    def _is_left_alone(self, track_id: int, now_s: float) -> bool:
        about = self._about.get(track_id)
        if about is None:
            return False
        again_s = self.settings.again_after_s
        return again_s is None or now_s - about[1] < again_s

    def _chosen(self, seen: Observation) -> list[_Thing]:
        """Return whom it is about in this frame, each once."""
        settings, found = self.settings, seen.detections
        of_row = {t.detection: t for t in seen.tracks.values() if t.detection >= 0}
        if settings.choose == "hit":
            hits = [hit for hit in seen.occurrences if hit.name in settings.on]
            hits.sort(key=lambda hit: -hit.confidence)
            things = []
            for hit in hits:
                # of a split the brighter daughter: the mother's track has ended
                ids = hit.track_ids
                track_id = ids[min(1, len(ids) - 1)] if ids else -1
                track = seen.tracks.get(track_id)
                row = -1 if track is None else track.detection
                things.append(_Thing(track_id, row, (hit.x_um, hit.y_um)))
        else:
            at = found.centers_um.tolist()
            rows = self._of_class(seen)
            things = [
                _Thing(
                    of_row[row].track_id if row in of_row else -1,
                    row,
                    (at[row][0], at[row][1]),
                )
                for row in rows
            ]
            tracked = [thing for thing in things if thing.track_id >= 0]
            if settings.choose == "brightest":
                tracked.sort(key=lambda t: -seen.tracks[t.track_id].intensity)
                things = tracked[:1]
            elif settings.choose == "first":
                # the one found first of all, seen in this frame or not
                here = min(seen.tracks, default=-1)
                things = [thing for thing in tracked if thing.track_id == here]
        known: dict[int, _Thing] = {}
        alone = [
            thing
            for thing in things
            if thing.track_id < 0 or known.setdefault(thing.track_id, thing) is thing
        ]
        return alone if settings.target == "hit" else alone[:1]

    def _of_class(self, seen: Observation) -> list[int]:
        """Return the rows of things of the class, the surest first."""
        found, wanted = seen.detections, self.settings.of_class
        order = np.argsort(-found.score, kind="stable").tolist()
        if wanted is None:
            return list(order)
        names = found.class_names
        return [
            row
            for row in order
            if 0 <= (k := int(found.class_id[row])) < len(names) and names[k] == wanted
        ]

    def _targets(self, thing: _Thing, seen: Observation) -> tuple[Spot, ...]:
        """Return what is lit for a thing."""
        settings = self.settings
        if settings.target == "hit":
            one = self._target(thing.row, thing.track_id, thing.at_um, seen)
            return () if one is None else (one,)
        tracks = {t.detection: t.track_id for t in seen.tracks.values()}
        at = seen.detections.centers_um.tolist()
        rows = self._of_class(seen)
        if settings.target == "others":
            rows = [row for row in rows if row != thing.row]
        made = (
            self._target(row, tracks.get(row, -1), (at[row][0], at[row][1]), seen)
            for row in rows[: settings.most]
        )
        return tuple(target for target in made if target is not None)

    def _target(
        self, row: int, track_id: int, at_um: tuple[float, float], seen: Observation
    ) -> Spot | None:
        """Return what is lit of one thing; None if nobody knows its outline."""
        settings, frame, found = self.settings, seen.frame, seen.detections
        if settings.radius_um is not None:
            x, y = at_um
            corner = (round(x, 3), round(y, 3))
            return Spot(
                track_id=track_id, outline_um=(corner,), grown_um=settings.radius_um
            )
        if row < 0:
            return None
        if found.polygons is not None:
            corners_px = found.polygons[row].astype(float)
        else:
            top, left, bottom, right = found.boxes_px[row].astype(float)
            # a box ends where its last pixel does, half a pixel beyond its centre
            corners_px = np.array(
                [[top, left], [top, right], [bottom, right], [bottom, left]]
            )
            corners_px -= 0.5
        state = frame.state
        corners = state.stage_map.to_stage(
            corners_px, frame.pixels.shape, (state.x_um, state.y_um)
        )
        outline = tuple((round(x, 3), round(y, 3)) for x, y in corners.tolist())
        return Spot(track_id=track_id, outline_um=outline, grown_um=settings.margin_um)
