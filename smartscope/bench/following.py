"""Following for a night: whether it is still the same cell, and the stage rests.

Cells drift, turn and pass over each other under the ugly microscope, whose file is
wrong by 3 % about where a pixel lies; each decision takes effect one frame late.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from smartscope.bench.follow_score import FollowScore, score_following
from smartscope.loop import run
from smartscope.microscope import find_microscope, open_microscope
from smartscope.response import (
    Action,
    Decision,
    FollowSettings,
    Observation,
    Outcome,
    load_policy,
)
from smartscope.settings import Experiment
from smartscope.storage import Run

DEAD_BAND_UM = 5.0
INTERVAL_S = 60.0
_PLACES = ((-480.0, 0.0), (-140.0, 0.0), (200.0, 0.0), (-140.0, 340.0))
_TRUE = "orientation = [[1.0, 0.0], [0.0, 1.0]]"
# 3 % too large along x, 3 % too small along y, and turned by 0.03 rad (1.7°)
_BELIEVED = "orientation = [[1.03, 0.03], [-0.03, 0.97]]"


class OneFrameLate:
    """The built-in follow, whose wishes come one frame of their place late.

    As in a free run where the next frame is taken before the decision is there: what
    frame n shows takes effect with frame n + 2.

    Parameters
    ----------
    **options : Any
        Of follow.
    """

    def __init__(self, **options: Any) -> None:
        self._policy: Any = load_policy(FollowSettings(**options))
        self._waiting: dict[str, list[Action]] = {}

    def decide(self, seen: Observation) -> list[Action]:
        """Return what was wished at the frame before."""
        place = seen.frame.place
        late = self._waiting.get(place, [])
        self._waiting[place] = list(self._policy.decide(seen))
        return late

    def remarks(self) -> list[str]:
        """Return what it says."""
        remarks: list[str] = self._policy.remarks()
        return remarks

    def told(self, news: Decision | Outcome) -> None:
        """Pass on what became of the wishes."""
        self._policy.told(news)


def bench_following(
    *,
    hours: float = 12.0,
    seeds: Sequence[int] = (1, 2, 3),
    speeds_um_per_min: Sequence[float] = (0.3, 1.0),
) -> dict[str, Any]:
    """Follow four cells a seed and speed through a night, and compare with the truth.

    Parameters
    ----------
    hours : float
        Simulated.
    seeds : sequence of int
        Of the specimens.
    speeds_um_per_min : sequence of float
        Of the wandering cells, one night each.

    Returns
    -------
    dict
        ``cells_followed``, ``visits``, ``hours``; ``swaps``, ``losses`` and how many of
        them were not said; ``ambiguous``, ``told_apart``, ``swaps_undone`` (remarks);
        ``in_middle_fifth`` (share of the visits), ``oscillations``; ``moves``,
        ``moves_without_foresight``, ``fewest_moves`` and the ratios to them; the same
        by speed; ``unsaid``, in words.
    """
    scores: dict[str, list[FollowScore]] = {}
    for speed in speeds_um_per_min:
        for seed in seeds:
            found = follow_once(seed, hours, speed)
            scores.setdefault(f"{speed:g} um_per_min", []).extend(found)
    every = [score for some in scores.values() for score in some]
    return {
        "hours": hours,
        "seeds": len(seeds),
        "dead_band_um": DEAD_BAND_UM,
        "interval_s": INTERVAL_S,
        **FollowScore.summary(every),
        "by_speed": {
            name: FollowScore.summary(some, words=False)
            for name, some in scores.items()
        },
    }


def follow_once(
    seed: int,
    hours: float,
    speed_um_per_min: float,
    options: dict[str, Any] | None = None,
) -> list[FollowScore]:
    """Run one night and score each followed cell."""
    experiment = _experiment(seed, hours, speed_um_per_min, options or {})
    with tempfile.TemporaryDirectory(prefix="smartscope_bench_") as base:
        path = Path(base) / "ugly.toml"
        path.write_text(_miscalibrated(), encoding="utf-8")
        result = run(experiment, Path(base) / "run", microscope=str(path))
        with open_microscope(
            str(path), specimen=experiment.specimen, seed=experiment.seed
        ) as scope:
            assert scope.simulation is not None  # its file says so
            return score_following(
                Run.open(result.folder),
                scope.simulation.specimen,
                scope.simulation.stand.drift,
                DEAD_BAND_UM,
            )


def _miscalibrated() -> str:
    """Return the ugly microscope's file with a wrong map from pixels to the stage."""
    text = find_microscope("simulated_ugly").read_text(encoding="utf-8")
    believed = text.replace(_TRUE, _BELIEVED, 1)
    return believed.replace("[simulation.optics]", f"[simulation.optics]\n{_TRUE}", 1)


def _experiment(
    seed: int, hours: float, speed_um_per_min: float, options: dict[str, Any]
) -> Experiment:
    follow = {
        "choose": "random",
        "seed": seed,
        "dead_band_um": DEAD_BAND_UM,
        "smooth": 0.3,
        "lead_s": 180.0,
        "search": 4,
        **options,
    }
    content = {
        "name": "following",
        "microscope": "simulated_ugly",
        "seed": seed,
        "specimen": {
            "time": "virtual",
            "cells": 240,
            "area_um": [1400.0, 1000.0],
            "speed_um_per_min": speed_um_per_min,
            "crossing": True,
            "divisions_per_hour": 0.0,
            "duration_s": hours * 3600.0,
        },
        "survey": {
            "axis_order": "tpc",
            "stage_positions": [[x, y, 0.0] for x, y in _PLACES],
            "channels": [{"config": "FITC", "exposure": 20.0}],
            "time_plan": {
                "interval": INTERVAL_S,
                "loops": max(2, int(hours * 3600.0 / INTERVAL_S)),
            },
        },
        "analysis": {
            "channel": "FITC",
            "detect": {"model": "dog", "min_distance_um": 6.0},
            "track": {"max_distance_um": 12.0, "max_missed": 3},
        },
        "response": [
            {
                "policy": "smartscope.bench.following:OneFrameLate",
                "name": "follow",
                "options": follow,
            }
        ],
        "storage": {
            "survey": {"every_nth": 100},
            "history_frames": 1,
            "reserve_mb": 0,
        },
        "mode": "synchronized",
    }
    return Experiment.parse(content)
