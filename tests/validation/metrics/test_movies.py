"""Occurrences in a movie, and tracks."""

from __future__ import annotations

import importlib.util

import numpy as np
import numpy.typing as npt
import pytest

from smartscope.errors import Refused
from smartscope.recognition import Occurrence
from smartscope.simulation import Truth, TruthEvent
from smartscope.validation.metrics import Tracked, score_movie, score_tracks

HAS_CTC = importlib.util.find_spec("ctc_metrics") is not None


def occurrence(onset_s: float, x_um: float, late_s: float = 0.0) -> Occurrence:
    return Occurrence(
        occurrence_id=f"o{onset_s}",
        name="division",
        kind="split",
        place="p0",
        onset_s=onset_s,
        seen_s=onset_s + late_s,
        x_um=x_um,
        y_um=0.0,
        confidence=1.0,
    )


def test_a_movie_is_scored_with_tolerances_in_space_and_time() -> None:
    happened = ((100, 0), (200, 20), (300, 40))
    truth = Truth(
        tuple(TruthEvent("division", t, x, 0.0) for t, x in happened),
        names={"division": "division"},
        tolerance_s=10,
        tolerance_um=5,
    )
    told = score_movie(
        # right and late, too far away, too late
        [occurrence(105, 1, 15), occurrence(200, 30), occurrence(330, 40)],
        truth,
        times_s=range(0, 600, 10),
        x_um=(-50, 50),
        y_um=(-50, 50),
    )
    assert (told["events"], told["caught"], told["false"]) == (3, 1, 2)
    assert told["recall"] == pytest.approx(1 / 3, abs=1e-3)
    assert told["precision"] == pytest.approx(1 / 3, abs=1e-3)
    assert told["delay_s"]["median"] == 20
    wider = score_movie(
        [occurrence(105, 1), occurrence(200, 30), occurrence(330, 40)],
        truth,
        times_s=range(0, 600, 10),
        x_um=(-50, 50),
        y_um=(-50, 50),
        tolerance_s=40,
        tolerance_um=12,
    )
    assert (wider["recall"], wider["precision"]) == (1, 1)


def dividing(swapped: bool = False) -> npt.NDArray[np.uint16]:
    movie = np.zeros((6, 30, 30), np.uint16)
    for t in range(6):
        movie[t, 2:6, 2 + t : 6 + t] = 1
        if t < 3:
            movie[t, 15:21, 10:16] = 2
        else:
            movie[t, 13:17, 10:14], movie[t, 20:24, 10:14] = 3, 4
    if swapped:
        movie[4:] = np.array([0, 1, 2, 4, 3], np.uint16)[movie[4:]]
    return movie


def test_tracks_know_where_they_begin_and_end() -> None:
    tracked = Tracked(dividing(), {3: 2, 4: 2})
    assert tracked.tracks() == [(1, 0, 5, 0), (2, 0, 2, 0), (3, 3, 5, 2), (4, 3, 5, 2)]
    with pytest.raises(ValueError, match="whole numbers"):
        Tracked(np.zeros((3, 4, 4)))


@pytest.mark.skipif(not HAS_CTC, reason="the extra 'tracking' is not installed")
def test_tracks_are_judged_by_the_library() -> None:
    truth = Tracked(dividing(), {3: 2, 4: 2})
    best = score_tracks(truth, truth)
    assert best["DET"] == best["TRA"] == best["LNK"] == 1
    assert best["IDF1"] == pytest.approx(1)
    worse = score_tracks(truth, Tracked(dividing(swapped=True), {3: 2, 4: 2}))
    assert worse["DET"] == 1
    assert worse["LNK"] < 1
    assert worse["TRA"] < best["TRA"]


@pytest.mark.skipif(HAS_CTC, reason="the extra 'tracking' is installed")
def test_without_the_library_it_is_told() -> None:
    with pytest.raises(Refused, match="py-ctcmetrics"):
        score_tracks(Tracked(dividing()), Tracked(dividing()))
