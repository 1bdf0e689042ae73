"""What is left in memory after many frames: of each of them, nothing should be."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from smartscope.errors import Refused
from smartscope.inference import DenoiseSettings, DetectSettings, Pipeline

_SETTLED = 1_000  # frames after which the runtime has taken what it needs
_MARKS = 10
_BANK = 16


def bench_memory(*, frames: int = 100_000, size: int = 64) -> dict[str, Any]:
    """Look at small frames with the shipped models, and at the process meanwhile.

    Parameters
    ----------
    frames : int
        How many, each with noise of its own out of a few; more than 1000.
    size : int
        Rows and columns of the uint16 frames.

    Returns
    -------
    dict
        ``frames``; ``rss_mb`` after the first 1000 frames; ``growth_mb`` after all;
        ``most_mb``, the largest growth at a tenth of the way; ``slope_bytes_per_frame``
        of a straight line through these, the first third left out; ``marks_mb``, the
        growth at each tenth; ``frames_per_s``; ``fused``.

    Raises
    ------
    smartscope.errors.Refused
        If there are too few frames.
    """
    import psutil  # type: ignore[import-untyped]  # it has no stubs

    if frames <= _SETTLED:
        raise Refused(
            f"{frames} frames are too few to see memory grow.",
            rule=f"The first {_SETTLED} are left out.",
            way_out=f"Take more than {_SETTLED}.",
        )
    pipeline = Pipeline.load(
        DetectSettings(model="dog", device="cpu"),
        DenoiseSettings(model="gaussian", device="cpu"),
        threads=1,
    )
    rng = np.random.default_rng(0)
    bank = rng.poisson(40, (_BANK, size, size)).astype(np.uint16)
    process = psutil.Process()
    for i in range(_SETTLED):
        pipeline.run(bank[i % _BANK])
    first = process.memory_info().rss
    marks: list[tuple[int, int]] = []
    every = max(1, (frames - _SETTLED) // _MARKS)
    began = time.perf_counter()
    for i in range(_SETTLED, frames):
        pipeline.run(bank[i % _BANK])
        if (i + 1 - _SETTLED) % every == 0:
            marks.append((i + 1, process.memory_info().rss - first))
    took = time.perf_counter() - began
    numbers, grown = np.array(marks, float).T
    late = slice(len(marks) // 3, None)
    slope = np.polyfit(numbers[late], grown[late], 1)[0] if len(marks) > 4 else 0.0
    return {
        "frames": frames,
        "size": size,
        "rss_mb": first / 1e6,
        "growth_mb": float(grown[-1]) / 1e6,
        "most_mb": float(grown.max()) / 1e6,
        "slope_bytes_per_frame": float(slope),
        "marks_mb": [round(float(g) / 1e6, 3) for g in grown],
        "frames_per_s": (frames - _SETTLED) / took,
        "fused": pipeline.unfused == "",
    }
