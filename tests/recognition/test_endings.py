"""Features of tracks, lost ones, deaths, hot spots: told once, in time."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError
from useq import MDAEvent

from smartscope.acquisition import Frame, FrameState
from smartscope.errors import Refused
from smartscope.recognition import (
    Detections,
    Occurrence,
    OccurrenceRecognizer,
    OccurrenceSettings,
    Tracker,
    TrackSettings,
)
from smartscope.recognition.life import Life, Seen
from smartscope.recognition.occurrences.feature import value_of

PIXELS = np.zeros((400, 400), np.uint16)  # 200 × 200 µm
PERIOD_S = 60.0
PARSED: TypeAdapter[OccurrenceSettings] = TypeAdapter(OccurrenceSettings)


@dataclass(frozen=True)
class Cell:
    x: float = 0.0
    y: float = 0.0
    level: float = 100.0
    area: float = 400.0  # pixels of 0.5 µm
    label: int = 0
    score: float = 0.9


CALM = Cell()


class Watch:
    """A tracker and some occurrences, fed frame by frame."""

    def __init__(
        self,
        track: TrackSettings | None = None,
        shape: tuple[int, int] = (400, 400),
        **occurrences: dict[str, Any],
    ) -> None:
        self.settings = {n: PARSED.validate_python(o) for n, o in occurrences.items()}
        self.track, self.shape = track, shape
        self.tracker = Tracker(track)
        self.recognizer = OccurrenceRecognizer(self.settings, track)
        self.number = itertools.count()

    def see(
        self, *cells: Cell, at: float = 0.0, channel: str = "FITC"
    ) -> list[Occurrence]:
        i = next(self.number)
        state = FrameState(at, 0.0, 0.0, 10.0, channel, 0.5)
        pixels = PIXELS[: self.shape[0], : self.shape[1]]
        frame = Frame(pixels, MDAEvent(), i, PERIOD_S * i, 0.0, "p0", state)
        n = len(cells)
        found = Detections(
            centers_px=np.full((n, 2), 200, np.float32),
            centers_um=np.array([(c.x, c.y) for c in cells], float).reshape(-1, 2),
            score=np.array([c.score for c in cells], np.float32),
            class_id=np.array([c.label for c in cells], np.int32),
            boxes_px=np.zeros((n, 4), np.float32),
            area_px=np.array([c.area for c in cells], np.float32),
            intensity=np.array([c.level for c in cells], np.float32),
            class_names=("cell", "fission"),
        )
        return self.recognizer.recognise(
            self.tracker.update(frame, found), self.tracker
        )

    def see_all(self, cells: Iterable[Cell]) -> list[Occurrence]:
        return [o for cell in cells for o in self.see(cell)]


def onsets(told: Iterable[Occurrence]) -> list[float]:
    return [o.onset_s / PERIOD_S for o in told]


# --------------------------------------------------------------------------- features


def test_a_feature_is_told_at_its_onset_and_again_after_it_has_come_back() -> None:
    watch = Watch(big={"kind": "feature", "value": "area", "above": 150})
    areas = [400, 400, 800, 800, 800, 580, 560, 500, 400, 800, 800]  # 4 px are 1 µm²
    told = watch.see_all(replace(CALM, area=float(a)) for a in areas)
    assert onsets(told) == [2, 9]


def test_a_feature_against_its_own_baseline_follows_slow_change() -> None:
    relative = {"kind": "feature", "value": "area", "above": 1.5, "relative": True}
    slow = [replace(CALM, area=400 * 1.02**i) for i in range(40)]
    assert Watch(grown=relative).see_all(slow) == []
    jump = [CALM] * 6 + [replace(CALM, area=700.0)] * 3
    assert onsets(Watch(grown=relative).see_all(jump)) == [6]


@pytest.mark.parametrize(
    ("value", "cells"),
    [
        ("score", [CALM] * 4 + [replace(CALM, score=0.2)] * 3),
        ("intensity", [CALM] * 4 + [replace(CALM, level=4.0)] * 3),
    ],
)
def test_each_value_has_its_feature(value: str, cells: list[Cell]) -> None:
    low = {"kind": "feature", "value": value, "below": 0.5}
    assert onsets(Watch(low=low).see_all(cells)) == [4]


@pytest.mark.parametrize("name", ["elongation", "solidity", "texture", "ratio"])
def test_what_is_measured_on_pixels_is_a_feature_too(name: str) -> None:
    seen = Seen(0, 0.0, 0.0, 0.0, 1.0)._replace(**{name: 3.5})
    assert value_of(Life.born(0, "p0", seen, 0, 0.0), name) == 3.5
    assert math.isnan(value_of(Life.born(0, "p0", Seen(0, 0, 0, 0, 1.0), 0, 0), name))


def test_what_the_edge_cuts_has_a_speed_and_no_area() -> None:
    edge = [replace(CALM, x=97.0, y=3.0 * i, area=1000.0) for i in range(6)]
    big = {"kind": "feature", "value": "area", "above": 150}
    fast = {"kind": "feature", "value": "speed", "above": 2}
    told = Watch(big=big, fast=fast).see_all(edge)
    assert {o.name for o in told} == {"fast"}


@pytest.mark.parametrize(
    "wrong",
    [
        {"value": "area"},
        {"value": "area", "above": 1, "below": 1},
        {"value": "area", "above": 0.8, "relative": True},
        {"value": "colour", "above": 1},
    ],
)
def test_wrong_features(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        PARSED.validate_python({"kind": "feature", **wrong})


# ------------------------------------------------------------------------------- lost


def test_a_followed_cell_that_is_missed_is_lost_once() -> None:
    watch = Watch(lost={"kind": "lost", "missed": 2})
    other = replace(CALM, x=50.0)
    watch.see(CALM, other)
    watch.recognizer.chosen = frozenset({0})
    watch.see(replace(CALM, x=3.0), other)
    told = [watch.see(other) for _ in range(3)]
    (lost,) = told[1]
    assert [len(o) for o in told] == [0, 1, 0]
    assert (lost.x_um, lost.onset_s, lost.track_ids) == (3.0, 2 * PERIOD_S, (0,))
    assert lost.frame_ids == (1, 2, 3)
    # nobody follows the other one
    assert [len(watch.see()) for _ in range(4)] == [0, 0, 0, 0]


def test_it_is_lost_again_after_it_was_seen_and_not_while_it_is_out_of_view() -> None:
    watch = Watch(lost={"kind": "lost", "missed": 1})
    watch.see(CALM)
    watch.recognizer.chosen = frozenset({0})
    counts = [len(watch.see(*cells)) for cells in ([], [CALM], [], [CALM])]
    assert counts == [1, 0, 1, 0]
    assert [len(watch.see(at=300.0)) for _ in range(3)] == [0, 0, 0]


def test_after_an_occurrence_any_cell_is_a_chosen_one() -> None:
    bright = {"kind": "brighten", "frames": 1, "of": 1}
    lost = {"kind": "lost", "after": "bright", "missed": 3, "within_s": 600}
    cells = [CALM] * 6 + [replace(CALM, level=200.0)] * 2
    watch = Watch(bright=bright, lost=lost)
    watch.see_all(cells)
    assert [o.name for _ in range(3) for o in watch.see()] == ["lost"]
    calm = Watch(bright=bright, lost=lost)
    calm.see_all([CALM] * 8)
    assert [o for _ in range(3) for o in calm.see()] == []


def test_a_mother_that_divides_is_not_lost() -> None:
    split = {"kind": "split", "max_distance_um": 12}
    watch = Watch(division=split, lost={"kind": "lost", "missed": 1})
    watch.see_all([CALM] * 5)
    watch.recognizer.chosen = frozenset({0})
    told = watch.see(replace(CALM, x=-5.0), replace(CALM, x=5.0))
    assert [o.name for o in told] == ["division"]


def test_a_loss_comes_after_something_of_a_track() -> None:
    with pytest.raises(Refused, match="not an occurrence of one track"):
        Watch(
            crowd={"kind": "count", "above": 3}, it={"kind": "lost", "after": "crowd"}
        )


# ------------------------------------------------------------------------------ death


def course(*steps: tuple[float, float]) -> list[Cell]:
    """Cells of an area and a level, as shares of the calm one's."""
    return [replace(CALM, area=400 * a, level=100 * b) for a, b in steps]


