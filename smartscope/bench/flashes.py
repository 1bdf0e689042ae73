"""Flashes of 5 s on 24 positions: how many of those looked at are caught, how soon.

Everything on the ugly microscope. What is caught is counted in virtual time; how long
it takes from the first frame that could show a flash to the first sharp frame of its
burst is measured in real time.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from smartscope.bench.flash_score import FlashScore, reaction_ms, score_flashes
from smartscope.loop import run
from smartscope.microscope import open_microscope
from smartscope.settings import Experiment
from smartscope.storage import Run

MICROSCOPE = "simulated_ugly"
_COLUMNS, _ROWS, _PITCH_UM = 6, 4, 340.0
_PARTS = (
    "other_looks",
    "ours",
    "decide",
    "travel",
    "settling",
    "focus",
    "shutter",
    "rearm",
    "exposure",
    "blurred",
    "in_all",
)


def bench_flashes(
    *,
    minutes: float = 10.0,
    seeds: Sequence[int] = (1, 2, 3),
    real_minutes: float = 2.5,
) -> dict[str, Any]:
    """Catch flashes, and time the reaction.

    Parameters
    ----------
    minutes : float
        Virtual time of each seed.
    seeds : sequence of int
        Of the specimens.
    real_minutes : float
        Length of the run in real time; 0: none.

    Returns
    -------
    dict
        ``flashes`` (of cells wholly in a field that was looked at often enough to know
        them), ``allowed`` (looked at while above the threshold), ``limit`` (their
        share: what sampling allows), ``limit_expected`` (mean over the flashes of time
        above the threshold over time between two looks, at most 1), ``caught``,
        ``caught_of_allowed``, ``false``, ``round_s``; ``reaction_ms``: for each part
        ``p50``, ``p95``, ``max``; ``reactions``.
    """
    scores = []
    for seed in seeds:
        experiment = _experiment(seed, minutes, "virtual", flashes_per_hour=2.0)
        scores.append(_run_and(experiment, score_flashes))
    measured = FlashScore.summary(scores)
    measured["positions"] = _COLUMNS * _ROWS
    if not real_minutes:
        return measured
    experiment = _experiment(seeds[0], real_minutes, "real", flashes_per_hour=8.0)
    times = _run_and(experiment, reaction_ms)
    measured["reactions"] = len(times)
    measured["reaction_ms"] = {
        part: _spread([each[part] for each in times]) for part in _PARTS if times
    }
    return measured


def _run_and(experiment: Experiment, measure: Any) -> Any:
    """Run it and return what a function makes of run and microscope."""
    with tempfile.TemporaryDirectory(prefix="smartscope_bench_") as base:
        result = run(experiment, Path(base) / "run")
        with open_microscope(
            MICROSCOPE, specimen=experiment.specimen, seed=experiment.seed
        ) as scope:
            return measure(Run.open(result.folder), scope.simulation)


def _experiment(
    seed: int, minutes: float, time: str, *, flashes_per_hour: float
) -> Experiment:
    middle = (_COLUMNS - 1) / 2, (_ROWS - 1) / 2
    # to and fro, so that no move is long
    positions = [
        [(i - middle[0]) * _PITCH_UM, (k - middle[1]) * _PITCH_UM, 0.0]
        for k in range(_ROWS)
        for i in (range(_COLUMNS) if k % 2 == 0 else reversed(range(_COLUMNS)))
    ]
    # far more rounds than fit: the survey ends with its time
    content = {
        "name": "flashes",
        "microscope": MICROSCOPE,
        "seed": seed,
        "specimen": {
            "time": time,
            "cells": 250,
            "area_um": [_COLUMNS * _PITCH_UM, _ROWS * _PITCH_UM],
            "divisions_per_hour": 0.0,
            "flashes_per_hour": flashes_per_hour,
            "flash_s": 5.0,
            "duration_s": minutes * 60.0 + 60.0,
        },
        "survey": {
            "axis_order": "tpc",
            "stage_positions": positions,
            "channels": [{"config": "FITC", "exposure": 20.0}],
            "time_plan": {"interval": 0, "loops": max(8, int(minutes * 60.0 / 5.5))},
        },
        "analysis": {
            "channel": "FITC",
            "detect": {"model": "dog", "min_distance_um": 6.0},
            "track": {"max_distance_um": 10.0},
            "occurrences": {"flash": {"kind": "flash", "factor": 1.5, "rise_s": 30.0}},
        },
        "response": [{"policy": "burst", "on": "flash", "frames": 8}],
        "storage": {
            "survey": {"every_nth": 1000},
            "history_frames": 1,
            "reserve_mb": 0,
        },
        "mode": "synchronized",
    }
    return Experiment.parse(content)


def _spread(values: Sequence[float]) -> dict[str, float]:
    p50, p95 = np.percentile(values, [50, 95])
    return {
        "p50": round(float(p50), 1),
        "p95": round(float(p95), 1),
        "max": round(max(values), 1),
    }
