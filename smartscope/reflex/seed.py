"""What an analysis process needs to go on where an earlier one ended."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict

from smartscope.recognition import Occurrence, Track
from smartscope.response import (
    LET_THROUGH,
    Burst,
    Decision,
    EndSeries,
    MoveSeries,
    Outcome,
    Series,
)

Record = Mapping[str, Any]


class Seed(BaseModel):
    """Tracks, accounts, cool-downs and what policies were at, from the journal.

    It is an input of the run and stands in the journal itself: a replay is given the
    same one.

    Attributes
    ----------
    tracks : tuple of dict
        Tracks alive, as ``Track.to_record`` gives them.
    next_track_id : int
        The first id never given.
    accounts : dict
        Light account of each place at its last analysed frame, ms × %.
    occurrences : tuple of Occurrence
        The last of each name at each track and place.
    decisions : tuple of Decision
        The last one let through of each policy, place and kind, and the bursts that
        may still come, oldest first.
    outcomes : tuple of Outcome
        Of these decisions.
    normalisation : dict
        Statistics of the series, as the models had them last; ``{}`` if none has one.
        Sets and windows of frames are not in it: they begin anew.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    tracks: tuple[dict[str, Any], ...] = ()
    next_track_id: int = 0
    accounts: dict[str, float] = {}
    occurrences: tuple[Occurrence, ...] = ()
    decisions: tuple[Decision, ...] = ()
    outcomes: tuple[Outcome, ...] = ()
    normalisation: dict[str, Any] = {}

    @classmethod
    def from_records(
        cls,
        analysed: Iterable[Record],
        decisions: Iterable[Record],
        *,
        occurrences: Iterable[Record] = (),
        outcomes: Iterable[Record] | None = None,
        normalisation: Mapping[str, Any] | None = None,
    ) -> Seed:
        """Build it from journal lines, each kind in the order it was written.

        Parameters
        ----------
        analysed, decisions, occurrences, outcomes : iterable of Mapping
            Lines of the journal; keys that are not theirs are passed over. Without
            outcomes, a burst counts as still to come if no frame of its place was
            analysed after the one it was decided from.
        normalisation : Mapping, optional
            Of the last line that has one; default: as the analysed lines say.
        """
        last: dict[str, Record] = {}
        next_id = 0
        series = normalisation
        for record in analysed:
            if normalisation is None:
                series = record.get("normalisation", series)
            last[record["place"]] = record
            next_id = max(next_id, record.get("next_track_id", 0))
        ended = None if outcomes is None else {o["decision_id"]: o for o in outcomes}
        kept: dict[tuple[str, ...], Decision] = {}
        for record in decisions:
            if record["verdict"] not in LET_THROUGH:
                continue
            decision = Decision.model_validate(_own(record, Decision))
            wish = decision.wish
            key: tuple[str, ...] = (decision.policy, wish.place, wish.kind)
            if isinstance(wish, MoveSeries | EndSeries):
                key = (*key, wish.series)
            kept.pop(key, None)
            kept[key] = decision
            if isinstance(wish, Burst | Series) and _may_come(decision, ended, last):
                kept[*key, decision.decision_id] = decision
        chosen = {d.decision_id: d for d in kept.values()}.values()
        return cls(
            tracks=tuple(
                dict(track) for record in last.values() for track in record["tracks"]
            ),
            next_track_id=next_id,
            accounts={place: r["light_ms_percent"] for place, r in last.items()},
            occurrences=tuple(_last_of_each(occurrences)),
            decisions=tuple(sorted(chosen, key=lambda d: (d.frame_id, d.decision_id))),
            outcomes=tuple(
                Outcome.model_validate(_own((ended or {})[d.decision_id], Outcome))
                for d in chosen
                if d.decision_id in (ended or {})
            ),
            normalisation=dict(series or {}),
        )

    def alive(self) -> list[Track]:
        """Return the tracks as the tracker takes them."""
        nan: Any = float("nan")
        return [
            Track(**{k: nan if v is None else v for k, v in record.items()})
            for record in self.tracks
        ]


def _may_come(
    decision: Decision, ended: Mapping[str, Record] | None, last: Mapping[str, Record]
) -> bool:
    if ended is not None:
        return decision.decision_id not in ended
    newest = last.get(decision.wish.place)
    return newest is None or newest["frame_id"] <= decision.frame_id


def _last_of_each(records: Iterable[Record]) -> list[Occurrence]:
    kept: dict[tuple[object, ...], Occurrence] = {}
    for record in records:
        occurrence = Occurrence.model_validate(_own(record, Occurrence))
        key = (occurrence.name, occurrence.place, occurrence.track_ids[:1])
        kept.pop(key, None)
        kept[key] = occurrence
    return list(kept.values())


def _own(record: Record, model: type[BaseModel]) -> dict[str, Any]:
    """Return the part of a journal line that is the model's."""
    return {k: v for k, v in record.items() if k in model.model_fields}
