"""Cells that cross, touch and merge: how often a track goes on at another cell.

The rates are those of these simulated crossings: cells that wander about each other, of
which two that come within a cell's diameter are found as one thing.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from useq import MDAEvent

from smartscope.acquisition import Frame, FrameState
from smartscope.recognition import Detections, Tracker, TrackSettings

PIXELS = np.zeros((600, 600), np.uint16)  # 300 × 300 µm
Spots = npt.NDArray[np.float64]


class Crossed(NamedTuple):
    """Pairs of cells that crossed, and what became of the tracks.

    A switch is a track that goes on at another cell, which nobody would know; a broken
    one ends, and its cell goes on with another. ``steps`` are detections of one cell.
    """

    crossings: int
    switches: int
    broken: int
    steps: int


def found(spots: Spots, merged_um: float) -> tuple[Spots, list[tuple[int, ...]]]:
    """Return what a detector finds: two that touch are one thing between them."""
    left = set(range(len(spots)))
    things, owners = [], []
    for i in range(len(spots)):
        for j in range(i + 1, len(spots)):
            if {i, j} <= left and math.dist(spots[i], spots[j]) < merged_um:
                left -= {i, j}
                things.append((spots[i] + spots[j]) / 2)
                owners.append((i, j))
    for i in sorted(left):
        things.append(spots[i])
        owners.append((i,))
    return np.array(things).reshape(-1, 2), owners


def cross(
    seed: int,
    *,
    angle_deg: float,
    step_um: float,
    merged_um: float,
    pairs: int = 4,
    missed: float = 0.0,
) -> Crossed:
    """Let pairs of cells run into and past each other; compare tracks with truth."""
    rng = np.random.default_rng(seed)
    half = math.radians(angle_deg) / 2
    centres = [(-80.0, -80.0), (80.0, -80.0), (-80.0, 80.0), (80.0, 80.0)][:pairs]
    frames = 2 * round(30 / step_um)
    tracker = Tracker(TrackSettings(max_distance_um=12, max_missed=3))
    last: dict[int, int] = {}  # by cell the track it had when it was seen alone
    owner: dict[int, int] = {}  # by track the cell it was seen alone at
    switches = broken = steps = 0
    offsets = rng.uniform(-1.5, 1.5, (pairs, 2))
    for k in range(frames + 1):
        along = (k - frames / 2) * step_um
        ahead, aside = along * math.cos(half), along * math.sin(half)
        spots = [
            (x + ahead + dx * side, y + side * (aside + dy))
            for (x, y), (dx, dy) in zip(centres, offsets, strict=True)
            for side in (1, -1)
        ]
        where = np.array(spots) + rng.normal(0, 0.3, (2 * pairs, 2))
        things, owners = found(where, merged_um)
        kept = [i for i in range(len(things)) if k == 0 or rng.random() >= missed]
        state = FrameState(0.0, 0.0, 0.0, 10.0, "FITC", 0.5)
        shown = Frame(PIXELS, MDAEvent(), k, 60.0 * k, 0.0, "p0", state)
        n = len(kept)
        detections = Detections(
            centers_px=np.zeros((n, 2), np.float32),
            centers_um=things[kept],
            score=np.ones(n, np.float32),
            class_id=np.zeros(n, np.int32),
            boxes_px=np.zeros((n, 4), np.float32),
            area_px=np.full(n, 100, np.float32),
            intensity=np.full(n, 100, np.float32),
        )
        ids = tracker.update(shown, detections).track_ids.tolist()
        for row, track_id in zip(kept, ids, strict=True):
            if len(owners[row]) > 1:
                continue
            (cell,) = owners[row]
            steps += 1
            if track_id in owner and owner[track_id] != cell:
                switches += 1
            elif cell in last and last[cell] != track_id:
                broken += 1
            owner[track_id], last[cell] = cell, track_id
    return Crossed(pairs, switches, broken, steps)


def total(**course: float) -> Crossed:
    runs = [cross(seed, **course) for seed in range(25)]  # type: ignore[arg-type]
    return Crossed(*(sum(values) for values in zip(*runs, strict=True)))


@given(st.integers(0, 2**31), st.floats(60, 120), st.floats(1.0, 2.0))
def test_cells_that_pass_without_touching_keep_their_tracks(
    seed: int, angle_deg: float, step_um: float
) -> None:
    """One comes to the crossing five steps after the other has been there."""
    rng = np.random.default_rng(seed)
    tracker, owner = Tracker(TrackSettings(max_distance_um=12)), {}
    for k in range(40):
        along = (k - 20) * step_um
        turn = math.radians(angle_deg)
        spots = np.array(
            [
                (along, 0.0),
                (
                    (along - 5 * step_um) * math.cos(turn),
                    (along - 5 * step_um) * math.sin(turn),
                ),
            ]
        ) + rng.normal(0, 0.05 * step_um, (2, 2))
        order = rng.permutation(2)
        state = FrameState(0.0, 0.0, 0.0, 10.0, "FITC", 0.5)
        shown = Frame(PIXELS, MDAEvent(), k, 60.0 * k, 0.0, "p0", state)
        detections = Detections(
            centers_px=np.zeros((2, 2), np.float32),
            centers_um=spots[order],
            score=np.ones(2, np.float32),
            class_id=np.zeros(2, np.int32),
            boxes_px=np.zeros((2, 4), np.float32),
            area_px=np.full(2, 100, np.float32),
            intensity=np.full(2, 100, np.float32),
        )
        ids = tracker.update(shown, detections).track_ids.tolist()
        for cell, track_id in zip(order.tolist(), ids, strict=True):
            assert owner.setdefault(track_id, cell) == cell
    assert len(owner) == 2


@pytest.mark.parametrize(
    ("merged_um", "missed", "switches", "broken"),
    [
        (0.0, 0.0, 0.4, 0.0),  # 0.32 and 0 a crossing: two switches when two swap
        (6.0, 0.0, 0.1, 0.4),  # 0.05 and 0.28: one thing in about four frames
        (6.0, 0.1, 0.15, 0.45),  # 0.07 and 0.33: and every tenth thing is missed
    ],
)
def test_cells_that_cross_at_a_right_angle_keep_their_tracks_mostly(
    merged_um: float, missed: float, switches: float, broken: float
) -> None:
    """Both move 2 µm a frame and meet in the same frame, give or take 1.5 µm.

    What goes wrong after a merge is mostly told: a track ends and another begins.
    """
    told = total(angle_deg=90, step_um=2.0, merged_um=merged_um, missed=missed)
    assert told.steps > 4000
    assert told.switches <= switches * told.crossings
    assert told.broken <= broken * told.crossings


def test_two_that_merge_for_two_frames_go_on_as_they_were() -> None:
    told = total(angle_deg=90, step_um=4.0, merged_um=5.0)
    assert told.switches + told.broken <= 0.15 * told.crossings
