"""A cell is chosen by pointing at it, and kept in the middle from then on.

A person would click in a live view; here the program points: at the thing farthest off
centre in the first analysed frame. On the command line the same is

    smartscope run EXPERIMENT.yaml --target p0:-60,35

or ``t p0 -60 35`` and Enter while the run goes on.
"""

import math
import sys
from typing import Any

from smartscope import Experiment, Run, run
from smartscope.signals import RunSignals

EXPERIMENT = {
    "name": "follow by click",
    "microscope": "simulated",
    "specimen": {"time": "virtual", "cells": 60, "divisions_per_hour": 0},
    "survey": {
        "stage_positions": [[0, 0]],
        "channels": [{"config": "FITC", "exposure": 30}],
        "time_plan": {"interval": 60, "loops": 12},
    },
    "analysis": {"detect": {"model": "dog", "min_distance_um": 6}},
    "response": [{"policy": "follow", "choose": "click", "dead_band_um": 3}],
    "mode": "synchronized",
}


def main(out: str | None = None) -> None:
    signals = RunSignals()

    def point(record: dict[str, Any]) -> None:
        """Point once, at the cell farthest from the middle but not at the edge."""
        near = [t for t in record["tracks"] if math.hypot(t["x_um"], t["y_um"]) < 120]
        if not near:
            return
        signals.frameAnalysed.disconnect(point)
        cell = max(near, key=lambda t: math.hypot(t["x_um"], t["y_um"]))
        # a click is never exact
        signals.targetChosen.emit("p0", cell["x_um"] + 2.0, cell["y_um"] - 3.0)

    signals.frameAnalysed.connect(point)
    result = run(Experiment.parse(EXPERIMENT), out, signals=signals)
    recorded = Run.open(result.folder)
    for line in recorded.analysed:
        for remark in line["remarks"]:
            print(f"{line['time_s']:6.0f} s  {remark}")
    for frame in recorded.frames[:: len(recorded.frames) - 1]:
        state = frame["state"]
        print(
            f"{frame['time_s']:6.0f} s  stage at {state['x_um']:.1f}, "
            f"{state['y_um']:.1f} µm"
        )
    print(result.outcome)


if __name__ == "__main__":
    main(*sys.argv[1:])
