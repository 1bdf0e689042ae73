"""How long a decision takes where there is much to decide about: a plate of 384 wells.

The detector is a table of cells that drift, divide and flash, so that what is measured
is recognition and response alone: tracks, all kinds of occurrences, policies, arbiter.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import numpy.typing as npt
from useq import MDAEvent

from smartscope.acquisition import Frame, FrameState, Limits
from smartscope.bench.memory import rss_mb
from smartscope.recognition import Detections
from smartscope.reflex import Reflex
from smartscope.settings import Experiment

_CHANNELS = ("DAPI", "FITC", "Cy5")
_FIELD_UM = 330.0
_EXPERIMENT: dict[str, Any] = {
    "survey": {"channels": list(_CHANNELS)},
    "analysis": {
        "detect": "otsu",
        "occurrences": {
            "bright": {"kind": "brighten"},
            "dark": {"kind": "dim"},
            "flash": {"kind": "flash", "rise_s": 700},
            "round": {"kind": "round_up"},
            "fast": {"kind": "speed", "above": 5},
            "gone_far": {"kind": "displacement", "above": 30},
            "in": {"kind": "enter", "x_um": [0, 100], "y_um": [0, 100]},
            "division": {"kind": "split"},
            "arrival": {"kind": "appear"},
            "loss": {"kind": "disappear"},
            "union": {"kind": "merge"},
            "crowd": {"kind": "count", "above": 40},
            "full": {"kind": "confluence", "above": 0.5},
        },
    },
    "response": [
        {"policy": "follow", "on": "division", "priority": 3},
        {"policy": "burst", "on": ["division", "flash"], "priority": 2},
        {"policy": "series", "on": "bright", "parallel": 4},
        {"policy": "interval", "on": "division", "slow_s": 600, "fast_s": 60},
        {"policy": "bookmark", "on": "loss"},
    ],
    "limits": {"light_ms_percent": 1e9, "track_light_ms_percent": 1e9},
}


def bench_reflex(
    *, places: int = 384, tracks: int = 10_000, rounds: int = 8, seed: int = 0
) -> dict[str, Any]:
    """Measure the decisions of a survey of many places, in three channels.

    Parameters
    ----------
    places : int
        Of the survey.
    tracks : int
        Cells alive, spread over them.
    rounds : int
        Visits of each place; the first two warm up.
    seed : int
        Of the cells.

    Returns
    -------
    dict
        ``places``, ``tracks`` (alive at the end), ``frames``; ``decide_p50_ms``,
        ``decide_p95_ms``, ``decide_p99_ms``, ``decide_max_ms`` of one frame less the
        detector; ``recognition_p95_ms``, ``response_p95_ms``; ``occurrences`` and
        ``decisions`` made; ``grown_mb``: memory of this process after the warm-up.
    """
    cells = _Cells(places, tracks, seed)
    experiment = Experiment.parse(_EXPERIMENT)
    reflex = Reflex(experiment, Limits(), detector=cells)
    took: dict[str, list[float]] = {"recognition": [], "response": [], "decide": []}
    occurrences = decisions = number = alive = 0
    before_mb = 0.0
    for turn in range(rounds):
        if turn == 2:
            before_mb = rss_mb()
        cells.move()
        for place in range(places):
            for channel in _CHANNELS:
                frame = cells.frame(number, turn, place, channel)
                number += 1
                began = time.perf_counter()
                reaction = reflex.step(frame)
                whole_ms = (time.perf_counter() - began) * 1e3
                if turn < 2:
                    continue
                took["decide"].append(whole_ms - reaction.timings_ms["inference"])
                for step in ("recognition", "response"):
                    took[step].append(reaction.timings_ms[step])
                occurrences += len(reaction.occurrences)
                decisions += len(reaction.decisions)
                if turn == rounds - 1 and channel == _CHANNELS[-1]:
                    alive += len(reaction.tracks)
    decide = np.percentile(took["decide"], [50, 95, 99, 100])
    return {
        "places": places,
        "tracks": alive,
        "frames": len(took["decide"]),
        "decide_p50_ms": float(decide[0]),
        "decide_p95_ms": float(decide[1]),
        "decide_p99_ms": float(decide[2]),
        "decide_max_ms": float(decide[3]),
        "recognition_p95_ms": float(np.percentile(took["recognition"], 95)),
        "response_p95_ms": float(np.percentile(took["response"], 95)),
        "occurrences": occurrences,
        "decisions": decisions,
        "grown_mb": rss_mb() - before_mb,
    }


class _Cells:
    """Cells of all places, which walk, and now and then divide or flash."""

    sha256 = ""

    def __init__(self, places: int, tracks: int, seed: int) -> None:
        self._rng = np.random.default_rng(seed)
        each = np.diff(np.linspace(0, tracks, places + 1).astype(int))
        half = _FIELD_UM / 2 - 10
        self._xy: list[npt.NDArray[np.float64]] = [
            self._rng.uniform(-half, half, (n, 2)) for n in each
        ]
        self._level = [self._rng.normal(100, 10, n) for n in each]
        self._pixels = np.zeros((512, 512), np.uint16)
        self._now = 0

    def move(self) -> None:
        """Let a time step pass: a cell in two hundred divides, one flashes."""
        rng = self._rng
        for place, xy in enumerate(self._xy):
            xy += rng.normal(0, 1, xy.shape)
            level = self._level[place]
            level += rng.normal(0, 3, len(level))
            dividing = np.flatnonzero(rng.random(len(xy)) < 0.005)
            if len(dividing) and len(xy) > 1:
                # one is gone for each that divides, so that their number stays
                gone = (dividing + 1) % len(xy)
                xy[gone] = xy[dividing] + [4.0, 0.0]
                xy[dividing] -= [4.0, 0.0]
            flashing = rng.random(len(level)) < 0.005
            level[:] = np.where(flashing, 250.0, np.where(level > 180, 100, level))

    def frame(self, number: int, turn: int, place: int, channel: str) -> Frame:
        """Return a frame of a place; its pixels are empty."""
        self._now = place
        state = FrameState(0.0, 0.0, 0.0, 100.0, channel, 0.65)
        return Frame(
            self._pixels,
            MDAEvent(index={"t": turn, "p": place}),
            number,
            600.0 * turn + place,
            0.0,
            f"p{place}",
            state,
            light_ms_percent=1e4 * (turn + 1),
        )

    def detect(self, frame: Frame, /) -> Detections:
        """Return the cells of the place."""
        xy, level = self._xy[self._now], self._level[self._now]
        n = len(xy)
        return Detections(
            centers_px=(xy[:, ::-1] / 0.65 + 255.5).astype(np.float32),
            centers_um=xy.copy(),
            score=np.full(n, 0.9, np.float32),
            class_id=np.zeros(n, np.int32),
            boxes_px=np.zeros((n, 4), np.float32),
            area_px=np.full(n, 250.0, np.float32),
            intensity=level.astype(np.float32),
        )
