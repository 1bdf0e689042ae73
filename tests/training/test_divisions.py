"""Drawn movies of dividing nuclei: what is asked for is what they show."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smartscope.training.divisions import DivisionMovies, draw_movie
from smartscope.training.divisions.lives import Chromosomes, Dividing, Walk
from smartscope.training.divisions.movies import mirrored
from smartscope.training.divisions.part import Part, paint
from smartscope.training.divisions.scene import SceneDrawer
from smartscope.training.divisions.seen import seen_division
from smartscope.training.divisions.simulated import SimulatedField

NUCLEUS = Part(0, 0, 0, 8.0, 7.0, 0.4, 1.0)
CHROMOSOMES = Chromosomes(
    round_px=5.5,
    round_light=2.0,
    plate=(6.0, 2.5, 2.5),
    bar=(5.5, 1.8, 2.5),
    apart_px=18.0,
)


def dividing(onset: float, axis: float = 0.0, parting: float = 1.0) -> Dividing:
    return Dividing(
        look=NUCLEUS,
        walk=Walk(32.0, 40.0),
        chromosomes=CHROMOSOMES,
        onset=onset,
        axis=axis,
        rounding=3.0,
        plate=6.0,
        parting=parting,
        decondensing=8.0,
    )


@pytest.mark.parametrize("frames", [1, 2, 4])
def test_a_window_is_whole_counts_and_points_inside(frames: int) -> None:
    source = DivisionMovies(frames)
    points = 0
    for number in range(12):
        given_, at = source.draw(np.random.default_rng([3, number]), 48)
        assert given_.shape == (frames, 48, 48)
        assert given_.dtype == np.float32
        assert at.dtype == np.float64
        assert np.array_equal(given_, np.rint(given_))
        assert given_.min() >= 0
        assert ((at >= -0.5) & (at <= 47.5)).all()
        points += len(at)
    assert 3 <= points <= 60  # neither none of it nor everything is an event


def test_a_window_is_drawn_from_the_generator_alone() -> None:
    source = DivisionMovies(3)
    (one, at), (same, there), (other, _) = (
        source.draw(np.random.default_rng(seed), 48) for seed in (5, 5, 6)
    )
    assert np.array_equal(one, same)
    assert np.array_equal(at, there)
    assert not np.array_equal(one, other)


@given(
    st.floats(-20, 20),
    st.floats(0.1, 8),
    st.floats(2, 40),
    st.floats(0.05, 0.85),
    st.integers(1, 12),
)
@settings(max_examples=80, deadline=None)
def test_a_division_is_seen_from_the_first_frame_that_shows_two(
    onset: float, parting: float, way: float, share: float, frames: int
) -> None:
    def apart(t: float) -> float:
        return way * -math.expm1(-max(t - onset, 0.0) / parting)

    places = ((0.0, 0.0),) * frames
    seen = seen_division(onset, apart, share * way, way, places)
    if seen is None:
        assert apart(frames - 1) < share * way
        return
    assert onset <= seen.frame < frames
    assert apart(seen.frame) >= share * way
    assert seen.frame - 1 < onset or apart(seen.frame - 1) < share * way
    assert seen.until > seen.frame
    # news for longer than two frames only while the masses are still on their way
    assert seen.until == seen.frame + 1 or apart(seen.until) < 0.7 * way


def test_light_lies_where_a_part_is() -> None:
    parts = [
        NUCLEUS._replace(row=20.3, column=41.8, grain=0.0),
        NUCLEUS._replace(frame=1, row=300.0, column=10.0),
    ]
    first, second = paint(parts, (2, 64, 64)).astype(np.float64)
    rows, columns = np.indices(first.shape)
    assert (first * rows).sum() / first.sum() == pytest.approx(20.3, abs=0.1)
    assert (first * columns).sum() / first.sum() == pytest.approx(41.8, abs=0.1)
    assert not second.any()  # wholly beyond the edge
    twice = paint([parts[0], parts[0]], (1, 64, 64))[0]
    assert np.allclose(twice, 2 * first)


@pytest.mark.parametrize("axis", [0.0, 0.9, 2.4])
def test_one_mass_becomes_two_along_the_axis(axis: float) -> None:
    one = dividing(onset=2.5, axis=axis)
    assert [len(one.parts(k)) for k in range(6)] == [1, 1, 1, 2, 2, 2]
    seen = seen_division(
        one.onset, one.apart_px, one.gap_px(0.5), 18.0, ((32.0, 40.0),) * 6
    )
    assert seen is not None
    parts = [p for k in range(6) for p in one.parts(k)]
    image = paint(parts, (6, 64, 80))

    def along(frame: int, away: float) -> float:
        row, column = 32 + away * math.sin(axis), 40 + away * math.cos(axis)
        return float(image[frame, round(row), round(column)])

    half = one.apart_px(seen.frame) / 2
    for side in (1, -1):  # a dark gap between two bright masses
        assert along(seen.frame, side * half) > 1.5 * along(seen.frame, 0.0)
    assert along(2, 0.0) > 1.5  # the plate


@pytest.mark.parametrize("inner", [10, 20, 31])
def test_what_is_mirrored_is_to_be_found_too(inner: int) -> None:
    rng = np.random.default_rng(inner)
    points = rng.permutation(inner**2)[:3]
    at = np.column_stack(np.divmod(points, inner)).astype(np.float64)
    frames = np.zeros((2, inner, inner), np.float32)
    frames[:, at[:, 0].astype(int), at[:, 1].astype(int)] = 1
    filled, found = mirrored(frames, at, 32)
    assert filled.shape == (2, 32, 32)
    lit = np.argwhere(filled[1] > 0).tolist()
    assert sorted(found.tolist()) == sorted(lit)


def test_scenes_hold_the_divisions_that_are_asked_for() -> None:
    news = 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        for one in SceneDrawer(rng, 64, 3).drawn(1).divisions[:1]:
            assert one.onset < 2
            assert -4 <= one.walk.at(2)[0] <= 67  # it sways
            news += one.apart_px(2) >= one.gap_px(1.0)
    assert news >= 15


def test_simulated_fields_show_their_divisions() -> None:
    news = 0
    for seed in range(12):
        field = SimulatedField(np.random.default_rng(seed), 64, 3, 1)
        seen = [d for d in field.divisions() if d.frame <= 2 <= d.until]
        signal = field.painted()
        assert signal.shape == (3, 64, 64)
        assert 0.5 < signal.max() < 8
        news += len(seen) > 0
    assert news >= 9


def test_a_movie_tells_its_divisions_in_its_own_frames() -> None:
    told = 0
    for seed in range(6):
        movie = draw_movie(np.random.default_rng(seed), 96, 8)
        assert movie.frames.shape == (8, 96, 96)
        for one in movie.divisions:
            assert len(one.places) == 8
            assert one.frame < 8
        told += len(movie.divisions)
    assert told
