"""A track against its own past and its neighbours: told at its onset, once."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError
from useq import MDAEvent

from smartscope.acquisition import Frame, FrameState
from smartscope.recognition import (
    Detections,
    Occurrence,
    OccurrenceRecognizer,
    OccurrenceSettings,
    Tracker,
    TrackSettings,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

PIXELS = np.zeros((400, 400), np.uint16)  # 200 × 200 µm
PERIOD_S = 60.0
CLASSES = ("interphase", "metaphase", "anaphase")
PARSED: TypeAdapter[OccurrenceSettings] = TypeAdapter(OccurrenceSettings)


@dataclass(frozen=True)
class Cell:
    x: float = 0.0
    y: float = 0.0
    level: float = 100.0
    area: float = 200.0  # pixels of 0.5 µm
    label: int = 0
    score: float = 0.9


CALM = Cell()


class Watch:
    """A tracker and the recognizer of one occurrence, fed frame by frame."""

    def __init__(
        self, kind: str, track: TrackSettings | None = None, **rest: Any
    ) -> None:
        settings = {"it": PARSED.validate_python({"kind": kind, **rest})}
        self.tracker = Tracker(track)
        self.recognizer = OccurrenceRecognizer(settings, track)
        self.number = itertools.count()

    def see(
        self, cells: Iterable[Cell], period_s: float = PERIOD_S
    ) -> list[Occurrence]:
        i = next(self.number)
        state = FrameState(0.0, 0.0, 0.0, 10.0, "FITC", 0.5)
        frame = Frame(PIXELS, MDAEvent(), i, period_s * i, 0.0, "p0", state)
        cells = list(cells)
        n = len(cells)
        found = Detections(
            centers_px=np.zeros((n, 2), np.float32),
            centers_um=np.array([(c.x, c.y) for c in cells], float).reshape(-1, 2),
            score=np.array([c.score for c in cells], np.float32),
            class_id=np.array([c.label for c in cells], np.int32),
            boxes_px=np.zeros((n, 4), np.float32),
            area_px=np.array([c.area for c in cells], np.float32),
            intensity=np.array([c.level for c in cells], np.float32),
            class_names=CLASSES,
        )
        return self.recognizer.recognise(
            self.tracker.update(frame, found), self.tracker
        )

    def see_all(self, *cells: Cell, period_s: float = PERIOD_S) -> list[float]:
        """Return the onsets, in frames, of what was told of one cell a frame."""
        told = [o for cell in cells for o in self.see([cell], period_s)]
        return [o.onset_s / period_s for o in told]


def levels(*values: float) -> list[Cell]:
    return [replace(CALM, level=100.0 * v) for v in values]


def test_a_cell_that_gets_dark_is_told_once_and_again_after_it_was_bright() -> None:
    told = Watch("dim", factor=0.6).see_all(
        *levels(*[1] * 5, 0.4, 0.4, 0.4, 0.4, 1, 1, 0.3, 0.3)
    )
    assert told == [5, 11]


@pytest.mark.parametrize(
    ("what", "values"),
    [
        ("too little", [1] * 5 + [0.7] * 6),
        ("once in three", [1] * 5 + [0.4, 1, 1, 0.4, 1, 1]),
        ("bleaching", [0.97**i for i in range(40)]),
        ("too young", [1, 1, 1, 0.4, 0.4]),
    ],
)
def test_no_dimming(what: str, values: list[float]) -> None:
    assert Watch("dim").see_all(*levels(*values)) == [], what


def test_a_flash_is_told_at_its_rise_and_again_only_after_its_decay() -> None:
    watch = Watch("flash", factor=2.0, rise_s=2.0)
    flash = [3.0, 2.5, 2.0, 1.7, 1.6, 1.2, 1.0, 1.0, 1.0, 1.0]
    told = watch.see_all(*levels(*[1] * 6, *flash, *[1] * 4, *flash), period_s=1.0)
    assert told == [6, 20]


@pytest.mark.parametrize(
    ("what", "values"),
    [
        ("too small", [1] * 6 + [1.9, 1.6, 1.3, 1]),
        ("a slow rise", [1] * 6 + [1.2, 1.4, 1.6, 1.8, 1.9, 2.1, 2.3, 2.5]),
        ("a cell that was always bright", [3] * 12),
    ],
)
def test_no_flash(what: str, values: list[float]) -> None:
    watch = Watch("flash", factor=2.0, rise_s=2.0)
    assert watch.see_all(*levels(*values), period_s=1.0) == [], what


def test_a_cell_that_shrinks_and_stays_bright_rounds_up() -> None:
    round_cell = replace(CALM, area=110, level=130)
    assert Watch("round_up").see_all(*[CALM] * 6, *[round_cell] * 4) == [6]
    dying = replace(CALM, area=110, level=60)
    assert Watch("round_up").see_all(*[CALM] * 6, *[dying] * 4) == []
    smaller = replace(CALM, area=160, level=130)
    assert Watch("round_up").see_all(*[CALM] * 6, *[smaller] * 4) == []


def steps_of(*x_um: float) -> list[Cell]:
    return [Cell(x) for x in x_um]


def test_speed_is_the_path_over_the_time_it_took() -> None:
    # 6 µm a minute from frame 5 on, over three positions and in two looks of three
    still, fast = [0.0] * 5, [6.0, 12.0, 18.0, 24.0]
    assert Watch("speed", above=4.0).see_all(*steps_of(*still, *fast)) == [6]
    assert Watch("speed", above=7.0).see_all(*steps_of(*still, *fast)) == []
    stopping = [*np.arange(6) * 6.0, *[30.0] * 5]
    assert Watch("speed", below=0.5).see_all(*steps_of(*stopping)) == [7]


def test_displacement_counts_from_where_a_cell_was_first_seen() -> None:
    away = [0.0, 4.0, 8.0, 12.0, 16.0, 20.0]
    assert Watch("displacement", above=10.0).see_all(*steps_of(*away)) == [3]
    round_trip = [0.0, 4.0, 8.0, 4.0, 0.0, -4.0, -8.0, -4.0]
    assert Watch("displacement", above=10.0).see_all(*steps_of(*round_trip)) == []


def test_only_what_was_outside_can_enter() -> None:
    box = {"x_um": [10, 40], "y_um": [-20, 20]}
    inward = steps_of(0, 6, 12, 18, 24, 18, 12)
    assert Watch("enter", **box).see_all(*inward) == [2]
    assert Watch("enter", **box).see_all(*steps_of(*[20.0] * 5)) == []
    assert Watch("leave", **box).see_all(*reversed(inward[:5])) == [3]
    # over the line for one frame of three only
    assert Watch("enter", **box).see_all(*steps_of(0, 11, 9, 9, 11, 9, 9)) == []


def test_a_polygon_is_inside_by_the_even_odd_rule() -> None:
    hollow = [[0, -30], [60, -30], [60, 30], [0, 30], [0, 10], [40, 10], [40, -10]]
    corner = [*hollow, [0, -10]]
    into_the_bay = steps_of(-10, 0, 10, 20, 25)
    assert Watch("enter", polygon_um=corner).see_all(*into_the_bay) == []
    into_the_wall = steps_of(-5, 5, 15, 25, 35, 45, 55)
    assert Watch("enter", polygon_um=corner).see_all(*into_the_wall) == [5]


def in_classes(*labels: int) -> list[Cell]:
    return [replace(CALM, label=i) for i in labels]


@pytest.mark.parametrize(
    ("what", "labels", "told"),
    [
        ("in order", [0, 0, 1, 1, 2, 2, 2], [4]),
        ("one wrong label between", [0, 0, 1, 1, 0, 1, 1, 2, 2], [7]),
        ("a class left out", [0, 0, 2, 2, 2], []),
        ("back and on again", [0, 0, 1, 1, 0, 0, 1, 1, 2, 2], [8]),
        ("never twice in a row", [0, 1, 2] * 4, []),
        ("twice", [0, 0, 1, 1, 2, 2, 0, 0, 1, 1, 2, 2], [4, 10]),
        ("wrong way", [2, 2, 1, 1, 0, 0], []),
    ],
)
def test_classes_in_an_order(what: str, labels: list[int], told: list[int]) -> None:
    watch = Watch("class_change", through=CLASSES, frames=2)
    assert watch.see_all(*in_classes(*labels)) == told, what


def test_two_that_become_one_merge_and_the_lost_one_is_not_told_as_lost() -> None:
    one, other = Cell(-5), Cell(5)
    both = Cell(0, area=380)
    watch = Watch("merge", TrackSettings(max_distance_um=8, max_missed=1))
    told = [o for _ in range(5) for o in watch.see([one, other])]
    told += [o for _ in range(4) for o in watch.see([both])]
    (merge,) = told
    assert merge.onset_s == 5 * PERIOD_S
    assert set(merge.track_ids) == {0, 1}
    assert merge.track_ids[0] in watch.tracker.tracks("p0")
    assert merge.confidence == pytest.approx(180 / 200)


def test_a_loss_beside_a_cell_that_stays_as_it_was_is_no_merge() -> None:
    watch = Watch("merge", TrackSettings(max_missed=1))
    told = [o for _ in range(5) for o in watch.see([Cell(-5), Cell(5)])]
    told += [o for _ in range(4) for o in watch.see([Cell(-5)])]
    assert told == []


@pytest.mark.parametrize(
    "settings",
    [
        {"kind": "speed"},
        {"kind": "speed", "above": 1, "below": 2},
        {"kind": "enter"},
        {"kind": "enter", "x_um": [0, 1]},
        {"kind": "enter", "x_um": [1, 0], "y_um": [0, 1]},
        {"kind": "leave", "polygon_um": [[0, 0], [1, 1]]},
        {"kind": "class_change", "through": ["a"]},
        {"kind": "class_change", "through": ["a", "a"]},
        {"kind": "flash", "frames": 3, "of": 2},
        {"kind": "dim", "factor": 1.2},
    ],
)
def test_settings_that_can_never_be_meant_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        PARSED.validate_python(settings)


KINDS: list[dict[str, Any]] = [
    {"kind": "dim"},
    {"kind": "flash", "rise_s": 90.0},
    {"kind": "round_up"},
    {"kind": "speed", "above": 3.0},
    {"kind": "displacement", "above": 6.0},
    {"kind": "enter", "x_um": [2, 30], "y_um": [-30, 30]},
    {"kind": "class_change", "through": CLASSES[:2], "frames": 1},
]
SEEN = st.builds(
    Cell,
    x=st.floats(-8, 8),
    level=st.one_of(st.floats(0, 500), st.just(math.nan)),
    area=st.floats(0, 500),
    label=st.integers(0, 2),
)


@pytest.mark.parametrize("kind", KINDS, ids=lambda k: str(k["kind"]))
@given(cells=st.lists(st.one_of(SEEN, st.none()), max_size=40))
def test_whatever_a_cell_does_it_is_told_in_its_own_time_and_after_silence(
    kind: dict[str, Any], cells: list[Cell | None]
) -> None:
    watch = Watch(**kind, refractory_s=5 * PERIOD_S)
    told: list[Occurrence] = []
    for i, cell in enumerate(cells):
        for o in watch.see([] if cell is None else [cell]):
            assert o.onset_s <= o.seen_s == i * PERIOD_S
            assert 0 <= o.confidence <= 1
            assert o.frame_ids[-1] == i
            assert list(o.frame_ids) == sorted(set(o.frame_ids))
            told.append(o)
    of_track: dict[int, float] = {}
    for o in told:
        before = of_track.get(o.track_ids[0], -math.inf)
        assert o.seen_s - before >= 5 * PERIOD_S
        of_track[o.track_ids[0]] = o.seen_s


@pytest.mark.parametrize("kind", KINDS[:5], ids=lambda k: str(k["kind"]))
def test_after_a_restart_what_was_told_is_not_told_again(kind: dict[str, Any]) -> None:
    strange = Cell(9.0, level=130.0 if kind["kind"] == "round_up" else 400.0, area=60)
    if kind["kind"] == "dim":
        strange = replace(CALM, level=20.0)
    watch = Watch(**kind)
    usual = [CALM] * 6 if kind["kind"] != "speed" else steps_of(0, 0, 0, 0, 0, 0)
    moving = [replace(strange, x=strange.x + 5 * i) for i in range(3)]
    after = moving if kind["kind"] == "speed" else [strange] * 3
    told = [o for cell in [*usual, *after] for o in watch.see([cell])]
    assert len(told) == 1
    fresh = Watch(**kind)
    fresh.number = itertools.count(9)
    alive = list(watch.tracker.tracks("p0").values())
    fresh.tracker.seed(alive, watch.tracker.next_id, {})
    fresh.recognizer.seed(told, [track.track_id for track in alive])
    later = [replace(after[-1], x=after[-1].x + 5 * (kind["kind"] == "speed") * (i + 1))
             for i in range(2)]  # fmt: skip
    assert [o for cell in later for o in fresh.see([cell])] == []
