"""How well a followed cell was kept in the middle, from what the journal says."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from smartscope.storage.reader import Record, Run

# the middle fifth of the field: a tenth of its edge to each side of the centre
_MIDDLE = 0.1
_THERE_UM = 1.0


def followed(run: Run) -> dict[str, Any]:
    """Return in how many frames followed cells were in the middle of the field.

    A cell counts as captured at a place from the first frame that was taken where a
    granted move of the stage wanted it, until the policy says that it gives it up. Of
    a cell that has divided, the brighter daughter counts. A frame in which the cell is
    not found counts as one in which it is not in the middle.

    Returns
    -------
    dict
        ``frames`` after capture, ``in_middle``: how many of them show the cell in the
        middle fifth of the field, ``share``: None without frames, ``cells``.
    """
    moves = _moves(run)
    headers = {f["frame_id"]: f for f in run.taken}
    frames = in_middle = 0
    cells: set[tuple[str, int]] = set()
    target: dict[str, int] = {}
    on_the_way: dict[str, Record] = {}
    for line in sorted(run.analysed, key=lambda a: a["frame_id"]):
        header = headers.get(line["frame_id"])
        if header is None or header["origin"] != "survey":
            continue
        place = header["place"]
        tracks = {t["track_id"]: t for t in line["tracks"]}
        if place in on_the_way and _is_there(header, on_the_way[place]):
            del on_the_way[place]
        if place in target:
            target[place] = _same_cell(target[place], tracks)
            if place not in on_the_way:
                frames += 1
                track = tracks.get(target[place])
                in_middle += track is not None and _in_middle(header, track)
        if any("gives up" in remark for remark in line.get("remarks", ())):
            target.pop(place, None)
        for move in moves.get(line["frame_id"], ()):
            wish = move["granted"]
            if target.get(place) != wish["track_id"]:
                cells.add((place, wish["track_id"]))
                on_the_way[place] = wish
            target[place] = wish["track_id"]
    return {
        "frames": frames,
        "in_middle": in_middle,
        "share": round(in_middle / frames, 4) if frames else None,
        "cells": len(cells),
    }


def _moves(run: Run) -> dict[int, list[Record]]:
    """Return the moves that were carried out to follow a track, by frame id."""
    done = {o["decision_id"] for o in run.outcomes if o["status"] == "done"}
    moves: dict[int, list[Record]] = defaultdict(list)
    for decision in run.decisions:
        granted = decision["granted"]
        if granted and granted["kind"] == "move_stage" and granted["track_id"] >= 0:
            if decision["decision_id"] in done:
                moves[decision["frame_id"]].append(decision)
    return moves


def _same_cell(track_id: int, tracks: dict[int, Record]) -> int:
    if track_id in tracks:
        return track_id
    daughters = [t for t in tracks.values() if t["parent_id"] == track_id]
    if not daughters:
        return track_id
    return int(max(daughters, key=lambda t: t["intensity"] or 0)["track_id"])


def _is_there(header: Record, wish: Record) -> bool:
    """Whether a frame was taken where a move wanted the stage."""
    state = header["state"]
    away = np.hypot(state["x_um"] - wish["x_um"], state["y_um"] - wish["y_um"])
    return bool(away < _THERE_UM)


def _in_middle(header: Record, track: Record) -> bool:
    if track["missed"]:
        return False
    state = header["state"]
    rows, columns = header["shape"]
    pixel_um = state["pixel_size_um"]
    turn = np.linalg.inv(np.asarray(state["orientation"], dtype=float))
    away_um = np.array([track["x_um"] - state["x_um"], track["y_um"] - state["y_um"]])
    column, row = np.abs(turn @ away_um) / pixel_um
    return bool(column <= _MIDDLE * columns and row <= _MIDDLE * rows)
