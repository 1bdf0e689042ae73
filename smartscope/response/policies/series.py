"""A time lapse of a hit, interleaved with the survey."""

from __future__ import annotations

import math
from dataclasses import dataclass

from smartscope.recognition import Occurrence
from smartscope.response.actions import Action, EndSeries, MoveSeries, Series
from smartscope.response.decision import Decision, Outcome
from smartscope.response.observation import Observation
from smartscope.response.settings import SeriesSettings

_LET_THROUGH = ("granted", "clipped", "shadowed")


@dataclass(slots=True)
class _Open:
    """A series under way."""

    place: str
    track_id: int
    x_um: float
    y_um: float


class SeriesAtHit:
    """Wishes a child series centred on each hit, keeps it on its cell, and ends it.

    The series of several hits run beside each other, up to ``parallel``; a cell has one
    at a time. Its frames belong to the place of the hit, so that the cell's track goes
    on through them: the series is moved when the cell has left its middle, goes on with
    the brighter daughter after a division that does not end it, and ends when one of
    ``until`` happens to the cell or when the cell is lost.
    """

    def __init__(self, settings: SeriesSettings) -> None:
        self.settings = settings
        self._open: dict[str, _Open] = {}
        self._remarks: list[str] = []

    def decide(self, seen: Observation) -> list[Action]:
        """Wish to end, to move and to begin series, in this order."""
        actions: list[Action] = []
        for series_id, series in self._open.items():
            if series.place == seen.frame.place:
                actions += self._steered(series_id, series, seen)
        ending = sum(isinstance(a, EndSeries) for a in actions)
        free = self.settings.parallel - len(self._open) + ending
        busy = {s.track_id for s in self._open.values() if s.track_id >= 0}
        hits = [hit for hit in seen.occurrences if hit.name in self.settings.on]
        hits.sort(key=lambda hit: -hit.confidence)
        for hit in hits:
            track_id = _cell_of(hit)
            if track_id in busy or busy & set(hit.track_ids):
                continue
            if free <= 0:
                self._remarks.append(
                    f"no series for {hit.name} at {hit.place}: {len(self._open)} are "
                    f"under way, as many as may be at once"
                )
                break
            actions.append(self._begun(hit, track_id, seen))
            busy.add(track_id)
            free -= 1
        return actions

    def chosen_tracks(self) -> list[int]:
        """Return the tracks of the series under way."""
        return [series.track_id for series in self._open.values()]

    def remarks(self) -> list[str]:
        """Return, once, which hits got no series."""
        remarks, self._remarks = self._remarks, []
        return remarks

    def told(self, news: Decision | Outcome) -> None:
        """Keep account of what is under way."""
        if isinstance(news, Outcome):
            self._open.pop(news.decision_id, None)
            return
        wish = news.granted or news.wish
        if isinstance(wish, Series) and news.verdict in ("granted", "clipped"):
            self._open[news.decision_id] = _Open(
                wish.place, wish.track_id, wish.x_um, wish.y_um
            )
        elif isinstance(wish, MoveSeries) and news.verdict in _LET_THROUGH:
            series = self._open.get(wish.series)
            if series is not None:
                series.x_um, series.y_um = wish.x_um, wish.y_um
                series.track_id = wish.track_id

    def _begun(self, hit: Occurrence, track_id: int, seen: Observation) -> Series:
        settings, state = self.settings, seen.frame.state
        return Series(
            place=seen.frame.place,
            track_id=track_id,
            x_um=hit.x_um,
            y_um=hit.y_um,
            interval_s=settings.interval_s,
            visits=settings.visits,
            exposure_ms=settings.exposure_ms or state.exposure_ms,
            channels=settings.channels or ((state.channel,) if state.channel else ()),
            z_planes=settings.z_planes,
            z_step_um=settings.z_step_um,
            roi_um=settings.roi_um,
        )

    def _steered(
        self, series_id: str, series: _Open, seen: Observation
    ) -> list[Action]:
        place = seen.frame.place
        for hit in seen.occurrences:
            if series.track_id not in hit.track_ids[:1]:
                continue
            if hit.name in self.settings.until:
                return [self._end(series_id, series, f"{hit.name} of its cell")]
            if hit.kind == "split":
                series.track_id = hit.track_ids[1]
        track = seen.tracks.get(series.track_id)
        if series.track_id >= 0 and (
            track is None or track.missed > self.settings.lost_after
        ):
            return [self._end(series_id, series, "its cell is lost")]
        if track is None or track.missed:
            return []
        off_um = math.hypot(track.x_um - series.x_um, track.y_um - series.y_um)
        if off_um <= self.settings.dead_band_um:
            return []
        return [
            MoveSeries(
                place=place,
                track_id=track.track_id,
                series=series_id,
                x_um=track.x_um,
                y_um=track.y_um,
            )
        ]

    @staticmethod
    def _end(series_id: str, series: _Open, why: str) -> EndSeries:
        return EndSeries(
            place=series.place, track_id=series.track_id, series=series_id, why=why
        )


def _cell_of(hit: Occurrence) -> int:
    """Return the track to go on with: of a split the brighter daughter."""
    if not hit.track_ids:
        return -1
    return hit.track_ids[1] if hit.kind == "split" else hit.track_ids[0]
