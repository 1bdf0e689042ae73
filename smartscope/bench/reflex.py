"""How long a decision takes where there is much to decide about: a plate of 384 wells.

The detector is a table of cells that drift, divide and flash, so that what is measured
is recognition and response alone: tracks, all kinds of occurrences, policies, arbiter.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from useq import MDAEvent

from smartscope.acquisition import Frame, FrameState, Limits
from smartscope.bench.memory import rss_mb
from smartscope.errors import Refused
from smartscope.recognition import Detections
from smartscope.reflex import Reflex
from smartscope.response import Decision, EndSeries, Outcome, Series
from smartscope.settings import Experiment

_CHANNELS = ("DAPI", "FITC", "Cy5")
_FIELD_UM = 330.0
_SERIES_S = 3 * 3600.0
_UNTIMED = 2  # rounds
_WARM_UP = 18  # rounds until all baselines are full
_MARKS = 20
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
    *,
    places: int = 384,
    tracks: int = 10_000,
    frames: int = 9_216,
    seed: int = 0,
) -> dict[str, Any]:
    """Measure the decisions of a survey of many places, in three channels.

    Parameters
    ----------
    places : int
        Of the survey.
    tracks : int
        Cells alive, spread over them.
    frames : int
        How many; whole rounds of all places are taken. The first two rounds are not
        timed.
    seed : int
        Of the cells.

    Returns
    -------
    dict
        ``places``, ``tracks`` (alive at the end), ``frames`` (timed);
        ``decide_p50_ms``, ``decide_p95_ms``, ``decide_p99_ms``, ``decide_max_ms`` of
        one frame less the detector; ``recognition_p95_ms``, ``response_p95_ms``;
        ``occurrences`` and ``decisions`` made; ``tracks_begun``; ``rss_mb``: memory of
        this process after two rounds; ``marks_mb``: how much more it was at each
        twentieth of the frames; ``warm_up_frames``: until every baseline has its 15
        values of each place and channel; ``grown_mb`` since then, and
        ``slope_bytes_per_frame``, fitted to the marks since then: both 0 where the
        frames end before.

    Raises
    ------
    smartscope.errors.Refused
        If there are too few frames.
    """
    each_round = places * len(_CHANNELS)
    rounds = frames // each_round
    if rounds <= _UNTIMED:
        raise Refused(
            f"{frames} frames are too few for {places} places.",
            rule=f"{_UNTIMED} rounds of {each_round} frames are not timed.",
            way_out=f"Take at least {(_UNTIMED + 1) * each_round}.",
        )
    cells = _Cells(places, tracks, seed)
    outcomes = _Outcomes()
    experiment = Experiment.parse(_EXPERIMENT)
    reflex = Reflex(experiment, Limits(), detector=cells)
    # of fixed size: what is measured must not grow by the measuring
    took = np.zeros(((rounds - _UNTIMED) * each_round, 3), np.float32)
    memory = _Memory((rounds - _UNTIMED) * each_round, _WARM_UP * each_round)
    occurrences = decisions = number = alive = begun = 0
    for turn in range(rounds):
        if turn == _UNTIMED:
            memory.begin()
        cells.move()
        for place in range(places):
            for channel in _CHANNELS:
                frame = cells.frame(number, turn, place, channel)
                timed = number - _UNTIMED * each_round
                number += 1
                for outcome in outcomes.by(frame.time_s):
                    reflex.take(outcome)
                began = time.perf_counter()
                reaction = reflex.step(frame)
                whole_ms = (time.perf_counter() - began) * 1e3
                outcomes.await_of(reaction.decisions)
                if turn < _UNTIMED:
                    continue
                ms = reaction.timings_ms
                took[timed] = (
                    whole_ms - ms["inference"],
                    ms["recognition"],
                    ms["response"],
                )
                memory.after(timed + 1)
                occurrences += len(reaction.occurrences)
                decisions += len(reaction.decisions)
                begun = reaction.next_track_id
                if turn == rounds - 1 and channel == _CHANNELS[-1]:
                    alive += len(reaction.tracks)
    decide = np.percentile(took[:, 0], [50, 95, 99, 100])
    return {
        "places": places,
        "tracks": alive,
        "frames": len(took),
        "decide_p50_ms": float(decide[0]),
        "decide_p95_ms": float(decide[1]),
        "decide_p99_ms": float(decide[2]),
        "decide_max_ms": float(decide[3]),
        "recognition_p95_ms": float(np.percentile(took[:, 1], 95)),
        "response_p95_ms": float(np.percentile(took[:, 2], 95)),
        "occurrences": occurrences,
        "decisions": decisions,
        "tracks_begun": begun,
        **memory.told(),
    }


class _Outcomes:
    """What the microscope would say of granted decisions: done at once, series later.

    A series lasts for three hours, unless it is ended before.
    """

    def __init__(self) -> None:
        self._done: list[Outcome] = []
        self._series: dict[str, float] = {}

    def await_of(self, decisions: Sequence[Decision]) -> None:
        """Take what was decided on a frame."""
        for decision in decisions:
            granted = decision.granted
            if isinstance(granted, Series):
                self._series[decision.decision_id] = decision.time_s + _SERIES_S
            elif granted is not None:
                self._say(decision.decision_id, decision.time_s)
            if isinstance(granted, EndSeries) and self._series.pop(granted.series, 0):
                self._say(granted.series, decision.time_s)

    def by(self, now_s: float) -> list[Outcome]:
        """Return what has come to its end by now."""
        for decision_id, until_s in list(self._series.items()):
            if until_s < now_s:
                del self._series[decision_id]
                self._say(decision_id, now_s)
        done, self._done = self._done, []
        return done

    def _say(self, decision_id: str, time_s: float) -> None:
        self._done.append(
            Outcome(
                decision_id=decision_id, status="done", reason="as if", time_s=time_s
            )
        )


class _Memory:
    """The memory of this process at each twentieth of the frames."""

    def __init__(self, frames: int, warm_up: int) -> None:
        self._every = max(1, frames // _MARKS)
        self._warm_up = warm_up
        self._first_mb = 0.0
        self._marks: list[tuple[int, float]] = []

    def begin(self) -> None:
        """Take what follows as growth."""
        self._first_mb = rss_mb()

    def after(self, frames: int) -> None:
        """Look, if it is time to."""
        if frames % self._every == 0:
            self._marks.append((frames, rss_mb() - self._first_mb))

    def told(self) -> dict[str, Any]:
        """Return the figures."""
        warm = np.array([m for m in self._marks if m[0] >= self._warm_up])
        grown = slope = 0.0
        if len(warm) > 1:
            grown = float(warm[-1, 1] - warm[0, 1])
            slope = float(np.polyfit(warm[:, 0], warm[:, 1], 1)[0])
        return {
            "rss_mb": self._first_mb,
            "marks_mb": [round(mb, 2) for _, mb in self._marks],
            "warm_up_frames": self._warm_up,
            "grown_mb": grown,
            "slope_bytes_per_frame": slope * 1e6,
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
