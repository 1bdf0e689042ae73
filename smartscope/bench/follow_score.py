"""A followed cell against the truth: which cell it was, what was said, what it took."""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby, pairwise
from typing import Any

import numpy as np

from smartscope.bench.path import Points, fewest_moves, moves_without_foresight
from smartscope.simulation.drift import Drift
from smartscope.storage import Run

# a detection is a cell if it is so near to it, and no other one is nearly as near
_IS_UM = 4.0
_CLEAR_UM = 4.0
# in truth, cells nearer than this can be taken for each other
_MEET_UM = 18.0
# a visit says it soon enough if it says it so many visits later
_GRACE = 5
_STEADY = 3
_LATE = 2  # visits from a frame to the one its decision takes effect with
# of the ugly microscope's frames
_EDGE_PX, _PIXEL_UM = 512, 0.65
_MIDDLE = 0.1  # of the edge, to either side: the middle fifth

_GOES_ON = re.compile(r"(?:follows track|takes up track|daughter|goes on as) (\d+)")
_BEGINS = re.compile(r"follows track (\d+)")
_DOUBT = re.compile(r"ambiguous|swapped|lost|gives up|found a cell|divided|takes up")
_LOST = re.compile(r"is lost|was lost|gives up")
_SEARCHES = re.compile(r"is lost: looks at")
_ENDS_SEARCH = re.compile(r"found a cell|gives up")
_CERTAIN = "told apart"


@dataclass(slots=True)
class _Visit:
    """One look at the place of a followed cell."""

    remarks: list[str]
    stage_um: tuple[float, float]
    off_um: tuple[float, float] | None
    cell: int | None  # that the followed track shows, where that is clear
    searching: bool


@dataclass(slots=True)
class FollowScore:
    """What became of one cell that was chosen.

    Attributes
    ----------
    swaps, losses : int
        How often another cell was followed than before, and none.
    unsaid : list of str
        Those of which the record said nothing, in words.
    right : int
        Visits that show the cell that was chosen, of ``clear`` in which that is clear.
    """

    visits: int = 0
    swaps: int = 0
    losses: int = 0
    unsaid: list[str] = field(default_factory=list)
    ambiguous: int = 0
    told_apart: int = 0
    undone: int = 0
    clear: int = 0
    right: int = 0
    counted: int = 0
    in_middle: int = 0
    oscillations: int = 0
    moves: int = 0
    without_foresight: int = 0
    fewest: int = 0

    @staticmethod
    def summary(scores: Sequence[FollowScore], *, words: bool = True) -> dict[str, Any]:
        """Return the sums over cells, and the ratios of the sums."""

        def total(name: str) -> int:
            return sum(getattr(score, name) for score in scores)

        moves = total("moves")
        told = [said for score in scores for said in score.unsaid]
        return {
            "cells_followed": len(scores),
            "visits": total("visits"),
            "swaps": total("swaps"),
            "losses": total("losses"),
            "not_said": len(told),
            "ambiguous": total("ambiguous"),
            "told_apart": total("told_apart"),
            "swaps_undone": total("undone"),
            "chosen_cell": _share(total("right"), total("clear")),
            "in_middle_fifth": _share(total("in_middle"), total("counted")),
            "oscillations": total("oscillations"),
            "moves": moves,
            "moves_without_foresight": total("without_foresight"),
            "fewest_moves": total("fewest"),
            "moves_ratio": _share(moves, total("without_foresight")),
            "moves_ratio_to_fewest": _share(moves, total("fewest")),
            **({"unsaid": told} if words else {}),
        }


def score_following(
    run: Run, specimen: Any, drift: Drift, dead_band_um: float
) -> list[FollowScore]:
    """Score each cell that a run has followed.

    Parameters
    ----------
    run : Run
        With one policy that follows; all frames have been analysed.
    specimen : LivingCells
        What lay under the microscope.
    drift : Drift
        Of the specimen.
    dead_band_um : float
        Of the policy.
    """
    headers = {f["frame_id"]: f for f in run.taken}
    by_place: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for line in run.analysed:
        by_place[line["place"]].append(line)
    scores = []
    for place, lines in sorted(by_place.items()):
        truth = _Truth(specimen, drift)
        scores += [
            _scored(f"{run.name}, {place}", episode, dead_band_um)
            for episode in _episodes(lines, headers, truth)
        ]
    return scores


