"""Where the light of a point of the stage comes from, and what a mask covers."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smartscope.acquisition import SlmMap, StageMap, within
from smartscope.microscope import Microscope, open_microscope

ORIENTATIONS = [
    ((1.0, 0.0), (0.0, 1.0)),
    ((-1.0, 0.0), (0.0, 1.0)),
    ((0.0, 1.0), (-1.0, 0.0)),
    ((0.0, -1.0), (-1.0, 0.0)),
]
AFFINES = st.tuples(
    st.floats(0.5, 3),
    st.floats(0.5, 3),
    st.floats(0, 2 * math.pi),
    st.sampled_from([1, -1]),
    st.floats(-200, 200),
    st.floats(-200, 200),
).map(
    lambda v: (
        (v[0] * math.cos(v[2]), -v[1] * v[3] * math.sin(v[2]), v[4]),
        (v[0] * math.sin(v[2]), v[1] * v[3] * math.cos(v[2]), v[5]),
    )
)
POINTS = st.tuples(st.floats(-200, 200), st.floats(-200, 200))


def slm_map(affine: object, orientation: object, size: float = 0.5) -> SlmMap:
    return SlmMap(
        device="SLM",
        shape=(600, 800),
        affine=affine,  # type: ignore[arg-type]
        intensity=255,
        pixel_size_um=size,
        orientation=orientation,  # type: ignore[arg-type]
        stage_px=(255.5, 255.5),
    )


@given(AFFINES, st.sampled_from(ORIENTATIONS), POINTS, POINTS, st.floats(0.1, 2))
def test_there_and_back_is_the_same_point(
    affine: object,
    orientation: object,
    position: tuple[float, float],
    off: tuple[float, float],
    size: float,
) -> None:
    made = slm_map(affine, orientation, size)
    point = np.add(position, off)
    ((x, y),) = made.to_stage(made.to_slm([point], position), position)
    assert math.hypot(x - point[0], y - point[1]) < 0.5 * size


@given(AFFINES, st.sampled_from(ORIENTATIONS), POINTS, st.integers(0, 511), st.data())
def test_it_is_the_pixel_that_the_camera_shows(
    affine: object,
    orientation: object,
    position: tuple[float, float],
    row: int,
    data: st.DataObject,
) -> None:
    column = data.draw(st.integers(0, 511))
    made = slm_map(affine, orientation)
    stage_map = StageMap(0.5, orientation)  # type: ignore[arg-type]
    stage = stage_map.to_stage(np.array([[row, column]]), (512, 512), position)
    expected = np.asarray(affine) @ [column, row, 1]
    assert made.to_slm(stage, position)[0] == pytest.approx(expected, abs=0.5)


@given(
    AFFINES,
    st.sampled_from(ORIENTATIONS),
    POINTS,
    st.tuples(st.floats(100, 699), st.floats(100, 499)),
    st.floats(5, 15),
)
def test_the_mask_of_a_disc_lies_about_its_middle_and_has_its_area(
    affine: object,
    orientation: object,
    position: tuple[float, float],
    at: tuple[float, float],
    radius_um: float,
) -> None:
    made = slm_map(affine, orientation)
    middle = made.to_stage([at], position)
    mask, found = made.mask([(middle, radius_um)], position)
    rows, columns = np.nonzero(mask)
    assert found == [len(rows)]
    assert set(np.unique(mask)) == {0, 255}
    assert (columns.mean(), rows.mean()) == pytest.approx(at, abs=0.5)
    (a, b, _), (c, d, _) = made.affine
    area = math.pi * (radius_um / 0.5) ** 2 * abs(a * d - b * c)
    stretched = max(np.linalg.svd(np.asarray(made.affine)[:, :2])[1]) * radius_um / 0.5
    # the edge of a disc cuts about as many pixels as it is long
    assert abs(len(rows) - area) < 2 * math.pi * stretched


def test_the_stage_and_the_camera_are_respected() -> None:
    straight = slm_map(((1, 0, 0), (0, 1, 0)), ORIENTATIONS[0])
    mirrored = slm_map(((1, 0, 0), (0, 1, 0)), ORIENTATIONS[1])
    # 10 µm to the right of the stage are 20 pixels
    assert straight.to_slm([(110, 50)], (100, 50))[0] == pytest.approx((275.5, 255.5))
    assert mirrored.to_slm([(110, 50)], (100, 50))[0] == pytest.approx((235.5, 255.5))
    # with the stage that much farther the same point lies elsewhere
    assert straight.to_slm([(110, 50)], (110, 60))[0] == pytest.approx((255.5, 235.5))


def test_what_lies_outside_has_no_pixel() -> None:
    made = slm_map(((1, 0, 0), (0, 1, 0)), ORIENTATIONS[0])
    mask, found = made.mask([([(0, 0)], 5), ([(900, 0)], 5)], (0, 0))
    assert found[0] == np.count_nonzero(mask) > 0
    assert found[1] == 0


def test_an_outline_is_filled_and_grown() -> None:
    points = np.stack(np.meshgrid(np.arange(-9, 20.0), np.arange(-9, 20.0)), -1)
    points = points.reshape(-1, 2)
    # an L: 10 by 10 without its upper right quarter
    corners = np.array([[0, 0], [10, 0], [10, 5], [5, 5], [5, 10], [0, 10]], float)
    inside = {tuple(p) for p in points[within(points, corners, 0.0)].tolist()}
    assert (2, 8) in inside
    assert (8, 2) in inside
    assert (8, 8) not in inside
    assert (-1, 5) not in inside
    grown = {tuple(p) for p in points[within(points, corners, 2.0)].tolist()}
    assert inside < grown
    assert (-2, 5) in grown
    assert (-3, 5) not in grown
    assert (-2, -2) not in grown, "corners are round"


@pytest.fixture(scope="module")
def scope() -> object:
    with open_microscope("simulated", specimen={"time": "virtual"}) as scope:
        yield scope


@pytest.mark.parametrize(
    ("binning", "roi"), [(1, None), (2, None), (1, (64, 32, 256, 128))]
)
def test_binning_and_region_lead_to_the_same_mirror(
    scope: Microscope, binning: int, roi: tuple[int, int, int, int] | None
) -> None:
    core = scope.core
    core.setProperty("Camera", "Binning", binning)
    if roi is not None:
        core.setROI(*roi)
    made = scope.slm_map()
    core.clearROI()
    core.setProperty("Camera", "Binning", 1)
    assert made is not None
    assert made.pixel_size_um == pytest.approx(0.65)
    # the stage's position is what the middle of the camera's region shows
    x, y, width, height = roi or (0, 0, 512, 512)
    chip = (x + (width - 1) / 2, y + (height - 1) / 2)
    expected = np.asarray(made.affine) @ [*chip, 1]
    assert made.to_slm([(7, 8)], (7, 8))[0] == pytest.approx(expected)
