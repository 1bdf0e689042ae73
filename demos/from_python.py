"""An experiment built, checked, run and read back from Python."""

import sys

from smartscope import Experiment, Run, run
from smartscope.microscope import open_microscope
from smartscope.preflight import check


def main(out: str | None = None) -> None:
    survey = {
        "channels": [{"config": "FITC", "exposure": 30}],
        "stage_positions": [[0, 0], [150, 0]],
        "time_plan": {"interval": 60, "loops": 5},
    }
    specimen = {"time": "virtual", "cells": 60}
    experiment = Experiment.parse({"survey": survey, "specimen": specimen})
    with open_microscope("simulated", specimen=specimen) as scope:
        print(check(experiment, scope).frames, "frames planned")
    result = run(experiment, out)
    recorded = Run.open(result.folder)
    print(result.outcome, len(recorded.frames), "frames", recorded.read(0).shape)


if __name__ == "__main__":
    main(*sys.argv[1:])
