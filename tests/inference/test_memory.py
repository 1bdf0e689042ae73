"""Frame after frame, nothing is left in memory.

With ``SMARTSCOPE_LONG=1`` it looks at 100 000 frames.
"""

from __future__ import annotations

import os

import numpy as np
import psutil

from smartscope.inference import DenoiseSettings, DetectSettings, Pipeline

FRAMES = 100_000 if os.environ.get("SMARTSCOPE_LONG") == "1" else 10_000


def test_thousands_of_frames_leave_nothing_behind() -> None:
    pipeline = Pipeline.load(
        DetectSettings(model="dog", device="cpu"),
        DenoiseSettings(model="gaussian", device="cpu"),
        threads=1,
    )
    rng = np.random.default_rng(0)
    frames = [rng.poisson(40, (64, 64)).astype(np.uint16) for _ in range(4)]
    process = psutil.Process()
    for i in range(FRAMES):
        pipeline.run(frames[i % 4])
        if i == 1000:  # the arenas have grown by then
            before = process.memory_info().rss
    assert pipeline.unfused == ""
    # one restored image kept of each frame would be 150 MB
    assert process.memory_info().rss - before < 8_000_000