class _Truth:
    """Where the cells were seen on the stage."""

    def __init__(self, specimen: Any, drift: Drift) -> None:
        self._specimen, self._drift = specimen, drift

    def at(self, t_s: float) -> Points:
        """Return stage x, y of all cells, by their numbers; none is born or dies."""
        numbers, at = self._specimen.cells_at(t_s)
        found = np.full((int(numbers.max()) + 1, 2), np.nan)
        found[numbers] = at + np.asarray(self._drift.at(t_s))
        return found


Episode = list[tuple[_Visit, Points]]


def _episodes(
    lines: Sequence[Mapping[str, Any]],
    headers: Mapping[int, Mapping[str, Any]],
    truth: _Truth,
) -> Iterator[Episode]:
    """Yield, for each cell that is chosen, its visits with the truth of that time."""
    episode: Episode = []
    track_id, searching = -1, False
    for line in lines:
        remarks = [r.split(": ", 2)[-1] for r in line["remarks"]]
        for remark in remarks:
            if _BEGINS.match(remark) and episode:
                yield episode
                episode = []
            if found := _GOES_ON.search(remark):
                track_id = int(found.group(1))
            searching = bool(
                (searching or _SEARCHES.search(remark))
                and not _ENDS_SEARCH.search(remark)
            )
        if track_id < 0:
            continue
        cells = truth.at(line["time_s"])
        visit = _visit(line, headers[line["frame_id"]]["state"], track_id, cells)
        visit.remarks, visit.searching = remarks, searching
        episode.append((visit, cells))
    if episode:
        yield episode


def _visit(
    line: Mapping[str, Any], state: Mapping[str, Any], track_id: int, cells: Points
) -> _Visit:
    stage = (float(state["x_um"]), float(state["y_um"]))
    visit = _Visit([], stage, None, None, False)
    track = next((t for t in line["tracks"] if t["track_id"] == track_id), None)
    if track is None or track["detection"] < 0:
        return visit
    row, column = line["detections"]["centers_px"][track["detection"]]
    middle = (_EDGE_PX - 1) / 2
    pixel_um = state["pixel_size_um"]
    visit.off_um = ((column - middle) * pixel_um, (row - middle) * pixel_um)
    at = np.asarray(stage) + np.asarray(visit.off_um)
    far = np.hypot(*(cells - at).T)
    nearest, second = np.argsort(far)[:2]
    if far[nearest] < _IS_UM and far[second] > far[nearest] + _CLEAR_UM:
        visit.cell = int(nearest)
    elif far[nearest] > 2 * _IS_UM:
        visit.cell = -1  # nothing is there
    return visit


def _scored(name: str, episode: Episode, dead_band_um: float) -> FollowScore:
    visits = [visit for visit, _ in episode]
    score = FollowScore(visits=len(visits))
    for visit in visits:
        for remark in visit.remarks:
            score.ambiguous += remark.startswith("ambiguous")
            score.told_apart += remark.startswith(_CERTAIN)
            score.undone += "was swapped" in remark
            score.losses += bool(_LOST.search(remark))
    known = _steady([(i, v.cell) for i, v in enumerate(visits) if v.cell is not None])
    if not known:
        return score
    chosen = known[0][1]
    score.clear = sum(v.cell is not None for v in visits)
    score.right = sum(v.cell == chosen for v in visits)
    for (_, before, last), (first, after, _) in pairwise(
        [(i, cell, last) for i, cell, last in known]
    ):
        score.swaps += after >= 0
        if not _is_said(episode, before, last, first):
            what = f"cell {after}" if after >= 0 else "nothing"
            score.unsaid.append(
                f"{name}: visit {first}: {what} instead of cell {before}"
            )
    for first, last in _gaps(visits):
        around = visits[max(0, first - 1) : last + _GRACE]
        if not any(_LOST.search(r) for v in around for r in v.remarks):
            score.unsaid.append(f"{name}: visits {first} to {last}: nothing followed")
    _count_moves(score, episode, known, dead_band_um)
    return score


