"""The microscope itself: its autofocus, its devices, and a focus that goes away."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError
from scipy.ndimage import gaussian_filter
from useq import MDAEvent

from smartscope.acquisition import Frame, FrameState
from smartscope.recognition import (
    Occurrence,
    OccurrenceRecognizer,
    OccurrenceSettings,
    Tracker,
    detections_at,
    watched,
)
from smartscope.recognition.occurrences.of_device import falls

PARSED: TypeAdapter[OccurrenceSettings] = TypeAdapter(OccurrenceSettings)
LOCKED = "autofocus.locked"
DARK = np.full((8, 8), 100, np.uint16)


class Watch:
    def __init__(self, kind: str, **rest: Any) -> None:
        self.tracker = Tracker()
        settings_ = {"it": PARSED.validate_python({"kind": kind, **rest})}
        self.recognizer = OccurrenceRecognizer(settings_)
        self.number = itertools.count()

    def see(
        self,
        measured: Mapping[str, float] | None = None,
        place: str = "p0",
        image: np.ndarray = DARK,
        z_um: float = 0.0,
        plane: int = 0,
    ) -> list[Occurrence]:
        i = next(self.number)
        state = FrameState(1, 2, z_um, 10, "FITC", 0.5, measured=measured or {})
        event = MDAEvent(index={"t": i, "z": plane})
        frame = Frame(image, event, i, 60.0 * i, 0.0, place, state)
        # through its header, as the analysis process and a replay get it
        frame = Frame.from_header(frame.header(), image)
        found = detections_at(frame, [])
        return self.recognizer.recognise(
            self.tracker.update(frame, found), self.tracker
        )


def test_an_autofocus_that_does_not_hold_is_told_once_at_each_place() -> None:
    watch = Watch("autofocus_unlocked", frames=2, of=3)
    told = []
    for locked in (1, 0, 1, 0, 0, 0, 1, 0, 0):
        told.append([len(watch.see({LOCKED: locked}, place)) for place in ("p0", "p1")])
        assert not watch.see({LOCKED: 1}, "p2")
    assert told == [[0, 0]] * 3 + [[1, 1]] + [[0, 0]] * 4 + [[1, 1]]


def test_frames_that_do_not_say_it_tell_nothing() -> None:
    watch = Watch("autofocus_unlocked", frames=1, of=1)
    assert not watch.see({})
    (it,) = watch.see({LOCKED: 0})
    assert (it.kind, it.place, it.track_ids) == ("autofocus_unlocked", "p0", ())
    assert not watch.see({})
    assert not watch.see({LOCKED: 0})


def test_a_property_is_one_thing_whatever_the_place() -> None:
    watch = Watch("property", device="Stove", property="T", above=38.0, hysteresis=0.02)
    values = [37, 38.5, 37.9, 38.6, 39, 37.9, 37.5, 37.2, 38.2, 38.3]
    told = [
        len(watch.see({"Stove.T": v, "Stove.Rate": 99}, f"p{i % 3}"))
        for i, v in enumerate(values)
    ]
    # in two of three looks; again after it was back by 2 % of 38
    assert told == [0, 0, 0, 1, 0, 0, 0, 0, 0, 1]


def test_what_is_watched_is_read_and_nothing_else() -> None:
    kinds = [
        PARSED.validate_python(k)
        for k in (
            {"kind": "property", "device": "A", "property": "x", "above": 1},
            {"kind": "property", "device": "A", "property": "x", "below": 0},
            {"kind": "count", "above": 1},
            {"kind": "focus_trend"},
        )
    ]
    assert watched(kinds) == ((("A", "x"),), False)
    unlocked = PARSED.validate_python({"kind": "autofocus_unlocked"})
    assert watched([*kinds, unlocked])[1]
    with pytest.raises(ValidationError, match="one of 'above' and 'below'"):
        PARSED.validate_python({"kind": "property", "device": "A", "property": "x"})


def blurred(sigma: float, seed: int) -> np.ndarray:
    rng = np.random.default_rng(3)
    points = np.zeros((96, 96))
    points[rng.integers(8, 88, 30), rng.integers(8, 88, 30)] = 40_000
    smooth = gaussian_filter(points, sigma) + 100
    return np.random.default_rng(seed).poisson(smooth).astype(np.uint16)


def test_a_focus_that_fades_is_told_before_it_is_lost_and_anew_after_a_move() -> None:
    fading = [2.0 + 0.03 * i for i in range(14)]
    trend = Watch("focus_trend", looks=6, fall=0.1, frames=2, of=2)
    lost = Watch("focus_lost", factor=0.5)
    told = [len(trend.see(image=blurred(s, i))) for i, s in enumerate(fading)]
    assert sum(told) == 1
    assert told.index(1) < 13
    assert not any(lost.see(image=blurred(s, i)) for i, s in enumerate(fading))
    # refocused: a jump is no trend, and the next one is told again
    again = [
        len(trend.see(image=blurred(s, i), z_um=1.5)) for i, s in enumerate(fading)
    ]
    assert again == told


def test_a_steady_focus_is_no_trend_and_each_plane_is_for_itself() -> None:
    watch = Watch("focus_trend", looks=6)
    for i in range(30):
        assert not watch.see(image=blurred(2.0, i), plane=0, z_um=0)
        assert not watch.see(image=blurred(3.0, i), plane=1, z_um=4)


@settings(max_examples=50)
@given(
    first=st.floats(0.05, 5),
    share=st.floats(-0.5, 0.9),
    n=st.integers(4, 20),
)
def test_a_line_falls_by_its_share(first: float, share: float, n: int) -> None:
    line = first * (1 - share * np.arange(n) / (n - 1))
    fall, error = falls(list(line))
    assert fall == pytest.approx(share, abs=1e-9)
    assert error == pytest.approx(0, abs=1e-6)
