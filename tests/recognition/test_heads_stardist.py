"""StarDist: outlines as the reference keeps and draws them, one for each thing."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.draw import polygon

from smartscope.errors import AnalysisFailed
from smartscope.inference import STAR_POINTS, STAR_RAYS, STAR_SCORES
from smartscope.recognition.heads import stardist
from smartscope.recognition.heads.outline_overlap import (
    inner_discs,
    outline_area,
    shared_area,
)
from smartscope.recognition.heads.stardist import (
    decode_stardist,
    draw_labels,
    star_outlines,
    thin_stars,
)

REFERENCE = os.environ.get("SMARTSCOPE_STARDIST_PYTHON", "")
N_RAYS = 32
TOWARD = np.stack([f(2 * np.pi * np.arange(N_RAYS) / N_RAYS) for f in (np.sin, np.cos)])

Found = dict[str, np.ndarray]
Thing = tuple[float, float, float, float, float]


def proposals(things: list[Thing], each: int, seed: int, noise: float = 0.03) -> Found:
    """Return what a net proposes for ellipses: row, column, two radii and a turn."""
    rng = np.random.default_rng(seed)
    points, rays = [], []
    for row, column, long, short, turn in things:
        around = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
        for _ in range(each):
            point = np.rint(np.array([row, column]) + rng.uniform(-0.4, 0.4, 2) * short)
            start = around @ (point - [row, column]) / [long, short]
            ahead = (around @ TOWARD).T / [long, short]
            a, b = (ahead**2).sum(1), (ahead * start).sum(1)
            ray = (-b + np.sqrt(b * b - a * ((start**2).sum() - 1))) / a
            points.append(point)
            rays.append(ray * (1 + rng.normal(0, noise, N_RAYS)))
    score = rng.permutation(np.linspace(0.6, 0.99, len(points)))
    return {
        STAR_POINTS: np.array(points, np.float32).reshape(-1, 2),
        STAR_SCORES: score.astype(np.float32),
        STAR_RAYS: np.array(rays, np.float32).reshape(-1, N_RAYS),
    }


@st.composite
def planted(draw: st.DrawFn) -> list[Thing]:
    """Ellipses on a grid so wide that no two touch."""
    cells = draw(
        st.lists(
            st.tuples(st.integers(0, 5), st.integers(0, 6)), max_size=12, unique=True
        )
    )
    radius, shift = st.floats(7, 12), st.floats(-4, 4)
    return [
        (25 + 36 * r + draw(shift), 25 + 36 * c + draw(shift), draw(radius) + 2, 7.0,
         draw(st.floats(0, 3)))
        for r, c in cells
    ]  # fmt: skip


@given(planted(), st.integers(0, 10_000))
@settings(max_examples=25)
def test_planted_things_come_back_once_each(things: list[Thing], seed: int) -> None:
    found = proposals(things, 6, seed)
    _, score, outlines = decode_stardist(found, 0.4)
    assert len(score) == len(outlines) == len(things)
    assert (np.diff(score) <= 0).all()
    assert ((score >= 0) & (score <= 1)).all()
    labels = draw_labels(outlines, (260, 290))
    for row, column, long, short, _ in things:
        at = labels[round(row), round(column)]
        assert at > 0
        here = np.argwhere(labels == at)
        assert np.hypot(*(here.mean(0) - [row, column])) < 1.0
        assert len(here) == pytest.approx(np.pi * long * short, rel=0.12)
    # in whatever order the net lists them
    mixed = np.random.default_rng(seed).permutation(len(found[STAR_SCORES]))
    again = decode_stardist({k: v[mixed] for k, v in found.items()}, 0.4)
    np.testing.assert_array_equal(again[2], outlines)


outline = st.tuples(
    st.floats(-12, 12),
    st.floats(-12, 12),
    st.lists(st.floats(1, 12), min_size=16, max_size=16),
)


@given(outline, outline)
def test_shared_area_is_that_of_a_fine_drawing(
    one: tuple[float, float, list[float]], other: tuple[float, float, list[float]]
) -> None:
    outlines = star_outlines(
        np.array([one[:2], other[:2]]), np.array([one[2], other[2]])
    )
    drawn = np.zeros((2, 800, 800), bool)
    for image, corners in zip(drawn, outlines * 16 + 400, strict=True):
        image[polygon(*corners.T, (800, 800))] = True
    shared = shared_area(outlines[:1], outlines[1:])[0]
    edge = np.hypot(*np.diff(outlines, axis=1).reshape(-1, 2).T).sum() / 16
    assert shared == pytest.approx(drawn.all(axis=0).sum() / 256, abs=0.1 + edge / 3)
    assert shared_area(outlines[1:], outlines[:1])[0] == pytest.approx(shared, abs=0.05)
    # the same outline twice, corners and edges on each other
    np.testing.assert_allclose(
        shared_area(outlines, outlines), outline_area(outlines), atol=0.1
    )


@given(outline)
def test_a_disc_said_to_lie_within_does(one: tuple[float, float, list[float]]) -> None:
    corners = star_outlines(np.array([one[:2]]), np.array([one[2]]))
    centers, radii = inner_discs(corners)
    disc = star_outlines(centers, np.repeat(radii[:, None], 16, axis=1))
    assert shared_area(disc, corners)[0] >= outline_area(disc)[0] - 0.05
    # a regular outline is filled by its disc but for the corners
    round_one = star_outlines(np.array([one[:2]]), np.full((1, 16), 8.0))
    assert inner_discs(round_one)[1][0] == pytest.approx(8 * np.cos(np.pi / 16))


@given(st.integers(0, 10_000), st.sampled_from([0.2, 0.4, 0.6]))
@settings(max_examples=20, deadline=None)
def test_bounds_decide_as_the_exact_areas_do(seed: int, overlap: float) -> None:
    rng = np.random.default_rng(seed)
    things = [
        (*rng.uniform(20, 80, 2), rng.uniform(9, 14), rng.uniform(4, 9), rng.uniform())
        for _ in range(9)
    ]
    found = proposals(things, 24, seed, noise=0.1)
    assert len(found[STAR_SCORES]) > 3 * stardist._AT_ONCE
    order = np.argsort(-found[STAR_SCORES])
    points = found[STAR_POINTS][order].astype(float)
    rays = found[STAR_RAYS][order].astype(float)
    outlines = star_outlines(points, rays)
    area, expected = outline_area(outlines), []
    for i in range(len(outlines)):
        if expected:
            kept = outlines[expected]
            shared = shared_area(kept, np.repeat(outlines[i : i + 1], len(kept), 0))
            if (shared > overlap * np.minimum(area[expected], area[i])).any():
                continue
        expected.append(i)
    assert thin_stars(outlines, overlap).tolist() == expected


def test_nothing_is_found_in_nothing() -> None:
    points, score, outlines = decode_stardist(proposals([], 3, 0), 0.4)
    assert points.shape == (0, 2)
    assert score.shape == (0,)
    assert outlines.shape == (0, N_RAYS, 2)
    assert not draw_labels(outlines, (9, 9)).any()


def test_rays_that_are_not_finite_fail() -> None:
    found = proposals([(20, 20, 8, 7, 0)], 2, 0)
    found[STAR_RAYS][1, 3] = np.nan
    with pytest.raises(AnalysisFailed, match="rays that are not finite"):
        decode_stardist(found, 0.4)


def test_rays_without_length_are_points_not_mistakes() -> None:
    found = proposals([(20, 20, 8, 7, 0)], 1, 0)
    found[STAR_RAYS][:] = -1
    _, score, outlines = decode_stardist(found, 0.4)
    assert len(score) == 1
    np.testing.assert_allclose(
        outlines[0], np.repeat(found[STAR_POINTS], N_RAYS, axis=0), atol=0.01
    )


ASK = """
import sys
import numpy as np
from stardist.geometry import polygons_to_label
from stardist.nms import non_maximum_suppression_inds
given = np.load(sys.argv[1])
points, scores, rays = given["points"], given["scores"], given["rays"]
kept = np.flatnonzero(non_maximum_suppression_inds(
    rays, points, scores, thresh=float(given["overlap"]), verbose=0))
