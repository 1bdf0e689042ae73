"""The division model judged in whole runs, on movies that nothing of it has seen."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import useq

from smartscope.acquisition import Frame, Limits
from smartscope.errors import Refused
from smartscope.loop import run
from smartscope.recognition import load_detector
from smartscope.reflex import Reflex
from smartscope.settings import Experiment
from smartscope.simulation import Truth, TruthEvent
from smartscope.training.divisions import (
    CutOuts,
    DrawnMovie,
    RealNuclei,
    draw_movie,
)
from smartscope.training.heat_source import Floats
from smartscope.training.labelled import Labelled
from smartscope.trial import frame_of
from smartscope.validation.intervals import share_interval
from smartscope.validation.metrics import score_movie

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
SIMULATED_SEEDS = (9000, 9001, 9002)
DRAWN_SEED = 9400
DRAWN_MOVIES = 60
RECORDED = (
    ("mitocheck_movie.tif", "mitocheck_movie_events.json", 30, 0.65, 300.0, 1),
    ("mitosis_c1.tif", "mitosis_events.json", 51, 0.09, 10.0, 3),
)
"""File, its truth, frames, stand-ins for pixel size (µm) and interval (s), which are
not recorded in the sources, and how many frames off it may be told."""

_INTERVAL_S = 60.0
_ROUNDS = 40
_PLACES_UM = (-160.0, 160.0)
_DRAWN_FRAMES, _DRAWN_EDGE = 18, 192
_PIXEL_UM = 0.65
_TOLERANCE_UM, _TOLERANCE_FRAMES = 8.0, 2
_PHOTONS = 1e5  # the brightest pixel has half of what the camera can count


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
    images: Sequence[Labelled] = (),
) -> dict[str, Any]:
    """Show it movies drawn as those of the training were, from seeds of their own.

    What a run does with a frame is done with each: window, model, head, occurrences.

    Parameters
    ----------
    model : Path
        The package.
    threshold : float
        Of the detector.
    seed, movies : int
        Of all of them, and how many.
    images : sequence of Labelled
        Among whose nuclei cells divide, seen as mitoses of these images; default: all
        is drawn.

    Returns
    -------
    dict
        See ``counted``; delays are in frames of each movie.
    """
    experiment = Experiment.parse(
        {
            "name": "drawn movies",
            "microscope": "simulated",
            "survey": {
                "axis_order": "tpc",
                "stage_positions": [[0, 0]],
                "channels": [{"config": "FITC", "exposure": 100}],
            },
            **_analysis(model, threshold),
        }
    )
    limits = Limits()
    detector = load_detector(experiment.analysis.detect)
    nuclei, cut_outs = RealNuclei.of(images), CutOuts.of(images)
    scores = []
    for number in range(movies):
        movie = draw_movie(
            np.random.default_rng([seed, number]),
            _DRAWN_EDGE,
            _DRAWN_FRAMES,
            None,
            nuclei,
            cut_outs,
            only_real=bool(images),
        )
        reflex = Reflex(experiment, limits, detector)
        told = [
            occurrence
            for t, pixels in enumerate(movie.frames)
            for occurrence in reflex.step(_frame(pixels, t)).occurrences
        ]
        half_um = _DRAWN_EDGE / 2 * _PIXEL_UM
        scores.append(
            score_movie(
                told,
                truth_of(movie),
                times_s=[t * _INTERVAL_S for t in range(_DRAWN_FRAMES)],
                x_um=(-half_um, half_um),
                y_um=(-half_um, half_um),
            )
        )
    return counted(scores, _INTERVAL_S)


def check_recorded(folder: Path) -> None:
    """See whether the recorded movies are there.

    Raises
    ------
    smartscope.errors.Refused
        If one is missing.
    """
    wanted = [name for movie, truth, *_ in RECORDED for name in (movie, truth)]
    if missing := [name for name in wanted if not (folder / name).is_file()]:
        raise Refused(
            f"{folder} does not hold {', '.join(missing)}.",
            rule="The division model is judged by recorded movies and their truths.",
            way_out="Name the folder that holds them, or leave --data away.",
        )


def judged_recorded(
    model: Path, threshold: float, folder: Path
) -> dict[str, dict[str, Any]]:
    """Run it on recorded movies whose divisions somebody has marked.

    Parameters
    ----------
    model : Path
        The package.
    threshold : float
        Of the detector.
    folder : Path
        With the files of ``RECORDED``; none of them is trained on.

    Returns
    -------
    dict
        By name what ``counted`` returns.
    """
    told = {}
    for name, truth, frames, pixel_size_um, interval_s, off in RECORDED:
        experiment = _movie_experiment(
            model,
            threshold,
            folder / name,
            folder / truth,
            frames=frames,
            pixel_size_um=pixel_size_um,
            interval_s=interval_s,
            tolerance_frames=off,
        )
        told[name] = counted([_scores(experiment)], interval_s)
    return told


def _movie_experiment(
    model: Path,
    threshold: float,
    movie: Path,
    truth: Path,
    *,
    frames: int,
    pixel_size_um: float,
    interval_s: float,
    tolerance_frames: float,
) -> Experiment:
    """Return the experiment of a recorded movie, each frame once."""
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
                "tolerance_frames": tolerance_frames,
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


def counted(scores: Iterable[Mapping[str, Any]], interval_s: float) -> dict[str, Any]:
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


def _frame(pixels: Floats, t: int) -> Frame:
    """Return a frame of a drawn movie as the camera of a run gives it."""
    counts = np.clip(pixels, 0, 65_535).astype(np.uint16)
    at = frame_of(counts, t, _PIXEL_UM)
    event = useq.MDAEvent(index={"t": t, "p": 0, "c": 0})
    state = replace(at.state, channel="FITC")
    time_s = t * _INTERVAL_S
    return replace(at, place="p0", time_s=time_s, event=event, state=state)


def truth_of(movie: DrawnMovie) -> Truth:
    """Return what happens in a drawn movie; what had begun before it is not judged."""
    length, rows, columns = movie.frames.shape
    events, ignore = [], []
    for one in movie.divisions:
        if one.until < 0:
            continue
        row, column = one.places[min(max(one.frame, 0), length - 1)]
        x_um = (column - (columns - 1) / 2) * _PIXEL_UM
        y_um = (row - (rows - 1) / 2) * _PIXEL_UM
        if one.frame > 0:
            t_s = one.frame * _INTERVAL_S
            events.append(TruthEvent("division", t_s, x_um, y_um))
        else:
            until_s = (one.until + 1) * _INTERVAL_S
            ignore.append((0.0, until_s, x_um, y_um, _TOLERANCE_UM))
    return Truth(
        events=tuple(sorted(events, key=lambda e: e.t_s)),
        names={"division": "division"},
        tolerance_s=_TOLERANCE_FRAMES * _INTERVAL_S,
        tolerance_um=_TOLERANCE_UM,
        ignore=tuple(ignore),
        duration_s=length * _INTERVAL_S,
    )
