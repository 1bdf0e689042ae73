"""StageMap: pixel → µm → pixel is the identity, turned and mirrored too."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smartscope.acquisition import StageMap

ORIENTATIONS = [
    ((1.0, 0.0), (0.0, 1.0)),
    ((-1.0, 0.0), (0.0, 1.0)),
    ((0.0, 1.0), (1.0, 0.0)),
    ((0.0, -1.0), (1.0, 0.0)),
    ((0.8, 0.6), (0.6, -0.8)),
]
PIXELS = st.lists(st.tuples(st.floats(-10, 3000), st.floats(-10, 3000)), max_size=20)


@given(
    PIXELS,
    st.floats(0.01, 20),
    st.sampled_from(ORIENTATIONS),
    st.tuples(st.integers(1, 3000), st.integers(1, 3000)),
    st.tuples(st.floats(-1e4, 1e4), st.floats(-1e4, 1e4)),
)
def test_there_and_back(
    pixels: list[tuple[float, float]],
    size_um: float,
    orientation: tuple[tuple[float, float], tuple[float, float]],
    shape: tuple[int, int],
    position: tuple[float, float],
) -> None:
    stage_map = StageMap(size_um, orientation)
    given_px = np.asarray(pixels, float).reshape(-1, 2)
    stage = stage_map.to_stage(given_px, shape, position)
    assert stage.shape == given_px.shape
    back = stage_map.to_pixels(stage, shape, position)
    np.testing.assert_allclose(back, given_px, atol=1e-6)


def test_the_centre_is_the_position_and_axes_are_not_confused() -> None:
    stage_map = StageMap(0.5, ((-1.0, 0.0), (0.0, 1.0)))
    px = np.array([[49.5, 99.5], [49.5, 101.5], [59.5, 99.5]])
    um = stage_map.to_stage(px, (100, 200), (10.0, 20.0))
    # two columns to the right are 1 µm to smaller x: the camera is mirrored
    np.testing.assert_allclose(um, [[10, 20], [9, 20], [10, 25]])


@pytest.mark.parametrize("size", [0, -1, float("nan")])
def test_a_pixel_without_size_is_refused(size: float) -> None:
    with pytest.raises(ValueError, match="pixel size"):
        StageMap(size)
