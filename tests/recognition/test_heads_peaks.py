"""Peaks: what was planted comes back, once each, to a fraction of a pixel."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from smartscope.inference import Candidates
from smartscope.inference.heads.peaks import find_candidates
from smartscope.recognition.heads.peaks import decode_peaks

SHAPE = (96, 120)
ROWS, COLUMNS = np.indices(SHAPE)


@st.composite
def planted(draw: st.DrawFn) -> list[tuple[float, float]]:
    """Centres on a jittered grid: at least 14 pixels apart, 10 from the edge."""
    cells = draw(
        st.lists(
            st.tuples(st.integers(0, 3), st.integers(0, 4)), max_size=12, unique=True
        )
    )
    jitter = st.floats(-3, 3)
    return [(15 + 20 * r + draw(jitter), 15 + 20 * c + draw(jitter)) for r, c in cells]


def bumps(centers: list[tuple[float, float]], sigma: float) -> np.ndarray:
    image = np.zeros(SHAPE)
    for i, (row, column) in enumerate(centers):
        bump = np.exp(-((ROWS - row) ** 2 + (COLUMNS - column) ** 2) / (2 * sigma**2))
        image = np.maximum(image, (0.7 + 0.02 * i) * bump)
    return image.astype(np.float32)


@given(planted(), st.floats(1.5, 3))
def test_planted_peaks_come_back(
    centers: list[tuple[float, float]], sigma: float
) -> None:
    found, score = decode_peaks(
        find_candidates(bumps(centers, sigma), 0.4), (1.0, 1.0), 6.0
    )
    assert len(found) == len(centers) == len(score)
    assert found.shape == (len(centers), 2)
    assert (np.diff(score) <= 0).all()
    for center in centers:
        assert np.hypot(*(found - center).T).min() < 0.25


@given(
    st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)), max_size=60),
    st.floats(0.5, 15),
)
def test_no_two_are_nearer_than_the_least_distance(
    positions: list[tuple[int, int]], distance: float
) -> None:
    scores = np.linspace(0.9, 0.1, len(positions), dtype=np.float32)
    candidates = Candidates(
        np.asarray(positions, np.int64).reshape(-1, 2), np.tile(scores, (5, 1)).T
    )
    found, score = decode_peaks(candidates, (1.0, 1.0), distance)
    assert (np.diff(score) <= 0).all()
    gaps = np.hypot(*(found[:, None] - found[None]).transpose(2, 0, 1))
    assert (gaps[~np.eye(len(found), dtype=bool)] >= distance).all()
    # and whatever was dropped is near something better that stayed
    for position in positions:
        assert np.hypot(*(found - position).T).min() < max(distance, 1e-6)


def test_of_a_plateau_one_is_left() -> None:
    image = np.zeros((32, 32), np.float32)
    image[10:15, 12:17] = 1.0
    found, _ = decode_peaks(find_candidates(image, 0.5), (1.0, 1.0), 8.0)
    assert len(found) == 1


def test_a_map_of_another_pixel_size_is_mapped_to_the_frame() -> None:
    candidates = Candidates(
        np.array([[3, 5]]), np.array([[0.9, 0.1, 0.1, 0.1, 0.1]], np.float32)
    )
    found, _ = decode_peaks(candidates, (2.0, 4.0), 1.0)
    np.testing.assert_allclose(found, [[6.5, 21.5]])


def test_scores_stay_within_0_and_1() -> None:
    crosses = np.array([[7.0, 0, 0, 0, 0], [0.5, 0, 0, 0, 0]], np.float32)
    _, score = decode_peaks(Candidates(np.array([[0, 0], [9, 9]]), crosses), (1, 1), 2)
    assert score.tolist() == [1.0, 0.5]
