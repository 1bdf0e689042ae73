"""What an analysis process needs to go on where an earlier one ended."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict

from smartscope.recognition import Occurrence, Track
from smartscope.response import LET_THROUGH, Decision, Outcome

Record = Mapping[str, Any]
# decisions that are over: a policy may name places that there are not
_MOST = 20_000


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
        The last of each name at each place, and of each name about tracks alive.
    decisions : tuple of Decision
        The last one let through of each policy, place and kind, and all that are still
        open, whatever their age, oldest first. What moves or ends a series is there as
        long as the series is open.
    outcomes : tuple of Outcome
        Of these decisions.
    normalisation : dict
        Statistics of the series, as the models had them last; ``{}`` if none has one.
        Sets and windows of frames are not in it: they begin anew.
    switched_off : dict
        Policies that are not asked any more, and why.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    tracks: tuple[dict[str, Any], ...] = ()
    next_track_id: int = 0
    accounts: dict[str, float] = {}
    occurrences: tuple[Occurrence, ...] = ()
    decisions: tuple[Decision, ...] = ()
    outcomes: tuple[Outcome, ...] = ()
    normalisation: dict[str, Any] = {}
    switched_off: dict[str, str] = {}

    @classmethod
    def from_records(
        cls,
        analysed: Iterable[Record],
        decisions: Iterable[Record],
        *,
        occurrences: Iterable[Record] = (),
        outcomes: Iterable[Record] | None = None,
        normalisation: Mapping[str, Any] | None = None,
        switched_off: Mapping[str, str] | None = None,
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
        switched_off : Mapping, optional
            Policies that are not asked any more; those of the analysed lines besides.
        """
        last: dict[str, Record] = {}
        off = dict(switched_off or {})
        next_id = 0
        series = normalisation
        for record in analysed:
            if normalisation is None:
                series = record.get("normalisation", series)
            last[record["place"]] = record
            off.update(switched_off_in(record))
            next_id = max(next_id, record.get("next_track_id", 0))
        ended = None if outcomes is None else {o["decision_id"]: o for o in outcomes}
        chosen = [
            Decision.model_validate(_own(record, Decision))
            for record in kept_decisions(decisions, ended, last)
        ]
        alive = {track["track_id"] for r in last.values() for track in r["tracks"]}
        return cls(
            tracks=tuple(
                dict(track) for record in last.values() for track in record["tracks"]
            ),
            next_track_id=next_id,
            accounts={place: r["light_ms_percent"] for place, r in last.items()},
            occurrences=tuple(
                Occurrence.model_validate(_own(record, Occurrence))
                for record in kept_occurrences(occurrences, alive)
            ),
            decisions=tuple(sorted(chosen, key=lambda d: (d.frame_id, d.decision_id))),
            outcomes=tuple(
                Outcome.model_validate(_own((ended or {})[d.decision_id], Outcome))
                for d in chosen
                if d.decision_id in (ended or {})
            ),
            normalisation=dict(series or {}),
            switched_off=off,
        )

    def alive(self) -> list[Track]:
        """Return the tracks as the tracker takes them."""
        nan: Any = float("nan")
        return [
            Track(**{k: nan if v is None else v for k, v in record.items()})
            for record in self.tracks
        ]


def switched_off_in(record: Record) -> dict[str, str]:
    """Return the policies that were switched off on the frame of an analysed line."""
    faults = record.get("policy_faults") or {}
    return {name: str(f["off"]) for name, f in faults.items() if "off" in f}


def kept_decisions(
    decisions: Iterable[Record],
    ended: Mapping[str, Record] | None,
    last: Mapping[str, Record],
) -> list[Record]:
    """Return the decisions that a new process must know, in their order.

    Chosen once more among these and later ones, the same are left as of all.

    Parameters
    ----------
    decisions : iterable of Mapping
        In the order they were made.
    ended : Mapping of str to Mapping, or None
        Outcomes by the ids of decisions; None: they are not known.
    last : Mapping of str to Mapping
        The last analysed line of each place.
    """
    newest: dict[tuple[str, ...], Record] = {}
    still: dict[str, Record] = {}
    for record in decisions:
        if record["verdict"] not in LET_THROUGH:
            continue
        wish = record["wish"]
        key = (record["policy"], wish["place"], wish["kind"], wish.get("series", ""))
        newest[key] = record
        if _is_open(record, ended, last):
            still[record["decision_id"]] = record
    last_ones = [r for (*_, of), r in newest.items() if not of or of in still]
    last_ones.sort(key=_age)
    kept = {record["decision_id"]: record for record in last_ones[-_MOST:]} | still
    return sorted(kept.values(), key=_age)


def _age(record: Record) -> tuple[int, str]:
    return record["frame_id"], record["decision_id"]


def _is_open(
    record: Record, ended: Mapping[str, Record] | None, last: Mapping[str, Record]
) -> bool:
    """Whether something of it is still to come, or its light to show in an account."""
    if record["granted"] is None or record["wish"].get("series"):
        return False
    newest = last.get(record["wish"]["place"])
    if ended is None:
        comes = record["wish"]["kind"] in ("burst", "series", "visit", "stimulate")
        return comes and (newest is None or newest["frame_id"] <= record["frame_id"])
    outcome = ended.get(record["decision_id"])
    if outcome is None:
        return True
    return newest is None or newest["time_s"] <= outcome["time_s"]


def kept_occurrences(records: Iterable[Record], alive: Collection[int]) -> list[Record]:
    """Return the occurrences that a new process must know, in their order.

    Parameters
    ----------
    records : iterable of Mapping
        In the order they were reported.
    alive : collection of int
        Tracks alive.
    """
    of_place: dict[tuple[object, ...], Record] = {}
    of_track: dict[tuple[object, ...], Record] = {}
    order: dict[str, int] = {}
    for number, record in enumerate(records):
        order[record["occurrence_id"]] = number
        name, place, ids = record["name"], record["place"], record["track_ids"]
        of_place[name, place] = record
        of_track[name, place, *ids[:1]] = record
    kept = {r["occurrence_id"]: r for r in of_place.values()} | {
        r["occurrence_id"]: r
        for r in of_track.values()
        if any(track_id in alive for track_id in r["track_ids"])
    }
    return sorted(kept.values(), key=lambda r: order[r["occurrence_id"]])


def _own(record: Record, model: type[BaseModel]) -> dict[str, Any]:
    """Return the part of a journal line that is the model's."""
    return {k: v for k, v in record.items() if k in model.model_fields}
