"""What policies could only be refused in the run is refused before it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import tifffile
from onnx import TensorProto, helper, numpy_helper

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
TURRET = '[limits.properties.Objective]\nState = ["1"]\n'


def experiment(policy: dict[str, Any], **more: Any) -> Experiment:
    on = {} if policy["policy"] == "adapt_exposure" else {"on": "division"}
    return Experiment.parse(
        {
            "survey": SURVEY,
            "specimen": SPECIMEN,
            "analysis": {"occurrences": {"division": {"kind": "split"}}},
            "response": [{**on, **policy}],
            **more,
        }
    )


def opened(folder: Path, kind: str, declared: str, **more: Any) -> Microscope:
    """A shipped microscope with other declared properties."""
    shipped = find_microscope(kind)
    text = shipped.read_text(encoding="utf-8")
    text = text.replace("[limits.properties.Path]\nState = [0, 2]\n", declared)
    for name in ("demo.cfg", "demo_two_cameras.cfg"):
        text = text.replace(f'"{name}"', f'"{shipped.parent / name}"')
    path = folder / f"{kind}.toml"
    path.write_text(text, encoding="utf-8")
    return open_microscope(path, specimen=SPECIMEN, **more)


@pytest.fixture(scope="module")
def simulated() -> Iterator[Microscope]:
    with open_microscope("simulated", specimen=SPECIMEN) as scope:
        yield scope


def said(scope: Microscope, wish: Experiment) -> str:
    with pytest.raises(Refused) as caught:
        check(wish, scope)
    return caught.value.what


def prop(**keys: Any) -> dict[str, Any]:
    of = {"device": "Path", "property": "State", "value": 1}
    return {"policy": "set_property", **of, **keys}


@pytest.mark.parametrize(
    ("policy", "told"),
    [
        (prop(value=3), "response.0.value: 'State' of 'Path' may be 0 to 2"),
        (prop(value="open"), "may be 0 to 2 by limits.properties, not open"),
        (prop(value="1"), "give a number, not the text '1'"),
        (prop(device="Pth"), "has no device 'Pth'. Did you mean 'Path'?"),
        (prop(property="Stat"), "no property 'Stat'. Did you mean 'State'?"),
        (prop(device="Emission"), "'State' of 'Emission' is not declared"),
        (
            {"policy": "adapt_exposure", "prefer": "power", "power_percent": [60, 20]},
            "power_percent: must be [lowest, highest]",
        ),
        (
            {"policy": "burst", "roi_um": 5000},
            "roi_um: 5000 µm is more than the field of 332.8 µm",
        ),
    ],
)
def test_what_could_only_be_refused_is_told(
    simulated: Microscope, policy: dict[str, Any], told: str
) -> None:
    assert told in said(simulated, experiment(policy))


@pytest.mark.parametrize(
    "policy",
    [
        prop(value=2, back_after_s=5),
        {"policy": "adapt_exposure", "prefer": "power"},
        {"policy": "burst", "roi_um": 60},
        {"policy": "series", "roi_um": 60},
    ],
)
def test_what_can_be_done_is_let_through(
    simulated: Microscope, policy: dict[str, Any]
) -> None:
    assert check(experiment(policy), simulated).frames == 3


@pytest.mark.parametrize(
    ("declared", "told"),
    [
        ('[limits.properties.Pump]\nRate = [0, 1]\n', "has no device 'Pump'"),
        ('[limits.properties.Path]\nStat = [0, 1]\n', "no property 'Stat'"),
        (TURRET, "a turning objective could hit the sample"),
        ('[limits.properties.Light]\nPower = [0, 50]\n', "the power of the light"),
        ('[limits.properties.Camera]\nBinning = [1, 2]\n', "one size and kind"),
        (
            '[limits.properties.Camera]\nScopeTime_s = [1, 2]\n',
            "'ScopeTime_s' of 'Camera' can only be read",
        ),
    ],
)  # fmt: skip
def test_what_may_not_be_declared_is_told(
    tmp_path: Path, declared: str, told: str
) -> None:
    with opened(tmp_path, "simulated", declared) as scope:
        wish = experiment({"policy": "burst"})
        assert told in said(scope, wish)


def test_a_device_that_cannot_take_a_declared_value_is_told(tmp_path: Path) -> None:
    declared = "[limits.properties.Path]\nState = [0, 9]\n"
    with opened(tmp_path, "simulated", declared) as scope:
        told = said(scope, experiment(prop(value=7)))
    assert "'State' of 'Path' cannot be 7.0. It can be: 0, 1, 2." in told


def test_an_experiment_may_not_declare_a_property_of_its_own() -> None:
    wider = Limits.model_validate({"properties": {"Emission": {"State": [0, 1]}}})
    with pytest.raises(Refused, match="may only tighten"):
        open_microscope("simulated", limits=wider)
    tighter = Limits.model_validate({"properties": {"Path": {"State": [1, 9]}}})
    with open_microscope("simulated", specimen=SPECIMEN, limits=tighter) as scope:
        assert "may be 1 to 2" in said(scope, experiment(prop(value=0)))


def test_a_microscope_without_power_or_with_two_cameras_says_so(
    tmp_path: Path,
) -> None:
    pytest.importorskip("mm_test_adapters", reason="needs the extra 'demo'")
    with open_microscope("demo") as scope:
        wish = experiment({"policy": "adapt_exposure", "prefer": "power"})
        assert "cannot set the power of its light" in said(scope, wish)
    with open_microscope("demo_two_cameras") as scope:
        told = said(scope, experiment({"policy": "burst", "roi_um": 60}))
        assert "expose together and read all they can" in told


def analysed(folder: Path, policy: dict[str, Any], **analysis: Any) -> Experiment:
    content = {
        "survey": SURVEY,
        "specimen": SPECIMEN,
        "analysis": {"occurrences": {"division": {"kind": "split"}}, **analysis},
        "response": [{"on": "division", **policy}],
    }
    return Experiment.parse(content, folder)


def test_a_region_under_a_flat_field_is_told_if_it_is_analysed(tmp_path: Path) -> None:
    flat = np.full((512, 512), 20_000, np.uint16)
    tifffile.imwrite(tmp_path / "flat.tif", flat)
    path = tmp_path / "flat.toml"
    shipped = find_microscope("simulated").read_text(encoding="utf-8")
    text = shipped.replace("buffer_mb = 256", 'buffer_mb = 256\nflat = "flat.tif"')
    path.write_text(text, encoding="utf-8")
    part = {"policy": "burst", "roi_um": 60}
    with open_microscope(path, specimen=SPECIMEN) as scope:
        wish = analysed(tmp_path, part, bursts=True)
        assert "flat field of the microscope is of the whole frame" in said(scope, wish)
        for let_through in ({"bursts": False}, {"bursts": True, "correct": False}):
            check(analysed(tmp_path, part, **let_through), scope)


def test_a_region_that_a_model_cannot_look_at_is_told(tmp_path: Path) -> None:
    # it mirrors 30 pixels at each edge, so it needs more than 30
    pads = np.array([0, 0, 30, 30, 0, 0, 30, 30], np.int64)
    starts, ends = np.array([30, 30], np.int64), np.array([-30, -30], np.int64)
    graph = helper.make_graph(
        [
            helper.make_node("Pad", ["image", "pads"], ["wide"], mode="reflect"),
            helper.make_node("Slice", ["wide", "starts", "ends", "axes"], ["map"]),
        ],
        "mirrors",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 1, "y", "x"])],
        [helper.make_tensor_value_info("map", TensorProto.FLOAT, [1, 1, "y", "x"])],
        [
            numpy_helper.from_array(pads, "pads"),
            numpy_helper.from_array(starts, "starts"),
            numpy_helper.from_array(ends, "ends"),
            numpy_helper.from_array(np.array([2, 3], np.int64), "axes"),
        ],
    )
    opset = [helper.make_opsetid("", 18)]
    model = helper.make_model(graph, opset_imports=opset, ir_version=9)
    onnx.save(model, str(tmp_path / "mirrors.onnx"))
    (tmp_path / "mirrors.yaml").write_text("head: components\n", encoding="utf-8")
    with open_microscope("simulated", specimen=SPECIMEN) as scope:
        for roi_um, fits in ((60, True), (13, False)):
            policy = {"policy": "series", "roi_um": roi_um}
            wish = analysed(tmp_path, policy, detect="mirrors.onnx")
            if fits:
                check(wish, scope)
            else:
                told = said(scope, wish)
                assert "response.0.roi_um: 20 x 20 pixels do not fit the models" in told