labels = polygons_to_label(
    rays[kept], points[kept], prob=scores[kept], shape=(300, 330))
np.savez(sys.argv[2], kept=kept, labels=labels)
"""


@pytest.mark.skipif(
    not REFERENCE, reason="SMARTSCOPE_STARDIST_PYTHON names no Python with stardist"
)
@pytest.mark.parametrize("overlap", [0.3, 0.5])
@pytest.mark.parametrize("seed", range(3))
def test_the_reference_keeps_and_draws_the_same(
    tmp_path: Path, seed: int, overlap: float
) -> None:
    rng = np.random.default_rng(seed)
    # neighbours touch and overlap a little, proposals of a thing much; areas that are
    # a hair from the threshold are not planted, as the reference rounds its corners
    things = [
        (30 + 24 * r + rng.uniform(-2, 2), 30 + 24 * c + rng.uniform(-2, 2),
         rng.uniform(9, 14), rng.uniform(8, 9), rng.uniform(0, 3))
        for r in range(10) for c in range(10)
    ]  # fmt: skip
    found = proposals(things, 5, seed, noise=0.05)
    order = np.argsort(-found[STAR_SCORES])
    points, scores, rays = (
        found[n][order] for n in (STAR_POINTS, STAR_SCORES, STAR_RAYS)
    )
    outlines = star_outlines(points.astype(float), rays.astype(float))
    kept = thin_stars(outlines, overlap)
    asked, told = tmp_path / "asked.npz", tmp_path / "told.npz"
    np.savez(asked, points=points, scores=scores, rays=rays, overlap=overlap)
    subprocess.run(
        [REFERENCE, "-c", ASK, str(asked), str(told)],
        check=True,
        capture_output=True,
        timeout=50,
    )
    with np.load(told) as reference:
        np.testing.assert_array_equal(kept, reference["kept"])
        drawn = draw_labels(outlines[kept].astype(np.float32), (300, 330))
        np.testing.assert_array_equal(drawn, reference["labels"])
