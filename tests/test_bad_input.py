"""Bad input is told in one clear error before anything moves, and leaves nothing.

Each case is what differs from an experiment that would run; the files it names are made
once for all of them.
"""

from __future__ import annotations

import ast
import importlib
import importlib.util
import json
import math
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import yaml
from onnx import TensorProto, helper, numpy_helper
from typer.testing import CliRunner

import smartscope
from smartscope.cli import app
from smartscope.microscope import find_microscope

needs_demo = pytest.mark.skipif(
    importlib.util.find_spec("mm_test_adapters") is None,
    reason="needs the extra 'demo' (mm-test-adapters)",
)

SURVEY: dict[str, Any] = {
    "channels": [{"config": "FITC", "exposure": 20}],
    "stage_positions": [[0, 0]],
    "time_plan": {"interval": 60, "loops": 2},
}
RUNS: dict[str, Any] = {
    "survey": SURVEY,
    "specimen": {"time": "virtual", "cells": 3},
    "analysis": {"occurrences": {"division": {"kind": "split"}}},
    "mode": "synchronized",
}
OBJECTIVE = "Nikon 10X S Fluor"

# ------------------------------------------------------------------ what a case changes


def survey(**keys: Any) -> dict[str, Any]:
    return {"survey": {**SURVEY, **keys}}


def analysis(**keys: Any) -> dict[str, Any]:
    return {"analysis": {**RUNS["analysis"], **keys}}


def response(**keys: Any) -> dict[str, Any]:
    return {"response": [keys]}


def burst(**keys: Any) -> dict[str, Any]:
    return response(policy="burst", **{"on": "division", **keys})


def movie(path: Any, **keys: Any) -> dict[str, Any]:
    known = {"time": "virtual", "pixel_size_um": 1.0, "frame_interval_s": 60}
    return {"specimen": {"movie": path, **known, **keys}}


# ------------------------------------------------------------------ files they name


def model(
    path: Path,
    shape: list[int | None],
    *,
    op: str = "Sigmoid",
    weight: float | None = None,
) -> None:
    """Write a graph that gives a map of the size of its image, and its card."""
    image = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
        for name in ("in", "out")
    ]
    nodes = [helper.make_node(op, ["in"], ["out"])]
    weights = []
    if weight is not None:
        nodes = [helper.make_node("Mul", ["in", "w"], ["out"])]
        weights = [numpy_helper.from_array(np.array(weight, np.float32), "w")]
    graph = helper.make_graph(nodes, "g", image[:1], image[1:], weights)
    opsets = [helper.make_opsetid("", 18)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=9), str(path))


OWN = """
import sys

class Raises:
    def __init__(self): raise RuntimeError("boom")

class Leaves:
    def __init__(self): sys.exit(3)

class Mute: pass
"""
MICROSCOPES = {
    "pixel_0": f'[pixel_size_um]\n"{OBJECTIVE}" = 0.0',
    "pixel_inf": f'[pixel_size_um]\n"{OBJECTIVE}" = inf',
    "no_objective": 'objective = "Zeiss"',
    "flat": "orientation = [[0, 0], [0, 0]]",
    "stretched": "orientation = [[2, 0], [0, 2]]",
    "power": '[light]\npower_property = ["Light", "Pwer"]',
    "off_name": '[light]\noff = [["White Light Shutter", "Stat", "0"]]',
    "off_value": '[light]\noff = [["White Light Shutter", "State", "shut"]]',
    "huge_sensor": "[simulation.sensor]\nshape = [100000, 100000]",
    "huge_buffer": "[camera]\nbuffer_mb = 1000000000",
    "blind": "",
}
DEMOS = {
    "demo_objective": 'objective = "Zeiss"',
    "demo_other_objective": f'objective = "Zeiss"\n[pixel_size_um]\n"{OBJECTIVE}" = 1',
    "demo_power": '[light]\npower_property = ["LED", "Pwer"]',
    "demo_off": '[light]\noff = [["LED", "Stat", "0"]]',
}


