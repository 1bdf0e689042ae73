"""A policy of my own decides what the microscope does.

A policy is an importable class with a method ``decide``. It is called once for every
analysed frame, in the analysis process, and returns what it wishes; the arbiter grants,
clips or refuses. In an experiment file: ``policy: own_policy:BurstAtBrightest``.
"""

import sys
from collections.abc import Sequence

from smartscope import Experiment, Run, run
from smartscope.response import Action, Burst, Observation


class BurstAtBrightest:
    """Take a burst at the brightest thing in every n-th round."""

    def __init__(self, every: int = 5, frames: int = 10) -> None:
        self.every, self.frames = every, frames

    def decide(self, seen: Observation, /) -> Sequence[Action]:
        """Wish for a burst where the brightest thing is."""
        if seen.frame.event.index.get("t", 0) % self.every or not len(seen.detections):
            return []
        brightest = seen.detections.intensity.argmax()
        x_um, y_um = seen.detections.centers_um[brightest]
        return [
            Burst(
                place=seen.frame.place,
                x_um=x_um,
                y_um=y_um,
                frames=self.frames,
                exposure_ms=seen.frame.state.exposure_ms,
            )
        ]


def main(out: str | None = None) -> None:
    experiment = Experiment.parse(
        {
            "name": "own policy",
            "specimen": {"time": "virtual", "cells": 60},
            "survey": {
                "channels": [{"config": "FITC", "exposure": 30}],
                "stage_positions": [[0, 0], [150, 0]],
                "time_plan": {"interval": 60, "loops": 6},
            },
            "response": [
                {"policy": "own_policy:BurstAtBrightest", "options": {"frames": 4}}
            ],
            "mode": "synchronized",
        }
    )
    folder = run(experiment, out).folder
    for decision in Run.open(folder).decisions:
        print(decision["decision_id"], decision["policy"], decision["verdict"])
    print(folder)


if __name__ == "__main__":
    main(*sys.argv[1:])
