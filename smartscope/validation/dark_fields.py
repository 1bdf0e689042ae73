"""Dark fields: what the light of a run did to what it was meant to show."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from smartscope.validation.intervals import ratio_interval
from smartscope.validation.view import View, views

# share of a dark field that may have been lit before by frames of its neighbours
_SPILLED = 0.01
# variance over mean of counts per field, above which they are called scattered
_SCATTERED = 2.0

Record = Mapping[str, Any]


def compare_dark(
    frames: Sequence[Record], analysed: Iterable[Record], dark: Collection[str]
) -> dict[str, Any]:
    """Compare what lit and dark fields hold in the round that shows the dark ones.

    The estimate is the ratio of things per field, lit over dark; below 1, light has
    done harm or things have left. It assumes that the fields were alike at the start
    (take dark ones at random), that one detector finds the same share of things in
    both, and, for the interval, that things lie independently of each other: the counts
    are then Poisson. Clumped cells scatter more, and the interval is too narrow; if the
    variance of the counts is more than twice their mean, the sentence says so.

    A dark field of which more than 1 % was lit before its turn, by a burst beside it
    for instance, is left out and counted. Of several frames of one visit (planes) the
    one with most things counts.

    Parameters
    ----------
    frames : sequence of Mapping
        Headers of all frames of a run, stored or not.
    analysed : iterable of Mapping
        Its journal's lines of that kind.
    dark : collection of str
        Names of the dark places.

    Returns
    -------
    dict
        ``dark_fields``, ``lit_fields``, ``things_dark``, ``things_lit``, ``ratio``
        (None if there is nothing to divide by), ``interval`` (95 %; the upper bound
        None if there is none), ``scatter`` (variance over mean, None where unknown),
        ``spilled`` (dark places lit before), ``not_lit`` (dark places without an
        analysed frame), ``says``.
    """
    found = {
        a["frame_id"]: len(a["detections"]["score"])
        for a in analysed
        if not a.get("failures") and not a.get("waits_for")
    }
    survey = [f for f in frames if f["origin"] == "survey" and f["frame_id"] in found]
    rounds = {f["index"][0] for f in survey if f["place"] in dark}
    closing = min(rounds, default=None)
    most: dict[str, int] = {}
    for frame in survey:
        if frame["index"][0] == closing:
            n = found[frame["frame_id"]]
            most[frame["place"]] = max(n, most.get(frame["place"], 0))
    spilled = _spilled(frames, [p for p in most if p in dark])
    in_dark = [n for p, n in most.items() if p in dark and p not in spilled]
    in_lit = [n for p, n in most.items() if p not in dark]
    told: dict[str, Any] = {
        "dark_fields": len(in_dark),
        "lit_fields": len(in_lit),
        "things_dark": sum(in_dark),
        "things_lit": sum(in_lit),
        "ratio": None,
        "interval": None,
        "scatter": _scatter(in_dark, in_lit),
        "spilled": spilled,
        "not_lit": sorted(set(dark) - set(most)),
    }
    if in_dark and in_lit and (told["things_dark"] or told["things_lit"]):
        low, high = ratio_interval(
            told["things_lit"], len(in_lit), told["things_dark"], len(in_dark)
        )
        told["interval"] = (round(low, 4), round(high, 4) if high < math.inf else None)
        if told["things_dark"]:
            mean = told["things_lit"] / len(in_lit)
            told["ratio"] = round(mean / (told["things_dark"] / len(in_dark)), 4)
    return {**told, "says": _says(told)}


def _says(told: Record) -> str:
    left_out = ""
    if told["spilled"]:
        names = ", ".join(told["spilled"])
        left_out += f" Left out, because light fell on them before: {names}."
    if told["not_lit"]:
        left_out += f" Never looked at: {', '.join(told['not_lit'])}."
    if told["interval"] is None:
        return f"Dark fields tell nothing: there is nothing to compare.{left_out}"
    low, high = told["interval"]
    bounds = f"{low:.2g}-{high:.2g}" if high is not None else f"{low:.2g} or more"
    times = "?" if told["ratio"] is None else f"{told['ratio']:.2g}"
    scattered = (told["scatter"] or 0.0) > _SCATTERED
    doubt = (
        f" The counts scatter {told['scatter']:.1f} times as much as independent "
        "things would: the interval is too narrow."
        if scattered
        else ""
    )
    return (
        f"Lit fields hold {times} times as many things as dark ones ({bounds}): "
        f"{told['things_lit']} in {told['lit_fields']} lit, {told['things_dark']} in "
        f"{told['dark_fields']} dark.{doubt}{left_out}"
    )


def _scatter(*groups: Sequence[int]) -> float | None:
    """Return the variance over the mean of counts, within groups."""
    squares, degrees = 0.0, 0
    for group in groups:
        mean = sum(group) / len(group) if group else 0.0
        if mean > 0:
            squares += sum((n - mean) ** 2 for n in group) / mean
            degrees += len(group) - 1
    return round(squares / degrees, 4) if degrees else None


def _spilled(frames: Sequence[Record], dark: Sequence[str]) -> list[str]:
    """Return the dark places on which light fell before their own first frame."""
    if not dark:
        return []
    taken = views(frames)
    spilled = []
    for place in dark:
        first = next(v for v in taken if v.place == place)
        for view in taken:
            if view.time_s >= first.time_s:
                break
            if _shared(first, view) > _SPILLED:
                spilled.append(place)
                break
    return sorted(spilled)


def _shared(one: View, other: View) -> float:
    """Return which share of a field another one covers."""
    area = 1.0
    for a, b in ((one.x_um, other.x_um), (one.y_um, other.y_um)):
        common = max(0.0, min(a[1], b[1]) - max(a[0], b[0]))
        area *= common / (a[1] - a[0])
    return area
