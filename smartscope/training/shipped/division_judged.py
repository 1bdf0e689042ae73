"""The division model judged in whole runs, on movies that nothing of it has seen."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from smartscope.loop import run
from smartscope.settings import Experiment
from smartscope.training.divisions import DrawnMovie, draw_movie
from smartscope.validation.intervals import share_interval

OCCURRENCES: dict[str, Any] = {
    "division": {
        "kind": "hotspot",
        "threshold": 0.0,  # that of the detector holds
        "frames": 1,
        "of": 4,
        "radius_um": 8.0,
        "refractory_s": 1800.0,
    }
}
"""One occurrence for each division, as the README says."""

EXPOSURES_MS = (10.0, 0.8, 0.4)
SIMULATED_SEEDS = (9000, 9001, 9002, 9003)
DRAWN_SEED = 9100
DRAWN_MOVIES = 40

_INTERVAL_S = 60.0
_ROUNDS = 45
_PLACES_UM = (-160.0, 160.0)
_DRAWN_FRAMES, _DRAWN_EDGE = 18, 192
_PIXEL_UM = 0.65
_PHOTONS = 1e6  # of a movie that has its noise already


def judged_simulated(
    model: Path,
    threshold: float,
    seeds: Sequence[int] = SIMULATED_SEEDS,
    exposures_ms: Sequence[float] = EXPOSURES_MS,
    rounds: int = _ROUNDS,
) -> dict[str, Any]:
    """Run it on the simulated microscope in virtual time.

    Two fields with about 17 cells each that divide, die and land, once a minute.

    Parameters
    ----------
    model : Path
        The package.
    threshold : float
        Of the detector.
    seeds : sequence of int
        Of the specimens; none of them is drawn in training.
    exposures_ms : sequence of float
        Each with all seeds: it sets the signal-to-noise ratio.
    rounds : int
        Of each survey.

    Returns
    -------
    dict
        By exposure, in words, what ``counted`` returns.
    """
    return {
        f"{exposure_ms:g} ms": counted(
            (
                _scores(_simulated(model, threshold, seed, exposure_ms, rounds))
                for seed in seeds
            ),
            _INTERVAL_S,
        )
        for exposure_ms in exposures_ms
    }


def judged_drawn(
    model: Path,
    threshold: float,
    seed: int = DRAWN_SEED,
    movies: int = DRAWN_MOVIES,
) -> dict[str, Any]:
    """Run it on movies drawn as those of the training were, from seeds of their own.

    Returns
    -------
    dict
        See ``counted``; delays are in frames of each movie.
    """
    interval_s = 60.0
    scores = []
    for number in range(movies):
        rng = np.random.default_rng([seed, number])
        movie = draw_movie(rng, _DRAWN_EDGE, _DRAWN_FRAMES)
        with tempfile.TemporaryDirectory(prefix="smartscope_drawn_") as folder:
            path, truth = Path(folder) / "movie.tif", Path(folder) / "truth.json"
            _write(movie, path, truth)
            experiment = movie_experiment(
                model,
                threshold,
                path,
                truth,
                frames=_DRAWN_FRAMES,
                pixel_size_um=_PIXEL_UM,
                interval_s=interval_s,
            )
            scores.append(_scores(experiment))
    return counted(scores, interval_s)


def movie_experiment(
    model: Path,
    threshold: float,
    movie: Path,
    truth: Path,
    *,
    frames: int,
    pixel_size_um: float,
    interval_s: float,
) -> Experiment:
    """Return the experiment of a recorded movie, each frame once.

    Parameters
    ----------
    model : Path
        The package.
    threshold : float
        Of the detector.
    movie, truth : Path
        A TIFF, and what happens in it (``anaphase_onset``).
    frames : int
        Of the movie.
    pixel_size_um, interval_s : float
        Of the movie.
    """
    return Experiment.parse(
        {
            "name": "divisions of a movie",
            "microscope": "simulated",
            "seed": 1,
            "specimen": {
                "time": "virtual",
                "movie": str(movie),
                "pixel_size_um": pixel_size_um,
                "frame_interval_s": interval_s,
                "photons_at_full_scale": _PHOTONS,
                "truth": str(truth),
                "truth_map": {"anaphase_onset": "division"},
            },
            "survey": {
                "axis_order": "tpc",
                "stage_positions": [[0, 0]],
                "channels": [{"config": "FITC", "exposure": 100}],
                "time_plan": {"interval": interval_s, "loops": frames},
            },
            **_analysis(model, threshold),
        }
    )


def counted(scores: Any, interval_s: float) -> dict[str, Any]:
    """Return the counts of several runs together.

    Parameters
    ----------
    scores : iterable of Mapping
        Of each run.
    interval_s : float
        Between frames.

    Returns
    -------
    dict
        ``runs``, ``events`` in view, ``caught``, ``false``, ``recall`` and
        ``precision`` with intervals of 95 % (Clopper and Pearson), and
        ``delay_frames``, median and largest, from the true onset to when it was told.
    """
    each = list(scores)
    events, caught, false = (
        sum(s[key] for s in each) for key in ("events", "caught", "false")
    )
    delays = [
        e["delay_s"] / interval_s for s in each for e in s["per_event"] if e["caught"]
    ]
    return {
        "runs": len(each),
        "events": events,
        "caught": caught,
        "false": false,
        **_share("recall", caught, events),
        **_share("precision", caught, caught + false),
        "delay_frames": {
            "median": round(float(np.median(delays)), 2) if delays else None,
            "max": round(max(delays), 2) if delays else None,
        },
    }


def _share(name: str, k: int, n: int) -> dict[str, Any]:
    low, high = share_interval(k, n)
    return {
        name: round(k / n, 4) if n else None,
        f"{name}_interval": [round(low, 4), round(high, 4)],
    }


def _scores(experiment: Experiment) -> Mapping[str, Any]:
    with tempfile.TemporaryDirectory(prefix="smartscope_judged_") as folder:
        done = run(experiment, Path(folder) / "run", in_process=True)
        if done.exit_code != 0:
            raise RuntimeError(f"the run ended {done.outcome}: {done.reason}")
        scores: Mapping[str, Any] = done.summary["scores"]
        return scores


def _simulated(
    model: Path, threshold: float, seed: int, exposure_ms: float, rounds: int
) -> Experiment:
    return Experiment.parse(
        {
            "name": "simulated divisions",
            "microscope": "simulated",
            "seed": seed,
            "specimen": {
                "time": "virtual",
                "cells": 36,
                "area_um": (660.0, 320.0),
                "duration_s": _INTERVAL_S * (rounds + 1),
                "divisions_per_hour": 0.5,
                "deaths_per_hour": 0.1,
                "arrivals_per_hour": 12,
            },
            "survey": {
                "axis_order": "tpc",
                "stage_positions": [{"x": x, "y": 0} for x in _PLACES_UM],
                "channels": [{"config": "FITC", "exposure": exposure_ms}],
                "time_plan": {"interval": _INTERVAL_S, "loops": rounds},
            },
            **_analysis(model, threshold),
        }
    )


def _analysis(model: Path, threshold: float) -> dict[str, Any]:
    return {
        "analysis": {
            "channel": "FITC",
            "detect": {"model": str(model), "threshold": threshold},
            "occurrences": OCCURRENCES,
        },
        "mode": "synchronized",
        "storage": {"reserve_mb": 0},
    }


def _write(movie: DrawnMovie, path: Path, truth: Path) -> None:
    counts = np.clip(movie.frames, 0, 65_535).astype(np.uint16)
    tifffile.imwrite(path, counts, photometric="minisblack")
    truth.write_text(json.dumps(dict(_truth(movie))), encoding="utf-8")


def _truth(movie: DrawnMovie) -> Iterator[tuple[str, Any]]:
    """Yield what happens in a drawn movie, as a truth file says it."""
    length = len(movie.frames)
    inside = [
        (one, row, column)
        for one in movie.divisions
        for row, column in (one.places[min(max(one.frame, 0), length - 1)],)
        if one.until >= 0
    ]
    yield "tolerance_frames", 2
    yield "tolerance_px", 12
    yield (
        "events",
        [
            {"type": "anaphase_onset", "frame": one.frame, "x": column, "y": row}
            for one, row, column in inside
            if 0 < one.frame
        ]
        or [{"type": "anaphase_onset", "frame": -9, "x": 0, "y": 0}],
    )
    # what had begun before the first frame may be told or not
    yield (
        "ignore",
        [
            {"frames": [0, max(one.until, 0)], "x": column, "y": row}
            for one, row, column in inside
            if one.frame <= 0
        ],
    )
