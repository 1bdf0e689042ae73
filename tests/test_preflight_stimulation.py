"""What could not be stimulated is refused before the run, in words."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from smartscope.acquisition import Limits
from smartscope.errors import Refused
from smartscope.microscope import Microscope, find_microscope, open_microscope
from smartscope.preflight import check
from smartscope.settings import Experiment

SURVEY: dict[str, Any] = {
    "channels": [{"config": "FITC", "exposure": 20}],
    "stage_positions": [[0, 0]],
    "time_plan": {"interval": 10, "loops": 3},
}
SPECIMEN = {"time": "virtual", "cells": 3}
FLASH = {"flash": {"kind": "flash"}, "many": {"kind": "count", "above": 3}}
SLM = """[slm]
device = "SLM"
affine = [[-1.05, 0.04, 680.0], [0.04, 1.05, 22.0]]
"""


def experiment(
    controls: dict[str, Any] | None = None,
    survey: dict[str, Any] | None = None,
    **policy: Any,
) -> Experiment:
    given = {
        "policy": "stimulate",
        "on": "flash",
        "channel": "Stimulation",
        "exposure_ms": 50,
    }
    return Experiment.parse(
        {
            "survey": survey or SURVEY,
            "specimen": SPECIMEN,
            "analysis": {"occurrences": FLASH},
            "response": [{**given, **policy}],
            "controls": controls or {},
            "storage": {"reserve_mb": 0},
        }
    )


@pytest.fixture(scope="module")
def simulated() -> Iterator[Microscope]:
    with open_microscope("simulated", specimen=SPECIMEN) as scope:
        yield scope


def said(scope: Microscope, wish: Experiment) -> str:
    with pytest.raises(Refused) as caught:
        check(wish, scope)
    return caught.value.what


@pytest.mark.parametrize(
    ("policy", "told"),
    [
        (
            {"channel": "Stimulatio"},
            "response.0.channel: 'simulated' has no preset 'Stimulatio' in the group "
            "'Channel'. Did you mean 'Stimulation'?",
        ),
        ({"channel": "FITC"}, "the survey takes frames with 'FITC'"),
        ({"exposure_ms": 20000}, "response.0.exposure_ms:"),
        ({"on": "flsh"}, "'flsh' is no occurrence"),
        (
            {"survey": {**SURVEY, "channels": []}},
            "would be taken with 'Stimulation' after a stimulation. Name its channels.",
        ),
        ({"controls": {"sham": {"share": 0.3, "answer": "flsh"}}}, "Did you mean"),
        (
            {"controls": {"sham": {"share": 0.3, "answer": "many"}}},
            "'many' is of kind 'count', and an answer is one about a single track",
        ),
        (
            {"controls": {"sham": {"share": 0.3, "of": "burst"}}},
            "'burst' is no burst or stimulate policy of 'response'",
        ),
        ({"controls": {"placebo": 0.1}}, "there is no burst policy"),
    ],
)
def test_it_is_refused(
    simulated: Microscope, policy: dict[str, Any], told: str
) -> None:
    assert told in said(simulated, experiment(**policy))


def test_it_can_run_as_it_is(simulated: Microscope) -> None:
    sham = {"sham": {"share": 0.3, "answer": "flash", "within_s": 30}}
    assert check(experiment(sham, power_percent=50, pulses=3), simulated).frames == 3
    told = check(experiment(sham, target="all"), simulated).notices
    assert any("not independent" in notice for notice in told)


def test_the_demo_can_run() -> None:
    demo = Path(__file__).parent.parent / "demos" / "stimulate.yaml"
    wish = Experiment.load(demo)
    with open_microscope(wish.microscope, specimen=wish.specimen) as scope:
        assert check(wish, scope).frames == 360


def test_limits_of_the_experiment_hold() -> None:
    limits = Limits(power_percent=(0, 40), burst_frames=2, track_light_ms_percent=3000)
    with open_microscope("simulated", specimen=SPECIMEN, limits=limits) as scope:
        told = said(scope, experiment(power_percent=50, pulses=3))
    assert "response.0.power_percent: " in told
    assert "3 pulses, with a frame each, are more than limits.burst_frames 2" in told
    assert "a single stimulation gives a cell 7500 ms·%" in told


def changed(
    folder: Path, change: Callable[[str], str], name: str = "simulated"
) -> Path:
    shipped = find_microscope(name)
    path = folder / "own.toml"
    path.write_text(change(shipped.read_text(encoding="utf-8")), encoding="utf-8")
    return path


def without_slm(text: str) -> str:
    head, _, rest = text.partition("[slm]")
    return head + rest[rest.index("[camera]") :]


def test_a_microscope_without_a_modulator_is_told(tmp_path: Path) -> None:
    with open_microscope(changed(tmp_path, without_slm), specimen=SPECIMEN) as scope:
        told = said(scope, experiment())
    assert "'own' has no light modulator. Describe it under [slm]" in told


@pytest.mark.skipif(
    importlib.util.find_spec("mm_test_adapters") is None,
    reason="needs the extra 'demo' (mm-test-adapters)",
)
def test_the_demo_microscope_has_none() -> None:
    with open_microscope("demo") as scope:
        told = said(scope, experiment(channel="Cy5"))
    assert "'demo' has no light modulator" in told


def test_a_modulator_that_sees_nothing_of_the_field_is_told(tmp_path: Path) -> None:
    path = changed(tmp_path, lambda text: text.replace("680.0]", "9000.0]"))
    with open_microscope(path, specimen=SPECIMEN) as scope:
        told = said(scope, experiment())
    assert "nothing of the field lies on the light modulator 'SLM'" in told


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        (
            'device = "SLM"',
            'device = "SML"',
            "has no device 'SML'. Did you mean 'SLM'?",
        ),
        ('device = "SLM"', 'device = "Path"', "'Path' of 'own' is no light modulator"),
        ("[0.04, 1.05, 22.0]", "[-1.05, 0.04, 22.0]", "must be invertible"),
        ("intensity = 255", "intensity = 256", "slm.intensity"),
    ],
)
def test_an_slm_that_cannot_be_right_is_refused_at_once(
    tmp_path: Path, old: str, new: str, told: str
) -> None:
    path = changed(tmp_path, lambda text: text.replace(old, new))
    with pytest.raises(Refused) as caught:
        open_microscope(path, specimen=SPECIMEN)
    assert told in str(caught.value)
