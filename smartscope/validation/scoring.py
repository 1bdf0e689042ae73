"""Occurrences against the truth: how many caught, how late, how many false."""

from __future__ import annotations

import bisect
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from smartscope.validation.view import View

if TYPE_CHECKING:
    from smartscope.recognition import Occurrence
    from smartscope.simulation import Truth, TruthEvent


def score_occurrences(
    occurrences: Sequence[Occurrence],
    truth: Truth,
    observed: Iterable[View],
    *,
    names: Mapping[str, str] | None = None,
    tolerance_s: float | None = None,
    tolerance_um: float | None = None,
) -> dict[str, Any]:
    """Compare recognised occurrences with true events.

    An event is *in view* if the last look at some place up to its onset and the first
    one from its onset on both showed its position; others are counted as not in view
    and can be caught but not missed. Of an event that passes without a trace, such as a
    flash, that first look must come before its end: what falls between two looks no
    sampling like this one can see. An occurrence may catch an event of its name if it
    is at most ``tolerance_um`` away and its onset lies between the tolerance of its
    kind before the event and as long after the first look that could show it. Each
    catches at most one; of all assignments the one with most catches, then the nearest,
    counts.

    Parameters
    ----------
    occurrences : sequence of Occurrence
        What was recognised.
    truth : Truth
        What happened; its ``ignore`` regions excuse occurrences that caught nothing.
    observed : iterable of View
        Fields of the analysed survey frames.
    names : Mapping, optional
        From kinds of events to names of occurrences; default: the truth's own.
        Events of other kinds and occurrences of other names are not scored.
    tolerance_s : float, optional
        Of all kinds. Default: the truth's own, by kind.
    tolerance_um : float, optional
        Default: the truth's own.

    Returns
    -------
    dict
        ``events`` (in view), ``caught``, ``missed``, ``not_in_view``, ``occurrences``,
        ``false``, ``duplicates`` (those of the false that repeat a caught event),
        ``ignored``, ``unscored``, ``recall``, ``precision`` (None where there is
        nothing to divide by), ``delay_s`` (``median``, ``p90``, ``max`` of recognised
        minus happened), ``by_name``, ``per_event``, ``false_ones``, the tolerances:
        ``tolerance_s`` in general, ``tolerances_s`` by kind, ``tolerance_um``.
    """
    names = dict(truth.names if names is None else names)
    by_kind = {kind: truth.tolerance_of_s(kind) for kind in names}
    if tolerance_s is not None:
        by_kind = dict.fromkeys(names, tolerance_s)
    tolerance_um = truth.tolerance_um if tolerance_um is None else tolerance_um
    looks = _Looks(observed)
    events = [e for e in truth.events if e.kind in names]
    scored = [o for o in occurrences if o.name in names.values()]
    pairs: dict[int, int] = {}
    for name in set(names.values()):
        pairs |= _assigned(
            [i for i, e in enumerate(events) if names[e.kind] == name],
            [j for j, o in enumerate(scored) if o.name == name],
            events,
            scored,
            looks,
            (by_kind, tolerance_um),
        )
    per_event = []
    for i, event in enumerate(events):
        caught = scored[pairs[i]] if i in pairs else None
        per_event.append(
            {
                "kind": event.kind,
                "name": names[event.kind],
                "t_s": event.t_s,
                "x_um": event.x_um,
                "y_um": event.y_um,
                "in_view": caught is not None or looks.in_view(event),
                "caught": caught is not None,
                "occurrence_id": caught.occurrence_id if caught else None,
                "delay_s": round(caught.seen_s - event.t_s, 3) if caught else None,
                "distance_um": round(_apart(caught, event), 2) if caught else None,
            }
        )
    taken = set(pairs.values())
    ignored = {
        j
        for j, o in enumerate(scored)
        if j not in taken and any(_within(o, region) for region in truth.ignore)
    }
    false = [j for j in range(len(scored)) if j not in taken and j not in ignored]
    tolerances = (by_kind, tolerance_um)
    duplicates = {
        j
        for j in false
        if any(
            names[events[i].kind] == scored[j].name
            and _fits(scored[j], events[i], looks, tolerances)
            for i in pairs
        )
    }
    whole = _summary(per_event, [scored[j].name for j in false])
    return {
        **whole,
        "occurrences": len(scored),
        "duplicates": len(duplicates),
        "ignored": len(ignored),
        "unscored": len(occurrences) - len(scored),
        "tolerance_s": truth.tolerance_s if tolerance_s is None else tolerance_s,
        "tolerances_s": by_kind,
        "tolerance_um": tolerance_um,
        "by_name": {
            name: _summary(
                [e for e in per_event if e["name"] == name],
                [name for j in false if scored[j].name == name],
            )
            for name in sorted(set(names.values()))
        },
        "per_event": per_event,
        "false_ones": [scored[j].occurrence_id for j in false],
    }


