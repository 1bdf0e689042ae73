"""What of storage and time cannot go together is told before the run."""

from __future__ import annotations

from typing import Any

import pytest

from smartscope.errors import Refused
from smartscope.microscope import open_microscope
from smartscope.preflight import Checked, check
from smartscope.settings import Experiment

SPECIMEN = {"time": "virtual", "cells": 3}
BOOKMARK = {"policy": "bookmark", "on": "here"}
KEEP = {"policy": "pre_trigger", "on": "here", "before": 1}


def checked(**more: Any) -> Checked:
    analysis = {
        "occurrences": {"here": {"kind": "count", "above": 0}},
        **more.pop("analysis", {}),
    }
    experiment = Experiment.parse(
        {
            "survey": {
                "channels": [{"config": "FITC", "exposure": 20}],
                "time_plan": {"interval": 10, "loops": 3},
            },
            "specimen": SPECIMEN,
            "analysis": analysis,
            **more,
        }
    )
    with open_microscope("simulated", specimen=SPECIMEN) as scope:
        return check(experiment, scope)


@pytest.mark.parametrize("survey", ["on_hit", {"every_nth": 3}])
def test_restored_images_of_frames_that_are_not_stored_are_refused(survey: Any) -> None:
    kept = {"denoise": {"model": "gaussian", "store": True}}
    with pytest.raises(Refused, match=r"analysis\.denoise\.store"):
        checked(analysis=kept, response=[KEEP], storage={"survey": survey})
    checked(analysis=kept, response=[KEEP])
    shown = {"denoise": {"model": "gaussian"}}
    checked(analysis=shown, response=[KEEP], storage={"survey": survey})


@pytest.mark.parametrize(
    ("mode", "response", "told"),
    [
        ("free_run", [BOOKMARK], True),
        ("free_run", [], False),
        ("synchronized", [BOOKMARK], False),
    ],
)
def test_virtual_time_that_does_not_wait_is_told(
    mode: str, response: list[Any], told: bool
) -> None:
    notices = checked(mode=mode, response=response).notices
    assert any("mode: synchronized" in notice for notice in notices) == told
