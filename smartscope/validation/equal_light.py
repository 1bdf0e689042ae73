"""What the same light would have caught, spent at a fixed interval."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from smartscope.validation.view import View

if TYPE_CHECKING:
    from smartscope.simulation import TruthEvent


def equal_light(
    taken: Sequence[View],
    events: Iterable[TruthEvent],
    *,
    duration_s: float,
    frames_needed: int = 5,
    window_s: float = 120.0,
) -> dict[str, Any]:
    """Compare a run with a survey at a fixed interval that spends the same light.

    The comparison survey visits the run's places as the run first did: same field, same
    channels and planes, same light. With L the light of all frames of the run, l_p that
    of the first visit to place p and T the duration, it can afford
    R = floor(L / sum of l_p) rounds, one every T / R, the first with the run's first
    frame. An event is caught
    *in detail* if at least ``frames_needed`` frames show its position within
    ``window_s`` before or after its onset. Only events count whose position
    lies in a field of the comparison, or of the run in that time.

    Parameters
    ----------
    taken : sequence of View
        All frames of the run, bursts among them. Those that are not stored count as
        light only.
    events : iterable of TruthEvent
        What truly happened in that time.
    duration_s : float
        Of the run, specimen time.
    frames_needed : int
        Frames that make a detail; at least 1.
    window_s : float
        Half the time around the onset.

    Returns
    -------
    dict
        ``light_ms_percent``, ``light_per_round``, ``rounds``, ``interval_s`` (None if
        the light is not enough for a round), ``events``, ``smart_caught``,
        ``fixed_caught``, per event ``smart_frames`` and ``fixed_frames``, and the
        parameters.

    Raises
    ------
    ValueError
        If ``frames_needed`` is below 1, or a duration or window is negative.
    """
    if frames_needed < 1 or duration_s < 0 or window_s < 0:
        raise ValueError(
            "frames_needed must be at least 1, duration_s and window_s at least 0; "
            f"got {frames_needed}, {duration_s}, {window_s}"
        )
    first = _first_visits(taken)
    began_s = min((view.time_s for view in taken), default=0.0)
    light = math.fsum(view.light_ms_percent for view in taken)
    a_round = math.fsum(view.light_ms_percent for view in first)
    # light is a sum of products: a round that is missed by rounding is not missed
    rounds = math.floor(light / a_round * (1 + 1e-9)) if a_round > 0 else 0
    interval_s = duration_s / rounds if rounds else None
    per_event: list[dict[str, Any]] = []
    for event in events:
        inside = [p for p in first if p.shows(event.x_um, event.y_um)]
        span = (event.t_s - window_s, event.t_s + window_s)
        shown = [
            v
            for v in taken
            if v.stored
            and span[0] <= v.time_s <= span[1]
            and v.shows(event.x_um, event.y_um)
        ]
        if not inside and not shown:
            continue
        since = (span[0] - began_s, span[1] - began_s)
        per_event.append(
            {
                "kind": event.kind,
                "t_s": event.t_s,
                "smart_frames": len(shown),
                "fixed_frames": len(inside) * _rounds_within(since, interval_s, rounds),
            }
        )
    return {
        "light_ms_percent": round(light, 3),
        "light_per_round": round(a_round, 3),
        "rounds": rounds,
        "interval_s": None if interval_s is None else round(interval_s, 3),
        "events": len(per_event),
        "smart_caught": sum(e["smart_frames"] >= frames_needed for e in per_event),
        "fixed_caught": sum(e["fixed_frames"] >= frames_needed for e in per_event),
        "frames_needed": frames_needed,
        "window_s": window_s,
        "per_event": per_event,
    }


def _first_visits(taken: Sequence[View]) -> list[View]:
    """Return the survey's frames of the first visit to each place."""
    first: dict[str, View] = {}
    visits: list[View] = []
    for view in sorted(taken, key=lambda v: v.time_s):
        if not view.survey:
            continue
        known = first.setdefault(view.place, view)
        if view is known or (view.visit == known.visit and view.visit >= 0):
            visits.append(view)
    return visits


def _rounds_within(
    span: tuple[float, float], interval_s: float | None, rounds: int
) -> int:
    """Return how many of the times 0, T/R, 2T/R, … lie in a span, ends included."""
    if interval_s is None:
        return 0
    if interval_s == 0:
        return rounds if span[0] <= 0 <= span[1] else 0
    earliest = max(0, math.ceil(span[0] / interval_s))
    latest = min(rounds - 1, math.floor(span[1] / interval_s))
    return max(0, latest - earliest + 1)