def _summary(per_event: list[dict[str, Any]], false: list[str]) -> dict[str, Any]:
    caught = [e for e in per_event if e["caught"]]
    in_view = sum(e["in_view"] for e in per_event)
    delays = [e["delay_s"] for e in caught]
    said = len(caught) + len(false)
    return {
        "events": in_view,
        "caught": len(caught),
        "missed": in_view - len(caught),
        "not_in_view": len(per_event) - in_view,
        "false": len(false),
        "recall": round(len(caught) / in_view, 4) if in_view else None,
        "precision": round(len(caught) / said, 4) if said else None,
        "delay_s": {
            "median": round(float(np.median(delays)), 3),
            "p90": round(float(np.percentile(delays, 90)), 3),
            "max": round(max(delays), 3),
        }
        if delays
        else None,
    }


class _Looks:
    """When which fields were looked at, by place."""

    def __init__(self, observed: Iterable[View]) -> None:
        self._places: dict[str, list[View]] = {}
        for view in sorted(observed, key=lambda v: v.time_s):
            self._places.setdefault(view.place, []).append(view)
        self._times = {p: [v.time_s for v in vs] for p, vs in self._places.items()}

    def in_view(self, event: TruthEvent) -> bool:
        """Return whether the looks before and after an event both show its position."""
        for place, looks in self._places.items():
            before = bisect.bisect_right(self._times[place], event.t_s) - 1
            after = bisect.bisect_left(self._times[place], event.t_s)
            if (
                before >= 0
                and after < len(looks)
                and looks[before].shows(event.x_um, event.y_um)
                and looks[after].shows(event.x_um, event.y_um)
                and not (event.passes and looks[after].time_s > (event.ends_s or 0))
            ):
                return True
        return False

    def first_after(self, event: TruthEvent) -> float:
        """Return when an event could first be seen; its own time if never."""
        times = []
        for place, looks in self._places.items():
            after = bisect.bisect_left(self._times[place], event.t_s)
            for view in looks[after:]:
                if view.shows(event.x_um, event.y_um):
                    times.append(view.time_s)
                    break
        return min(times, default=event.t_s)


def _fits(
    occurrence: Occurrence,
    event: TruthEvent,
    looks: _Looks,
    tolerances: tuple[Mapping[str, float], float],
) -> bool:
    by_kind, tolerance_um = tolerances
    tolerance_s = by_kind[event.kind]
    return (
        _apart(occurrence, event) <= tolerance_um
        and event.t_s - tolerance_s
        <= occurrence.onset_s
        <= looks.first_after(event) + tolerance_s
    )


def _assigned(
    rows: list[int],
    columns: list[int],
    events: list[TruthEvent],
    scored: list[Occurrence],
    looks: _Looks,
    tolerances: tuple[Mapping[str, float], float],
) -> dict[int, int]:
    """Return which occurrence catches which event: most catches, then the nearest."""
    from scipy.optimize import linear_sum_assignment

    if not rows or not columns:
        return {}
    # a pair costs below 1, so that one catch more always outweighs all distances
    far = 2.0 * (len(rows) + len(columns))
    cost = np.full((len(rows), len(columns)), far)
    for a, i in enumerate(rows):
        for b, j in enumerate(columns):
            if _fits(scored[j], events[i], looks, tolerances):
                late_s = abs(scored[j].onset_s - events[i].t_s)
                cost[a, b] = 0.5 * _apart(scored[j], events[i]) / max(
                    tolerances[1], 1e-9
                ) + 0.5 * late_s / (1.0 + late_s)
    return {
        rows[a]: columns[b]
        for a, b in zip(*linear_sum_assignment(cost), strict=True)
        if cost[a, b] < far
    }


def _apart(occurrence: Occurrence, event: TruthEvent) -> float:
    return float(np.hypot(occurrence.x_um - event.x_um, occurrence.y_um - event.y_um))


def _within(
    occurrence: Occurrence, region: tuple[float, float, float, float, float]
) -> bool:
    t0_s, t1_s, x_um, y_um, radius_um = region
    away = np.hypot(occurrence.x_um - x_um, occurrence.y_um - y_um)
    return bool(t0_s <= occurrence.onset_s <= t1_s and away <= radius_um)
