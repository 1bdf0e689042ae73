"""The experiment file: what is refused, how it is told, and that it survives JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import useq
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from smartscope.acquisition import Frame, FrameState
from smartscope.errors import Refused
from smartscope.response import BurstSettings, OwnPolicySettings
from smartscope.settings import AnalysisSettings, Experiment

SURVEY: dict[str, Any] = {"channels": ["FITC"], "stage_positions": [[0, 0]]}


def refused(content: dict[str, Any]) -> str:
    with pytest.raises(Refused) as caught:
        Experiment.parse(content)
    assert caught.value.exit_code == 2
    assert "Nothing has moved" in caught.value.state
    return caught.value.what


def analysis(**keys: Any) -> dict[str, Any]:
    return {"survey": SURVEY, "analysis": keys}


def response(**keys: Any) -> dict[str, Any]:
    return {"survey": SURVEY, "response": [keys]}


def occurrence(**keys: Any) -> dict[str, Any]:
    return analysis(occurrences={"division": keys})


def survey(**keys: Any) -> dict[str, Any]:
    return {"survey": keys}


# what stands in the file, what the error must say
MISTAKES = [
    (
        {"survey": SURVEY, "respons": []},
        "respons: unknown key. Did you mean 'response'?",
    ),
    (analysis(chanel="x"), "analysis.chanel: unknown key. Did you mean 'channel'?"),
    (
        analysis(detect={"model": "dog", "treshold": 0.5}),
        "analysis.detect.treshold: unknown key. Did you mean 'threshold'?",
    ),
    (
        occurrence(kind="brighten", facor=2),
        "analysis.occurrences.division.facor: unknown key. Did you mean 'factor'?",
    ),
    (  # a name that is also the word of another kind must not change what is known
        analysis(occurrences={"split": {"kind": "brighten", "facor": 2}}),
        "analysis.occurrences.split.facor: unknown key. Did you mean 'factor'?",
    ),
    (
        occurrence(kind="splitt"),
        "analysis.occurrences.division: unknown kind 'splitt'; known: appear, "
        "disappear, split, merge, brighten,",
    ),
    (occurrence(), "analysis.occurrences.division: needs the key 'kind'."),
    (
        response(policy="follow", on="division", dead_bnd_um=1),
        "response.0.dead_bnd_um: unknown key. Did you mean 'dead_band_um'?",
    ),
    (response(policy="burst"), "response.0.on: needs this key."),
    (response(policy="folow", on="division"), "Did you mean 'follow'?"),
    (response(policy="a:B", option={}), "Did you mean 'options'?"),
    (response(on="division"), "response.0: needs the key 'policy'."),
    ({"survey": SURVEY, "response": ["burst"]}, "response.0: needs keys and values"),
    (
        {"survey": SURVEY, "specimen": {"cels": 3}},
        "specimen.cels: unknown key. Did you mean 'cells'?",
    ),
    ({"survey": SURVEY, "specimen": {"cells": "many"}}, "got 'many'"),
    ({"survey": SURVEY, "limits": {"x_um": [5, 1]}}, "limits.x_um: must be [lowest"),
    ({"survey": SURVEY, "mode": "freerun"}, "mode: Input should be 'free_run' or"),
    ({"survey": SURVEY, "max_wait_ms": 0}, "max_wait_ms: Input should be greater than"),
    ({"survey": SURVEY, "seed": -1}, "seed: "),
    ({"survey": SURVEY, "name": "a/b"}, "name: "),
    ({}, "survey: needs this key."),
    ({"survey": 3}, "survey: needs keys and values, got 3."),
    (survey(chanels=["FITC"]), "survey.chanels: unknown key. Did you mean 'channels'?"),
    (
        survey(channels=[{"config": "FITC", "exposur": 3}]),
        "survey.channels.0.exposur: unknown key. Did you mean 'exposure'?",
    ),
    (
        survey(time_plan={"interval": 1, "loop": 3}),
        "survey.time_plan.loop: unknown key. Did you mean 'loops'?",
    ),
    (
        survey(time_plan=[{"interval": 1, "loops": 3}, {"interval": 1, "lops": 3}]),
        "survey.time_plan.1.lops: unknown key. Did you mean 'loops'?",
    ),
    (
        survey(z_plan={"range": 3, "step": 1, "top": 3}),
        "survey.z_plan.top: has no meaning beside range, step.",
    ),
    (survey(z_plan={"range": 3}), "survey.z_plan: needs top + bottom + step; or above"),
    (
        survey(stage_positions=[{"x": 1, "yy": 2}]),
        "survey.stage_positions.0.yy: unknown key. Did you mean 'y'?",
    ),
    (
        survey(stage_positions=[{"sequence": {"z_plan": {"rane": 3, "step": 1}}}]),
        "survey.stage_positions.0.sequence.z_plan.rane: unknown key.",
    ),
    (survey(stage_positions=[{"x": "left"}]), "got 'left'"),
    (
        survey(channels=["FITC"], time_plan={"interval": 0, "duration": 3}),
        "survey.time_plan: an interval of 0 lasts for ever",
    ),
    (
        survey(channels=["FITC"], time_plan={"duration": 3, "loops": 1}),
        "survey.time_plan: ",
    ),
    (
        survey(time_plan={"interval": 0.001, "duration": 1e9}),
        "survey.time_plan: has 1000000000001 points",
    ),
    (survey(z_plan={"range": 1e9, "step": 0.1}), "survey.z_plan: has 10000000001 po"),
    (survey(z_plan={"range": 3, "step": -1}), "survey.z_plan: has "),
    (
        survey(stage_positions=[{"sequence": {"z_plan": {"range": 1e9, "step": 1}}}]),
        "survey.stage_positions.0.sequence.z_plan: has ",
    ),
]


@pytest.mark.parametrize(
    ("content", "told"), MISTAKES, ids=[told[:50] for _, told in MISTAKES]
)
def test_a_mistake_is_told_where_it_is(content: dict[str, Any], told: str) -> None:
    what = refused(content)
    assert told in what
    assert len(what.strip().splitlines()) == 2, "one mistake, one line"
    for form in ("TIntervalLoops", "ZRangeAround", "function-"):
        assert form not in what, "pydantic's inner names are no use to anybody"


def test_all_mistakes_are_told_at_once() -> None:
    what = refused(
        {
            "colour": "red",
            "survey": {"chanels": ["FITC"], "time_plan": {"interval": "x", "loops": 1}},
            "specimen": {"cels": 1},
            "response": [{"policy": "follow"}, {"policy": "burst", "on": 1}],
        }
    )
    for where in (
        "colour:",
        "survey.chanels:",
        "survey.time_plan:",
        "specimen.cels:",
        "response.0:",
        "response.1.on",
    ):
        assert f"\n  {where}" in what


def test_the_policy_named_on_is_no_boolean(tmp_path: Path) -> None:
    path = tmp_path / "e.yaml"
    path.write_text(
        "survey: {channels: [FITC], stage_positions: [[1e1, 0]]}\n"
        "response:\n  - policy: burst\n    on: division\n"
    )
    experiment = Experiment.load(path)
    assert experiment.response == (BurstSettings(on=("division",)),)
    assert next(iter(experiment.survey)).x_pos == 10


# what the file holds (None: there is none), what the error must say
FILES = [
    (None, "cannot be read: No such file"),
    (b"survey: [1", "is not YAML"),
    (b"survey: {}\nsurvey: {}", "the key 'survey' stands twice"),
    (b"- 1", "holds a list, not keys and values"),
    (b"", "holds nothing"),
    (b"\xff\xfe\x00", "is not a text in UTF-8"),
    (b"a: &a [*a]\n? [1]\n: 2", "is not YAML"),
    (b"survey: other.yaml", "The survey"),
]


@pytest.mark.parametrize(("content", "told"), FILES, ids=[told for _, told in FILES])
def test_a_file_that_is_none(tmp_path: Path, content: bytes | None, told: str) -> None:
    path = tmp_path / "e.yaml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(Refused) as caught:
        Experiment.load(path)
    assert told in caught.value.what
    assert str(tmp_path) in caught.value.what
    assert caught.value.exit_code == 2


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="cannot be read"):
        Experiment.load(tmp_path)


@pytest.mark.parametrize("ending", ["yaml", "json"])
def test_the_survey_may_be_a_file_of_its_own(tmp_path: Path, ending: str) -> None:
    text = yaml.safe_dump(SURVEY) if ending == "yaml" else json.dumps(SURVEY)
    (tmp_path / f"s.{ending}").write_text(text)
    path = tmp_path / "e.yaml"
    path.write_text(f"survey: s.{ending}\n")
    assert Experiment.load(path).survey == useq.MDASequence(
        channels=["FITC"], stage_positions=[(0, 0)]
    )


def test_paths_are_relative_to_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "experiments"
    folder.mkdir()
    (folder / "net").mkdir()
    (folder / "e.yaml").write_text(
        "survey: {channels: [FITC]}\n"
        "microscope: scope.toml\n"
        "specimen: {movie: {FITC: a.tif, DAPI: b.tif}, truth: t.json}\n"
        "analysis: {detect: ./net, denoise: {model: missing.onnx}}\n"
    )
    monkeypatch.chdir(tmp_path)
    experiment = Experiment.load("experiments/e.yaml")
    assert experiment.specimen["movie"] == {
        "FITC": str(folder / "a.tif"),
        "DAPI": str(folder / "b.tif"),
    }
    assert experiment.specimen["truth"] == str(folder / "t.json")
    assert experiment.microscope == str(folder / "scope.toml")
    assert Path(experiment.analysis.detect.model) == folder / "net"
    assert experiment.analysis.denoise is not None
    assert experiment.analysis.denoise.model == str(folder / "missing.onnx")


def test_a_model_is_named_beside_the_file_without_a_slash(tmp_path: Path) -> None:
    for folder in ("net", "dog", "detector"):
        (tmp_path / folder).mkdir()
    for package in ("net", "dog"):
        (tmp_path / package / "bioimageio.yaml").touch()

    def taken(model: str) -> str:
        experiment = Experiment.parse(analysis(detect=model), base=tmp_path)
        return experiment.analysis.detect.model

    for model in ("net", "my_net.zip", "my_net.onnx"):
        assert taken(model) == str(tmp_path / model)
    for name in ("dog", "detector", "my_module:Detector"):
        assert taken(name) == name


def test_names_that_are_no_paths_stay() -> None:
    experiment = Experiment.parse(
        {
            **analysis(detect="my_module:Detector", denoise="gaussian"),
            "microscope": "demo",
        }
    )
    assert experiment.microscope == "demo"
    assert experiment.analysis.detect.model == "my_module:Detector"
    assert experiment.analysis.denoise is not None
    assert experiment.analysis.denoise.model == "gaussian"


def test_the_specimen_keeps_the_given_keys_only() -> None:
    experiment = Experiment.parse({"survey": SURVEY, "specimen": {"cells": 3}})
    assert experiment.specimen == {"cells": 3}


def test_a_policy_of_ones_own_keeps_its_options() -> None:
    (own,) = Experiment.parse(
        response(policy="mine:Snap", options={"frames": 3}, priority=2)
    ).response
    assert own == OwnPolicySettings(
        policy="mine:Snap", options={"frames": 3}, priority=2
    )


def test_the_schema_says_every_key_with_its_meaning() -> None:
    schema = json.loads(json.dumps(Experiment.model_json_schema()))
    assert set(schema["properties"]) == set(Experiment.model_fields)
    assert "SpecimenSettings" in json.dumps(schema["properties"]["specimen"])
    described = schema["$defs"]["SpecimenSettings"]["properties"]
    assert described["photons"]["description"]
    for name in ("FollowSettings", "BurstSettings", "OwnPolicySettings", "Split"):
        assert name in schema["$defs"]


def test_the_schema_takes_what_the_experiment_takes() -> None:
    keys = Experiment.model_json_schema()["$defs"]["BurstSettings"]["properties"]
    assert set(keys) == set(BurstSettings.model_fields)
    # what may be written shortly: a name for a model, a path for a survey
    schema = Experiment.model_json_schema()
    analysis = schema["$defs"]["AnalysisSettings"]["properties"]
    for short in (
        keys["on"],
        analysis["detect"],
        analysis["denoise"],
        schema["properties"]["survey"],
    ):
        assert {"type": "string"} in short["anyOf"]


finite = st.floats(-1e6, 1e6, allow_nan=False)
positive = st.floats(1e-3, 1e6, allow_nan=False)
interval = st.floats(1, 100, allow_nan=False)
name = st.text("abcXYZ_ -1", min_size=1, max_size=8).filter(str.strip)

time_plans = st.one_of(
    st.fixed_dictionaries({"interval": interval, "loops": st.integers(1, 9)}),
    st.fixed_dictionaries({"duration": interval, "loops": st.integers(2, 9)}),
    st.fixed_dictionaries({"interval": interval, "duration": interval}),
)
z_plans = st.one_of(
    st.fixed_dictionaries({"range": interval, "step": st.floats(1, 10)}),
    st.fixed_dictionaries({"relative": st.lists(finite, min_size=1, max_size=4)}),
    st.fixed_dictionaries({"absolute": st.lists(finite, min_size=1, max_size=4)}),
)
positions = st.one_of(
    st.lists(finite, min_size=2, max_size=3),
    st.fixed_dictionaries(
        {"x": finite, "y": finite}, optional={"z": finite, "name": name}
    ),
    st.fixed_dictionaries(
        {
            "x": finite,
            "y": finite,
            "sequence": st.fixed_dictionaries({"z_plan": z_plans}),
        }
    ),
)
surveys = st.fixed_dictionaries(
    {},
    optional={
        "channels": st.lists(
            st.one_of(
                name,
                st.fixed_dictionaries(
                    {"config": name}, optional={"exposure": positive}
                ),
            ),
            max_size=3,
            unique_by=str,
        ),
        "stage_positions": st.lists(positions, max_size=3),
        "time_plan": st.one_of(
            time_plans, st.lists(time_plans, min_size=1, max_size=2)
        ),
        "z_plan": z_plans,
        # useq refuses z before p where a position has a z_plan of its own
        "axis_order": st.permutations("tpgcz")
        .map("".join)
        .filter(lambda order: order.index("p") < order.index("z")),
    },
)
occurrences = st.one_of(
    st.fixed_dictionaries({"kind": st.just("appear")}, optional={"frames": st.just(2)}),
    st.fixed_dictionaries(
        {"kind": st.just("split")}, optional={"after": name, "within_s": positive}
    ),
    st.fixed_dictionaries(
        {"kind": st.just("brighten")}, optional={"factor": st.floats(1.01, 9)}
    ),
)
policies = st.one_of(
    st.fixed_dictionaries(
        {
            "policy": st.just("burst"),
            "on": st.one_of(name, st.lists(name, min_size=1, max_size=2)),
        },
        optional={"frames": st.integers(1, 99), "exposure_ms": positive},
    ),
    st.fixed_dictionaries(
        {"policy": st.just("follow"), "on": name}, optional={"cool_down_s": positive}
    ),
    st.fixed_dictionaries(
        {"policy": st.just("adapt_exposure")},
        optional={"exposure_ms": st.tuples(positive, positive).map(list)},
    ),
    st.fixed_dictionaries(
        {"policy": st.just("mine:Own")},
        optional={"options": st.dictionaries(name, st.one_of(finite, name, st.none()))},
    ),
)
spans = st.tuples(finite, finite).map(sorted)
experiments = st.fixed_dictionaries(
    {"survey": surveys},
    optional={
        "name": name,
        "microscope": st.sampled_from(["simulated", "demo", "there/scope.toml"]),
        "specimen": st.fixed_dictionaries(
            {},
            optional={
                "movie": st.sampled_from(["m.tif", {"FITC": "m.tif"}]),
                "area_um": st.lists(positive, min_size=2, max_size=2),
                "cells": st.integers(1, 99),
                "bleach_ms_percent": st.one_of(st.none(), positive),
                "truth_map": st.dictionaries(name, name, max_size=2),
            },
        ),
        "analysis": st.fixed_dictionaries(
            {},
            optional={
                "denoise": st.sampled_from([None, "gaussian", {"model": "x.onnx"}]),
                "occurrences": st.dictionaries(name, occurrences, max_size=3),
            },
        ),
        "response": st.lists(policies, max_size=3),
        "limits": st.fixed_dictionaries(
            {}, optional={"x_um": spans, "exposure_ms": spans, "max_step_um": positive}
        ),
        "mode": st.sampled_from(["free_run", "synchronized"]),
        "seed": st.integers(0, 2**63),
    },
)


@settings(
    max_examples=100,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
@given(content=experiments)
def test_what_is_dumped_to_run_json_is_the_same_experiment(
    content: dict[str, Any],
) -> None:
    experiment = Experiment.parse(content)
    dumped = json.loads(json.dumps(experiment.model_dump(mode="json")))
    again = Experiment.parse(dumped, base=Path("/somewhere/else"))
    assert again == experiment
    assert again.model_dump(mode="json") == dumped
    assert list(again.survey) == list(experiment.survey)


def test_channels_are_one_several_or_all() -> None:
    def channels(value: Any) -> tuple[str, ...]:
        made = Experiment.parse({"survey": SURVEY, "analysis": {"channel": value}})
        again = Experiment.model_validate(made.model_dump(mode="json"))
        assert again == made
        return made.analysis.channels

    assert channels(None) == ()
    assert channels("FITC") == channels(["FITC"]) == ("FITC",)
    assert channels(["DAPI", "FITC"]) == ("DAPI", "FITC")
    for wrong in ([], ["FITC", "FITC"], 3, ["FITC", 3], {"FITC": 1}):
        with pytest.raises(Refused, match=r"analysis\.channel"):
            channels(wrong)


@pytest.mark.parametrize(
    ("channel", "looked_at"),
    [
        (None, {("FITC", "A"), ("FITC", "B"), ("DAPI", "A"), ("DAPI", "B")}),
        ("FITC", {("FITC", "A"), ("FITC", "B")}),
        ("B", {("FITC", "B"), ("DAPI", "B")}),
        (
            ["DAPI", "FITC"],
            {("FITC", "A"), ("FITC", "B"), ("DAPI", "A"), ("DAPI", "B")},
        ),
        (["A", "Cy5"], {("FITC", "A"), ("DAPI", "A")}),
    ],
)
def test_frames_are_chosen_by_preset_or_camera(
    channel: Any, looked_at: set[tuple[str, str]]
) -> None:
    settings = AnalysisSettings.model_validate({"channel": channel})
    chosen = set()
    for preset in ("FITC", "DAPI"):
        for camera in "AB":
            state = FrameState(0.0, 0.0, 0.0, 1.0, preset, 1.0)
            pixels = np.zeros((1, 1), np.uint16)
            frame = Frame(
                pixels, useq.MDAEvent(), 0, 0.0, 0.0, "p0", state, camera=camera
            )
            if settings.looks_at(frame):
                chosen.add((preset, camera))
    assert chosen == looked_at
