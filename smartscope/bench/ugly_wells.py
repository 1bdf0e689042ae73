"""Four wells on the microscope made ugly: what benches of whole runs share."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import numpy.typing as npt

from smartscope.loop import run
from smartscope.microscope import find_microscope, read_microscope
from smartscope.settings import Experiment
from smartscope.storage import Run

MICROSCOPE = "simulated_ugly"
INTERVAL_S = 60.0
WELLS_X_UM = (-480.0, -160.0, 160.0, 480.0)
# 17 cells in a field of 333 × 333 µm: about a tenth of it is nucleus
CELLS = 72
AREA_UM = (1300.0, 320.0)
_NORMAL = 1.4826  # s.d. over median absolute deviation, of a normal distribution
_ROUNDS_FOR_SNR = 3

ANALYSIS: dict[str, Any] = {
    "channel": "FITC",
    "detect": {"model": "dog", "min_distance_um": 6},
    "track": {"max_distance_um": 12},
    "occurrences": {
        "mitosis": {"kind": "brighten", "factor": 1.5, "refractory_s": 1800},
        "division": {"kind": "split", "max_distance_um": 14},
        "arrival": {"kind": "appear"},
    },
}


def four_wells(
    seed: int,
    rounds: int,
    exposure_ms: float,
    specimen: dict[str, Any],
    analysis: dict[str, Any],
    response: list[dict[str, Any]],
) -> Experiment:
    """Return an experiment: a round a minute over four wells, in virtual time.

    Parameters
    ----------
    seed : int
        Of the specimen and of all that the stand does wrong.
    rounds : int
        Of the survey.
    exposure_ms : float
        Of a frame, at full power.
    specimen : dict
        What its cells do.
    analysis, response : dict, list of dict
        As in an experiment file.
    """
    return Experiment.parse(
        {
            "name": "four wells",
            "microscope": MICROSCOPE,
            "seed": seed,
            "specimen": {
                "time": "virtual",
                "cells": CELLS,
                "area_um": AREA_UM,
                "duration_s": INTERVAL_S * (rounds + 1),
                **specimen,
            },
            "survey": {
                "axis_order": "tpc",
                "stage_positions": [{"x": x, "y": 0} for x in WELLS_X_UM],
                "channels": [{"config": "FITC", "exposure": exposure_ms}],
                "time_plan": {"interval": INTERVAL_S, "loops": rounds},
            },
            "analysis": analysis,
            "response": response,
            "mode": "synchronized",
            "storage": {"reserve_mb": 0},
        }
    )


@contextmanager
def run_once(experiment: Experiment) -> Iterator[Run]:
    """Run an experiment in this process; its folder is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="smartscope_bench_") as base:
        done = run(experiment, Path(base) / "run", in_process=True)
        if done.exit_code != 0:
            raise RuntimeError(f"the run ended {done.outcome}: {done.reason}")
        yield Run.open(done.folder)


def out_of_focus(x_um: float, y_um: float, t_s: float) -> bool:
    """Return whether the autofocus cannot lock at a point of the stage at a time."""
    found = read_microscope(find_microscope(MICROSCOPE)).simulation.autofocus
    return t_s >= found.lost_from_s and any(
        area.holds(x_um, y_um) for area in found.lost_in.values()
    )


def signal_to_noise(run: Run) -> float:
    """Return the signal-to-noise ratio of nuclei, median over a run's first rounds.

    (signal - background) / noise: the median over the things found in a frame of their
    mean raw count less the local background, over the noise of one pixel of the
    background. Nine things in ten are nuclei in interphase.
    """
    ratios = []
    for line in run.analysed[: _ROUNDS_FOR_SNR * len(WELLS_X_UM)]:
        found = line["detections"]["intensity"]
        noise = pixel_noise(run.read(line["frame_id"]))
        if found and noise > 0:
            ratios.append(median(found) / noise)
    return float(median(ratios)) if ratios else 0.0


def pixel_noise(pixels: npt.NDArray[Any]) -> float:
    """Return the s.d. of one pixel of the background, counts.

    From differences of neighbours in a row, in the darker half of the frame, so that
    cells and gradients drop out; those beyond 5 s.d. are left out.
    """
    image = pixels.astype(np.float64)
    apart = np.diff(image, axis=1)
    apart = apart[(image[:, 1:] + image[:, :-1]) / 2 <= np.median(image)]
    if not len(apart):
        return 0.0
    rough = _NORMAL * max(float(np.median(np.abs(apart))), 0.5)
    inside = apart[np.abs(apart) <= 5 * rough]
    return float(np.sqrt(np.square(inside).mean() / 2))
