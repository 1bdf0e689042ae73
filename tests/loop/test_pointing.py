"""A person points at a cell: an input of the run, journalled and replayed."""

from __future__ import annotations

import io
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from smartscope.cli.answers import KeyboardAnswers
from smartscope.cli.pointed import target_from, typed_target
from smartscope.errors import Refused
from smartscope.loop import run
from smartscope.replay import replay
from smartscope.response import Target
from smartscope.settings import Experiment
from smartscope.signals import RunSignals
from smartscope.storage import Run

Make = Callable[..., Experiment]
DOG = {"model": "dog", "min_distance_um": 6}
CLICK = {"policy": "follow", "choose": "click", "dead_band_um": 2.0}


def clicked(make_experiment: Make, **more: Any) -> Experiment:
    content = {"response": [CLICK], "detect": DOG, "places": 1, "rounds": 6, **more}
    return make_experiment(**content)


def remarks(found: Run) -> list[str]:
    return [remark for line in found.analysed for remark in line["remarks"]]


def test_a_cell_that_is_pointed_at_is_followed_and_replayed_alike(
    make_experiment: Make, tmp_path: Path
) -> None:
    signals = RunSignals()
    chosen: list[dict[str, Any]] = []

    def point(record: dict[str, Any]) -> None:
        if not chosen and record["tracks"]:
            chosen.append(max(record["tracks"], key=lambda t: abs(t["x_um"])))
            at = (chosen[0]["x_um"] + 1.5, chosen[0]["y_um"] - 1.0)
            signals.targetChosen.emit("p0", *at)
            signals.targetChosen.emit("nowhere", 0.0, 0.0)

    signals.frameAnalysed.connect(point)
    experiment = clicked(make_experiment, specimen={"cells": 200})
    result = run(experiment, tmp_path / "run", signals=signals)
    found = Run.open(result.folder)
    assert result.exit_code == 0
    (given,) = [line for line in found.inputs if line["input"] == "target"]
    assert given["place"] == "p0"
    assert f"follows track {chosen[0]['track_id']}" in remarks(found)[0]
    last = found.frames[-1]["state"]
    cell = next(
        t
        for t in found.analysed[-1]["tracks"]
        if t["track_id"] == chosen[0]["track_id"]
    )
    assert abs(last["x_um"] - cell["x_um"]) < 4
    assert any("the survey has p0" in n["text"] for n in found.notes)
    replayed = replay(result.folder)
    assert replayed.identical, replayed.first_difference


def test_a_click_outlives_the_analysis_that_took_it(
    make_experiment: Make, tmp_path: Path
) -> None:
    signals = RunSignals()
    killed: list[int] = []

    def kill(frame: Any) -> None:
        if frame.frame_id == 3 and not killed:
            from smartscope.loop.child import Child

            killed.append(living[-1].pid)
            os.kill(killed[0], signal.SIGKILL)
            assert isinstance(living[-1], Child)

    living: list[Any] = []
    with pytest.MonkeyPatch.context() as patch:
        from smartscope.loop import analyst, child

        class Known(child.Child):
            def __init__(self, init: dict[str, Any]) -> None:
                super().__init__(init)
                living.append(self)

        patch.setattr(analyst, "Child", Known)
        signals.frameAcquired.connect(kill)
        # a wide dead band: no move is decided that could tell the new process whom
        response = [{**CLICK, "dead_band_um": 400.0, "within_um": 200.0}]
        experiment = clicked(
            make_experiment, response=response, specimen={"cells": 200}, rounds=8
        )
        result = run(
            experiment,
            tmp_path / "run",
            signals=signals,
            targets=[Target(place="p0", x_um=0.0, y_um=0.0)],
        )
    assert killed
    assert len(living) == 2
    begun = [r for r in remarks(Run.open(result.folder)) if "follows track" in r]
    assert len(begun) == 2
    assert begun[0].split(",")[0] == begun[1].split(",")[0], "the same track"
    replayed = replay(result.folder)
    assert replayed.identical, replayed.first_difference


@pytest.mark.parametrize(
    ("place", "response", "expected"),
    [
        ("p7", [CLICK], "no place of that name"),
        ("p0", [{"policy": "follow", "choose": "first"}], "choose: click"),
    ],
)
def test_points_that_cannot_be_followed_are_refused_before_the_run(
    make_experiment: Make, tmp_path: Path, place: str, response: Any, expected: str
) -> None:
    targets = [Target(place=place, x_um=0, y_um=0)]
    with pytest.raises(Refused, match=expected):
        run(
            clicked(make_experiment, response=response),
            tmp_path / "run",
            targets=targets,
        )


def test_following_in_z_needs_as_many_planes_as_the_survey_takes(
    make_experiment: Make, tmp_path: Path
) -> None:
    response = [{"policy": "follow", "choose": "first", "z": {"planes": 5}}]
    with pytest.raises(Refused, match="takes 1 planes"):
        run(clicked(make_experiment, response=response), tmp_path / "run")


def test_a_stack_goes_after_its_cell(make_experiment: Make, tmp_path: Path) -> None:
    focus = {"planes": 5, "dead_band_um": 0.5}
    survey = {
        "axis_order": "tpcz",
        "stage_positions": [[0, 0, 6.0]],
        "channels": [{"config": "FITC", "exposure": 10}],
        "time_plan": {"interval": 10, "loops": 3},
        "z_plan": {"range": 12, "step": 3},
    }
    response = [{"policy": "follow", "choose": "first", "z": focus, "lost_after": 20}]
    experiment = clicked(
        make_experiment,
        response=response,
        survey=survey,
        specimen={"cells": 200},
        analysis={"track": {"max_missed": 10}},
    )
    result = run(experiment, tmp_path / "run")
    found = Run.open(result.folder)
    assert result.exit_code == 0, result.reason
    planes = [f["state"]["z_um"] for f in found.frames]
    first, last = np_middle(planes[:5]), np_middle(planes[-5:])
    # the specimen's plane is at 0
    assert first == pytest.approx(6.0)
    assert last == pytest.approx(0.0, abs=1.5)
    assert planes[-1] - planes[-5] == pytest.approx(12.0)
    assert replay(result.folder).identical


def np_middle(values: list[float]) -> float:
    return (min(values) + max(values)) / 2


# words -------------------------------------------------------------------------


def test_a_point_in_words() -> None:
    assert target_from("p0:12.5,-30") == Target(place="p0", x_um=12.5, y_um=-30)
    assert target_from("well A:1:2,3").place == "well A:1"
    for words in ("p0", "p0:1", ":1,2", "p0:a,b", "p0:nan,1"):
        with pytest.raises(Refused, match="PLACE:X,Y"):
            target_from(words)
    assert typed_target("t well A 12.5 -30\n") == Target(
        place="well A", x_um=12.5, y_um=-30
    )
    for line in ("y", "t p0 1", "t p0 a b", ""):
        assert typed_target(line) is None


def test_a_point_can_be_typed() -> None:
    signals, points = RunSignals(), []
    signals.targetChosen.connect(lambda *point: points.append(point))
    read = KeyboardAnswers.__new__(KeyboardAnswers)
    KeyboardAnswers.__init__(read, signals, ["t p0 1 2\n"], Console(file=io.StringIO()))
    import threading

    for thread in threading.enumerate():
        if thread.name == "keyboard":
            thread.join(5)
    assert points == [("p0", 1.0, 2.0)]
