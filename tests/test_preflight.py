"""What cannot run is refused before anything moves, with all reasons at once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

from smartscope.acquisition import Limits
from smartscope.errors import Refused
from smartscope.microscope import Microscope, open_microscope
from smartscope.preflight import Checked, check
from smartscope.settings import Experiment

SURVEY: dict[str, Any] = {
    "channels": [{"config": "FITC", "exposure": 20}],
    "stage_positions": [[0, 0], [400, 0]],
    "time_plan": {"interval": 10, "loops": 3},
}
SPECIMEN = {"time": "virtual", "cells": 3}
DIVISION = {"division": {"kind": "split"}}


@pytest.fixture(scope="module")
def scope() -> Iterator[Microscope]:
    with open_microscope("simulated", specimen=SPECIMEN) as scope:
        yield scope


def experiment(**keys: Any) -> Experiment:
    return Experiment.parse({"survey": SURVEY, "specimen": SPECIMEN, **keys})


def survey(**keys: Any) -> dict[str, Any]:
    return {"survey": {**SURVEY, **keys}}


def burst(**keys: Any) -> dict[str, Any]:
    return {
        "analysis": {"occurrences": DIVISION},
        "response": [{"policy": "burst", "on": "division", **keys}],
    }


def series(**keys: Any) -> dict[str, Any]:
    return {
        "analysis": {"occurrences": DIVISION},
        "response": [{"policy": "series", "on": "division", **keys}],
    }


def state(scope: Microscope) -> dict[str, Any]:
    core = scope.core
    return {**scope.describe(), "at": (core.getXYPosition(), core.getPosition())}


def refused(scope: Microscope, wish: Experiment, out: Path | None = None) -> str:
    before = state(scope)
    with pytest.raises(Refused) as caught:
        check(wish, scope, out)
    assert state(scope) == before, "nothing may have moved"
    assert caught.value.exit_code == 2
    return caught.value.what


# what the experiment says, what the error must say
WRONG = [
    (
        {"controls": {"dark": ["p1", "p7"]}},
        "controls.dark: the survey has no place 'p7'.",
    ),
    ({"controls": {"placebo": 0.1}}, "controls.placebo: there is no burst policy"),
    ({"controls": {"sham": 0.1}}, "controls.sham: there is no burst or stim"),
    (
        {**burst(name="catch"), "controls": {"sham": {"share": 0.1, "of": "cach"}}},
        "controls.sham.of: 'cach' is no burst or stimulate policy of 'response'. Did",
    ),
    (
        {**burst(), "controls": {"placebo": 0.1, "signs": "divison"}},
        "controls.signs: 'divison' is no occurrence of analysis.occurrences.",
    ),
    ({**burst(), "controls": {"signs": "division"}}, "it is for placebo and sham"),
    ({"controls": {"audit": 0.1}}, "controls.audit: analysis.occurrences is empty"),
    (
        {**burst(frames=9), "controls": {"audit": 0.1}, "limits": {"burst_frames": 10}},
        "controls.audit.frames: a look of 12 frames is longer than limits.burst_frames",
    ),
    (
        {
            **burst(frames=9),
            "controls": {"audit": 0.1},
            "limits": {"light_ms_percent": 2e4},
        },
        "controls.audit: a single look gives 24000 ms·%, more than",
    ),
    ({"controls": {"dark": ["p0", "p1"]}}, "controls.dark: all places are dark"),
    (
        {"controls": {"dark": "p1"}, **survey(time_plan=None)},
        "controls.dark: dark fields are lit in the survey's last round",
    ),
    (
        {"controls": {"dark": "p1"}, **survey(axis_order="ptgcz")},
        "controls.dark: dark fields are lit in the survey's last round",
    ),
    (
        {"controls": {"dark": "p1"}, **survey(stage_positions=[[0, 0], [200, 0]])},
        "controls.dark: 'p1' would not be dark: the field of 'p0' covers 40% of it",
    ),
    (
        series(channels=["FITC", "DAPPI"]),
        "response.0.channels: 'simulated' has no preset 'DAPPI' in the group",
    ),
    (
        series(until=["divison"]),
        "response.0.until: 'divison' is no occurrence of analysis.occurrences. Did",
    ),
    (
        series(exposure_ms=10_000_000),
        "response.0.exposure_ms: exposure_ms = 1e+07 is outside the limits",
    ),
    (
        {
            **series(z_planes=10, exposure_ms=20),
            "limits": {"light_ms_percent": 13_000},
        },
        "response.0: a single visit of the series gives 20000 ms·%, more than limits.",
    ),
    (
        survey(channels=["FTIC"]),
        "no preset 'FTIC' in the group 'Channel'. Did you mean",
    ),
    (
        survey(channels=[{"config": "FITC", "group": "Chanel"}]),
        "no config group 'Chanel'. Did you mean 'Channel'?",
    ),
    (
        survey(stage_positions=[[0, 0], [30000, 0]]),
        "survey, position 1 (30000): x_um is outside the limits -5000 to 5000.",
    ),
    (
        survey(stage_positions=[{"x": 0, "y": -6000, "name": "edge"}]),
        "survey, position 0 'edge' (-6000): y_um is outside",
    ),
    (
        survey(stage_positions=[[0, 0, 0], [400, 0, 49]], z_plan={"relative": [0, 2]}),
        "survey, position 1 z 1 (51): z_um is outside the limits -50 to 50.",
    ),
    (
        survey(stage_positions=[[0, 0]], z_plan={"absolute": list(range(60, 70))}),
        "survey, position 0 z 0 (60), position 0 z 1 (61), position 0 z 2 (62) and 7 m",
    ),
    (
        survey(channels=[{"config": "FITC", "exposure": 20000}]),
        "survey, channel 'FITC' (20000): exposure_ms is outside the limits",
    ),
    (
        survey(
            stage_positions=[
                {"x": 0, "y": 0, "sequence": {"grid_plan": {"rows": 1, "columns": 9}}}
            ]
        ),
        "survey.stage_positions.0.sequence.grid_plan: give fov_width and fov_height, "
        "the size of a tile in µm; the field of view is 332.8 by 332.8 here.",
    ),
    (
        survey(
            stage_positions=[[4000, 0]],
            grid_plan={"rows": 1, "columns": 9, "fov_width": 300, "fov_height": 300},
        ),
        "survey, position 0 tile 8 (5200): x_um is outside",
    ),
    (
        survey(setup=None, stage_positions=[[0, 0]], autofocus_plan={"axes": ["p"]}),
        "has no autofocus device",
    ),
    ({"survey": {}}, "survey: it takes no frame."),
    (
        {"analysis": {"channel": "DAPI"}},
        "analysis.channel: the survey takes no frame in 'DAPI'. It takes: FITC.",
    ),
    ({"analysis": {"detect": "dgo"}}, "no model 'dgo'"),
    ({"analysis": {"detect": "there/is/none.onnx"}}, "none.onnx"),
    ({"analysis": {"denoise": "gausian"}}, "no model 'gausian'"),
    ({"analysis": {"detect": "no_such_module:Detector"}}, "cannot be imported"),
    (
        {"analysis": {"occurrences": {"d": {"kind": "split", "after": "mitosis"}}}},
        "analysis.occurrences.d.after: 'mitosis' is no occurrence",
    ),
    (
        {
            "analysis": {
                "occurrences": {
                    "new": {"kind": "appear"},
                    "d": {"kind": "split", "after": "new"},
                }
            }
        },
        "'new' is of kind 'appear'",
    ),
    (
        {
            "analysis": {"occurrences": DIVISION},
            "response": [{"policy": "follow", "on": "divison"}],
        },
        "response.0.on: 'divison' is no occurrence of analysis.occurrences. Did you "
        "mean 'division'?",
    ),
    (
        {"specimen": {**SPECIMEN, "truth_map": {"fission": "fision"}}},
        "specimen.truth_map.fission: 'fision' is no occurrence",
    ),
    ({"response": [{"policy": "no_such_module:Own"}]}, "response.0: The policy"),
    (
        {**burst(frames=50), "limits": {"burst_frames": 40}},
        "response.0.frames: a burst of 50 frames is longer than limits.burst_frames",
    ),
    (
        burst(exposure_ms=20000),
        "response.0.exposure_ms: exposure_ms = 20000 is outside",
    ),
    (burst(channel="GFP"), "response.0.channel: 'simulated' has no preset 'GFP'"),
    (
        {**burst(frames=20), "limits": {"light_ms_percent": 30000}},
        "response.0: a single burst gives 40000 ms·%, more than",
    ),
    (
        {"response": [{"policy": "adapt_exposure", "exposure_ms": [50, 20]}]},
        "response.0.exposure_ms: must be [shortest, longest]",
    ),
    (
        {"response": [{"policy": "adapt_exposure", "exposure_ms": [50, 20000]}]},
        "response.0.exposure_ms: exposure_ms = 20000 is outside",
    ),
    ({"storage": {"reserve_mb": 10**9}}, "MB free, and the run needs 1000000003 MB"),
]


@pytest.mark.parametrize(("keys", "told"), WRONG, ids=[told[:45] for _, told in WRONG])
def test_what_cannot_run_is_refused(
    scope: Microscope, keys: dict[str, Any], told: str
) -> None:
    wish = experiment(**keys)
    limited = scope.limits.tightened(wish.limits)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scope, "limits", limited)
        what = refused(scope, wish)
    assert told in what
    assert len(what.strip().splitlines()) == 2, "one problem, one line"


def test_all_problems_are_told_at_once(scope: Microscope, tmp_path: Path) -> None:
    wish = experiment(
        **survey(channels=["FTIC"], stage_positions=[[9999, 0]]),
        analysis={"detect": "dgo", "channel": "Cy5", "occurrences": DIVISION},
        response=[{"policy": "burst", "on": "divison"}, {"policy": "none:Own"}],
    )
    what = refused(scope, wish, tmp_path)
    for told in ("FTIC", "x_um", "dgo", "Cy5", "divison", "none:Own", "exists"):
        assert told in what


def test_a_largest_step_is_broken_by_a_long_way(scope: Microscope) -> None:
    wish = experiment()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scope, "limits", Limits(max_step_um=300))
        what = refused(scope, wish)
    assert "survey, position 1 (400.0 µm from where the stage was before)" in what
    assert "position 0 (400.0 µm" in what, "the way back is as long"


def test_the_light_of_the_survey_is_counted(scope: Microscope) -> None:
    # 3 frames of 20 ms at each place
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scope, "limits", Limits(light_ms_percent=5999))
        what = refused(scope, experiment())
        patch.setattr(scope, "limits", Limits(light_ms_percent=6000))
        assert check(experiment(), scope).light_ms_percent == {"p0": 6000, "p1": 6000}
    assert "place p0 would get 6000 ms·% of light" in what


def test_overlapping_places_share_their_light(scope: Microscope) -> None:
    near = experiment(**survey(stage_positions=[[0, 0], [30, 0]]))
    assert check(near, scope).light_ms_percent == {"p0": 12000, "p1": 12000}


def test_estimates(scope: Microscope) -> None:
    checked = check(experiment(), scope)
    # what is said of the device depends on the machine
    assert replace(checked, notices=()) == Checked(
        frames=6,
        duration_s=pytest.approx(20.04),
        size_mb=pytest.approx(6 * 512 * 512 * 2 / 1e6),
        need_mb=pytest.approx(6 * 512 * 512 * 2 / 1e6 + 500),
        light_ms_percent={"p0": 6000.0, "p1": 6000.0},
        events_checked=6,
        whole=True,
    )


def test_a_survey_too_long_to_be_counted_is_said_to_be_so(scope: Microscope) -> None:
    long = experiment(**survey(time_plan={"interval": 10, "loops": 1000}))
    checked = check(long, scope, most_events=100)
    assert not checked.whole
    assert checked.events_checked == 100
    assert checked.frames == 2000
    assert checked.duration_s == pytest.approx(9990, rel=0.05)
    assert checked.light_ms_percent["p0"] == pytest.approx(2_000_000)
    assert "first 100 events" in checked.notices[0]


@pytest.mark.parametrize(
    ("plan", "duration_s"),
    [
        ({"interval": 5, "duration": 20}, 20),
        ({"duration": 20, "loops": 5}, 20),
        ([{"interval": 1, "loops": 3}, {"interval": 10, "loops": 3}], 22),
    ],
)
def test_every_kind_of_time_plan(
    scope: Microscope, plan: Any, duration_s: float
) -> None:
    wish = experiment(**survey(stage_positions=[[0, 0]], time_plan=plan))
    checked = check(wish, scope)
    assert checked.frames == 5
    assert checked.duration_s == pytest.approx(duration_s, abs=0.05)


def onnx_file(path: Path, shape: list[int | str], op: str = "Sigmoid") -> Path:
    image = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
        for name in ("in", "out")
    ]
    node = helper.make_node(op, ["in"], ["out"])
    graph = helper.make_graph([node], "g", image[:1], image[1:])
    opsets = [helper.make_opsetid("", 18)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=9), str(path))
    return path


def test_a_model_that_fits_the_frames_or_does_not(
    scope: Microscope, tmp_path: Path
) -> None:
    fits = onnx_file(tmp_path / "fits.onnx", [1, 1, "y", "x"])
    # a norm over each row: what a tile would give is not what the whole gives
    small = onnx_file(tmp_path / "small.onnx", [1, 1, 64, 64], op="LpNormalization")
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"no model at all")
    card = "axes: bcyx\nthreshold: 0.6\nhead: peaks\n"

    def wish(model: Path) -> Experiment:
        return experiment(analysis={"detect": {"model": str(model), "head": "peaks"}})

    for path in (fits, small, broken):
        path.with_suffix(".yaml").write_text(card)
    check(wish(fits), scope)
    assert "64" in refused(scope, wish(small))
    assert "broken.onnx" in refused(scope, wish(broken))


def test_the_output_folder(scope: Microscope, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    assert "exists" in refused(scope, experiment(), tmp_path)
    assert "exists" in refused(scope, experiment(), file)
    assert "cannot be made" in refused(scope, experiment(), file / "run")
    check(experiment(), scope, tmp_path / "new" / "run")
    assert sorted(tmp_path.iterdir()) == [file], "the check writes nothing"


def test_a_pixel_size_of_0(scope: Microscope) -> None:
    core = scope.core
    name = core.getCurrentPixelSizeConfig()
    size_um = core.getPixelSizeUm()
    core.setPixelSizeUm(name, 0)
    try:
        assert "pixel size of 'simulated' is 0 µm" in refused(scope, experiment())
    finally:
        core.setPixelSizeUm(name, size_um)


def test_an_unknown_focus_direction(scope: Microscope) -> None:
    wish = experiment(**survey(stage_positions=[[0, 0, 5]]))
    blind = scope.settings.model_copy(update={"focus_direction": None})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scope, "settings", blind)
        assert "The focus direction of this microscope" in refused(scope, wish)
        check(experiment(), scope)


def test_a_policy_of_ones_own_that_can_be_made(
    scope: Microscope, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "made_here.py").write_text(
        "class Own:\n"
        "    def __init__(self, frames): pass\n"
        "    def decide(self, seen): return []\n"
        "class Mute: pass\n"
    )
    monkeypatch.syspath_prepend(tmp_path)

    def wish(name: str, **options: Any) -> Experiment:
        policy = f"made_here:{name}"
        return experiment(response=[{"policy": policy, "options": options}])

    check(wish("Own", frames=3), scope)
    assert "frames" in refused(scope, wish("Own"))
    assert "decide" in refused(scope, wish("Mute"))


positions = st.lists(
    st.tuples(st.floats(-6000, 6000), st.floats(-6000, 6000)), min_size=1, max_size=4
)


@settings(max_examples=30, deadline=None)
@given(positions=positions, half_um=st.floats(100, 5000))
def test_a_survey_passes_if_and_only_if_no_event_leaves_the_limits(
    scope: Microscope, positions: list[tuple[float, float]], half_um: float
) -> None:
    wish = experiment(**survey(stage_positions=[list(p) for p in positions]))
    span = (-half_um, half_um)
    inside = all(abs(x) <= half_um and abs(y) <= half_um for x, y in positions)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scope, "limits", Limits(x_um=span, y_um=span))
        if inside:
            assert check(wish, scope).frames == 3 * len(positions)
        else:
            assert "is outside the limits" in refused(scope, wish)


def test_what_controls_add_and_cannot_tell_is_said_before_the_run(
    scope: Microscope,
) -> None:
    bare = check(experiment(**burst(frames=10)), scope)
    controls = {"placebo": 0.5, "audit": {"share": 0.25, "frames": 8}, "sham": 0.5}
    wish = experiment(**burst(frames=10), controls=controls, shadow=True)
    checked = check(wish, scope)
    # of 6 looks: half with a burst of 10 frames, a quarter with a look of 8
    frames = 6 * (0.5 * 10 + 0.25 * 8)
    added_mb = frames * bare.size_mb / bare.frames
    assert checked.need_mb - bare.need_mb == pytest.approx(added_mb)
    said = " ".join(checked.notices)
    assert "Audit: about 2 looks after 6 visits, 8 frames in 40 s each" in said
    assert "Placebo of burst: about 3 bursts in 6 looks, 20000 ms·% each" in said
    assert "controls.placebo, controls.sham, controls.audit: in shadow" in said


def test_dark_places_are_neither_lit_nor_counted_before_the_last_round(
    scope: Microscope,
) -> None:
    bare, dark = (
        check(experiment(), scope),
        check(experiment(controls={"dark": "p1"}), scope),
    )
    assert (bare.frames, dark.frames) == (6, 4)
    assert dark.light_ms_percent["p0"] == bare.light_ms_percent["p0"]
    assert dark.light_ms_percent["p1"] == bare.light_ms_percent["p1"] / 3
    assert any("Dark until the survey's last round: p1" in n for n in dark.notices)
