"""All occurrences that an experiment names, over all places."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

from smartscope.errors import Refused, nearest
from smartscope.recognition.device_kinds import (
    AutofocusUnlocked,
    DeviceKind,
    FocusTrend,
    Property,
)
from smartscope.recognition.ending_kinds import Death, EndingKind, Hotspot, Lost
from smartscope.recognition.feature_kinds import Feature
from smartscope.recognition.field_kinds import FieldKind
from smartscope.recognition.life import Life
from smartscope.recognition.occurrence import Occurrence
from smartscope.recognition.occurrences.appear import AppearRecognizer
from smartscope.recognition.occurrences.brighten import BrightenRecognizer
from smartscope.recognition.occurrences.class_change import ClassChangeRecognizer
from smartscope.recognition.occurrences.death import DeathRecognizer
from smartscope.recognition.occurrences.disappear import DisappearRecognizer
from smartscope.recognition.occurrences.feature import feature
from smartscope.recognition.occurrences.hotspot import HotspotRecognizer
from smartscope.recognition.occurrences.lost import LostRecognizer
from smartscope.recognition.occurrences.merge import MergeRecognizer
from smartscope.recognition.occurrences.of_device import of_device
from smartscope.recognition.occurrences.of_field import of_field
from smartscope.recognition.occurrences.of_track import (
    dim,
    displacement,
    flash,
    round_up,
    speed,
)
from smartscope.recognition.occurrences.region import region
from smartscope.recognition.occurrences.sighting import Recognizer, Sighting
from smartscope.recognition.occurrences.split import SplitRecognizer
from smartscope.recognition.settings import (
    OF_TRACKS,
    Appear,
    Brighten,
    Disappear,
    OccurrenceSettings,
    Split,
    TrackSettings,
)
from smartscope.recognition.track_kinds import (
    ClassChange,
    Dim,
    Displacement,
    Enter,
    Flash,
    Leave,
    Merge,
    RoundUp,
    Speed,
)
from smartscope.recognition.tracker import Tracker, Tracking

_AT_THE_END = Merge | Appear | Disappear


class OccurrenceRecognizer:
    """Recognises what happens, keeps the refractory times, divides tracks at splits.

    Parameters
    ----------
    settings : Mapping[str, OccurrenceSettings]
        By the names in the experiment file.
    track : TrackSettings
        How far a thing may be from a lost one to be taken for it.

    Raises
    ------
    smartscope.errors.Refused
        If a split or a loss comes ``after`` something that is not about one track.
    """

    def __init__(
        self,
        settings: Mapping[str, OccurrenceSettings],
        track: TrackSettings | None = None,
    ) -> None:
        self.settings = dict(settings)
        self._track = track or TrackSettings()
        self._check()
        self._recognizers = {name: self._build(name) for name in self.settings}
        # what a track itself had ('after'), and what it is silent for (refractory
        # time): a daughter is silent for what her mother had, and has not had it
        self._had: dict[tuple[str, int], float] = {}
        self._silent: dict[tuple[str, int | str], float] = {}
        # tracks that policies follow, as they said last
        self.chosen: frozenset[int] = frozenset()

    def recognise(self, tracking: Tracking, tracker: Tracker) -> list[Occurrence]:
        """Return what happened in this frame; ends mothers and begins daughters.

        Parameters
        ----------
        tracking : Tracking
            What the frame did to the tracks.
        tracker : Tracker
            The one that made it.
        """
        found: list[Occurrence] = []
        families: dict[int, tuple[Life, ...]] = {}

        def report(name: str, sighting: Sighting, lives: tuple[Life, ...]) -> None:
            occurrence = self._occurrence(name, tracking, sighting, lives, len(found))
            self._note(name, occurrence)
            found.append(occurrence)

        for name in self._names(OF_TRACKS):
            for sighting in self._recognizers[name].look(tracking):
                if self._may_speak(name, tracking, sighting.lives):
                    report(name, sighting, sighting.lives)
        # all look at the undivided tracks; of two that differ, the first one divides
        splits = [
            (name, sighting)
            for name in self._names(Split)
            for sighting in self._recognizers[name].look(tracking)
        ]
        for name, sighting in splits:
            mother, one, other = sighting.lives
            if not self._may_speak(name, tracking, sighting.lives):
                continue
            if mother.track_id not in families:
                if _taken(sighting.lives, families):
                    continue
                daughters = tracker.divide(tracking, mother, one, other)
                families[mother.track_id] = (mother, *_brighter_first(*daughters))
            report(name, sighting, families[mother.track_id])
        for family in families.values():
            self._inherit(*(life.track_id for life in family))
        # a thing that went into another is not lost
        merged: set[int] = set()
        for name in self._names(_AT_THE_END):
            for sighting in self._recognizers[name].look(tracking):
                ids = {life.track_id for life in sighting.lives}
                if ids & (families.keys() | merged):
                    continue
                if self._may_speak(name, tracking, sighting.lives):
                    report(name, sighting, sighting.lives)
                    merged.update(life.track_id for life in sighting.lives[1:])
        for name in self._names(EndingKind):
            for sighting in self._recognizers[name].look(tracking):
                divided = {life.track_id for life in sighting.lives} & families.keys()
                if not divided and self._may_speak(name, tracking, sighting.lives):
                    report(name, sighting, sighting.lives)
        for name in self._names(Hotspot):
            for sighting in self._recognizers[name].look(tracking):
                report(name, sighting, ())  # it keeps its own silence, spot by spot
        for name in self._names(FieldKind | DeviceKind):
            for sighting in self._recognizers[name].look(tracking):
                if self._may_speak(name, tracking, ()):
                    report(name, sighting, ())
        gone = {
            *families,
            *tracking.forgotten,
            *(life.track_id for life in tracking.ended),
        }
        self._forget(gone)
        return found

    def seed(self, occurrences: Iterable[Occurrence], alive: Iterable[int]) -> None:
        """Take up refractory times of an earlier process.

        Parameters
        ----------
        occurrences : iterable of Occurrence
            In the order they were reported.
        alive : iterable of int
            Tracks alive when it ended.
        """
        self._had.clear()
        self._silent.clear()
        seen: set[int] = set()
        for occurrence in occurrences:
            if occurrence.name not in self.settings:
                continue
            seen.update(occurrence.track_ids)
            self._note(occurrence.name, occurrence)
            recognizer = self._recognizers[occurrence.name]
            if isinstance(recognizer, SplitRecognizer):
                self._inherit(*occurrence.track_ids)
            elif isinstance(recognizer, HotspotRecognizer):
                recognizer.resume_at(occurrence)
            elif occurrence.track_ids:
                recognizer.resume(occurrence.track_ids[0])
        self._forget(seen - set(alive))

    def _names(self, kinds: Any) -> list[str]:
        """Return the names of some kinds: kind by kind, then in the file's order."""
        order = getattr(kinds, "__args__", (kinds,))
        return [
            name
            for kind in order
            for name, s in self.settings.items()
            if isinstance(s, kind)
        ]

    def _check(self) -> None:
        for name, settings in self.settings.items():
            if not isinstance(settings, Split | Lost) or settings.after is None:
                continue
            if settings.after not in (known := self._names(OF_TRACKS)):
                raise Refused(
                    f"analysis.occurrences.{name}: after: {settings.after!r} is not "
                    f"an occurrence of one track.{nearest(settings.after, known)}",
                    rule="It may come after something of the same track, such as a "
                    "brightening.",
                    way_out=f"Known here: {', '.join(known) or 'none'}.",
                )

    def _build(self, name: str) -> Recognizer:
        settings = self.settings[name]
        match settings:
            case Appear():
                return AppearRecognizer(settings, self._track)
            case Disappear():
                return DisappearRecognizer(settings)
            case Merge():
                return MergeRecognizer(settings)
            case Brighten():
                return BrightenRecognizer(settings)
            case Split():
                after = settings.after or ""
                return SplitRecognizer(settings, partial(self._had_since, after))
            case Feature():
                return feature(settings)
            case Death():
                return DeathRecognizer(settings)
            case Lost():
                return LostRecognizer(settings, partial(self._is_chosen, settings))
            case AutofocusUnlocked() | Property() | FocusTrend():
                return of_device(settings)
            case Hotspot():
                return HotspotRecognizer(settings)
            case ClassChange():
                return ClassChangeRecognizer(settings)
            case Enter() | Leave():
                return region(settings)
            case Dim():
                return dim(settings)
            case Flash():
                return flash(settings)
            case RoundUp():
                return round_up(settings)
            case Speed():
                return speed(settings)
            case Displacement():
                return displacement(settings)
        return of_field(settings)

    def _is_chosen(self, settings: Lost, track_id: int, now_s: float) -> bool:
        if settings.after is None:
            return track_id in self.chosen
        return self._had_since(settings.after, track_id, now_s - settings.within_s)

    def _had_since(self, name: str, track_id: int, since_s: float) -> bool:
        return self._had.get((name, track_id), -math.inf) >= since_s

    @staticmethod
    def _silent_for(kind: str, track_id: int, place: str) -> int | str:
        """What a refractory time holds for: arrivals and losses share their place's."""
        shared = track_id < 0 or kind in ("appear", "disappear")
        return place if shared else track_id

    def _may_speak(
        self, name: str, tracking: Tracking, lives: tuple[Life, ...]
    ) -> bool:
        settings = self.settings[name]
        track_id = lives[0].track_id if lives else -1
        key = self._silent_for(settings.kind, track_id, tracking.place)
        last_s = self._silent.get((name, key), -math.inf)
        return tracking.time_s - last_s >= settings.refractory_s

    def _note(self, name: str, occurrence: Occurrence) -> None:
        track_id = occurrence.track_ids[0] if occurrence.track_ids else -1
        kind = self.settings[name].kind
        key = self._silent_for(kind, track_id, occurrence.place)
        self._silent[name, key] = occurrence.seen_s
        self._had[name, track_id] = occurrence.seen_s

    def _inherit(self, mother: int, *daughters: int) -> None:
        for name in self.settings:
            last_s = self._silent.get((name, mother))
            if last_s is not None:
                self._silent.update(
                    {(name, daughter): last_s for daughter in daughters}
                )

    def _forget(self, gone: Iterable[int]) -> None:
        for track_id in gone:
            for name, recognizer in self._recognizers.items():
                recognizer.forget(track_id)
                self._had.pop((name, track_id), None)
                self._silent.pop((name, track_id), None)

    def _occurrence(
        self,
        name: str,
        tracking: Tracking,
        sighting: Sighting,
        lives: tuple[Life, ...],
        number: int,
    ) -> Occurrence:
        return Occurrence(
            occurrence_id=f"{tracking.frame_id}.{number}",
            name=name,
            kind=self.settings[name].kind,
            place=tracking.place,
            x_um=sighting.x_um,
            y_um=sighting.y_um,
            onset_s=sighting.onset_s,
            seen_s=tracking.time_s,
            confidence=min(max(sighting.confidence, 0.0), 1.0),
            track_ids=tuple(life.track_id for life in lives),
            frame_ids=(*sighting.frame_ids, tracking.frame_id),
        )


def _brighter_first(one: Life, other: Life) -> tuple[Life, Life]:
    return (other, one) if other.last.intensity > one.last.intensity else (one, other)


def _taken(lives: tuple[Life, ...], families: Mapping[int, tuple[Life, ...]]) -> bool:
    """Whether a daughter of this split has a mother already."""
    children = {life.track_id for family in families.values() for life in family[1:]}
    return any(life.track_id in children for life in lives)
