"""What happens: arrivals, losses, brightenings, splits; told once, and only then."""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from useq import MDAEvent

from smartscope.acquisition import Frame, FrameState
from smartscope.errors import Refused
from smartscope.recognition import (
    Appear,
    Brighten,
    Detections,
    Disappear,
    Occurrence,
    OccurrenceRecognizer,
    OccurrenceSettings,
    Split,
    Tracker,
    TrackSettings,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

PIXELS = np.zeros((400, 400), np.uint16)  # 200 × 200 µm
Spot = tuple[float, ...]  # x, y in µm, intensity (100 if not given)


class Watch:
    """A tracker and its recognizer, fed frame by frame."""

    def __init__(
        self,
        occurrences: Mapping[str, OccurrenceSettings],
        track: TrackSettings | None = None,
    ) -> None:
        self.tracker = Tracker(track)
        self.recognizer = OccurrenceRecognizer(occurrences, track)
        self.number = itertools.count()

    def see(
        self, spots: Iterable[Spot], at: tuple[float, float] = (0.0, 0.0)
    ) -> list[Occurrence]:
        i = next(self.number)
        state = FrameState(*at, 0.0, 10.0, "FITC", 0.5)
        frame = Frame(PIXELS, MDAEvent(), i, 60.0 * i, 0.0, "p0", state)
        spots = [(*s, 100.0)[:3] for s in spots]
        n = len(spots)
        table = np.array(spots, float).reshape(-1, 3)
        detections = Detections(
            centers_px=np.zeros((n, 2), np.float32),
            centers_um=table[:, :2],
            score=np.ones(n, np.float32),
            class_id=np.zeros(n, np.int32),
            boxes_px=np.zeros((n, 4), np.float32),
            area_px=np.full(n, 50, np.float32),
            intensity=table[:, 2].astype(np.float32),
        )
        tracking = self.tracker.update(frame, detections)
        return self.recognizer.recognise(tracking, self.tracker)

    def see_all(self, steps: Iterable[list[Spot]]) -> list[Occurrence]:
        return [o for step in steps for o in self.see(step)]


HERE: Spot = (0.0, 0.0)
FAR: Spot = (60.0, 0.0)


# appear ----------------------------------------------------------------------


def test_an_arrival_is_told_once_when_it_was_seen_often_enough() -> None:
    watch = Watch({"arrival": Appear(frames=2)})
    (told,) = watch.see_all([[FAR], [FAR, HERE], [FAR, HERE], [FAR, HERE]])
    assert (told.kind, told.onset_s, told.seen_s) == ("appear", 60.0, 120.0)
    assert told.frame_ids == (1, 2)
    assert told.confidence == 0.75
    assert told.occurrence_id == "2.0"


@pytest.mark.parametrize(
    ("what", "steps"),
    [
        ("what the first frame shows", [[HERE]] * 3),
        ("what enters at the edge", [[], [(97.0, 0.0)], [(96.5, 0.0)]]),
        ("one that flickers", [[FAR], [FAR, HERE], [FAR], [FAR, HERE], [FAR]]),
        ("a thing seen again", [[HERE]] * 3 + [[]] * 4 + [[(2.0, 0.0)]] * 3),
    ],
)
def test_no_arrival(what: str, steps: list[list[Spot]]) -> None:
    assert Watch({"arrival": Appear(frames=2)}).see_all(steps) == [], what


def test_what_comes_into_view_because_the_field_moved_has_not_arrived() -> None:
    watch = Watch({"arrival": Appear(frames=2)})
    told = [o for _ in range(3) for o in watch.see([HERE])]
    told += [o for _ in range(4) for o in watch.see([HERE, (130.0, 0.0)], (60.0, 0.0))]
    assert told == []


def test_arrivals_at_a_place_keep_the_refractory_time() -> None:
    steps = [[], [HERE], [HERE, FAR], [HERE, FAR], [HERE, FAR]]
    assert len(Watch({"a": Appear(frames=1)}).see_all(steps)) == 2
    assert len(Watch({"a": Appear(frames=1, refractory_s=60)}).see_all(steps)) == 2
    assert len(Watch({"a": Appear(frames=1, refractory_s=61)}).see_all(steps)) == 1


# disappear -------------------------------------------------------------------


def test_a_loss_is_told_when_the_track_ends_and_dated_to_the_first_miss() -> None:
    watch = Watch({"gone": Disappear(min_age=3)}, TrackSettings(max_missed=2))
    (told,) = watch.see_all([[HERE]] * 4 + [[]] * 6)
    assert (told.onset_s, told.seen_s, told.track_ids) == (240.0, 360.0, (0,))
    # seen 4 of 4: (4 + 1) / (4 + 2), missed 3 times
    assert told.confidence == pytest.approx(1 - (1 / 6) ** 3)


@pytest.mark.parametrize(
    ("what", "steps"),
    [
        ("too young", [[HERE]] * 2 + [[]] * 5),
        ("only missed for a while", [[HERE]] * 3 + [[]] * 2 + [[HERE]] * 3),
        ("left over the edge", [[(91.0 + 2 * i, 0.0)] for i in range(4)] + [[]] * 5),
    ],
)
def test_no_loss(what: str, steps: list[list[Spot]]) -> None:
    assert Watch({"gone": Disappear(min_age=3)}).see_all(steps) == [], what


def test_a_mother_that_divided_is_not_lost() -> None:
    watch = Watch({"division": Split(), "gone": Disappear(min_age=1)})
    told = watch.see_all([[HERE]] * 4 + [[(-4.0, 0.0), (4.0, 0.0)]] * 6)
    assert [o.name for o in told] == ["division"]


# brighten --------------------------------------------------------------------


def brightness(*levels: float) -> list[list[Spot]]:
    return [[(0.0, 0.0, 100.0 * level)] for level in levels]


def test_a_brightening_is_told_once_and_again_after_a_fall() -> None:
    watch = Watch({"mitosis": Brighten(factor=1.5, frames=2, of=3)})
    told = watch.see_all(brightness(*[1] * 5, 2, 2, 2, 2, 1, 1, 1, 1, 2, 2, 2))
    assert [(o.onset_s, o.seen_s) for o in told] == [(300.0, 360.0), (780.0, 840.0)]
    # twice the baseline at a factor of 1.5
    assert told[0].confidence == pytest.approx(1 - math.exp(-2))


@pytest.mark.parametrize(
    ("what", "levels"),
    [
        ("too little", [1] * 5 + [1.45] * 6),
        ("one frame of three", [1] * 5 + [2, 1, 1, 2, 1, 1, 2]),
        ("too young for a baseline", [1, 1, 1, 2, 2]),
        ("flickering about the factor", [1] * 5 + [2, 2] + [1.4, 1.6, 1.4, 1.6] * 2),
        ("bleaching", [0.97**i for i in range(40)]),
    ],
)
def test_no_brightening_more_than(what: str, levels: list[float]) -> None:
    told = Watch({"mitosis": Brighten()}).see_all(brightness(*levels))
    assert len(told) == (1 if what.startswith("flickering") else 0), what


def test_a_thing_cut_off_by_the_edge_is_not_judged_by_its_brightness() -> None:
    steps = [[(97.0, 0.0, 100.0)]] * 5 + [[(97.0, 0.0, 250.0)]] * 4
    assert Watch({"mitosis": Brighten()}).see_all(steps) == []


# split -----------------------------------------------------------------------


def divided(apart_um: float = 8.0, *levels: float) -> list[Spot]:
    one, other = levels or (120.0, 100.0)
    return [(-apart_um / 2, 0.0, one), (apart_um / 2, 0.0, other)]


def test_a_division_names_mother_and_daughters_the_brighter_first() -> None:
    watch = Watch({"division": Split()})
    (told,) = watch.see_all([[HERE, FAR]] * 4 + [[*divided(8, 90, 110), FAR]] * 3)
    mother, bright, dim = told.track_ids
    tracks = watch.tracker.tracks("p0")
    assert mother == 0
    assert mother not in tracks
    assert tracks[bright].x_um == 4.0
    assert tracks[dim].x_um == -4.0
    assert tracks[bright].parent_id == tracks[dim].parent_id == mother
    assert (told.onset_s, told.seen_s) == (240.0, 240.0)
    assert told.confidence == pytest.approx(math.sqrt(90 / 110))


@pytest.mark.parametrize(
    ("what", "steps"),
    [
        ("both daughters beyond the gate", [[HERE]] * 4 + [divided(12)]),
        ("mother missed meanwhile", [[HERE]] * 4 + [[], divided()]),
        ("mother ended meanwhile", [[HERE]] * 4 + [[(80.0, 80.0)], divided(12)]),
        ("one found a frame late", [[HERE]] * 4 + [divided(9)[:1], divided(11)]),
    ],
)
def test_a_division_is_caught_if(what: str, steps: list[list[Spot]]) -> None:
    watch = Watch({"division": Split()}, TrackSettings(max_distance_um=5, max_missed=1))
    assert [o.kind for o in watch.see_all(steps)] == ["split"], what


@pytest.mark.parametrize(
    ("what", "steps"),
    [
        ("a mother too young", [[HERE]] * 2 + [divided()]),
        ("too far apart", [[HERE]] * 4 + [[(-13.0, 0.0), (13.0, 0.0)]]),
        ("too unlike", [[HERE]] * 4 + [divided(8, 100, 400)]),
        ("a thing that arrives beside one", [[HERE]] * 4 + [[HERE, (8.0, 0.0)]]),
        (
            "a neighbour missed for long",
            [[HERE, (8.0, 0.0)]] * 4 + [[(3.0, 0.0)]] * 6 + [[(-1.0, 0.0), (8.0, 0.0)]],
        ),
        (
            "two that were taken for one at the edge",
            [[(97.0, 0.0)]] * 4 + [[(97.0, -4.0), (97.0, 4.0)]],
        ),
    ],
)
def test_no_division(what: str, steps: list[list[Spot]]) -> None:
    assert Watch({"division": Split()}).see_all(steps) == [], what


def test_neighbours_that_come_into_view_with_the_field_are_no_daughters() -> None:
    watch = Watch({"division": Split()})
    edge = (99.0, 0.0)
    told = [o for _ in range(4) for o in watch.see([edge])]
    told += watch.see([(95.0, 0.0), (103.0, 0.0)], (60.0, 0.0))
    assert told == []


def test_after_asks_for_a_brightening_of_the_mother_shortly_before() -> None:
    named = {
        "mitosis": Brighten(frames=1, of=1),
        "division": Split(after="mitosis", within_s=600.0),
    }
    calm, bright = (0.0, 0.0, 100.0), (0.0, 0.0, 220.0)
    daughters = divided(8, 210, 200)

    def told(*steps: list[Spot]) -> list[str]:
        return [o.name for o in Watch(named).see_all(steps)]

    assert told(*[[calm]] * 6, [bright], daughters) == ["mitosis", "division"]
    assert told(*[[calm]] * 6, divided()) == []
    # the brightening is 11 frames of 60 s ago
    late = [[calm]] * 6 + [[bright]] + [[calm]] * 10 + [divided()]
    assert told(*late) == ["mitosis"]


def test_a_daughter_has_not_had_what_her_mother_had() -> None:
    named = {"mitosis": Brighten(frames=1, of=1), "division": Split(after="mitosis")}
    watch = Watch(named)
    steps = [[HERE]] * 6 + [[(0.0, 0.0, 220.0)]] + [divided(20 / 2, 200, 200)] * 5
    assert [o.name for o in watch.see_all(steps)] == ["mitosis", "division"]
    # the right daughter seems to divide at once
    again: list[Spot] = [(-5.0, 0.0, 200), (1.0, 0.0, 200), (9.0, 0.0, 200)]
    assert watch.see_all([again] * 2) == []


def test_two_names_for_splits_agree_on_the_daughters() -> None:
    watch = Watch({"wide": Split(max_asymmetry=0.5), "narrow": Split()})
    told = watch.see_all([[HERE]] * 4 + [divided()] * 2)
    assert [o.name for o in told] == ["wide", "narrow"]
    assert told[0].track_ids == told[1].track_ids
    assert len(watch.tracker.tracks("p0")) == 2


def test_after_must_name_a_brighten_occurrence() -> None:
    with pytest.raises(Refused, match="Did you mean 'mitosis'"):
        OccurrenceRecognizer({"mitosis": Brighten(), "d": Split(after="mitoses")})
    with pytest.raises(Refused, match="not an occurrence of one track"):
        OccurrenceRecognizer({"a": Appear(), "d": Split(after="a")})


def test_refractory_times_survive_a_restart() -> None:
    named = {"mitosis": Brighten(frames=1, of=1, refractory_s=3600.0)}
    watch = Watch(named)
    told = watch.see_all(brightness(*[1] * 6, 2, 1))
    fresh = Watch(named)
    fresh.number = itertools.count(8)
    alive = list(watch.tracker.tracks("p0").values())
    fresh.tracker.seed(alive, watch.tracker.next_id, {})
    unaware = Watch(named)
    unaware.number = itertools.count(8)
    unaware.tracker.seed(alive, watch.tracker.next_id, {})
    fresh.recognizer.seed(told, [track.track_id for track in alive])
    assert fresh.see_all(brightness(1, 2)) == []
    assert len(unaware.see_all(brightness(1, 2))) == 1


# truth -----------------------------------------------------------------------


class Colony:
    """Cells that walk, are missed now and then, and divide at known times."""

    def __init__(self, seed: int, missed: float) -> None:
        rng = np.random.default_rng(seed)
        grid = [-75.0, -45.0, -15.0, 15.0, 45.0, 75.0]
        home = np.array(list(itertools.product(grid, grid)))
        where = home + rng.uniform(-4, 4, home.shape)
        dividing = rng.permutation(len(home))[:10]
        self.truth: dict[int, tuple[int, float, float]] = {}
        self.steps: list[list[Spot]] = []
        cells = {k: (*where[k], rng.normal(100, 10)) for k in range(len(home))}
        due = {int(k): int(rng.integers(10, 30)) for k in dividing}
        number = itertools.count(len(home))
        drift: dict[int, tuple[float, float, int]] = {}
        for t in range(40):
            for k in [k for k, when in due.items() if when == t]:
                x, y, level = cells.pop(k)
                self.truth[k] = (t, x, y)
                angle = rng.uniform(0, 2 * np.pi)
                dx, dy = 3.5 * np.cos(angle), 3.5 * np.sin(angle)
                for side in (1, -1):
                    daughter = next(number)
                    cells[daughter] = (x + side * dx, y + side * dy, 0.9 * level)
                    drift[daughter] = (side * dx / 4, side * dy / 4, t + 4)
            step: list[Spot] = []
            for k, (x, y, level) in cells.items():
                dx, dy, until = drift.get(k, (0.0, 0.0, 0))
                x += rng.normal(0, 0.5) + dx * (t < until)
                y += rng.normal(0, 0.5) + dy * (t < until)
                cells[k] = (x, y, level)
                when = due.get(k, -9)
                shown = level * rng.normal(1, 0.05) * (2 if when - 5 <= t < when else 1)
                if rng.random() >= missed:
                    step.append((x, y, shown))
            rng.shuffle(step)
            self.steps.append(step)

    def score(self, told: list[Occurrence], late: int) -> tuple[int, int]:
        """Return how many divisions were caught, and how many are none."""
        caught: set[int] = set()
        false = 0
        for o in told:
            hits = [
                k
                for k, (t, x, y) in self.truth.items()
                if 0 <= o.onset_s / 60 - t <= late
                and math.hypot(o.x_um - x, o.y_um - y) < 6
            ]
            false += not hits or hits[0] in caught
            caught.update(hits[:1])
        return len(caught), false


@pytest.mark.parametrize("guarded", [False, True])
def test_divisions_of_a_colony_are_caught_and_hardly_any_invented(
    guarded: bool,
) -> None:
    """One detection in twenty is missed: 200 divisions, 20 colonies."""
    caught = false = total = 0
    for seed in range(20):
        colony = Colony(seed, missed=0.05)
        named: dict[str, OccurrenceSettings] = {"division": Split()}
        if guarded:
            named = {"mitosis": Brighten(), "division": Split(after="mitosis")}
        told = Watch(named).see_all(colony.steps)
        n, wrong = colony.score([o for o in told if o.kind == "split"], late=2)
        caught, false, total = caught + n, false + wrong, total + len(colony.truth)
    assert total == 200
    assert caught >= 0.98 * total, (caught, false)
    assert false <= 0.01 * total, (caught, false)


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 2**32 - 1), st.sampled_from([0.0, 0.1, 0.3]))
def test_what_is_told_holds_together_and_is_told_again(
    seed: int, missed: float
) -> None:
    colony = Colony(seed, missed)
    named: dict[str, OccurrenceSettings] = {
        "here": Appear(),
        "gone": Disappear(),
        "mitosis": Brighten(),
        "division": Split(),
    }
    first, second = Watch(named), Watch(named)
    born_of: dict[int, int] = {}
    for step in colony.steps:
        told = first.see(step)
        assert told == second.see(step)
        assert [o.occurrence_id.split(".")[1] for o in told] == [
            str(i) for i in range(len(told))
        ]
        tracks = first.tracker.tracks("p0")
        for o in told:
            assert 0 <= o.confidence <= 1
            assert o.onset_s <= o.seen_s
            assert Occurrence.model_validate_json(o.model_dump_json()) == o
            if o.kind == "split":
                mother, bright, dim = o.track_ids
                assert mother not in tracks
                assert tracks[bright].intensity >= tracks[dim].intensity
                assert not {bright, dim} & set(born_of)
                born_of.update({bright: mother, dim: mother})
        for track in tracks.values():
            assert track.parent_id == born_of.get(track.track_id, -1)