DYING = [
    (0.9, 1.1), (0.75, 1.25), (0.6, 1.5), (0.45, 1.7), (0.4, 1.6), (0.6, 1.3),
    (0.9, 0.9), (0.5, 0.7), (0.4, 0.5), (0.35, 0.3), (0.3, 0.2),
]  # fmt: skip
ROUNDING = [(0.7, 1.5), (0.5, 2.1), (0.45, 2.3), (0.3, 2.5), (0.28, 2.5)]
DAUGHTER = [(0.2, 2.0), (0.25, 1.9), (0.4, 1.7), (0.6, 1.3), (0.7, 1.15), (0.7, 1.1)]


def test_a_death_is_told_once_from_its_first_shrinking_on() -> None:
    (death,) = Watch(death={"kind": "death"}).see_all([CALM] * 8 + course(*DYING))
    assert onsets([death]) == [9], "the first one in which it was clearly smaller"
    # its light has been below two fifths in two frames
    assert death.seen_s == 16 * PERIOD_S
    assert death.confidence == pytest.approx(1 - 0.4 * 0.5, abs=1e-6)


@pytest.mark.parametrize(
    ("what", "cells"),
    [
        (
            "rounding up, and back",
            course(*ROUNDING, *reversed(ROUNDING), *[(1, 1)] * 9),
        ),
        ("a division nobody has told", course(*ROUNDING, *DAUGHTER, *[(0.8, 1)] * 9)),
        ("bleaching, defocus", course(*[(1, 0.9**i) for i in range(30)])),
        ("lifting off", course((1, 0.6), (0.95, 0.3), (0.9, 0.1))),
        ("one bad look", course((0.3, 0.3), *[(1, 1)] * 6)),
    ],
)
def test_no_death(what: str, cells: list[Cell]) -> None:
    assert Watch(death={"kind": "death"}).see_all([CALM] * 8 + cells) == [], what


