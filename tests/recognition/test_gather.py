"""Sets and windows: what a model looks at together, and what is lost of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from useq import MDAEvent

from smartscope.acquisition import Frame, FrameState
from smartscope.recognition import Gathering

PRESETS = ("DAPI", "FITC", "Cy5")


def frame(
    frame_id: int,
    channel: str = "FITC",
    *,
    place: str = "p0",
    camera: str = "Camera",
    origin: Any = "survey",
    x_um: float = 0.0,
    shape: tuple[int, int] = (2, 3),
    decision_id: str = "",
    **index: int,
) -> Frame:
    """A frame that carries its number in each pixel."""
    return Frame(
        np.full(shape, frame_id, np.uint16),
        MDAEvent(index=index),
        frame_id,
        float(frame_id),
        0.0,
        place,
        FrameState(x_um, 0.0, 0.0, 10.0, channel, 0.5),
        camera=camera,
        origin=origin,
        decision_id=decision_id,
    )


def ids(planes: Any) -> list[int] | None:
    return None if planes is None else [int(p[0, 0]) for p in planes.pixels]


def spoil(one: Frame) -> None:
    """Do what the ring does after the answer."""
    one.pixels[:] = 60_000


def test_a_frame_of_one_channel_is_handed_on_as_it_is() -> None:
    one = frame(3, "Cy5")
    told = Gathering().take(one)
    assert told.planes is not None
    assert told.planes.pixels[0] is one.pixels, "nothing may be copied"
    assert told.planes.channels == ("Cy5",)
    assert told.planes.pixel_size_um == 0.5
    assert Gathering().planes_held == 0


def test_the_model_waits_for_the_last_channel_in_whatever_order_they_come() -> None:
    gathering = Gathering(("DAPI", "FITC"))
    first = gathering.take(one := frame(0, "FITC", t=0, c=0))
    spoil(one)
    assert (first.planes, first.waits_for) == (None, ("DAPI",))
    second = gathering.take(frame(1, "DAPI", t=0, c=1))
    assert ids(second.planes) == [1, 0]
    assert second.planes is not None
    assert second.planes.channels == ("DAPI", "FITC")
    assert gathering.planes_held == 0


def test_a_set_that_stays_incomplete_is_counted_and_told() -> None:
    gathering = Gathering(("DAPI", "FITC"))
    gathering.take(frame(0, "DAPI", t=0, c=0))
    told = gathering.take(frame(1, "DAPI", t=1, c=0))
    assert told.incomplete == 1
    assert told.remarks == (
        "A set of p0 stays incomplete: no frame of FITC came (frame 0 is left out).",
    )
    assert ids(gathering.take(frame(2, "FITC", t=1, c=1)).planes) == [1, 2]


def test_planes_of_a_stack_and_places_do_not_mix() -> None:
    gathering = Gathering(("DAPI", "FITC"))
    made = [
        ids(gathering.take(frame(i, c, place=p, t=0, z=z)).planes)
        for i, (c, p, z) in enumerate(
            [
                ("DAPI", "p0", 0), ("DAPI", "p0", 1), ("DAPI", "p1", 0),
                ("FITC", "p0", 0), ("FITC", "p0", 1), ("FITC", "p1", 0),
            ]
        )
    ]  # fmt: skip
    assert made == [None, None, None, [0, 3], [1, 4], [2, 5]]


def test_cameras_are_the_channels_of_one_event_in_each_preset() -> None:
    gathering = Gathering(("B", "A"), window=2)
    made = []
    for t in range(2):
        for c, preset in enumerate(("FITC", "Cy5")):
            for camera in "AB":
                one = frame(len(made), preset, camera=camera, t=t, c=c)
                made.append(ids(gathering.take(one).planes))
                spoil(one)
    assert made == [
        None, [1, 1, 0, 0], None, [3, 3, 2, 2],
        None, [1, 5, 0, 4], None, [3, 7, 2, 6],
    ]  # fmt: skip


def test_a_window_is_the_last_frames_of_the_place_and_says_while_it_fills() -> None:
    gathering = Gathering(window=3)
    made, told = [], []
    for i in range(5):
        one = frame(i, t=i)
        taken = gathering.take(one)
        made.append(ids(taken.planes))
        told.append(taken.window)
        spoil(one)
    assert made == [[0, 0, 0], [0, 0, 1], [0, 1, 2], [1, 2, 3], [2, 3, 4]]
    assert told == ["1 of 3", "2 of 3", "", "", ""]


def test_presets_cameras_and_bursts_have_windows_of_their_own() -> None:
    gathering = Gathering(window=2)
    made = [
        ids(gathering.take(one).planes)
        for one in (
            frame(0, "FITC", t=0),
            frame(1, "Cy5", t=0),
            frame(2, "FITC", t=0, camera="B"),
            frame(3, "FITC", t=0, origin="burst", decision_id="d1"),
            frame(4, "FITC", t=1, origin="burst", decision_id="d1"),
            frame(5, "FITC", t=0, origin="burst", decision_id="d2"),
            frame(6, "FITC", t=1),
        )
    ]
    assert made == [[0, 0], [1, 1], [2, 2], [3, 3], [3, 4], [5, 5], [0, 6]]


@pytest.mark.parametrize("change", [{"x_um": 3.0}, {"shape": (4, 4)}])
def test_a_window_begins_anew_where_frames_would_not_lie_on_each_other(
    change: dict[str, Any],
) -> None:
    gathering = Gathering(window=2)
    gathering.take(frame(0, t=0))
    gathering.take(frame(1, t=1))
    told = gathering.take(frame(2, t=2, **change))
    assert (ids(told.planes), told.window) == ([2, 2], "1 of 2")
    gathering = Gathering(window=2)
    gathering.take(frame(0, t=0))
    assert ids(gathering.take(frame(1, t=1, x_um=0.4)).planes) == [0, 1], (
        "under a pixel"
    )


def test_the_place_that_was_seen_longest_ago_goes_and_this_is_told_once() -> None:
    gathering = Gathering(("DAPI", "FITC"), most_places=2)
    told = [gathering.take(frame(i, "DAPI", place=f"p{i}", t=0)) for i in range(4)]
    assert [t.incomplete for t in told] == [0, 0, 1, 1]
    assert [len(t.remarks) for t in told] == [0, 0, 1, 0]
    assert "at p0 is forgotten" in told[2].remarks[0]
    assert gathering.planes_held == 2


def test_the_present_place_is_kept_however_large_it_is() -> None:
    gathering = Gathering(window=2, most_bytes=1)
    gathering.take(frame(0, t=0))
    assert ids(gathering.take(frame(1, t=1)).planes) == [0, 1]
    gathering.take(frame(2, place="p1", t=1))
    assert ids(gathering.take(frame(3, t=2)).planes) == [3, 3]


def test_a_frame_of_another_channel_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="none of DAPI, FITC"):
        Gathering(("DAPI", "FITC")).take(frame(0, "Cy5"))


# place, round, channel: any frames may be lost, but rounds go on
FRAMES = st.lists(
    st.tuples(st.integers(0, 3), st.integers(0, 2), st.booleans()), max_size=60
)


def survey(lost: Sequence[tuple[int, int, bool]], channels: int) -> list[Frame]:
    """Frames of a survey over four places, but for those that are lost."""
    gone = {(p, c, i) for i, (p, c, there) in enumerate(lost) if not there}
    rounds = max(2, len(lost) // 4)
    made: list[Frame] = []
    for t in range(rounds):
        for p in range(4):
            made += [
                frame(len(made) + c, PRESETS[c], place=f"p{p}", t=t, p=p, c=c)
                for c in range(channels)
                if not any(g[:2] == (p, c) and g[2] % rounds == t for g in gone)
            ]
    return [
        frame(i, f.state.channel, place=f.place, **f.event.index)
        for i, f in enumerate(made)
    ]


@given(FRAMES, st.integers(1, 3), st.integers(1, 4))
def test_what_is_gathered(
    lost: list[tuple[int, int, bool]], channels: int, window: int
) -> None:
    """Against the plain way: all frames kept, looked up anew for each."""
    names = PRESETS[:channels]
    frames = survey(lost, channels)
    where = {f.frame_id: (f.place, f.event.index["t"], f.state.channel) for f in frames}
    known = {where: i for i, where in where.items()}
    gathering = Gathering(names if channels > 1 else (), window)
    incomplete = 0
    for i, one in enumerate(frames):
        place, t, _ = where[i]
        told = gathering.take(one)
        looked_at = ids(told.planes)
        spoil(one)
        incomplete += told.incomplete
        seen = [known[place, s, n] for s in range(t + 1) for n in names
                if known.get((place, s, n), i + 1) <= i]  # fmt: skip
        whole = [
            s
            for s in range(t + 1)
            if all(known.get((place, s, n)) in seen for n in names)
        ]
        if channels > 1 and t not in whole:
            assert told.planes is None
            assert told.waits_for == tuple(
                n for n in names if known.get((place, t, n)) not in seen
            )
            continue
        if channels == 1:
            # each channel of a plain survey has a window of its own
            whole = [s for s in range(t + 1) if (place, s, where[i][2]) in known]
        rounds = whole[-window:]
        rounds = [rounds[0]] * (window - len(rounds)) + rounds
        expected = [known[place, s, n] for n in names for s in rounds]
        assert looked_at == expected
        assert told.waits_for == ()
        assert bool(told.window) == (len(whole) < window)
    asked = {(w[0], w[1]) for w in where.values()}
    lacking = [(p, t) for p, t in asked if any((p, t, n) not in known for n in names)]
    still = {p: max(t for q, t in asked if q == p) for p, _ in asked}
    assert incomplete == sum(t < still[p] for p, t in lacking)


@given(
    st.lists(
        st.tuples(st.integers(0, 9), st.integers(0, 5), st.sampled_from(PRESETS)),
        max_size=80,
    ),
    st.integers(1, 3),
    st.integers(1, 4),
    st.integers(1, 4),
)
def test_what_is_kept_is_bounded_whatever_comes(
    came: list[tuple[int, int, str]], channels: int, window: int, places: int
) -> None:
    names = PRESETS[:channels]
    gathering = Gathering(names, window, most_places=places)
    for i, (place, t, channel) in enumerate(came):
        if channel not in names:
            continue
        told = gathering.take(frame(i, channel, place=f"p{place}", t=t))
        assert (told.planes is None) == bool(told.waits_for)
        assert gathering.planes_held <= places * (window * channels - 1)
        if told.planes is not None:
            assert len(told.planes.pixels) == window * channels
