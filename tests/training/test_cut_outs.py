"""Mitotic cut_outs: cut from images as they are, and drawn as they were cut."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smartscope.training.divisions import (
    CutOuts,
    DivisionMovies,
    RealNuclei,
    draw_movie,
    movies,
)
from smartscope.training.divisions.cut_outs import Marked, marked
from smartscope.training.divisions.lives import Chromosomes, Dividing, Walk
from smartscope.training.divisions.part import Part, paint
from smartscope.training.divisions.real import real_field
from smartscope.training.divisions.scene import SceneDrawer
from smartscope.training.divisions.seen_as import seen_dividing
from smartscope.training.labelled import Labelled, read_labelled
from smartscope.training.settings import StarSettings

NUCLEI = Path(__file__).parents[3] / "shared" / "data" / "nuclei_train"

RADIUS_PX = 14.0
GROUND, USUAL = 100.0, 300.0
EVEN = Part(0, 0.0, 0.0, RADIUS_PX, RADIUS_PX, 0.0, 1.0, grain=0.0, dome=0.0)
PLATE = EVEN._replace(row=40.3, column=52.6, a=12.0, b=4.0, angle=0.7, light=3.0)
PLATE = PLATE._replace(bend=0.25)
BAR = EVEN._replace(a=8.0, b=3.0, angle=1.9, light=2.0)
BARS = (
    BAR._replace(row=110.0, column=44.0, bend=-0.3),
    BAR._replace(row=116.0, column=62.0, bend=0.3, a=9.0),
)
ROUND = EVEN._replace(row=40.0, column=110.0, a=9.0, b=9.0, light=2.0)
MARKS = (
    Marked("cells", "plate", ((40, 53),)),
    Marked("cells", "round", ((40, 110),)),
    Marked("cells", "parting", ((110, 44), (116, 62))),
)


def cells(name: str = "cells") -> Labelled:
    """Draw a field of usual nuclei, a plate, a pair and a round mass."""
    size = (1, 200, 240)
    nuclei = [
        EVEN._replace(row=40.0 + 60 * row, column=column)
        for row in range(3)
        for column in (160.0, 205.0)
    ]
    nuclei.append(EVEN._replace(row=190.0, column=8.0))  # cut off
    parts = [PLATE, *BARS, ROUND, *nuclei]
    labels = np.zeros(size[1:], np.int32)
    image = np.full(size[1:], GROUND, np.float32)
    for number, part in enumerate(parts, 1):
        one = paint([part], size)[0]
        labels[one > 0.3 * part.light] = number
        image += USUAL * one
    return Labelled(name, image.astype(np.uint16), labels, "0" * 64)


@cache
def cut() -> CutOuts:
    cut_outs = CutOuts.of([cells()], MARKS)
    assert cut_outs is not None
    return cut_outs


def test_a_cut_out_keeps_its_size_and_light_in_those_of_a_usual_nucleus() -> None:
    cut_outs = cut()
    a, b, light = cut_outs.sizes[cut_outs.plates[0]]
    assert a * RADIUS_PX == pytest.approx(PLATE.a, rel=0.12)
    assert b * RADIUS_PX == pytest.approx(PLATE.b, rel=0.25)  # it is bent
    assert light == pytest.approx(PLATE.light, rel=0.3)  # its edge is soft
    first, second, apart = cut_outs.parting[0]
    assert apart * RADIUS_PX == pytest.approx(math.hypot(6, 18), rel=0.1)
    assert cut_outs.sizes[second, 0] > cut_outs.sizes[first, 0]
    for usual in cut_outs.resting:
        assert cut_outs.sizes[usual] == pytest.approx([1, 1, 1], abs=0.15)


def test_a_cut_out_is_drawn_as_it_was_cut() -> None:
    """Drawn where it was, in its size and light, it is what the image shows."""
    cut_outs, image = cut(), cells().image.astype(np.float64)
    which = cut_outs.plates[0]
    a, b, light = cut_outs.sizes[which]
    own = np.s_[20:62, 30:76]
    shown = (image[own] - GROUND) / USUAL
    part = PLATE._replace(
        a=a * RADIUS_PX, b=b * RADIUS_PX, light=light, bend=0.0, cut_out=which
    )
    # either end first: which one is not known of a plate
    drawn = [
        paint(
            [part._replace(angle=part.angle + turn)], (1, 200, 240), cut_outs.profiles
        )
        for turn in (0.0, math.pi)
    ]
    off = [np.abs(one[0][own] - shown).max() for one in drawn]
    assert min(off) < 0.2 * PLATE.light
    ellipse = paint([part._replace(cut_out=-1)], (1, 200, 240))[0][own]
    assert min(off) < 0.7 * np.abs(ellipse - shown).max()


def turned(image: Labelled, quarters: int, mirrored: bool) -> Labelled:
    def of(plane: npt.NDArray[Any]) -> npt.NDArray[Any]:
        plane = np.rot90(plane, quarters)
        return np.ascontiguousarray(plane[:, ::-1] if mirrored else plane)

    return Labelled(image.name, of(image.image), of(image.labels), image.sha256)


def in_anaphase() -> Labelled:
    """Draw two nearly round masses, each with a bright end, beside usual nuclei."""
    size = (1, 130, 150)
    both = []
    for row, column, end in ((40.0, 48.0, 0.3), (58.0, 60.0, 4.0)):
        mass = EVEN._replace(row=row, column=column, a=7.5, b=7.0, light=2.0)
        off = (5 * math.sin(end), 5 * math.cos(end))
        end_of_it = mass._replace(
            row=row + off[0], column=column + off[1], a=2.5, b=2.5
        )
        both.append([mass, end_of_it])
    others = [EVEN._replace(row=100.0, column=column) for column in (30.0, 75.0, 120.0)]
    labels = np.zeros(size[1:], np.int32)
    image = np.full(size[1:], GROUND, np.float32)
    for number, parts in enumerate([*both, *([one] for one in others)], 1):
        drawn = paint(parts, size)[0]
        labels[drawn > 0.4] = number
        image += USUAL * drawn
    return Labelled("anaphase", image.astype(np.uint16), labels, "1" * 64)


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("quarters", [0, 1, 2, 3])
def test_masses_that_part_lie_to_each_other_as_they_did(
    quarters: int, mirrored: bool
) -> None:
    """What was cut out of an image and drawn as one that divides is the image again."""
    image = turned(in_anaphase(), quarters, mirrored)
    middles = [np.argwhere(image.labels == n).mean(axis=0) for n in (1, 2)]
    at = tuple((int(row), int(column)) for row, column in middles)
    cut_outs = CutOuts.of([cells(), image], [*MARKS, Marked("anaphase", "parting", at)])
    assert cut_outs is not None
    first, second, apart = cut_outs.parting[-1]
    a, b, light = cut_outs.sizes[[first, second]].mean(axis=0)
    how = Chromosomes(
        round_px=9.0,
        round_light=2.0,
        plate=(10.0, 4.0, 3.0),
        bar=(a * RADIUS_PX, b * RADIUS_PX, light),
        apart_px=apart * RADIUS_PX,
        bend=0.0,
        cut_outs=(cut_outs.rounds[0], cut_outs.plates[0], first, second),
    )
    row, column = (middles[0] + middles[1]) / 2
    back = middles[0] - middles[1]
    one = Dividing(
        EVEN,
        Walk(row, column),
        how,
        onset=-10.0,
        axis=math.atan2(back[0], back[1]),
        rounding=1.0,
        plate=1.0,
        parting=0.5,
        decondensing=1e6,
    )
    parts = one.parts(0)
    assert [part.cut_out for part in parts] == [first, second]
    shape = image.image.shape
    drawn = paint(parts, (1, *shape), cut_outs.profiles)[0]
    own = np.isin(image.labels, (0, 1, 2))
    wanted = (image.image.astype(np.float64) - GROUND) / USUAL
    alike = np.corrcoef(drawn[own], wanted[own])[0, 1]
    assert alike > 0.98
    exchanged = replace(one, axis=one.axis + math.pi).parts(0)
    other = paint(exchanged, (1, *shape), cut_outs.profiles)[0]
    assert np.corrcoef(other[own], wanted[own])[0, 1] < alike - 0.01


def test_a_division_has_the_sizes_of_its_cut_outs() -> None:
    cut_outs, look = cut(), EVEN._replace(a=20.0, b=20.0)
    how = Chromosomes(9.0, 2.0, (10.0, 4.0, 3.0), (8.0, 3.0, 2.0), 5.0)
    first, second, apart = cut_outs.parting[0]
    wanted = cut_outs.sizes[[first, second]].prod(axis=0) ** 0.5
    bars, uneven = [], []
    for seed in range(300):
        seen, made = seen_dividing(np.random.default_rng(seed), cut_outs, look, how)
        assert seen.cut_out in cut_outs.resting
        assert made.apart_px >= 0.9 * apart * 20
        assert made.cut_outs[0] in cut_outs.rounds
        if made.cut_outs[2:] == (first, second):
            bars.append(np.log(made.bar) - np.log(wanted * (20, 20, 1)))
            uneven.append(made.uneven)
        else:
            assert set(made.cut_outs[2:]) == set(cut_outs.plates)
    assert 120 < len(bars) < 260
    np.testing.assert_allclose(np.mean(bars, axis=0), 0, atol=0.05)
    # the second is the larger one
    assert np.median(uneven) < 0.98


def test_bystanders_look_like_cut_outs_too() -> None:
    """Else what is cut out would tell what divides."""
    cut_outs, kinds = cut(), set()
    for seed in range(30):
        scene = SceneDrawer(np.random.default_rng(seed), 200, 3, cut_outs).drawn(1)
        for life in scene.lives:
            if life.look.cut_out >= 0:
                kinds.add((type(life).__name__, life.look.cut_out in cut_outs.resting))
    assert {("Resting", True), ("Resting", False), ("Dying", True)} <= kinds
    assert ("Dividing", True) in kinds


def test_what_has_no_label_or_lies_at_the_edge_is_left_out() -> None:
    beside = Marked("cells", "plate", ((2, 2),))
    at_edge = Marked("cells", "plate", ((190, 4),))
    outside = Marked("cells", "plate", ((40, 500),))
    elsewhere = Marked("others", "plate", ((40, 53),))
    in_one = Marked("cells", "parting", ((40, 53), (41, 53)))
    marks = [*MARKS, beside, at_edge, outside, elsewhere, in_one]
    cut_outs = CutOuts.of([cells()], marks)
    assert cut_outs is not None
    assert len(cut_outs.plates) == len(cut_outs.parting) == 1


def test_a_label_of_one_bright_pixel_is_a_mass_too() -> None:
    image = cells()
    image.labels[2:6, 100:104] = 90
    image.image[2:6, 100:104] = GROUND
    image.image[3, 102] = 900
    cut_outs = CutOuts.of([image], [*MARKS, Marked("cells", "round", ((3, 102),))])
    assert cut_outs is not None
    assert np.isfinite(cut_outs.sizes).all()
    assert np.isfinite(cut_outs.profiles).all()


def test_without_one_of_each_kind_there_are_none() -> None:
    for left_out in range(len(MARKS)):
        some = [mark for n, mark in enumerate(MARKS) if n != left_out]
        assert CutOuts.of([cells()], some) is None
    assert CutOuts.of([], MARKS) is None
    empty = Labelled("cells", cells().image, np.zeros((200, 240), np.int32), "0" * 64)
    assert CutOuts.of([empty], MARKS) is None
    dark = Labelled("cells", 1000 - cells().image, cells().labels, "0" * 64)
    assert CutOuts.of([dark], MARKS) is None


def test_what_divides_is_seen_as_cut_outs_from_rounding_to_telophase() -> None:
    cut_outs = cut()
    scene = SceneDrawer(np.random.default_rng(4), 200, 3, cut_outs).drawn(2)
    one = scene.divisions[0]

    def seen(age: float) -> set[int]:
        return {part.cut_out for part in replace(one, onset=-age).parts(0)}

    assert one.look.cut_out in cut_outs.resting
    both = set(one.chromosomes.cut_outs[2:])
    assert seen(-one.plate - 2 * one.rounding) == {one.look.cut_out}
    assert seen(-0.01) <= {*cut_outs.plates, *cut_outs.rounds}
    assert seen(one.parting) - {-1} == both
    assert seen(50 * (one.parting + one.decondensing)) - {-1} == {one.look.cut_out}


@settings(max_examples=15)
@given(st.integers(0, 10_000))
def test_movies_with_cut_outs_are_counts_and_the_same_again(seed: int) -> None:
    source = DivisionMovies(3, (), cut())
    frames, points = source.draw(np.random.default_rng(seed), 64)
    again, _ = source.draw(np.random.default_rng(seed), 64)
    np.testing.assert_array_equal(frames, again)
    assert frames.shape == (3, 64, 64)
    assert (frames >= 0).all()
    np.testing.assert_array_equal(frames, np.rint(frames))
    assert ((points > -0.5) & (points < 63.5)).all()


def test_only_real_movies_are_of_images_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    nuclei, fields = RealNuclei.of([cells()]), []

    def field(*of: Any) -> Any:
        fields.append(real_field(*of))
        return fields[-1]

    monkeypatch.setattr(movies, "SimulatedField", None)
    monkeypatch.setattr(movies, "real_field", field)
    for seed in range(30):
        rng = np.random.default_rng(seed)
        draw_movie(rng, 96, 3, None, nuclei, cut(), only_real=True)
    assert len(fields) == 30
    assert all(one.max() > 0.5 for one in fields)


def test_the_table_marks_each_place_once() -> None:
    marks = marked()
    assert {mark.kind for mark in marks} == {"round", "plate", "parting"}
    assert all(len(mark.at) == (2 if mark.kind == "parting" else 1) for mark in marks)
    places = [(mark.image, at) for mark in marks for at in mark.at]
    assert len(set(places)) == len(places)


@pytest.mark.skipif(not NUCLEI.is_dir(), reason="the images of nuclei are not there")
def test_all_that_is_marked_has_a_label_and_judges_nothing() -> None:
    parts = read_labelled(NUCLEI, StarSettings())
    assert not {mark.image for mark in marked()} & {one.name for one in parts["test"]}
    images = [*parts["train"], *parts["validation"]]
    named = {one.name: one for one in images}
    assert all(named[mark.image].labels[at] for mark in marked() for at in mark.at)
    cut_outs = CutOuts.of(images)
    assert cut_outs is not None
    cut_out = len(cut_outs.rounds) + len(cut_outs.plates) + len(cut_outs.parting)
    assert cut_out == len(marked())
