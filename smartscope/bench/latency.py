"""How long the circle takes: decisions, overload, interruption, urgent events."""

from __future__ import annotations

import random
import time
from typing import Any

import numpy as np
from useq import MDAEvent, MDASequence

from smartscope.acquisition import EventTag
from smartscope.bench.rig import (
    bare_rate,
    demo_microscope,
    loop_rate,
    looped,
    ratio,
    sequence,
)
from smartscope.loop import RunLoop
from smartscope.microscope import Microscope
from smartscope.response import Burst, Decision
from smartscope.storage import Run

_OVERLOAD_MODEL_MS = 40.0
_OVERLOAD_EXPOSURE_MS = 12.5
_INTERRUPTED_EXPOSURE_MS = 20.0


def bench_latency(*, frames: int = 300, interruptions: int = 20) -> dict[str, Any]:
    """Measure the latencies of the loop on the DemoCamera (FastImage, 512×512).

    Parameters
    ----------
    frames : int
        Frames of each run.
    interruptions : int
        How often a streaming survey is interrupted by a burst.

    Returns
    -------
    dict
        ``decide_p50_ms``, ``decide_p95_ms``, ``decide_p99_ms``: hand-over → decision
        back in the acquisition process, less the detector's time.
        ``overload_age_p95_ms``, ``overload_ratio``: a model of 40 ms, a stream of 80
        frames/s: age of the frame when its decision arrives, rate against bare;
        ``overload_accounted``: every frame is analysed or counted as skipped.
        ``interrupt_p50_ms``, ``interrupt_p95_ms``, ``frame_period_ms``: burst wished →
        camera of the streaming survey stopped. ``urgent_ms``: how long after it was
        put an urgent event ran that came 0.1 s into a wait of 3 s.
    """
    with demo_microscope() as scope:
        _, run = looped(scope, sequence(20, frames), sequenced=False)
        decide = _decide_ms(run)
        streamed = sequence(_OVERLOAD_EXPOSURE_MS, frames)
        bare = bare_rate(scope, streamed, sequenced=True)
        _, over = looped(
            scope, streamed, sequenced=True, detector_ms=_OVERLOAD_MODEL_MS
        )
        interrupted = _interrupt_ms(scope, interruptions)
        urgent_ms = _urgent_ms(scope)
    ages = _decide_ms(over, less_inference=False)
    p50, p95, p99 = np.percentile(decide, [50, 95, 99])
    return {
        "decide_p50_ms": round(float(p50), 3),
        "decide_p95_ms": round(float(p95), 3),
        "decide_p99_ms": round(float(p99), 3),
        "overload_age_p50_ms": round(float(np.percentile(ages, 50)), 2),
        "overload_age_p95_ms": round(float(np.percentile(ages, 95)), 2),
        "overload_ratio": ratio([loop_rate(over)], [bare]),
        "overload_analysed": len(over.analysed),
        "overload_skipped": len(over.skipped),
        "overload_accounted": len(over.analysed) + len(over.skipped) == frames,
        "interrupt_p50_ms": round(float(np.percentile(interrupted, 50)), 2),
        "interrupt_p95_ms": round(float(np.percentile(interrupted, 95)), 2),
        "frame_period_ms": _INTERRUPTED_EXPOSURE_MS,
        "interruptions": len(interrupted),
        "urgent_ms": round(urgent_ms, 2),
    }


def _decide_ms(run: Run, *, less_inference: bool = True) -> list[float]:
    return [
        line["decide_ms"] - (line["timings_ms"]["inference"] if less_inference else 0.0)
        for line in run.analysed
    ]


def _burst(loop: RunLoop, number: int) -> Decision:
    wish = Burst(place="p0", x_um=0, y_um=0, frames=2, exposure_ms=1.0, channel="FITC")
    return Decision(
        decision_id=f"bench/{number}",
        frame_id=0,
        time_s=loop.clock.now_s(),
        handed_over_s=time.monotonic(),
        policy="bench",
        priority=0,
        wish=wish,
        granted=wish,
        verdict="granted",
        reason="to measure",
    )


def _interrupt_ms(scope: Microscope, times: int) -> list[float]:
    """Wish bursts at random moments of a stream; return ms until the camera stood."""
    core = scope.core
    wished_s: list[float] = []
    stopped_ms: list[float] = []
    stop = core.stopSequenceAcquisition

    def stop_and_stamp(*args: Any) -> None:
        stop(*args)
        if len(stopped_ms) < len(wished_s):
            stopped_ms.append((time.monotonic() - wished_s[-1]) * 1e3)

    rng = random.Random(0)

    def interrupt(loop: RunLoop) -> None:
        _wait_until(lambda: loop.telemetry.counts().get("frames_acquired", 0) > 3)
        for number in range(times):
            time.sleep(rng.uniform(0.15, 0.25))
            if not core.isSequenceRunning():
                continue
            wished_s.append(time.monotonic())
            loop.planner.act(_burst(loop, number))
        loop.stop("measured")

    setattr(core, "stopSequenceAcquisition", stop_and_stamp)  # noqa: B010 of a method
    try:
        survey = sequence(_INTERRUPTED_EXPOSURE_MS, 50 * (times + 10))
        looped(scope, survey, sequenced=True, meanwhile=interrupt)
    finally:
        delattr(core, "stopSequenceAcquisition")
    return stopped_ms


def _urgent_ms(scope: Microscope) -> float:
    """Put an urgent event 0.1 s into a wait of 3 s; return ms until it was taken."""
    put_s: list[float] = []
    survey = MDASequence(
        channels=[{"config": "FITC", "exposure": 1}],
        time_plan={"interval": 3, "loops": 2},
    )

    def put(loop: RunLoop) -> None:
        _wait_until(lambda: loop.telemetry.counts().get("frames_acquired", 0) > 0)
        time.sleep(0.1)
        tag = EventTag(origin="burst", image="urgent")
        put_s.append(time.monotonic())
        loop.planner.queue.put(tag.on(MDAEvent(exposure=1)), urgency=10)

    _, run = looped(scope, survey, sequenced=False, meanwhile=put)
    taken = next(f for f in run.frames if f["origin"] == "burst")
    return float((taken["handed_over_s"] - put_s[0]) * 1e3)


def _wait_until(true: Any) -> None:
    deadline = time.monotonic() + 30
    while not true() and time.monotonic() < deadline:
        time.sleep(0.002)
