"""What waits for a hit: within its bounds, in order, and nothing lost uncounted."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from useq import MDAEvent

from smartscope.acquisition import Frame, FrameState, History

STATE = FrameState(0.0, 0.0, 0.0, 5.0, "green", 0.65)
KB = 1e-3  # in MB


def frame(frame_id: int, place: str = "p0", nbytes: int = 1000) -> Frame:
    pixels = np.zeros((1, nbytes), np.uint8)
    return Frame(pixels, MDAEvent(), frame_id, 0.0, 0.0, place, STATE)


def ids(frames: list[Frame]) -> list[int]:
    return [each.frame_id for each in frames]


def test_the_newest_of_each_place_stay() -> None:
    history = History(3, 1)
    for i in range(10):
        history.put(frame(i, f"p{i % 2}"), i // 2)
    assert len(history) == 6
    assert (history.aged, history.pressed) == (4, 0)
    assert (history.gone("p0"), history.gone("p2")) == (1, -1)
    assert ids(history.take("p0", 0, 3)) == [4, 6]
    assert ids(history.take("p0", 0, 9)) == [8]
    assert ids(history.take_all()) == [5, 7, 9]
    assert (len(history), history.nbytes) == (0, 0)


def test_memory_is_shared_and_the_oldest_goes_whatever_its_place() -> None:
    history = History(100, 5 * KB)
    history.put(frame(0, "rare"), 0)
    for i in range(1, 6):
        history.put(frame(i), i)
    assert (history.aged, history.pressed) == (0, 1)
    assert history.gone("rare") == 0
    assert history.take("rare", 0, 9) == []
    assert history.put(frame(6, nbytes=5000), 6) == 5
    assert history.nbytes == 5000
    assert ids(history.take_all()) == [6]


def test_a_frame_larger_than_the_memory_goes_at_once() -> None:
    history = History(3, 1 * KB)
    assert history.put(frame(0, nbytes=1001), 0) == 1
    assert (len(history), history.nbytes, history.gone("p0")) == (0, 0, 0)


def test_frames_are_not_copied() -> None:
    history, taken = History(3, 1), frame(0)
    history.put(taken, 0)
    assert history.take("p0", 0, 0)[0] is taken


@pytest.mark.parametrize("bounds", [(0, 1.0), (1, 0.0), (1, float("nan"))])
def test_a_bound_is_above_0(bounds: tuple[int, float]) -> None:
    with pytest.raises(ValueError, match="at least one frame"):
        History(*bounds)


@given(
    most=st.integers(1, 6),
    kb=st.integers(1, 12),
    steps=st.lists(
        st.tuples(
            st.sampled_from(["put", "put", "put", "take"]),
            st.sampled_from(["p0", "p1", "p2"]),
            st.integers(1, 3000),
            st.tuples(st.integers(0, 60), st.integers(0, 10)),
        ),
        max_size=60,
    ),
)
def test_nothing_is_lost_uncounted_and_no_bound_is_passed(
    most: int,
    kb: int,
    steps: list[tuple[str, str, int, tuple[int, int]]],
) -> None:
    history = History(most, kb * KB)
    put = taken = went = 0
    for i, (what, place, nbytes, (first, more)) in enumerate(steps):
        if what == "put":
            went += history.put(frame(i, place, nbytes), i)
            put += 1
        else:
            found = ids(history.take(place, first, first + more))
            taken += len(found)
            assert found == sorted(found)
            assert all(history.gone(place) < n for n in found)
            assert all(first <= n <= first + more for n in found)
        assert history.nbytes <= kb * 1000
        assert put == taken + went + len(history)
        assert went == history.aged + history.pressed
    rest = history.take_all()
    assert ids(rest) == sorted(ids(rest))
    by_place = [sum(f.place == p for f in rest) for p in ("p0", "p1", "p2")]
    assert max(by_place) <= most
    assert history.nbytes == 0
