"""Mitotic figures: cut from images as they are, and drawn as they were cut."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smartscope.training.divisions import CutOuts, DivisionMovies
from smartscope.training.divisions.cut_outs import Marked, marked
from smartscope.training.divisions.part import Part, paint
from smartscope.training.divisions.scene import SceneDrawer
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
    figures = CutOuts.of([cells()], MARKS)
    assert figures is not None
    return figures


def test_a_figure_keeps_its_size_and_light_in_those_of_a_usual_nucleus() -> None:
    figures = cut()
    a, b, light = figures.sizes[figures.plates[0]]
    assert a * RADIUS_PX == pytest.approx(PLATE.a, rel=0.12)
    assert b * RADIUS_PX == pytest.approx(PLATE.b, rel=0.25)  # it is bent
    assert light == pytest.approx(PLATE.light, rel=0.3)  # its edge is soft
    first, second, apart = figures.parting[0]
    assert apart * RADIUS_PX == pytest.approx(math.hypot(6, 18), rel=0.1)
    assert figures.sizes[second, 0] > figures.sizes[first, 0]
    for usual in figures.resting:
        assert figures.sizes[usual] == pytest.approx([1, 1, 1], abs=0.15)


def test_a_figure_is_drawn_as_it_was_cut() -> None:
    """Drawn where it was, in its size and light, it is what the image shows."""
    figures, image = cut(), cells().image.astype(np.float64)
    which = figures.plates[0]
    a, b, light = figures.sizes[which]
    own = np.s_[20:62, 30:76]
    shown = (image[own] - GROUND) / USUAL
    part = PLATE._replace(
        a=a * RADIUS_PX, b=b * RADIUS_PX, light=light, bend=0.0, cut_out=which
    )
    # either end first: which one is not known of a plate
    drawn = [
        paint([part._replace(angle=part.angle + turn)], (1, 200, 240), figures.profiles)
        for turn in (0.0, math.pi)
    ]
    off = [np.abs(one[0][own] - shown).max() for one in drawn]
    assert min(off) < 0.2 * PLATE.light
    ellipse = paint([part._replace(cut_out=-1)], (1, 200, 240))[0][own]
    assert min(off) < 0.7 * np.abs(ellipse - shown).max()


def test_the_masses_of_a_pair_face_each_other_as_they_did() -> None:
    """Their ends point to or from each other in the image, and when they are drawn."""
    figures, shown = cut(), cells()
    first, second, _ = figures.parting[0]
    axis = math.atan2(BARS[0].row - BARS[1].row, BARS[0].column - BARS[1].column)

    def drawn(order: tuple[int, int]) -> float:
        parts = [
            place._replace(
                a=figures.sizes[one, 0] * RADIUS_PX,
                b=figures.sizes[one, 1] * RADIUS_PX,
                light=figures.sizes[one, 2],
                angle=axis + math.pi / 2,  # as the first of two that part
                bend=0.0,
                cut_out=one,
            )
            for place, one in zip(BARS, order, strict=True)
        ]
        image = paint(parts, (1, 200, 240), figures.profiles)[0]
        own = np.s_[95:130, 30:76]
        wanted = (shown.image[own].astype(np.float64) - GROUND) / USUAL
        return float(np.corrcoef(image[own].ravel(), wanted.ravel())[0, 1])

    assert drawn((first, second)) > 0.97
    assert drawn((second, first)) < drawn((first, second)) - 0.02


def test_what_has_no_label_or_lies_at_the_edge_is_left_out() -> None:
    beside = Marked("cells", "plate", ((2, 2),))
    at_edge = Marked("cells", "plate", ((190, 4),))
    elsewhere = Marked("others", "plate", ((40, 53),))
    figures = CutOuts.of([cells()], [*MARKS, beside, at_edge, elsewhere])
    assert figures is not None
    assert len(figures.plates) == 1


def test_without_one_of_each_kind_there_are_none() -> None:
    for left_out in range(len(MARKS)):
        some = [mark for n, mark in enumerate(MARKS) if n != left_out]
        assert CutOuts.of([cells()], some) is None
    assert CutOuts.of([], MARKS) is None
    empty = Labelled("cells", cells().image, np.zeros((200, 240), np.int32), "0" * 64)
    assert CutOuts.of([empty], MARKS) is None
    dark = Labelled("cells", 1000 - cells().image, cells().labels, "0" * 64)
    assert CutOuts.of([dark], MARKS) is None


def test_what_divides_is_seen_as_a_figure_from_rounding_to_telophase() -> None:
    figures = cut()
    scene = SceneDrawer(np.random.default_rng(4), 200, 3, figures).drawn(2)
    one = scene.divisions[0]

    def seen(age: float) -> set[int]:
        return {part.cut_out for part in replace(one, onset=-age).parts(0)}

    assert one.look.cut_out in figures.resting
    both = set(one.chromosomes.cut_outs[2:])
    assert seen(-one.plate - 2 * one.rounding) == {one.look.cut_out}
    assert seen(-0.01) <= {*figures.plates, *figures.rounds}
    assert seen(one.parting) - {-1} == both
    assert seen(50 * (one.parting + one.decondensing)) - {-1} == {one.look.cut_out}


@settings(max_examples=15)
@given(st.integers(0, 10_000))
def test_movies_with_figures_are_counts_and_the_same_again(seed: int) -> None:
    source = DivisionMovies(3, (), cut())
    frames, points = source.draw(np.random.default_rng(seed), 64)
    again, _ = source.draw(np.random.default_rng(seed), 64)
    np.testing.assert_array_equal(frames, again)
    assert frames.shape == (3, 64, 64)
    assert np.isfinite(frames).all()
    assert ((points > -0.5) & (points < 63.5)).all()


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
    figures = CutOuts.of(images)
    assert figures is not None
    cut_out = len(figures.rounds) + len(figures.plates) + len(figures.parting)
    assert cut_out == len(marked())
