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
    frames_needed: int = 10,
    window_s: float = 180.0,
    baseline_frames: int = 3,
    baseline_s: float = 600.0,
) -> dict[str, Any]:
    """Compare a run with a survey at a fixed interval that spends the same light.

    The comparison survey visits the run's places as the run first did: same field, same
    channels and planes, same light. With L the light of all frames of the run, l_p that
    of the first visit to place p and T the duration, it can afford
    R = floor(L / sum of l_p) rounds, one every T / R, the first with the run's first
    frame. An event is *caught with baseline* if at least ``frames_needed`` frames show
    its position within ``window_s`` from its onset on, and at least ``baseline_frames``
    within ``baseline_s`` before it. Only events count whose position lies in a field of
    the comparison, or of the run in that time.

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
        Frames from the onset on; at least 1.
    window_s : float
        How long from the onset on they count.
    baseline_frames : int
        Frames before the onset; 0: no baseline is asked for.
    baseline_s : float
        How long before the onset they count.

    Returns
    -------
    dict
        ``light_ms_percent``, ``light_per_round``, ``rounds``, ``interval_s`` (None if
        the light is not enough for a round), ``events``, ``smart_caught``,
        ``fixed_caught``, in ``per_event`` frames from the onset on (``smart_frames``,
        ``fixed_frames``) and before it (``smart_before``, ``fixed_before``), and the
        parameters.

    Raises
    ------
    ValueError
        If ``frames_needed`` is below 1, or another parameter is negative.
    """
    lowest = min(duration_s, window_s, baseline_frames, baseline_s)
    if frames_needed < 1 or lowest < 0:
        raise ValueError(
            "frames_needed must be at least 1, duration_s, window_s, baseline_frames "
            "and baseline_s at least 0; got "
            f"{frames_needed}, {duration_s}, {window_s}, {baseline_frames} and "
            f"{baseline_s}"
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
        inside = len([p for p in first if p.shows(event.x_um, event.y_um)])
        since = frames_about(taken, event, baseline_s, window_s)
        before = sum(s < 0 for s in since)
        after = len(since) - before
        if not inside and not before and not after:
            continue
        onset_s = event.t_s - began_s
        to_end = _rounds_until(onset_s + window_s, interval_s, rounds, ended=True)
        to_onset = _rounds_until(onset_s, interval_s, rounds)
        to_baseline = _rounds_until(onset_s - baseline_s, interval_s, rounds)
        per_event.append(
            {
                "kind": event.kind,
                "t_s": event.t_s,
                "smart_before": before,
                "smart_frames": after,
                "fixed_before": inside * (to_onset - to_baseline),
                "fixed_frames": inside * (to_end - to_onset),
            }
        )

    def caught(how: str) -> int:
        return sum(
            e[f"{how}_frames"] >= frames_needed
            and e[f"{how}_before"] >= baseline_frames
            for e in per_event
        )

    return {
        "light_ms_percent": round(light, 3),
        "light_per_round": round(a_round, 3),
        "rounds": rounds,
        "interval_s": None if interval_s is None else round(interval_s, 3),
        "events": len(per_event),
        "smart_caught": caught("smart"),
        "fixed_caught": caught("fixed"),
        "frames_needed": frames_needed,
        "window_s": window_s,
        "baseline_frames": baseline_frames,
        "baseline_s": baseline_s,
        "per_event": per_event,
    }


def frames_about(
    taken: Iterable[View], event: TruthEvent, before_s: float, after_s: float
) -> list[float]:
    """Return when stored frames show an event's position, in s since its onset.

    Parameters
    ----------
    taken : iterable of View
        Frames of a run.
    event : TruthEvent
        What happened, and where.
    before_s, after_s : float
        How long before its onset, and from it on, frames count; the ends included.
    """
    return [
        view.time_s - event.t_s
        for view in taken
        if view.stored
        and -before_s <= view.time_s - event.t_s <= after_s
        and view.shows(event.x_um, event.y_um)
    ]


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


def _rounds_until(
    at_s: float, interval_s: float | None, rounds: int, *, ended: bool = False
) -> int:
    """Return how many of the times 0, T/R, 2T/R, … lie before a time, or also at it."""
    if interval_s is None or at_s < 0 or (at_s == 0 and not ended):
        return 0
    if interval_s == 0:
        return rounds
    number = at_s / interval_s
    until = math.floor(number) + 1 if ended else math.ceil(number)
    return min(rounds, until)
