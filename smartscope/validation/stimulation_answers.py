"""Sham stimulation: how many cells answered that were lit, and that were spared."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from smartscope.validation.intervals import share_interval

Record = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class _Treated:
    """One cell of one decision, lit or spared."""

    track_id: int
    time_s: float
    lit: bool


def compare_answers(
    analysed: Sequence[Record],
    occurrences: Sequence[Record],
    decisions: Sequence[Record],
    outcomes: Sequence[Record],
    *,
    policies: Collection[str],
    answer: str,
    within_s: float,
) -> dict[str, Any]:
    """Compare cells that were stimulated with those that were withheld as sham.

    A cell has answered if the occurrence ``answer`` was recognised of its track after
    the frame of the decision and at most ``within_s`` later. Left out are cells whose
    time was not over when the run ended, things without a track, and cells that within
    this time were treated again: nobody knows which of the two they answered.

    Which cells are spared was drawn, so that both kinds are alike: a difference is what
    the light does. It assumes that cells answer independently of each other; those that
    one pattern lit together may not.

    Parameters
    ----------
    analysed, occurrences, decisions, outcomes : sequence of Mapping
        Of the run, as its reader gives them.
    policies : collection of str
        Names of the policies that stimulate and of which a share is withheld.
    answer : str
        Name of the occurrence.
    within_s : float
        How long after the decision it counts.

    Returns
    -------
    dict
        ``stimulated`` and ``sham``, each with ``cells``, ``answered``, ``share`` (None
        without cells) and ``interval`` (95 %, Clopper and Pearson); ``too_late`` and
        ``treated_again``, cells that are left out; ``answer``, ``within_s``, ``says``.
    """
    treated = list(_treated(decisions, outcomes, policies))
    ended_s = max((a["time_s"] for a in analysed), default=0.0)
    answers: dict[int, list[float]] = {}
    for occurrence in occurrences:
        if occurrence["name"] == answer:
            for track_id in occurrence["track_ids"]:
                answers.setdefault(track_id, []).append(occurrence["seen_s"])
    counts = {True: [0, 0], False: [0, 0]}
    late = again = 0
    for one in treated:
        until_s = one.time_s + within_s
        if until_s > ended_s:
            late += 1
            continue
        if any(
            other is not one
            and other.track_id == one.track_id
            and abs(other.time_s - one.time_s) <= within_s
            for other in treated
        ):
            again += 1
            continue
        has = any(one.time_s < t <= until_s for t in answers.get(one.track_id, ()))
        counts[one.lit][0] += has
        counts[one.lit][1] += 1
    lit, sham = _told(*counts[True]), _told(*counts[False])
    left_out = []
    if late:
        left_out.append(f"{late} too late in the run")
    if again:
        left_out.append(f"{again} treated again meanwhile")
    tail = f" Left out: {', '.join(left_out)}." if left_out else ""
    return {
        "stimulated": lit,
        "sham": sham,
        "too_late": late,
        "treated_again": again,
        "answer": answer,
        "within_s": within_s,
        "says": f"{_part(lit)} stimulated cells answered ({answer}) within "
        f"{within_s:g} s, {_part(sham)} sham.{tail}",
    }


def _treated(
    decisions: Sequence[Record],
    outcomes: Sequence[Record],
    policies: Collection[str],
) -> Iterator[_Treated]:
    frames = {o["decision_id"]: o["frames"] for o in outcomes}
    for decision in decisions:
        wish = decision["wish"]
        if decision["policy"] not in policies or wish["kind"] != "stimulate":
            continue
        lit = frames.get(decision["decision_id"], 0) > 0
        if lit or decision["verdict"] == "sham":
            for spot in wish["targets"]:
                if spot["track_id"] >= 0:
                    yield _Treated(spot["track_id"], decision["time_s"], lit)


def _told(k: int, n: int) -> dict[str, Any]:
    low, high = share_interval(k, n)
    return {
        "cells": n,
        "answered": k,
        "share": round(k / n, 4) if n else None,
        "interval": (round(low, 4), round(high, 4)),
    }


def _part(told: Record) -> str:
    if not told["cells"]:
        return "none of 0"
    low, high = told["interval"]
    return f"{told['answered']} of {told['cells']} ({100 * low:.0f}-{100 * high:.0f} %)"
