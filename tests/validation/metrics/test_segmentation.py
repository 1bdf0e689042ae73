"""Masks and centres against the truth: definitions, bounds, symmetries."""

from __future__ import annotations

import itertools
import math

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist

from smartscope.validation import metrics

Labels = npt.NDArray[np.int64]
seeds = st.integers(0, 2**32 - 1)


def labels(seed: int, things: int = 5, size: int = 20) -> Labels:
    rng = np.random.default_rng(seed)
    image = np.zeros((size, size), np.int64)
    for name in range(1, things + 1):
        y, x = rng.integers(0, size - 3, 2)
        h, w = rng.integers(2, 7, 2)
        # gaps in the numbers are allowed
        image[y : y + h, x : x + w] = 3 * name
    return image


@given(seeds, seeds)
@settings(max_examples=40)
def test_the_matrix_is_that_of_its_definition(a: int, b: int) -> None:
    truth, found = labels(a), labels(b, 4)
    got = metrics.iou_matrix(truth, found)
    names, others = (np.unique(i[i > 0]) for i in (truth, found))
    assert got.shape == (len(names), len(others))
    for (i, n), (j, m) in itertools.product(enumerate(names), enumerate(others)):
        one, other = truth == n, found == m
        assert got[i, j] == (one & other).sum() / (one | other).sum()
    assert np.array_equal(got.T, metrics.iou_matrix(found, truth))


@given(seeds, seeds, st.permutations(range(1, 6)))
@settings(max_examples=30)
def test_numbers_of_labels_mean_nothing(a: int, b: int, order: list[int]) -> None:
    truth, found = labels(a), labels(b)
    table = np.zeros(16, np.int64)
    table[3:16:3] = np.asarray(order) * 7
    first = metrics.match(metrics.iou_matrix(truth, found), 0.3)
    second = metrics.match(metrics.iou_matrix(truth, table[found]), 0.3)
    assert first.record() == pytest.approx(second.record())


@given(seeds, seeds, st.floats(0.05, 1))
@settings(max_examples=40)
def test_bounds_symmetry_and_how_the_numbers_hang_together(
    a: int, b: int, threshold: float
) -> None:
    overlaps = metrics.iou_matrix(labels(a), labels(b, 4))
    one, other = (
        metrics.match(overlaps, threshold),
        metrics.match(overlaps.T, threshold),
    )
    assert (one.tp, one.fp, one.fn) == (other.tp, other.fn, other.fp)
    assert (one.precision, one.recall) == (other.recall, other.precision)
    assert one.panoptic_quality == pytest.approx(other.panoptic_quality)
    assert 0 <= one.ap <= one.f1 <= 1
    assert one.panoptic_quality <= one.f1 + 1e-12
    assert one.f1 == pytest.approx(2 * one.ap / (1 + one.ap))
    assert all(overlaps[pair] >= threshold for pair in one.pairs)


@given(seeds, st.integers(1, 4), st.integers(1, 4), st.floats(0.1, 0.9))
@settings(max_examples=60)
def test_no_other_pairing_is_better(
    seed: int, rows: int, columns: int, threshold: float
) -> None:
    overlaps = np.random.default_rng(seed).random((rows, columns))
    got = metrics.match(overlaps, threshold)
    wide = overlaps if rows <= columns else overlaps.T
    best = max(
        (sum(v >= threshold for v in values), sum(v for v in values if v >= threshold))
        for chosen in itertools.permutations(range(wide.shape[1]), wide.shape[0])
        for values in [[wide[i, j] for i, j in enumerate(chosen)]]
    )
    assert (got.tp, sum(got.overlaps)) == (best[0], pytest.approx(best[1]))


def test_a_greedy_pairing_would_lose_one() -> None:
    # the best overlap of all would take the only partner of the second
    overlaps = np.array([[0.60, 0.55], [0.58, 0.0]])
    got = metrics.match(overlaps, 0.5)
    assert got.pairs == ((0, 1), (1, 0))


@given(seeds, seeds)
@settings(max_examples=20)
def test_ap_falls_with_the_threshold(a: int, b: int) -> None:
    told = metrics.average_precision(labels(a), labels(b))
    assert list(told) == list(metrics.THRESHOLDS)
    values = list(told.values())
    assert values == sorted(values, reverse=True)
    perfect = metrics.average_precision(labels(a), labels(a))
    assert set(perfect.values()) == {1.0}


