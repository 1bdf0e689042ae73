"""What is left in memory after many frames: of each of them, nothing should be."""

from __future__ import annotations

import time
from pathlib import Path
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
        ``most_mb``, the largest growth at a tenth of the way; ``marks_mb``, the growth
        at each tenth; ``slope_bytes_per_frame``, the median of the steps between these,
        by the frames between; ``frames_per_s``; ``fused``.

    Raises
    ------
    smartscope.errors.Refused
        If there are too few frames.
    """
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
    for i in range(_SETTLED):
        pipeline.run(bank[i % _BANK])
    first_mb = rss_mb()
    marks: list[float] = []
    every = max(1, (frames - _SETTLED) // _MARKS)
    began = time.perf_counter()
    for i in range(_SETTLED, frames):
        pipeline.run(bank[i % _BANK])
        if (i + 1 - _SETTLED) % every == 0:
            marks.append(rss_mb() - first_mb)
    took = time.perf_counter() - began
    grown = np.array(marks)
    # the median: a single step, as allocators make them, is no leak
    slope = np.median(np.diff(grown, prepend=0.0)) / every
    return {
        "frames": frames,
        "size": size,
        "rss_mb": first_mb,
        "growth_mb": float(grown[-1]),
        "most_mb": float(grown.max()),
        "slope_bytes_per_frame": float(slope) * 1e6,
        "marks_mb": [round(float(g), 3) for g in grown],
        "frames_per_s": (frames - _SETTLED) / took,
        "fused": pipeline.unfused == "",
    }


def rss_mb() -> float:
    """Return the memory of this process in MB; 0 where /proc does not tell it."""
    try:
        # second field of statm: resident pages
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except OSError:
        return 0.0
    import resource

    return pages * resource.getpagesize() / 1e6