def test_one_that_goes_while_its_light_was_going_has_died() -> None:
    watch = Watch(death={"kind": "death", "frames": 3, "of": 3})
    watch.see_all([CALM] * 8 + course(*DYING[:9]))
    assert [o.kind for _ in range(4) for o in watch.see()] == ["death"]
    alive = Watch(death={"kind": "death"})
    alive.see_all([CALM] * 8 + course(*ROUNDING))
    assert [o for _ in range(4) for o in alive.see()] == []


# --------------------------------------------------------------------------- hot spots


def peak(x: float, score: float = 0.9, label: int = 1) -> Cell:
    return replace(CALM, x=x, score=score, label=label)


SPOT = {"kind": "hotspot", "of_class": "fission", "threshold": 0.6, "radius_um": 5}


def test_a_peak_that_lasts_is_told_once_with_its_onset_and_its_best_place() -> None:
    watch = Watch(fission=SPOT)
    told = [
        watch.see(*cells)
        for cells in (
            [],
            [peak(0, 0.7)],
            [peak(2, 0.95)],
            [peak(3, 0.8)],
            [],
            [peak(4)],
        )
    ]
    assert [len(o) for o in told] == [0, 0, 1, 0, 0, 0]
    (spot,) = told[2]
    assert (spot.onset_s, spot.x_um, spot.track_ids) == (PERIOD_S, 2.0, ())
    assert spot.confidence == pytest.approx(0.95)
    assert spot.frame_ids == (1, 2)


