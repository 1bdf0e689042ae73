"""A tour: which of the hits that wait are visited, and in what order.

Both are functions of what is given; chance is drawn from the seed of the experiment.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from smartscope.response.draw import drawn
from smartscope.response.visit_settings import VisitSettings

Point = tuple[float, float]
_Points = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class TourPlan:
    """What the tours of one policy are like.

    Attributes
    ----------
    settings : VisitSettings
        Quotas, groups, order of choice.
    units : Mapping of str to str
        By place, the well it lies in, where the survey is of a plate; others are their
        own.
    groups : Mapping of str to str
        By place, its group; without groups, empty.
    seed : int
        Of the experiment.
    """

    settings: VisitSettings
    units: Mapping[str, str] = field(default_factory=dict)
    groups: Mapping[str, str] = field(default_factory=dict)
    seed: int = 0

    def unit(self, place: str) -> str:
        """Return the well or place that a visit counts for."""
        return self.units.get(place, place)

    def group(self, place: str) -> str | None:
        """Return its group; None where there are groups and it is in none."""
        if not self.settings.groups:
            return self.unit(place)
        return self.groups.get(place)


@dataclass(frozen=True, slots=True)
class Waiting:
    """A hit that waits for a tour."""

    decision_id: str
    place: str
    x_um: float
    y_um: float

    @property
    def at_um(self) -> Point:
        """Where it is."""
        return self.x_um, self.y_um


@dataclass(slots=True)
class Made:
    """Visits that were given a place in a tour so far, in a run.

    ``spots`` is by the id of the decision, for those that are too near to one.
    """

    total: int = 0
    by_unit: Counter[str] = field(default_factory=Counter)
    by_group: Counter[str] = field(default_factory=Counter)
    spots: dict[str, Point] = field(default_factory=dict)

    def add(self, hit: Waiting, plan: TourPlan, by: int = 1) -> None:
        """Count a visit; with ``by`` -1 it was not made after all."""
        self.total += by
        self.by_unit[plan.unit(hit.place)] += by
        self.by_group[plan.group(hit.place) or ""] += by
        if by > 0:
            self.spots[hit.decision_id] = hit.at_um
        else:
            self.spots.pop(hit.decision_id, None)


def choose(
    waiting: Sequence[Waiting], plan: TourPlan, made: Made
) -> tuple[list[Waiting], dict[str, str]]:
    """Choose the hits of a tour.

    With ``choose: random`` the next visit goes to the group that has had the fewest,
    in it to the well or place that has had the fewest, and there to one that is
    drawn; ties are drawn too. With ``first`` it goes to the hit that came first. None
    goes beyond a quota.

    Parameters
    ----------
    waiting : sequence of Waiting
        As they came.
    plan : TourPlan
        Quotas and groups.
    made : Made
        Visits before this tour; those that are chosen are added.

    Returns
    -------
    tuple
        The chosen ones as they were chosen, and by the id of others why they are not
        visited any more. Who is in neither waits for the next tour.
    """
    settings = plan.settings
    full_before = settings.most is not None and made.total >= settings.most
    chosen: list[Waiting] = []
    why: dict[str, str] = {}
    candidates: list[Waiting] = []
    for hit in waiting:
        if plan.group(hit.place) is None:
            why[hit.decision_id] = f"quota: {hit.place} is in none of the groups"
        else:
            candidates.append(hit)
    turns = candidates if settings.choose == "first" else _Drawn(candidates, plan, made)
    for hit in turns:
        if len(chosen) == settings.per_tour:
            break
        if not _excluded(hit, plan, made, full_before=full_before):
            made.add(hit, plan)
            chosen.append(hit)
    taken = {hit.decision_id for hit in chosen}
    for hit in candidates:
        if hit.decision_id not in taken and (
            reason := _excluded(hit, plan, made, full_before=full_before)
        ):
            why[hit.decision_id] = reason
    return chosen, why


class _Drawn:
    """Hands hits out as shares say: of groups, then of units, the fewest visits first.

    Visits are counted by who takes the hits; a group or unit that is full is passed
    over.
    """

    def __init__(self, hits: Sequence[Waiting], plan: TourPlan, made: Made) -> None:
        self._plan, self._made = plan, made
        self._groups: dict[str, dict[str, list[Waiting]]] = {}
        for hit in hits:
            group, unit = plan.group(hit.place) or "", plan.unit(hit.place)
            self._groups.setdefault(group, {}).setdefault(unit, []).append(hit)
        label = plan.settings.label
        for units in self._groups.values():
            for pile in units.values():
                # the last one is handed out first
                pile.sort(key=lambda h: drawn(plan.seed, label, "visit", h.decision_id))

    def __iter__(self) -> Iterator[Waiting]:
        made, settings = self._made, self._plan.settings
        while settings.most is None or made.total < settings.most:
            open_ = {
                group: [
                    unit
                    for unit, pile in units.items()
                    if pile and not _full(made.by_unit[unit], settings.per_place)
                ]
                for group, units in self._groups.items()
                if not _full(made.by_group[group], settings.per_group)
            }
            open_ = {group: units for group, units in open_.items() if units}
            if not open_:
                return
            group = self._fewest(open_, made.by_group)
            unit = self._fewest(open_[group], made.by_unit)
            yield self._groups[group][unit].pop()

    def _fewest(self, names: Iterable[str], counts: Mapping[str, int]) -> str:
        seed, label, total = (
            self._plan.seed,
            self._plan.settings.label,
            self._made.total,
        )
        return min(names, key=lambda n: (counts[n], drawn(seed, label, total, n)))


def _full(count: int, quota: int | None) -> bool:
    return quota is not None and count >= quota


def _excluded(hit: Waiting, plan: TourPlan, made: Made, *, full_before: bool) -> str:
    """Return why a hit is not visited any more, or ``''``."""
    settings = plan.settings
    group, unit = plan.group(hit.place) or "", plan.unit(hit.place)
    if settings.radius_um > 0:
        for other, at_um in made.spots.items():
            if math.dist(at_um, hit.at_um) <= settings.radius_um:
                return (
                    f"same spot: within {settings.radius_um:g} µm of the visit of "
                    f"decision {other}"
                )
    if settings.per_place is not None and made.by_unit[unit] >= settings.per_place:
        return f"quota: {unit} has its {settings.per_place} visits"
    if settings.per_group is not None and made.by_group[group] >= settings.per_group:
        return f"quota: the group {group} has its {settings.per_group} visits"
    if settings.most is not None and made.total >= settings.most:
        if full_before or settings.choose == "first":
            return f"quota: all {settings.most} visits are given"
        return (
            f"balance: the last of {settings.most} visits went to others; {group} has "
            f"had {made.by_group[group]}"
        )
    return ""


def short_way(points: Sequence[Point], start: Point | None = None) -> list[int]:
    """Return a short order in which to go to some points, from a start.

    The nearest next one first, then stretches are turned round as long as that makes
    the way shorter (2-opt); never longer than in the order as given.

    Parameters
    ----------
    points : sequence of (float, float)
        In any unit.
    start : (float, float), optional
        Where the way begins; default: at whatever point.

    Returns
    -------
    list of int
        The places of the points in ``points``, each once.
    """
    n = len(points)
    if n < 2:
        return list(range(n))
    at = np.asarray(points, dtype=np.float64)
    begin = at[0] if start is None else np.asarray(start, dtype=np.float64)
    as_given = list(range(n))
    ways = [_shortened(at, begin, way) for way in (_nearest(at, begin), as_given)]
    return min((*ways, as_given), key=lambda way: _length(at, begin, way))


def _nearest(at: _Points, begin: _Points) -> list[int]:
    left = np.ones(len(at), dtype=bool)
    way: list[int] = []
    here = begin
    while left.any():
        far = np.where(left, np.hypot(*(at - here).T), np.inf)
        nearest = int(far.argmin())
        left[nearest] = False
        way.append(nearest)
        here = at[nearest]
    return way


def _shortened(at: _Points, begin: _Points, way: list[int]) -> list[int]:
    """Turn stretches of an open way round as long as that makes it shorter."""
    order = np.asarray(way)
    better = True
    while better:
        better = False
        for i in range(len(order) - 1):
            before = begin if i == 0 else at[order[i - 1]]
            first, rest = at[order[i]], at[order[i + 1 :]]
            beyond = at[order[i + 2 :]]
            now = np.hypot(*(first - before))
            gain = now - np.hypot(*(rest - before).T)
            if len(beyond):
                gain[:-1] += np.hypot(*(beyond - rest[:-1]).T)
                gain[:-1] -= np.hypot(*(beyond - first).T)
            best = int(gain.argmax())
            if gain[best] > 1e-9:
                j = i + 1 + best
                order[i : j + 1] = order[i : j + 1][::-1]
                better = True
    return [int(k) for k in order]


def _length(at: _Points, begin: _Points, way: Sequence[int]) -> float:
    path = np.vstack([begin, at[list(way)]])
    return float(np.hypot(*np.diff(path, axis=0).T).sum())
