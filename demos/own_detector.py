"""A detector of my own finds the things.

A detector is an importable class with a method ``detect``. It is called for every
analysed frame, in the analysis process. In an experiment file:
``detect: own_detector:BrightSpots``.
"""

import sys

import numpy as np
from scipy import ndimage

from smartscope import Experiment, Run, run
from smartscope.acquisition import Frame
from smartscope.recognition import Detections, detections_at


class BrightSpots:
    """Things are what stands out of the background by some standard deviations."""

    def __init__(self, sigmas: float = 4.0) -> None:
        self.sigmas = sigmas

    def detect(self, frame: Frame, /) -> Detections:
        """Return what stands out in the smoothed frame."""
        smooth = ndimage.gaussian_filter(frame.pixels.astype(np.float32), 3)
        labels, n = ndimage.label(smooth > smooth.mean() + self.sigmas * smooth.std())
        centers_px = ndimage.center_of_mass(smooth, labels, range(1, n + 1))
        return detections_at(frame, centers_px)


def main(out: str | None = None) -> None:
    experiment = Experiment.parse(
        {
            "name": "own detector",
            "specimen": {"time": "virtual", "cells": 60},
            "survey": {
                "channels": [{"config": "FITC", "exposure": 30}],
                "stage_positions": [[0, 0], [150, 0]],
                "time_plan": {"interval": 60, "loops": 4},
            },
            "analysis": {
                "detect": {
                    "model": "own_detector:BrightSpots",
                    "options": {"sigmas": 3.0},
                }
            },
            "mode": "synchronized",
        }
    )
    folder = run(experiment, out).folder
    for frame in Run.open(folder).analysed:
        print(frame["frame_id"], frame["place"], len(frame["detections"]["score"]))
    print(folder)


if __name__ == "__main__":
    main(*sys.argv[1:])
