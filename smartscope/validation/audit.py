"""Audit looks: how much of what happens the survey misses."""

from __future__ import annotations

import bisect
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from smartscope.validation.intervals import share_interval

Record = Mapping[str, Any]


def compare_audit(
    frames: Sequence[Record],
    analysed: Sequence[Record],
    occurrences: Iterable[Record],
    *,
    tolerance_s: float,
    tolerance_um: float,
) -> dict[str, Any]:
    """Estimate which share of what happens the survey misses, from looks by chance.

    The share is that of the occurrences found in audit looks which the survey has not
    found. It has found one if it told one of the same name at most ``tolerance_um``
    away, with its onset between ``tolerance_s`` before and ``tolerance_s`` after the
    first visit that could show it. Each counts once; of all assignments one with the
    most pairs holds.

    It assumes that looks are at random times (they are drawn), that what a look finds
    is true, and that occurrences are independent. What neither can see, because the
    detector does not or because it takes longer than a look, is not in it: it is what
    the survey misses *of what a quick look sees*. Occurrences so near to the end that
    the survey could not have told them are left out, and so are those in looks at
    places that it did not visit before. Where the same happens at one spot again and
    again, a tolerance near to the time between makes one stand for another, and the
    share comes out too low.

    Parameters
    ----------
    frames : sequence of Mapping
        Headers of all frames of a run, stored or not.
    analysed : sequence of Mapping
        Its journal's lines of that kind; those of looks say what was ``audited``.
    occurrences : iterable of Mapping
        As the survey told them.
    tolerance_s, tolerance_um : float
        How near an occurrence of the survey must be.

    Returns
    -------
    dict
        ``looks``, ``frames`` (of looks, analysed), ``seen`` (occurrences in them),
        ``missed``, ``share`` (None if nothing was seen), ``interval`` (95 %),
        ``too_late``, ``survey_only`` (told by the survey during looks at that place,
        and not seen in them), ``says``.
    """
    headers = {f["frame_id"]: f for f in frames}
    visits: defaultdict[str, list[float]] = defaultdict(list)
    looks: defaultdict[str, list[Record]] = defaultdict(list)
    for line in analysed:
        header = headers.get(line["frame_id"])
        if header is None or line.get("failures"):
            continue
        if header["origin"] == "survey":
            visits[header["place"]].append(header["time_s"])
        elif header["origin"] == "audit":
            looks[header["decision_id"]].append(header)
    for times in visits.values():
        times.sort()
    seen, late = [], 0
    for line in analysed:
        for one in line.get("audited") or ():
            times = visits[one["place"]]
            until_s = _until(one, times, tolerance_s)
            if not times or times[0] > one["onset_s"] or until_s > times[-1]:
                late += 1
            else:
                seen.append((one, until_s))
    told = list(occurrences)
    pairs = _pairs(seen, told, tolerance_s, tolerance_um)
    found = {j for _, j in pairs}
    missed = len(seen) - len(pairs)
    low, high = share_interval(missed, len(seen))
    result: dict[str, Any] = {
        "looks": len(looks),
        "frames": sum(map(len, looks.values())),
        "seen": len(seen),
        "missed": missed,
        "share": round(missed / len(seen), 4) if seen else None,
        "interval": (round(low, 4), round(high, 4)),
        "too_late": late,
        "survey_only": sum(
            _in_a_look(one, looks.values())
            for j, one in enumerate(told)
            if j not in found
        ),
    }
    return {**result, "says": _says(result)}


def _says(told: Record) -> str:
    where = f"{told['looks']} audit looks"
    rest = (
        f" {told['survey_only']} that it told in that time the looks did not see."
        if told["survey_only"]
        else ""
    )
    late = (
        f" {told['too_late']} came too near to the end to tell."
        if told["too_late"]
        else ""
    )
    if not told["seen"]:
        return (
            f"In {where} nothing happened that could tell what is missed.{rest}{late}"
        )
    low, high = told["interval"]
    return (
        f"The survey missed about {100 * told['share']:.0f} % "
        f"({100 * low:.0f}-{100 * high:.0f} %): {told['missed']} of {told['seen']} "
        f"occurrences that {where} saw.{rest}{late}"
    )


def _until(one: Record, visits: Sequence[float], tolerance_s: float) -> float:
    """Return the latest onset that the survey may give an occurrence."""
    after = bisect.bisect_left(visits, one["onset_s"])
    return visits[after] + tolerance_s if after < len(visits) else math.inf


def _pairs(
    seen: Sequence[tuple[Record, float]],
    told: Sequence[Record],
    tolerance_s: float,
    tolerance_um: float,
) -> list[tuple[int, int]]:
    """Return which of the seen is which of the told ones: as many as can be."""
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import maximum_bipartite_matching

    if not seen or not told:
        return []
    fits = np.array(
        [
            [
                one["name"] == other["name"]
                and one["onset_s"] - tolerance_s <= other["onset_s"] <= until_s
                and math.hypot(one["x_um"] - other["x_um"], one["y_um"] - other["y_um"])
                <= tolerance_um
                for other in told
            ]
            for one, until_s in seen
        ]
    )
    columns = maximum_bipartite_matching(csr_array(fits), perm_type="column")
    return [(i, int(j)) for i, j in enumerate(columns) if j >= 0]


def _in_a_look(one: Record, looks: Iterable[Sequence[Record]]) -> bool:
    """Whether an occurrence began while its place was looked at."""
    return any(
        look[0]["place"] == one["place"]
        and look[0]["time_s"] < one["onset_s"] <= look[-1]["time_s"]
        for look in looks
    )
