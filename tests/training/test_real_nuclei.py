"""Nuclei of images among drawn divisions: they rest, and make room."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from smartscope.training.divisions import DivisionMovies, RealNuclei
from smartscope.training.divisions.lives import Dividing, Dying, Resting
from smartscope.training.divisions.real import guests, real_field
from smartscope.training.divisions.scene import Scene, SceneDrawer
from smartscope.training.labelled import Labelled


def labelled(name: str = "discs", things: int = 16, seed: int = 3) -> Labelled:
    """Draw discs of 400 counts on a ground of 100."""
    rng = np.random.default_rng(seed)
    labels = np.zeros((160, 160), np.int32)
    ys, xs = np.indices(labels.shape)
    for number in range(1, things + 1):
        row, column = divmod(number - 1, 4)
        y, x = 22 + 38 * row, 22 + 38 * column
        labels[np.hypot(ys - y, xs - x) <= 9] = number
    image = 100 + 300.0 * (labels > 0) + rng.normal(0, 4, labels.shape)
    return Labelled(name, image.astype(np.uint16), labels, "0" * 64)


def test_an_image_is_brought_to_the_light_of_a_usual_nucleus() -> None:
    (one,) = RealNuclei.of([labelled()])
    assert one.diameter_px == pytest.approx(18, abs=0.5)
    assert np.median(one.signal[one.labels > 0]) == pytest.approx(1, abs=0.02)
    assert np.median(one.signal[one.labels == 0]) == pytest.approx(0, abs=0.02)


def test_an_image_with_too_few_nuclei_or_without_contrast_is_left_out() -> None:
    dark = labelled("dark")
    flat = Labelled("flat", np.full_like(dark.image, 7), dark.labels, "1" * 64)
    assert RealNuclei.of([labelled("two", things=2), flat]) == ()


def test_guests_are_those_that_do_not_rest() -> None:
    drawer = SceneDrawer(np.random.default_rng(11), 200, 3)
    scene = drawer.drawn(2)
    kept = guests(scene)
    assert kept.divisions == scene.divisions
    assert sum(isinstance(life, Dividing) for life in kept.lives) >= 2
    large = [
        life
        for life in kept.lives
        if isinstance(life, Resting) and life.look.a > 0.5 * scene.diameter_px
    ]
    assert not large
    dying = [isinstance(life, Dying) for life in scene.lives]
    assert sum(isinstance(life, Dying) for life in kept.lives) == sum(dying)


@given(st.integers(0, 500))
@settings(max_examples=20, deadline=None)
def test_no_real_nucleus_lies_where_a_guest_is(seed: int) -> None:
    (nuclei,) = RealNuclei.of([labelled()])
    rng = np.random.default_rng(seed)
    drawer = SceneDrawer(rng, 96, 3)
    scene = guests(drawer.drawn(1))
    field = real_field(rng, nuclei, scene, (3, 96, 96))
    assert field.shape == (3, 96, 96)
    assert np.isfinite(field).all()
    for life in scene.lives:
        for part in life.parts(2):
            at = (round(part.row), round(part.column))
            if all(0 <= n < 96 for n in at):
                assert abs(field[2][at]) < 0.5


def test_real_nuclei_are_seen_and_drift_little_from_frame_to_frame() -> None:
    (nuclei,) = RealNuclei.of([labelled()])
    seen = []
    for seed in range(8):
        rng = np.random.default_rng(seed)
        nothing = Scene((), (), 18.0)
        field = real_field(rng, nuclei, nothing, (3, 96, 96))
        parts, number = ndimage.label(ndimage.gaussian_filter(field[2], 1) > 0.5)
        seen.append(number)
        kept = np.corrcoef(field[1].ravel(), field[2].ravel())[0, 1]
        assert kept > 0.5
        assert parts.shape == (96, 96)
    assert np.median(seen) >= 4


def test_windows_among_real_nuclei_are_whole_counts_and_points_inside() -> None:
    source = DivisionMovies(3, RealNuclei.of([labelled()]))
    points = 0
    for number in range(16):
        frames, at = source.draw(np.random.default_rng([8, number]), 64)
        assert frames.shape == (3, 64, 64)
        assert np.array_equal(frames, np.rint(frames))
        assert frames.min() >= 0
        assert ((at >= -0.5) & (at <= 63.5)).all()
        points += len(at)
    assert points >= 3