def test_ap_by_hand() -> None:
    truth = np.zeros((10, 10), int)
    truth[0:4, 0:4], truth[6:10, 6:10] = 1, 2
    found = np.zeros_like(truth)
    found[0:4, 0:3], found[6:10, 0:2] = 1, 2  # IoU 12/16, and a false one
    told = metrics.average_precision(truth, found, [0.5, 0.7, 0.8])
    assert told == {0.5: pytest.approx(1 / 3), 0.7: pytest.approx(1 / 3), 0.8: 0}
    got = metrics.match(metrics.iou_matrix(truth, found))
    assert got.panoptic_quality == pytest.approx(0.75 / (1 + 0.5 + 0.5))
    assert (got.precision, got.recall, got.f1) == (0.5, 0.5, 0.5)


def test_nothing_to_find() -> None:
    empty, some = np.zeros((9, 9), int), labels(1, 2, 9)
    none = metrics.match(metrics.iou_matrix(empty, empty))
    assert (none.precision, none.recall, none.f1, none.ap) == (1, 1, 1, 1)
    assert none.panoptic_quality == 1
    missed = metrics.match(metrics.iou_matrix(some, empty))
    assert (missed.recall, missed.ap, missed.precision) == (0, 0, 1)
    assert metrics.match(metrics.iou_matrix(empty, some)).f1 == 0
    assert metrics.dice(empty, empty) == metrics.iou(empty, empty) == 1
    assert metrics.hausdorff(empty, empty) == 0
    assert metrics.hausdorff(empty, some) == math.inf


@given(seeds, seeds)
@settings(max_examples=30)
def test_masks_against_formulas_of_others(a: int, b: int) -> None:
    truth, found = labels(a, 2), labels(b, 2)
    overlap = metrics.iou(truth, found)
    assert metrics.dice(truth, found) == pytest.approx(2 * overlap / (1 + overlap))
    assert metrics.dice(truth, found) == metrics.dice(found, truth)
    apart = cdist(np.argwhere(truth), np.argwhere(found))
    wanted = max(apart.min(axis=0).max(), apart.min(axis=1).max())
    assert metrics.hausdorff(truth, found) == pytest.approx(wanted)
    assert metrics.hausdorff(found, truth) == pytest.approx(wanted)
    assert metrics.hausdorff(truth, truth) == 0


@given(seeds, st.floats(-100, 100), st.floats(-100, 100))
@settings(max_examples=30)
def test_centres_are_paired_by_distance_alone(seed: int, dx: float, dy: float) -> None:
    rng = np.random.default_rng(seed)
    truth, found = rng.random((6, 2)) * 20, rng.random((5, 2)) * 20
    one = metrics.match_points(truth, found, 4.0)
    by = np.array([dx, dy])
    moved = metrics.match_points(truth + by, found + by, 4.0)
    assert (one.tp, one.fp, one.fn) == (moved.tp, moved.fp, moved.fn)
    for i, j in one.pairs:
        assert math.dist(truth[i], found[j]) <= 4.0
    assert metrics.match_points(truth, truth, 0.1).f1 == 1
    assert metrics.match_points(truth, np.zeros((0, 2)), 4.0).recall == 0


def test_a_second_centre_in_a_thing_is_false() -> None:
    truth = np.zeros((20, 20), int)
    truth[2:8, 2:8], truth[12:18, 12:18] = 1, 5
    centres = np.array([[4.0, 4.0], [5.0, 5.0], [10.0, 10.0], [14.0, 14.0]])
    got = metrics.match_centres(truth, centres)
    assert (got.tp, got.fp, got.fn) == (2, 2, 0)
    assert metrics.match_centres(truth, np.array([[-3.0, 4.0]])).tp == 0


@pytest.mark.parametrize("wrong", [np.zeros((3, 3)), np.full((3, 3), -1)])
def test_what_are_no_labels_is_refused(wrong: npt.NDArray[np.generic]) -> None:
    with pytest.raises(ValueError, match="whole numbers"):
        metrics.iou_matrix(wrong, wrong)


def test_other_shapes_and_thresholds_are_refused() -> None:
    with pytest.raises(ValueError, match="one shape"):
        metrics.iou_matrix(labels(1), labels(1, 2, 9))
    with pytest.raises(ValueError, match="above 0"):
        metrics.match(np.eye(2), 0)
    with pytest.raises(ValueError, match="above 0"):
        metrics.match_points(np.zeros((1, 2)), np.zeros((1, 2)), 0)
