"""Components: one row for each thing that hangs together, measured as it is."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from smartscope.recognition.heads.components import decode_components, label_components

ROWS, COLUMNS = np.indices((80, 100))


def disc(row: float, column: float, radius: float) -> np.ndarray:
    return (ROWS - row) ** 2 + (COLUMNS - column) ** 2 <= radius**2


@given(
    hnp.arrays(
        np.float32,
        hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=24),
        elements=st.floats(0, 1, width=32),
    ),
    st.one_of(st.none(), st.floats(1, 12)),
)
def test_every_pixel_above_belongs_to_one_thing_and_every_thing_has_pixels(
    image: np.ndarray, seed_distance: float | None
) -> None:
    labels, n = label_components(image, 0.5, seed_distance)
    np.testing.assert_array_equal(labels > 0, image > 0.5)
    assert set(np.unique(labels[labels > 0])) == set(range(1, n + 1))
    pixels = np.ones(image.shape, np.uint16)
    centers, score, measured = decode_components(labels, n, image, pixels, (1.0, 1.0))
    assert centers.shape == (n, 2)
    assert len(score) == len(measured.area_px) == len(measured.intensity) == n
    assert measured.area_px.sum() == (image > 0.5).sum()
    assert ((score > 0.5) & (score <= 1)).all()
    boxes = measured.boxes_px
    assert (boxes[:, :2] <= centers).all()
    assert (centers <= boxes[:, 2:] - 1 + 1e-4).all()


def test_measured_as_planted() -> None:
    things = [(20, 30, 6), (50, 70, 9)]
    image = np.zeros(ROWS.shape, np.float32)
    pixels = np.full(ROWS.shape, 100, np.uint16)
    for (row, column, radius), light in zip(things, (50, 200), strict=True):
        image[disc(row, column, radius)] = 0.9
        pixels[disc(row, column, radius)] += np.uint16(light)
    labels, n = label_components(image, 0.5)
    centers, score, measured = decode_components(labels, n, image, pixels, (1.0, 1.0))
    np.testing.assert_allclose(centers, [[20, 30], [50, 70]], atol=1e-3)
    np.testing.assert_allclose(score, 0.9, atol=1e-6)
    np.testing.assert_allclose(measured.intensity, [50, 200])
    np.testing.assert_array_equal(
        measured.boxes_px, [[14, 24, 27, 37], [41, 61, 60, 80]]
    )
    assert measured.area_px.tolist() == [disc(*t).sum() for t in things]


def test_touching_things_are_split_where_asked() -> None:
    image = (disc(40, 40, 10) | disc(40, 57, 10)).astype(np.float32)
    assert label_components(image, 0.5)[1] == 1
    labels, n = label_components(image, 0.5, 8.0)
    assert n == 2
    assert labels[40, 40] != labels[40, 57]


@pytest.mark.parametrize("axes", [(10, 10), (7, 14), (4, 16)])
def test_one_thing_is_not_split(axes: tuple[int, int]) -> None:
    image = ((ROWS - 40) / axes[0]) ** 2 + ((COLUMNS - 50) / axes[1]) ** 2 <= 1
    assert label_components(image.astype(np.float32), 0.5, 8.0)[1] == 1


def test_a_map_of_half_the_size() -> None:
    image = np.zeros((20, 30), np.float32)
    image[5:8, 10:14] = 0.8
    pixels = np.full((40, 60), 10, np.uint16)
    pixels[10:16, 20:28] = 60
    labels, n = label_components(image, 0.5)
    centers, _, measured = decode_components(labels, n, image, pixels, (2.0, 2.0))
    np.testing.assert_allclose(centers, [[12.5, 23.5]])
    np.testing.assert_array_equal(measured.boxes_px, [[10, 20, 16, 28]])
    assert measured.area_px.tolist() == [48]
    assert measured.intensity.tolist() == [50]
