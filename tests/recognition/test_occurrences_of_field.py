"""The field as a whole: how much is in it, how full, bright, sharp and late it is."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter
from scipy.ndimage import gaussian_filter
from useq import MDAEvent

from smartscope.acquisition import Frame, FrameState
from smartscope.recognition import (
    Occurrence,
    OccurrenceRecognizer,
    OccurrenceSettings,
    Tracker,
    detections_at,
)

PARSED: TypeAdapter[OccurrenceSettings] = TypeAdapter(OccurrenceSettings)
Image = npt.NDArray[np.uint16]


class Watch:
    def __init__(self, kind: str, **rest: Any) -> None:
        self.tracker = Tracker()
        settings = {"it": PARSED.validate_python({"kind": kind, **rest})}
        self.recognizer = OccurrenceRecognizer(settings)
        self.number = itertools.count()

    def see(
        self,
        image: Image,
        things: int = 0,
        *,
        exposure_ms: float = 10.0,
        place: str = "p0",
        channel: str = "FITC",
        at_s: float | None = None,
    ) -> list[Occurrence]:
        i = next(self.number)
        state = FrameState(30.0, -20.0, 0.0, exposure_ms, channel, 0.5)
        time_s = 60.0 * i if at_s is None else at_s
        frame = Frame(image, MDAEvent(), i, time_s, 0.0, place, state, bit_depth=12)
        centers = [(20.0 + 12 * k, 40.0) for k in range(things)]
        found = detections_at(frame, centers)
        return self.recognizer.recognise(
            self.tracker.update(frame, found), self.tracker
        )


def specimen(sharp: float = 1.0, level: float = 1.0, seed: int = 0) -> Image:
    """Draw filaments over an offset of 100, with the noise of a camera."""
    rng = np.random.default_rng(7)
    lines = np.zeros((128, 128))
    for _ in range(12):
        (r, c), angle = rng.uniform(10, 118, 2), rng.uniform(0, np.pi)
        for t in np.linspace(-50, 50, 300):
            y, x = int(r + t * np.sin(angle)), int(c + t * np.cos(angle))
            if 0 <= y < 128 and 0 <= x < 128:
                lines[y, x] = 1
    image = gaussian_filter(lines, sharp) * 3000 * level
    noise = np.random.default_rng(seed)
    return (noise.poisson(image) + noise.normal(100, 3, image.shape)).clip(
        0, 4095
    ).astype(np.uint16)  # fmt: skip


EMPTY = np.full((128, 128), 100, np.uint16)


def test_a_field_with_too_few_things_is_told_once_until_they_are_back() -> None:
    watch = Watch("count", below=3)
    counts = [5, 5, 2, 2, 2, 1, 3, 4, 5, 2, 2]
    told = [o for n in counts for o in watch.see(EMPTY, n)]
    assert [o.onset_s / 60 for o in told] == [2, 9]
    assert (told[0].x_um, told[0].y_um, told[0].track_ids) == (30.0, -20.0, ())


def test_each_place_and_channel_is_counted_apart() -> None:
    watch = Watch("count", above=2, frames=2, of=2)
    told = []
    for i in range(4):
        for place, channel in itertools.product(("p0", "p1"), ("FITC", "DAPI")):
            things = 4 if (place, channel) == ("p1", "DAPI") and i else 1
            told += watch.see(EMPTY, things, place=place, channel=channel)
    assert [o.place for o in told] == ["p1"]


def test_confluence_is_the_share_that_things_cover() -> None:
    share = 9 * np.pi * 64 / 128**2
    bright = EMPTY.copy()
    told = [
        o for n in (1, 1, 9, 9) for o in Watch("confluence", above=0.9).see(bright, n)
    ]
    assert told == []
    watch = Watch("confluence", above=share / 4)
    for k in range(9):
        rows, columns = np.ogrid[:128, :128]
        bright[(rows - 20 - 12 * k) ** 2 + (columns - 40) ** 2 < 25] = 3000
    told = [o for n in (1, 1, 9, 9, 9) for o in watch.see(bright, n)]
    assert [o.onset_s / 60 for o in told] == [2]


def test_saturation_is_of_the_cameras_own_bits() -> None:
    image = EMPTY.copy()
    image[:20] = 4095
    watch = Watch("saturation", above=0.1, frames=1, of=1)
    assert watch.see(EMPTY) == []
    assert len(watch.see(image)) == 1
    image[:20] = 4094
    assert watch.see(image) == []


def test_a_dropout_of_the_light_is_told_and_a_shorter_exposure_is_none() -> None:
    watch = Watch("dropout")
    lit, short = specimen(), specimen(level=0.25)
    told = [o for _ in range(4) for o in watch.see(lit)]
    told += [o for _ in range(3) for o in watch.see(short, exposure_ms=2.5)]
    assert told == []
    told = [o for _ in range(3) for o in watch.see(EMPTY)]
    told += [o for _ in range(3) for o in watch.see(lit)]
    assert [o.onset_s / 60 for o in told] == [7]


def test_focus_lost_is_told_at_any_brightness_and_bleaching_is_none() -> None:
    watch = Watch("focus_lost")
    told = [o for i in range(10) for o in watch.see(specimen(1.0, 0.9**i, seed=i))]
    assert told == []
    blurred = [specimen(4.0, 0.4, seed=i) for i in range(20, 24)]
    told = [o for image in blurred for o in watch.see(image)]
    assert [o.onset_s / 60 for o in told] == [10]


def test_a_field_that_looks_unlike_before_is_told_and_noise_is_none() -> None:
    watch = Watch("field_change")
    told = [o for i in range(8) for o in watch.see(specimen(seed=i))]
    assert told == []
    turned = [np.ascontiguousarray(specimen(level=2, seed=i)[::-1]) for i in range(3)]
    told = [o for image in turned for o in watch.see(image)]
    assert [o.onset_s / 60 for o in told] == [8]


def test_a_late_visit_is_told_when_it_comes() -> None:
    watch = Watch("overrun", longer_than_s=70.0)
    times = [0, 60, 120, 200, 260, 400]
    told = [o for t in times for o in watch.see(EMPTY, at_s=float(t))]
    assert [o.seen_s for o in told] == [200, 400]


KINDS: list[dict[str, Any]] = [
    {"kind": "count", "above": 2},
    {"kind": "saturation", "above": 0.1},
    {"kind": "dropout"},
    {"kind": "focus_lost"},
    {"kind": "field_change"},
    {"kind": "overrun", "longer_than_s": 1.0},
]


@pytest.mark.parametrize("kind", KINDS, ids=lambda k: str(k["kind"]))
@given(
    frames=st.lists(
        st.tuples(st.sampled_from([0, 100, 4095]), st.integers(0, 4), st.booleans()),
        max_size=25,
    )
)
def test_any_field_is_looked_at_without_failing_and_told_in_order(
    kind: dict[str, Any], frames: list[tuple[int, int, bool]]
) -> None:
    watch = Watch(**kind)
    for i, (level, things, lit) in enumerate(frames):
        image = np.full((33, 20), level, np.uint16)
        told = watch.see(image, things, exposure_ms=10.0 if lit else 0.0)
        assert len(told) <= 1
        for o in told:
            assert o.onset_s <= o.seen_s == 60.0 * i
            assert 0 < o.confidence <= 1