def write_models(folder: Path) -> None:
    model(folder / "good.onnx", [1, 1, None, None])
    whole = (folder / "good.onnx").read_bytes()
    (folder / "cut.onnx").write_bytes(whole[: len(whole) - 20])
    (folder / "text.onnx").write_text("no model at all\n" * 9)
    (folder / "empty.onnx").write_bytes(b"")
    model(folder / "rank_2.onnx", [None, None])
    model(folder / "two_channels.onnx", [1, 2, None, None])
    # one that tiles would change: a norm over each row
    model(folder / "small.onnx", [1, 1, 64, 64], op="LpNormalization")
    model(folder / "nan.onnx", [1, 1, None, None], weight=math.nan)
    card = "axes: bcyx\nthreshold: 0.6\nhead: peaks\n"
    for path in folder.glob("*.onnx"):
        path.with_suffix(".yaml").write_text(card)
    (folder / "two_channels.yaml").write_text(f"{card}channel: 0\n")
    model(folder / "wrong_card.onnx", [1, 1, None, None])
    (folder / "wrong_card.yaml").write_text("treshold: 0.6\n")


def write_movies(folder: Path) -> None:
    import tifffile

    frames = np.random.default_rng(1).integers(1, 255, (5, 64, 64)).astype(np.uint8)
    for name, pixels in (
        ("movie", frames),
        ("other_size", frames[:, :32]),
        ("black", frames * 0),
        ("not_a_number", frames.astype(np.float32) * np.nan),
    ):
        tifffile.imwrite(folder / f"{name}.tif", pixels, photometric="minisblack")
    whole = (folder / "movie.tif").read_bytes()
    (folder / "cut.tif").write_bytes(whole[: len(whole) // 2])
    (folder / "text.tif").write_text("no movie")
    (folder / "truth.csv").write_text("t,x,y,type\n1,3,4,anaphase\n")
    (folder / "broken.csv").write_text("t,x,y,type\nsoon,3,4,anaphase\n")
    (folder / "broken.json").write_text("{")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    made = tmp_path_factory.mktemp("bad") / "Ordner mit Umlauten äöü"
    made.mkdir()
    write_models(made)
    write_movies(made)
    (made / "own_and_bad.py").write_text(OWN)
    (made / "own_and_leaving.py").write_text("import sys\nsys.exit('bye')\n")
    for name, text in MICROSCOPES.items():
        (made / f"{name}.toml").write_text(f'kind = "simulated"\n{text}\n')
    cfg = str(find_microscope("demo").with_suffix(".cfg"))
    for name, text in DEMOS.items():
        head = f'kind = "micromanager"\ncfg = {cfg!r}\n'
        (made / f"{name}.toml").write_text(head + text)
    yield made
    shutil.rmtree(made)


# ------------------------------------------------------------------ the cases

# name: what the experiment says, what the error must say
CASES: dict[str, tuple[dict[str, Any], str]] = {
    # keys and types
    "unknown key": ({"respons": []}, "respons: unknown key. Did you mean 'response'?"),
    "unknown key below": (analysis(detct="dog"), "Did you mean 'detect'?"),
    "unknown survey key": (survey(chanels=[]), "Did you mean 'channels'?"),
    "wrong type": ({"seed": "many"}, "seed: Input should be a valid integer"),
    "wrong word": ({"mode": "fast"}, "'free_run' or 'synchronized'"),
    "no number": ({"max_wait_ms": math.nan}, "max_wait_ms"),
    "endless life": ({"specimen": {"duration_s": math.inf}}, "specimen.duration_s"),
    "endless timeout": (analysis(timeout_s=math.inf), "analysis.timeout_s"),
    "too many cells": ({"specimen": {"cells": 10**7}}, "specimen.cells"),
    "time backwards": (
        survey(time_plan={"interval": -1, "loops": 2}),
        "time does not run backwards",
    ),
    "survey not there": ({"survey": "none.yaml"}, "none.yaml cannot be read"),
    # models
    "missing model": (analysis(detect="none.onnx"), "There is no model"),
    "missing shipped model": (analysis(detect="dgo"), "There is no model 'dgo'"),
    "cut model": (analysis(detect="cut.onnx"), "was broken off"),
    "text as model": (analysis(detect="text.onnx"), "is not ONNX"),
    "empty model": (analysis(detect="empty.onnx"), "holds no ONNX graph"),
    "rank 2": (analysis(detect="rank_2.onnx"), "has rank 2"),
    "two channels": (analysis(detect="two_channels.onnx"), "takes 2 channels"),
    "too small": (analysis(detect="small.onnx"), "64 pixels"),
    "NaN weights": (analysis(detect="nan.onnx"), "not finite"),
    "NaN denoiser": (analysis(denoise="nan.onnx"), "not finite"),
    "wrong card": (analysis(detect="wrong_card.onnx"), "Did you mean 'threshold'?"),
    # what one brings oneself
    "detector not there": (analysis(detect="no_such:Own"), "cannot be imported"),
    "detector raises": (analysis(detect="own_and_bad:Raises"), "boom"),
    "detector leaves": (analysis(detect="own_and_bad:Leaves"), "SystemExit"),
    "script as detector": (analysis(detect="own_and_leaving:Own"), "SystemExit: bye"),
    "mute detector": (analysis(detect="own_and_bad:Mute"), "no method 'detect'"),
    "policy not there": (response(policy="no_such:Own"), "could not be imported"),
    "policy raises": (response(policy="own_and_bad:Raises"), "boom"),
    "policy leaves": (response(policy="own_and_bad:Leaves"), "SystemExit"),
    "script as policy": (response(policy="own_and_leaving:Own"), "SystemExit: bye"),
    "mute policy": (response(policy="own_and_bad:Mute"), "'decide'"),
    "unknown policy": (response(policy="brust"), "Did you mean 'burst'?"),
    # names
    "on nothing": (burst(on="divsion"), "Did you mean 'division'?"),
    "on none": (burst(on=[]), "response.0.on: name at least one occurrence"),
    "after nothing": (
        analysis(occurrences={"division": {"kind": "split", "after": "mitosis"}}),
        "'mitosis' is no occurrence",
    ),
    "channel": (survey(channels=["FTIC"]), "no preset 'FTIC'"),
    "group": (
        survey(channels=[{"config": "FITC", "group": "Chanel"}]),
        "no config group 'Chanel'",
    ),
    "other camera": (
        survey(channels=[{"config": "FITC", "camera": "Second"}]),
        "survey.channels.0.camera: frames come from 'Camera'",
    ),
    "channel not taken": (analysis(channel="DAPI"), "takes no frame in 'DAPI'"),
    # limits
    "position": (survey(stage_positions=[[30000, 0]]), "x_um is outside the limits"),
    "no position": (survey(stage_positions=[[math.nan, 0]]), "x_um is outside"),
    "focus": (survey(stage_positions=[[0, 0, 900]]), "z_um is outside the limits"),
    "exposure": (
        survey(channels=[{"config": "FITC", "exposure": 20000}]),
        "exposure_ms is outside the limits",
    ),
    "own limits": ({"limits": {"x_um": [100, 200]}}, "x_um is outside the limits"),
    "wider limits": ({"limits": {"x_um": [9000, 9999]}}, "lies outside the"),
    "light": ({"limits": {"light_ms_percent": 10}}, "limits.light_ms_percent 10"),
    "power": (
        {"limits": {"power_percent": [0, 1]}},
        "power_percent is outside the limits 0 to 1",
    ),
    "burst frames": (
        {**burst(frames=50), "limits": {"burst_frames": 40}},
        "a burst of 50 frames is longer than limits.burst_frames 40",
    ),
    "burst exposure": (burst(exposure_ms=20000), "exposure_ms = 20000 is outside"),
    "burst channel": (burst(channel="FTIC"), "no preset 'FTIC'"),
    "exposures reversed": (
        response(policy="adapt_exposure", exposure_ms=[60, 15]),
        "[shortest, longest]",
    ),
    "intervals reversed": (
        response(policy="interval", on="division", slow_s=10, fast_s=60),
        "fast_s must not be longer than slow_s",
    ),
    "never brighter": (
        analysis(occurrences={"up": {"kind": "brighten", "frames": 5, "of": 3}}),
        "frames must not be more than of",
    ),
    # movies
    "missing movie": (movie("none.tif"), "There is no movie at"),
    "text as movie": (movie("text.tif"), "cannot be read"),
    "cut movie": (movie("cut.tif"), "cannot be read"),
    "black movie": (movie("black.tif"), "is black"),
    "movie of NaN": (movie("not_a_number.tif"), "values that are no number"),
    "sizes": (movie({"FITC": "movie.tif", "DAPI": "other_size.tif"}), "differ in"),
    "movie's channel": (movie({"FTIC": "movie.tif"}), "Did you mean 'FITC'?"),
    "pixel size 0": (movie("movie.tif", pixel_size_um=0), "specimen.pixel_size_um"),
    "pixel size inf": (movie("movie.tif", pixel_size_um=math.inf), "pixel_size_um"),
    "no pixel size": (movie("movie.tif", pixel_size_um=None), "pixel_size_um is"),
    "broken truth": (movie("movie.tif", truth="broken.json"), "cannot be read"),
    "truth no number": (movie("movie.tif", truth="broken.csv"), "cannot be read"),
    "truth's types": (
        movie("movie.tif", truth="truth.csv", truth_map={"anaphse": "division"}),
        "Did you mean 'anaphase'?",
    ),
    "truth's names": (
        movie("movie.tif", truth="truth.csv", truth_map={"anaphase": "divsion"}),
        "Did you mean 'division'?",
    ),
    # the disk
    "too small a disk": ({"storage": {"reserve_mb": 10**9}}, "MB free"),
    "too long a burst": (burst(frames=10**9), "MB free"),
    # microscopes
    "no microscope": ({"microscope": "simulatd"}, "Did you mean 'simulated'?"),
    "no file": ({"microscope": "none.toml"}, "none.toml is not there"),
    "pixel of 0": ({"microscope": "pixel_0.toml"}, "greater than 0"),
    "pixel of inf": ({"microscope": "pixel_inf.toml"}, "finite number"),
    "no such objective": ({"microscope": "no_objective.toml"}, "'Zeiss'"),
    "flat": ({"microscope": "flat.toml"}, "orientation: turns and mirrors"),
    "stretched": ({"microscope": "stretched.toml"}, "orientation: turns and mirrors"),
    "no power": ({"microscope": "power.toml"}, "Did you mean 'Power'?"),
    "no way to darkness": ({"microscope": "off_name.toml"}, "Did you mean 'State'?"),
    "no darkness": ({"microscope": "off_value.toml"}, "cannot be 'shut'"),
    "huge sensor": ({"microscope": "huge_sensor.toml"}, "simulation.sensor.shape"),
    "huge buffer": ({"microscope": "huge_buffer.toml"}, "camera.buffer_mb"),
    "focus unknown": (
        {"microscope": "blind.toml", **survey(stage_positions=[[0, 0, 3]])},
        "focus direction",
    ),
}
DEMO_CASES = {
    "objective without size": ("demo_objective.toml", "no pixel size"),
    "another objective": ("demo_other_objective.toml", "no pixel size"),
    "power": ("demo_power.toml", "has no property 'Pwer'"),
    "darkness": ("demo_off.toml", "has no property 'Stat'"),
}


def refused(folder: Path, content: dict[str, Any], out: Path | None = None) -> str:
    """Run it as a user does; return what was told."""
    path = folder / "experiment.yaml"
    path.write_text(yaml.safe_dump({**RUNS, **content}), encoding="utf-8")
    before = sorted(folder.rglob("*"))
    arguments = ["run", path, "--out", out or folder / "new" / "run", "--json"]
    done = CliRunner().invoke(app, [str(a) for a in arguments])
    assert done.exit_code == 2, done.output
    document = json.loads(done.stdout)
    error = document["error"]
    assert document["exit_code"] == 2
    for aspect in ("what", "rule", "way_out", "state"):
        assert error[aspect], f"{aspect} is not told"
    assert error["state"] == "Nothing has moved and nothing was written."
    assert "Traceback" not in done.stderr
    assert done.stderr.count("error:") == 1
    after = [p for p in folder.rglob("*") if "__pycache__" not in p.parts]
    assert sorted(after) == [p for p in before if "__pycache__" not in p.parts]
    return str(error["what"])


def test_the_experiment_itself_would_run(folder: Path) -> None:
    from smartscope.microscope import open_microscope
    from smartscope.preflight import check
    from smartscope.settings import Experiment

    experiment = Experiment.parse(RUNS)
    with open_microscope("simulated", specimen=experiment.specimen) as scope:
        assert check(experiment, scope, folder / "new").frames == 2


@pytest.mark.parametrize("name", CASES)
def test_it_is_refused(folder: Path, name: str) -> None:
    content, told = CASES[name]
    assert told in refused(folder, content)


@needs_demo
@pytest.mark.parametrize("name", DEMO_CASES)
def test_a_wrong_file_of_a_real_microscope_is_refused(folder: Path, name: str) -> None:
    microscope, told = DEMO_CASES[name]
    assert told in refused(folder, {"microscope": microscope})


OUTPUTS: dict[str, tuple[Callable[[Path], Path], str]] = {
    "exists": (lambda folder: folder, "exists"),
    "is a file": (lambda folder: folder / "text.tif", "exists"),
    "below a file": (lambda folder: folder / "text.tif" / "run", "cannot be made"),
    "too long a name": (lambda folder: folder / ("x" * 300), "cannot be made"),
}


@pytest.mark.parametrize("name", OUTPUTS)
def test_an_output_folder_that_cannot_be(folder: Path, name: str) -> None:
    out, told = OUTPUTS[name]
    assert told in refused(folder, {}, out(folder))


FILES = {
    "empty": (b"", "holds nothing"),
    "a list": (b"- 1\n", "holds a list"),
    "tabs": (b"survey:\n\tchannels: [FITC]\n", "is not YAML"),
    "twice": (b"seed: 1\nseed: 2\n", "stands twice"),
    "binary": (bytes(range(256)), "not a text"),
    "python": (b"seed: !!python/object:os.system {}\n", "is not YAML"),
    "null bytes": (b"seed: 1\x00\n", "is not YAML"),
}


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_is_no_experiment(tmp_path: Path, name: str) -> None:
    content, told = FILES[name]
    path = tmp_path / "e.yaml"
    path.write_bytes(content)
    done = CliRunner().invoke(app, ["run", str(path), "--json"])
    assert done.exit_code == 2
    assert told in json.loads(done.stdout)["error"]["what"]


DIES = """
import os
if os.environ.setdefault("WHO_IMPORTED_IT_FIRST", str(os.getpid())) != str(os.getpid()):
    os._exit(1)

class Detector:
    def detect(self, frame): pass
"""


def test_an_analysis_that_does_not_start_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "dies_in_the_child.py").write_text(DIES)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("WHO_IMPORTED_IT_FIRST", str(os.getpid()))
    told = refused(tmp_path, analysis(detect="dies_in_the_child:Detector"))
    assert "The analysis did not start" in told


def test_every_refusal_tells_the_rule_and_the_way_out() -> None:
    silent = []
    package = Path(smartscope.__file__).parent
    for path in sorted(package.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Refused":
                missing = {"rule", "way_out"} - {k.arg for k in node.keywords}
                silent += [f"{path}:{node.lineno} {word}" for word in sorted(missing)]
    assert not silent, "\n".join(silent)
