"""The division model judged: truths of drawn movies, counts, whole runs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the extra 'train' is not installed")

from smartscope.errors import Refused  # noqa: E402  # only where torch is
from smartscope.inference import ModelPackage  # noqa: E402
from smartscope.training.divisions import (  # noqa: E402
    DivisionMovies,
    DrawnMovie,
    SeenDivision,
)
from smartscope.training.heat import HeatData, train_heat  # noqa: E402
from smartscope.training.settings import HeatSettings  # noqa: E402
from smartscope.training.shipped import division  # noqa: E402
from smartscope.training.shipped.division_judged import (  # noqa: E402
    counted,
    judged_drawn,
    judged_simulated,
    truth_of,
)


def test_a_drawn_movie_tells_its_truth_in_um() -> None:
    still = ((10.0, 31.5),) * 6
    movie = DrawnMovie(
        np.zeros((6, 64, 64), np.float32),
        (
            SeenDivision(3, 4, still),
            SeenDivision(-1, 2, still),  # begun before it: told or not
            SeenDivision(-9, -8, still),  # long over
        ),
        20.0,
    )
    truth = truth_of(movie)
    assert [(e.t_s, e.x_um, e.y_um) for e in truth.events] == [
        (180.0, 0.0, pytest.approx(-21.5 * 0.65))
    ]
    ((began_s, ended_s, *_),) = truth.ignore
    assert (began_s, ended_s) == (0.0, 180.0)


def test_counts_of_several_runs_are_added() -> None:
    one = {
        "events": 3,
        "caught": 2,
        "false": 1,
        "per_event": [
            {"caught": True, "delay_s": 60.0},
            {"caught": True, "delay_s": 180.0},
            {"caught": False, "delay_s": None},
        ],
    }
    both = counted([one, one], 60.0)
    assert (both["runs"], both["events"], both["caught"], both["false"]) == (2, 6, 4, 2)
    assert both["recall"] == both["precision"] == pytest.approx(2 / 3, abs=1e-4)
    low, high = both["recall_interval"]
    assert 0 < low < 2 / 3 < high < 1
    assert both["delay_frames"] == {"median": 2.0, "max": 3.0}


def test_watching_movies_show_every_event_with_its_window() -> None:
    movies = division.drawn_movies(5, 6)
    again = division.drawn_movies(5, 6)
    assert all(
        np.array_equal(a.frames, b.frames) for a, b in zip(movies, again, strict=True)
    )
    for one in movies:
        assert one.looked[0] == division.FRAMES - 1
        assert set(one.points[:, 0]) <= set(one.looked)


def test_it_is_refused_before_it_learns_where_a_movie_is_missing(
    tmp_path: Path,
) -> None:
    (tmp_path / "mitosis_c1.tif").touch()
    with pytest.raises(Refused, match=r"mitocheck_movie.tif, .*mitosis_events.json"):
        division.make(tmp_path / "made", data=tmp_path)
    assert not (tmp_path / "made").exists()


def test_from_drawn_movies_to_a_judged_package(tmp_path: Path) -> None:
    settings = HeatSettings(patch_px=32, batch=2, steps=4, every=2, pixel_size_um=0.65)
    made = train_heat(
        HeatData(
            DivisionMovies(3),
            Path("drawn movies"),
            watching=division.drawn_movies(1, 1),
            judging=division.drawn_movies(2, 1),
        ),
        tmp_path / "made",
        settings,
        name="division",
    )
    package = ModelPackage.load(made.package)
    assert package.head.channels_are == "frames"
    assert package.input.channels == 3
    figures = {
        "simulated": judged_simulated(made.package, 0.5, (1,), (10.0,), rounds=3),
        "drawn": judged_drawn(made.package, 0.5, seed=3, movies=1),
    }
    assert figures["simulated"]["10 ms"]["runs"] == 1
    # a net that has learned nothing tells nothing
    assert figures["drawn"]["caught"] == figures["drawn"]["false"] == 0
    said = division.told_of(figures)
    assert "| 10 ms |" in said
    assert "| drawn |" in said