@pytest.mark.parametrize(
    ("what", "frames"),
    [
        ("one frame", [[peak(0)], [], [], [peak(0)], [], []]),
        ("too weak", [[peak(0, 0.5)]] * 6),
        ("another class", [[peak(0, label=0)]] * 6),
        ("jumping about", [[peak(20.0 * i)] for i in range(6)]),
    ],
)
def test_no_hot_spot(what: str, frames: list[list[Cell]]) -> None:
    watch = Watch(fission=SPOT)
    assert [o for cells in frames for o in watch.see(*cells)] == [], what


def test_two_beside_each_other_are_one_and_two_apart_are_two() -> None:
    watch = Watch(fission=SPOT)
    told = [o for _ in range(4) for o in watch.see(peak(0), peak(4, 0.7), peak(30))]
    assert [o.x_um for o in told] == [0.0, 30.0]


def test_it_is_told_again_when_it_has_been_cold() -> None:
    watch = Watch(fission=SPOT)
    told = [
        len(watch.see(*([peak(0)] if hot else []))) for hot in (1, 1, 0, 0, 0, 1, 1, 1)
    ]
    assert told == [0, 1, 0, 0, 0, 0, 1, 0]
    silent = Watch(fission={**SPOT, "refractory_s": 3600})
    assert (
        sum(
            len(silent.see(*([peak(0)] if hot else [])))
            for hot in (1, 1, 0, 0, 0, 1, 1, 1)
        )
        == 1
    )


def test_channels_and_what_is_out_of_view_do_not_count() -> None:
    watch = Watch(fission=SPOT)
    assert watch.see(peak(0)) == []
    assert watch.see(channel="DAPI") == []
    assert watch.see(at=500.0) == []
    assert len(watch.see(peak(0))) == 1


def test_after_a_restart_it_is_not_told_again() -> None:
    watch = Watch(fission=SPOT)
    watch.see(peak(0))
    told = watch.see(peak(0))
    fresh = Watch(fission=SPOT)
    fresh.recognizer.seed(told, [])
    fresh.number = itertools.count(2)
    assert [o for _ in range(4) for o in fresh.see(peak(1))] == []


@given(st.lists(st.lists(st.integers(0, 4), max_size=3), max_size=30))
def test_a_hot_spot_always_has_its_share_of_hot_frames(rows: list[list[int]]) -> None:
    """Places 20 µm apart: whatever is told had n of the last m, and was silent."""
    watch = Watch(fission=SPOT)
    hot: dict[int, list[bool]] = {k: [] for k in range(5)}
    told_at: dict[int, int] = {}
    for i, row in enumerate(rows):
        for k, seen in hot.items():
            seen.append(k in row)
        for spot in watch.see(*(peak(20.0 * k - 40) for k in row)):
            k = round((spot.x_um + 40) / 20)
            assert sum(hot[k][-3:]) >= 2
            assert hot[k][-1]
            if k in told_at:
                between = hot[k][told_at[k] + 1 : i]
                runs = [len(list(g)) for v, g in itertools.groupby(between) if not v]
                assert max(runs, default=0) >= 3
            told_at[k] = i


def test_nothing_is_kept_of_what_is_over() -> None:
    watch = Watch(
        TrackSettings(max_missed=0),
        death={"kind": "death"},
        lost={"kind": "lost", "missed": 1},
        fission=SPOT,
        big={"kind": "feature", "value": "area", "above": 2, "relative": True},
    )
    for i in range(400):
        watch.recognizer.chosen = frozenset(range(i))
        watch.see(peak(-90.0 + (i * 37) % 180, score=0.9))
    kept = watch.recognizer._recognizers
    assert len(kept["death"]._watched) <= 2  # type: ignore[attr-defined]
    assert len(kept["lost"]._told) <= 2  # type: ignore[attr-defined]
    (spots,) = kept["fission"]._spots.values()  # type: ignore[attr-defined]
    assert len(spots) <= 8
