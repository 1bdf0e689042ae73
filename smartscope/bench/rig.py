"""What the benches share: the demo camera, trivial models, bare and looped runs."""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from pymmcore_plus.mda import MDAEngine
from useq import MDASequence

from smartscope.acquisition import Frame
from smartscope.loop import RunLoop
from smartscope.microscope import Microscope, open_microscope
from smartscope.recognition import Detections
from smartscope.settings import Experiment
from smartscope.storage import Run, RunFolder


class Trivial:
    """A detector that finds nothing, after ``busy_ms``; a GPU would be as quiet."""

    def __init__(self, busy_ms: float = 0.0) -> None:
        self._busy_s = busy_ms / 1e3

    def detect(self, frame: Frame, /) -> Detections:
        """Return no detections."""
        if self._busy_s:
            time.sleep(self._busy_s)
        return Detections.empty()


@contextmanager
def demo_microscope() -> Iterator[Microscope]:
    """Open Micro-Manager's demo camera as a fast 512×512 16-bit one."""
    with open_microscope("demo") as scope:
        core = scope.core
        core.setProperty("Camera", "PixelType", "16bit")
        core.setProperty("Camera", "OnCameraCCDXSize", "512")
        core.setProperty("Camera", "OnCameraCCDYSize", "512")
        # the image is not drawn anew: the camera's own time would be measured
        core.setProperty("Camera", "FastImage", "1")
        yield scope


def sequence(exposure_ms: float, frames: int) -> MDASequence:
    """Return a survey of one place and channel without waits."""
    return MDASequence(
        channels=[{"config": "FITC", "exposure": exposure_ms}],
        time_plan={"interval": 0, "loops": frames},
    )


def bare_rate(scope: Microscope, survey: MDASequence, *, sequenced: bool) -> float:
    """Run pymmcore-plus' own engine and return frames a second, first to last frame."""
    stamps: list[float] = []
    core = scope.core
    core.mda.set_engine(MDAEngine(core, use_hardware_sequencing=sequenced))

    def stamp(*_: object) -> None:
        stamps.append(time.monotonic())

    core.mda.events.frameReady.connect(stamp)
    try:
        core.mda.run(survey)
    finally:
        core.mda.events.frameReady.disconnect(stamp)
    return rate(stamps)


def looped(
    scope: Microscope,
    survey: MDASequence,
    *,
    sequenced: bool,
    detector_ms: float = 0.0,
    response: tuple[dict[str, Any], ...] = (),
    timeout_s: float = 10.0,
    meanwhile: Callable[[RunLoop], None] | None = None,
) -> tuple[RunLoop, Run]:
    """Run the whole loop with storage on the same microscope and return what it was."""
    content = {
        "name": "bench",
        "microscope": "demo",
        "survey": survey.model_dump(mode="json", exclude_unset=True),
        "hardware_sequencing": sequenced,
        "analysis": {
            "detect": {
                "model": "smartscope.bench.rig:Trivial",
                "options": {"busy_ms": detector_ms},
            },
            "timeout_s": timeout_s,
        },
        "response": response,
        "storage": {"reserve_mb": 0},
    }
    experiment = Experiment.parse(content)
    with tempfile.TemporaryDirectory(prefix="smartscope_bench_") as base:
        folder = RunFolder.create(Path(base) / "run", "bench", need_mb=1)
        loop = RunLoop(experiment, scope, folder)
        helper = None
        if meanwhile is not None:
            helper = threading.Thread(target=meanwhile, args=(loop,))
            helper.start()
        loop.run()
        if helper is not None:
            helper.join()
        outcome, exit_code, reason = loop.verdict()
        loop.witness.close(outcome, exit_code, reason)
        loop.journal.close()
        if loop.error is not None:
            raise loop.error
        return loop, Run.open(folder.path)


def loop_rate(run: Run) -> float:
    """Return the frames a second of a run, first to last hand-over."""
    return rate([f["handed_over_s"] for f in run.frames])


def rate(stamps: list[float]) -> float:
    """Return frames a second from the first to the last stamp."""
    return (len(stamps) - 1) / (stamps[-1] - stamps[0])


def ratio(loop: list[float], bare: list[float]) -> float:
    """Return the median of the ratios pair by pair."""
    return round(float(np.median(np.asarray(loop) / np.asarray(bare))), 4)
