"""Channels that are looked at together: what could never work is told before."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smartscope.acquisition import EventTag, Frame, FrameState
from smartscope.errors import Refused
from smartscope.microscope import Microscope, open_microscope
from smartscope.preflight import check
from smartscope.preflight.channels import wrong_channels
from smartscope.preflight.orders import Orders
from smartscope.recognition import Gathering
from smartscope.settings import Experiment

_SPEC = importlib.util.spec_from_file_location(
    "plane_nets", Path(__file__).parent / "loop" / "plane_nets.py"
)
assert _SPEC is not None
assert _SPEC.loader is not None
nets = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(nets)

BOTH = {"config": "FITC", "exposure": 20}, {"config": "DAPI", "exposure": 20}
SURVEY: dict[str, Any] = {
    "axis_order": "tpc",
    "channels": BOTH,
    "stage_positions": [[0, 0], [60, 0]],
    "time_plan": {"interval": 10, "loops": 3},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("preflight")
    nets.two_channels(folder / "two.onnx")
    nets.difference(folder / "difference.onnx")
    nets.write_microscope(folder, flats={"FITC": nets.vignette()})
    return folder


@pytest.fixture(scope="module")
def scope(folder: Path) -> Iterator[Microscope]:
    specimen = {"time": "virtual", "cells": 3}
    with open_microscope(folder / "small.toml", specimen=specimen) as scope:
        yield scope


def wish(folder: Path, survey: dict[str, Any], **analysis: Any) -> Experiment:
    content = {
        "survey": {**SURVEY, **survey},
        "analysis": {"detect": "two.onnx", "channel": ["DAPI", "FITC"], **analysis},
        "storage": {"reserve_mb": 0},
    }
    return Experiment.parse(content, folder)


WRONG = [
    ({}, {"channel": "FITC"}, "takes 2 channels, and analysis.channel names 1: FITC."),
    ({}, {"channel": None}, "takes 2 channels, and analysis.channel names none."),
    (
        {},
        {"channel": ["DAPI", "FITC", "Cy5"]},
        "analysis.channel: the survey takes no frame in 'Cy5'.",
    ),
    ({}, {"channel": ["DAPI", "FTIC"]}, "no frame in 'FTIC'. Did you mean 'FITC'?"),
    ({}, {"channel": ["Camera", "FITC"]}, "Camera is a camera and FITC a preset."),
    ({}, {"bursts": True}, "analysis.bursts: a burst is taken in one channel"),
    (
        {"axis_order": "cpt"},
        {},
        "analysis.channel: DAPI, FITC are never taken in one visit of p0, p1.",
    ),
    (
        {
            "stage_positions": [
                {"x": 0, "y": 0},
                {"x": 60, "y": 0, "sequence": {"channels": [BOTH[0]]}},
            ]
        },
        {},
        "no frame in 'DAPI' at p1: the model would wait there for ever.",
    ),
    (
        {"setup": {"roi": [0, 0, 32, 32]}},
        {},
        "survey.setup: it sets a ROI, and the microscope has a dark or flat field",
    ),
    (
        {"setup": {"properties": [["Camera", "Binning", "2"]]}},
        {},
        "it sets the property 'Binning' of 'Camera'",
    ),
    (
        {"stage_positions": [[i * 2.0, 0] for i in range(600)]},
        {"channel": "FITC", "detect": "difference.onnx"},
        "a window of 2 frames at 600 places",
    ),
    (
        {},
        {"channel": "FITC", "detect": {"model": "dog", "normalisation": "series"}},
        "normalisation",
    ),
]


@pytest.mark.parametrize(("survey", "analysis", "told"), WRONG)
def test_what_could_never_work_is_refused(
    scope: Microscope,
    folder: Path,
    survey: dict[str, Any],
    analysis: dict[str, Any],
    told: str,
) -> None:
    with pytest.raises(Refused) as caught:
        check(wish(folder, survey, **analysis), scope, None)
    assert told in caught.value.what


def test_a_preset_that_changes_the_size_of_frames_fits_no_flat_field(
    scope: Microscope, folder: Path
) -> None:
    channels = [{"config": "binned", "exposure": 20}, BOTH[0]]
    scope.core.defineConfig("Channel", "binned", "Camera", "Binning", "2")
    try:
        one = wish(folder, {"channels": channels}, channel="binned", detect="dog")
        with pytest.raises(Refused) as caught:
            check(one, scope, None)
        assert (
            "the preset 'binned' sets the property 'Binning' of 'Camera'"
            in caught.value.what
        )
        for analysis in ({"channel": "FITC"}, {"channel": "binned", "correct": False}):
            check(
                wish(folder, {"channels": channels}, detect="dog", **analysis),
                scope,
                None,
            )
        scope.core.defineConfig("Channel", "binned", "Camera", "Binning", "1")
        check(one, scope, None)
    finally:
        scope.core.deleteConfig("Channel", "binned")


def test_what_works_says_what_it_does(scope: Microscope, folder: Path) -> None:
    notices = check(wish(folder, {}), scope, None).notices
    assert any("looks at 2 channels together" in n for n in notices)
    assert any("There is a flat field of FITC and none of DAPI" in n for n in notices)
    assert any("corrected before the model: flat field of FITC" in n for n in notices)
    one = wish(folder, {}, channel="FITC", detect="difference.onnx")
    assert any("last 2 frames of a place" in n for n in check(one, scope, None).notices)
    raw = wish(folder, {"setup": {"roi": [0, 0, 32, 32]}}, correct=False)
    assert not any("flat field" in n for n in check(raw, scope, None).notices)


def test_a_channel_taken_now_and_then_is_a_notice(
    scope: Microscope, folder: Path
) -> None:
    seldom = [BOTH[0], {**BOTH[1], "acquire_every": 2}]
    notices = check(wish(folder, {"channels": seldom}), scope, None).notices
    assert any("2 of 6 sets of DAPI, FITC will stay incomplete" in n for n in notices)


# what useq warns of is what is to be told here
@pytest.mark.filterwarnings("ignore:Channels with skipped frames")
@given(
    st.permutations("tpcz"),
    st.lists(st.integers(1, 3), min_size=2, max_size=2),
    st.integers(1, 2),
    st.booleans(),
)
def test_what_is_foretold_happens(
    scope: Microscope,
    folder: Path,
    order: list[str],
    every: list[int],
    planes: int,
    stacked: bool,
) -> None:
    """The survey is refused if and only if no set of some place would be whole."""
    survey: dict[str, Any] = {
        "axis_order": "".join(order),
        "channels": [
            {**channel, "acquire_every": n, "do_stack": stacked or i == 0}
            for i, (channel, n) in enumerate(zip(BOTH, every, strict=True))
        ],
        "z_plan": {"range": planes - 1, "step": 1},
    }
    experiment = wish(folder, survey)
    names = experiment.analysis.channels
    gathering = Gathering(names)
    whole: dict[str, int] = {}
    incomplete = 0
    pixels = np.zeros((1, 1), np.uint16)
    for i, event in enumerate(experiment.survey):
        assert event.channel is not None
        place = EventTag.of_survey(event).place
        state = FrameState(0.0, 0.0, 0.0, 1.0, event.channel.config, 1.0)
        told = gathering.take(Frame(pixels, event, i, 0.0, 0.0, place, state))
        whole[place] = whole.get(place, 0) + (told.planes is not None)
        incomplete += told.incomplete
    incomplete += gathering.planes_held
    notices: list[str] = []
    problems = list(
        wrong_channels(experiment, Orders(scope), {"FITC", "DAPI"}, notices)
    )
    assert bool(problems) == (not all(whole.values()))
    if not problems:
        assert bool(notices) == bool(incomplete)
        if incomplete:
            assert notices[0].startswith(f"{incomplete} of ")
