"""Detectors against each other: what they find alike, and whether one is needed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Row = Mapping[str, Any]

# two detectors do the same if their F1 differ by no more, or by one event
_SAME = 0.05
_ALIKE = 0.9
_FEW = 5
_SLOWER = 2.0


def matched(
    one: npt.NDArray[np.float64], other: npt.NDArray[np.float64], distance_um: float
) -> int:
    """Return how many points of two sets are the same ones, one to one.

    Parameters
    ----------
    one, other : np.ndarray
        Shapes ``(n, 2)`` and ``(m, 2)``, µm.
    distance_um : float
        Farthest apart that the same thing may be found.
    """
    from scipy.optimize import linear_sum_assignment
    from scipy.spatial.distance import cdist

    if not len(one) or not len(other):
        return 0
    near = cdist(one, other) <= distance_um
    rows, columns = linear_sum_assignment(near, maximize=True)
    return int(near[rows, columns].sum())


def f1(alike: int, one: int, other: int) -> float | None:
    """Return 2 · alike / (one + other), None where there is nothing."""
    return 2 * alike / (one + other) if one + other else None


def tell_rivals(main: str, rows: Mapping[str, Row], *, truth: bool, frames: int) -> str:
    """Return in words whether the main detector is needed.

    Parameters
    ----------
    main : str
        Name of the main detector.
    rows : Mapping of str to Mapping
        By name ``things_f1`` (with the main one), ``events``, ``caught``, ``missed``,
        ``false``, ``ms_p50``; without truth the events are the main one's occurrences.
    truth : bool
        It is known what happened.
    frames : int
        Looked at by each.
    """
    others = {name: row for name, row in rows.items() if name != main and row["frames"]}
    if not others or not rows[main]["frames"]:
        return "No detector could be compared: none of them saw a frame."
    best = max(others, key=lambda name: _rank(others[name]))
    row, own = others[best], rows[main]
    took = f"{row['ms_p50']:.3g} ms a frame against {own['ms_p50']:.3g}"
    things = row["things_f1"]
    alike = "finds nothing, as it does" if things is None else f"F1 {things:.2f}"
    seen = f"in {frames} frames"
    if own["events"] + own["false"] == 0 and row["false"] == 0:
        if things is None or things >= _ALIKE:
            return (
                f"{best} and {main} find the same things {seen} ({alike}), {took}; "
                "nothing happened in them, so nothing else tells them apart."
            )
        return (
            f"{best} and {main} do not find the same things {seen} ({alike}); nothing "
            "happened in them that would tell which is right."
        )
    if not truth:
        return _without_truth(main, best, own, row, f"{seen}, {took}")
    told = (
        f"{best} catches {row['caught']} of {row['events']} (and {row['false']} "
        f"false), {main} {own['caught']} (and {own['false']}), {seen}"
    )
    told += f"; they agree on things with {alike}, {took}."
    if own["events"] < _FEW:
        return f"Too little happened to tell whether {main} is needed: {told}"
    ahead = _quality(own) - _quality(row)
    slack = max(_SAME, 1 / own["events"])
    if ahead > slack:
        return f"{main} is needed here. The best of the others: {told}"
    if ahead < -slack:
        return f"{main} is not needed here, {best} does better: {told}"
    if row["ms_p50"] > _SLOWER * own["ms_p50"]:
        return f"{best} does as well as {main} here, and is the slower one: {told}"
    return f"{main} adds nothing here, {best} does as well: {told}"


def _without_truth(main: str, best: str, own: Row, row: Row, seen: str) -> str:
    things, quality = row["things_f1"], _quality(row)
    told = (
        f"things with F1 {0.0 if things is None else things:.2f}, occurrences with F1 "
        f"{quality:.2f} ({row['caught'] + row['false']} and {own['caught']}), {seen}"
    )
    if quality >= _ALIKE and (things is None or things >= _ALIKE):
        return (
            f"{main} adds nothing that would be seen here: {best} agrees with it on "
            f"{told}."
        )
    return (
        f"{main} and its nearest rival, {best}, differ: they agree on {told}. Which of "
        "them is right cannot be told without a truth."
    )


def _quality(row: Row) -> float:
    """Return the F1 of the occurrences; 1 if there is nothing to catch and none told.

    2 · caught / (2 · caught + missed + false).
    """
    caught, wrong = row["caught"], row["missed"] + row["false"]
    return 1.0 if caught + wrong == 0 else 2 * caught / (2 * caught + wrong)


def _rank(row: Row) -> tuple[float, float, float]:
    things = row["things_f1"]
    return _quality(row), 0.0 if things is None else things, -row["ms_p50"]


def labels_of(models: Sequence[str]) -> list[str]:
    """Return a short name for each detector: of a path its end, numbered if need be."""
    names: list[str] = []
    for model in models:
        short = model.replace("\\", "/").rstrip("/").rsplit("/", 1)[-1] or model
        name, number = short, 1
        while name in names:
            number += 1
            name = f"{short} {number}"
        names.append(name)
    return names