def _steady(clear: Sequence[tuple[int, int | None]]) -> list[tuple[int, int, int]]:
    """Return first visit, cell and last visit of each cell that was followed.

    Another cell, or nothing, counts once it was seen in three clear visits in a row.
    """
    found: list[tuple[int, int, int]] = []
    for cell, run in groupby(clear, key=lambda each: each[1]):
        visits = [i for i, _ in run]
        if cell is None or (found and len(visits) < _STEADY):
            continue
        if found and found[-1][1] == cell:
            found[-1] = (found[-1][0], cell, visits[-1])
        else:
            found.append((visits[0], cell, visits[-1]))
    return found


def _is_said(episode: Episode, cell: int, last: int, first: int) -> bool:
    """Whether the record says that the cell may be another one.

    Looked at are the remarks since the cell came near another one, in truth, and until
    some visits after it was clear that it is another; that it was told apart takes back
    what was said before.
    """
    begin = last
    while begin > 0 and cell >= 0 and _nearest_um(episode[begin][1], cell) < _MEET_UM:
        begin -= 1
    said = False
    for visit, _ in episode[max(0, begin - 1) : first + _GRACE]:
        for remark in visit.remarks:
            if remark.startswith(_CERTAIN):
                said = False
            elif _DOUBT.search(remark):
                said = True
    return said


def _nearest_um(cells: Points, cell: int) -> float:
    far = np.hypot(*(cells - cells[cell]).T)
    far[cell] = np.inf
    return float(np.nanmin(far))


def _gaps(visits: Sequence[_Visit]) -> Iterator[tuple[int, int]]:
    """Yield first and last visit of each time in which nothing is followed."""
    for seen, run in groupby(
        enumerate(visits), key=lambda each: each[1].off_um is None
    ):
        stretch = [i for i, _ in run]
        if seen and len(stretch) > _GRACE:
            yield stretch[0], stretch[-1]


def _count_moves(
    score: FollowScore,
    episode: Episode,
    known: Sequence[tuple[int, int, int]],
    dead_band_um: float,
) -> None:
    """Count moves, from the first visit after the cell was first centred on."""
    moved = [
        i
        for i, (a, b) in enumerate(pairwise(v for v, _ in episode), start=1)
        if math.dist(a.stage_um, b.stage_um) > 1e-6
    ]
    begin = moved[0] if moved else min(_LATE, len(episode) - 1)
    path = _path(episode, known)
    score.moves = sum(i > begin for i in moved)
    score.fewest = fewest_moves(path[begin:], dead_band_um)
    score.without_foresight = moves_without_foresight(path[begin:], dead_band_um)
    half_um = _MIDDLE * _EDGE_PX * _PIXEL_UM
    for i, (visit, _) in enumerate(episode[begin:], start=begin):
        off = visit.off_um or tuple(path[i] - np.asarray(visit.stage_um))
        score.counted += 1
        score.in_middle += bool(max(map(abs, off)) <= half_um)
    steered = [i for i in moved if i > begin and not episode[i][0].searching]
    for one, other in pairwise(steered):
        first, second = (
            np.subtract(episode[i][0].stage_um, episode[i - 1][0].stage_um)
            for i in (one, other)
        )
        went = path[max(0, other - _LATE)] - path[max(0, one - _LATE)]
        back = float(first @ second) < -0.5 * math.hypot(*first) * math.hypot(*second)
        score.oscillations += bool(back and float(went @ second) <= 0)


def _path(episode: Episode, known: Sequence[tuple[int, int, int]]) -> Points:
    """Return where the followed cell was in truth at each visit, shape ``(n, 2)``."""
    path = np.empty((len(episode), 2))
    turns = [*known[1:], (len(episode), -1, -1)]
    cell, begin = known[0][1], 0
    for first, following, _ in turns:
        for i in range(begin, first):
            path[i] = episode[i][1][cell]
        begin, cell = first, following if following >= 0 else cell
    return path


def _share(part: int, whole: int) -> float | None:
    return round(part / whole, 4) if whole else None
