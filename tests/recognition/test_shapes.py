"""Shape, texture and ratio of things, against what they were drawn as."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from useq import MDAEvent

from smartscope.acquisition import Frame, FrameState
from smartscope.recognition import (
    Companions,
    Detections,
    Pair,
    RatioSettings,
    Tracker,
)
from smartscope.recognition.heads.measure import measure_around
from smartscope.recognition.shapes import measure_shapes

ALL = ("elongation", "solidity", "texture")
Image = npt.NDArray[np.float64]
CENTRE = (60.0, 64.0)


def ellipse(a: float, b: float, angle: float = 0.0) -> npt.NDArray[np.bool_]:
    rows, columns = np.indices((128, 128))
    y, x = rows - CENTRE[0], columns - CENTRE[1]
    u = x * math.cos(angle) + y * math.sin(angle)
    v = y * math.cos(angle) - x * math.sin(angle)
    return (u / a) ** 2 + (v / b) ** 2 <= 1


def found(mask: npt.NDArray[np.bool_], *, labelled: bool = True) -> Detections:
    rows, columns = np.nonzero(mask)
    box = [rows.min(), columns.min(), rows.max() + 1, columns.max() + 1]
    return Detections(
        centers_px=np.array([[rows.mean(), columns.mean()]], np.float32),
        centers_um=np.zeros((1, 2)),
        score=np.ones(1, np.float32),
        class_id=np.zeros(1, np.int32),
        boxes_px=np.array([box], np.float32),
        area_px=np.array([len(rows)], np.float32),
        intensity=np.ones(1, np.float32),
        labels=mask.astype(np.int32) if labelled else None,
    )


@given(a=st.floats(20, 30), share=st.floats(0.3, 1.0), angle=st.floats(0, math.pi))
def test_an_ellipse_is_as_long_as_it_was_drawn(
    a: float, share: float, angle: float
) -> None:
    mask = ellipse(a, a * share, angle)
    shapes = measure_shapes(mask * 100.0, found(mask), ALL)
    assert shapes.elongation[0] == pytest.approx(1 / share, rel=0.06)
    # the steps of its outline cost the more, the thinner it is: here 12 pixels
    assert 0.82 < shapes.solidity[0] <= 1


def test_what_is_dented_is_less_solid() -> None:
    whole = ellipse(20, 20)
    dented = whole & ~np.roll(ellipse(12, 12), 16, axis=1)
    values = [
        float(measure_shapes(m * 100.0, found(m), ALL).solidity[0])
        for m in (whole, dented)
    ]
    # against the true hull: a circle cut by another leaves a crescent
    from skimage.morphology import convex_hull_image

    for mask, value in zip((whole, dented), values, strict=True):
        hull = convex_hull_image(mask)  # type: ignore[no-untyped-call]
        assert value == pytest.approx(mask.sum() / hull.sum(), abs=0.04)
    assert values[1] < values[0] - 0.1


def test_texture_is_the_variation_over_the_background() -> None:
    rng = np.random.default_rng(1)
    mask = ellipse(20, 20)
    image = 50.0 + mask * 200.0
    assert measure_shapes(image, found(mask), ALL).texture[0] == pytest.approx(
        0, abs=1e-3
    )
    rough = image + mask * rng.normal(0, 40, image.shape)
    assert measure_shapes(rough, found(mask), ALL).texture[0] == pytest.approx(
        0.2, rel=0.1
    )
    dark = 50.0 - mask * 20.0
    assert np.isnan(measure_shapes(dark, found(mask), ALL).texture[0])


def test_without_labels_things_are_outlined_by_their_brightness() -> None:
    mask = ellipse(14, 8, 0.5)
    image = 100.0 + mask * 300.0
    one, other = (
        measure_shapes(image, found(mask, labelled=way), ALL) for way in (True, False)
    )
    assert other.elongation[0] == pytest.approx(one.elongation[0], rel=0.1)
    assert other.solidity[0] == pytest.approx(one.solidity[0], abs=0.05)


def test_the_ratio_is_per_light_and_less_each_background() -> None:
    mask = ellipse(10, 10)
    upper, lower = 300.0 + mask * 80.0, 120.0 + mask * 50.0
    pair = Pair(upper, lower, (40.0, 10.0))
    shapes = measure_shapes(upper, found(mask), (), pair)
    # 80 counts in 40 ms against 50 in 10 ms
    assert shapes.ratio[0] == pytest.approx(80 / 40 / (50 / 10), rel=1e-4)
    assert np.isnan(shapes.elongation[0]), "nobody asked for it"
    nothing = Pair(upper, np.full_like(lower, 120.0), (40.0, 10.0))
    assert np.isnan(measure_shapes(upper, found(mask), (), nothing).ratio[0])


@given(st.lists(st.tuples(st.floats(-5, 133), st.floats(-5, 133), st.floats(1, 60))))
def test_whatever_is_found_is_measured_or_left_open(
    things: list[tuple[float, float, float]],
) -> None:
    """Things at and beyond the edge, of any size, beside each other."""
    n = len(things)
    at = np.array([t[:2] for t in things], np.float32).reshape(-1, 2)
    image = np.random.default_rng(0).integers(0, 500, (128, 128)).astype(np.uint16)
    some = Detections(
        centers_px=at,
        centers_um=at.astype(float),
        score=np.ones(n, np.float32),
        class_id=np.zeros(n, np.int32),
        boxes_px=np.zeros((n, 4), np.float32),
        area_px=np.array([t[2] ** 2 for t in things], np.float32),
        intensity=np.ones(n, np.float32),
    )
    shapes = measure_shapes(image, some, ALL, Pair(image, image, (1.0, 2.0)))
    for values in (shapes.elongation, shapes.solidity, shapes.texture, shapes.ratio):
        assert values.shape == (n,)
    there = ~np.isnan(shapes.elongation)
    assert (there == ~np.isnan(shapes.solidity)).all()
    assert there[((at >= 0) & (at <= 127)).all(axis=1)].all()
    assert (shapes.elongation[there] >= 1 - 1e-5).all()
    assert ((shapes.solidity[there] > 0) & (shapes.solidity[there] <= 1)).all()


def frame(
    channel: str, index: dict[str, int], at: float = 0.0, **state: float
) -> Frame:
    pixels = np.full((64, 64), 10 if channel == "DAPI" else 20, np.uint16)
    given_state = FrameState(at, 0.0, 0.0, state.get("ms", 10.0), channel, 0.5)
    return Frame(pixels, MDAEvent(index=index), 0, 0.0, 0.0, "p0", given_state)


def test_a_ratio_is_of_one_visit_and_of_one_field() -> None:
    kept = Companions(RatioSettings(numerator="FITC", denominator="DAPI"))
    assert kept.take(frame("DAPI", {"t": 0, "c": 0}, ms=5.0)) is None
    pair = kept.take(frame("FITC", {"t": 0, "c": 1}))
    assert pair is not None
    assert (pair.numerator[0, 0], pair.denominator[0, 0]) == (20, 10)
    assert pair.light == (10.0, 5.0)
    # of the next visit nothing is known before both have come
    assert kept.take(frame("FITC", {"t": 1, "c": 1})) is None
    assert kept.take(frame("DAPI", {"t": 2, "c": 0})) is None
    assert kept.take(frame("FITC", {"t": 2, "c": 1}, at=3.0)) is None, "stage moved"


def test_pixels_are_kept_as_they_were() -> None:
    kept = Companions(RatioSettings(numerator="FITC", denominator="DAPI"))
    first = frame("DAPI", {"t": 0, "c": 0})
    kept.take(first)
    first.pixels[:] = 0  # the next frame lies where this one was
    pair = kept.take(frame("FITC", {"t": 0, "c": 1}))
    assert pair is not None
    assert (pair.denominator == 10).all()


def test_tracks_tell_what_is_measured_and_nothing_else() -> None:
    mask = ellipse(12, 6)
    pixels = (100 + mask * 300).astype(np.uint16)
    for asked in ((), ("elongation",)):
        tracker = Tracker(measured=asked)
        for i in range(4):
            state = FrameState(0.0, 0.0, 0.0, 10.0, "FITC", 0.5)
            shown = Frame(pixels, MDAEvent(), i, 60.0 * i, 0.0, "p0", state)
            at = np.array([[60.0, 64.0]], np.float32)
            measured = measure_around(pixels, at, 12)
            things = Detections(
                centers_px=at,
                centers_um=np.array([[3.0 * i, 0.0]]),
                score=np.array([0.8], np.float32),
                class_id=np.zeros(1, np.int32),
                boxes_px=measured.boxes_px,
                area_px=measured.area_px,
                intensity=measured.intensity,
            )
            tracker.update(shown, things)
        (track,) = tracker.tracks("p0").values()
        assert track.speed_um_per_min == pytest.approx(3.0)
        assert track.area_um2 == pytest.approx(measured.area_px[0] / 4)
        record = track.to_record()
        assert record["score"] == pytest.approx(0.8, abs=1e-4)
        assert record["label"] == "object"
        assert ("elongation" in record) == bool(asked)
        assert not {"solidity", "texture", "ratio"} & record.keys()
    assert track.elongation == pytest.approx(2, rel=0.15)
