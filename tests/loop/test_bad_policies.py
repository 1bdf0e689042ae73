"""Policies that raise, hang, die or flood: counted, told, switched off."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from smartscope.cli.tables import print_summary
from smartscope.loop import run
from smartscope.replay import replay
from smartscope.settings import Experiment
from smartscope.storage import Run

Make = Callable[..., Experiment]
ROUNDS, PLACES = 16, 2
GOOD = {"policy": "faulty_parts:Wishes", "name": "good", "options": {"every": 6}}


def ran(
    make: Make, folder: Path, bad: dict[str, Any], **more: Any
) -> tuple[Run, dict[str, Any]]:
    experiment = make(
        rounds=ROUNDS,
        places=PLACES,
        analysis={"timeout_s": 2, "restarts": 0},
        response=[bad, GOOD],
        **more,
    )
    result = run(experiment, folder)
    seen = Run.open(result.folder)
    survey = [f for f in seen.frames if f["origin"] == "survey"]
    assert len(survey) == ROUNDS * PLACES
    assert result.exit_code == 3
    return seen, result.summary


def wished(what: str, **options: Any) -> dict[str, Any]:
    return {
        "policy": "faulty_parts:Wishes",
        "name": "bad",
        "options": {"what": what, "first": 0, "every": 1, **options},
    }


def granted_to_the_end(seen: Run) -> None:
    """The good policy was asked to the last frame."""
    asked = [d["frame_id"] for d in seen.decisions if d["policy"] == "good"]
    last = max(a["frame_id"] for a in seen.analysed)
    assert asked
    assert max(asked) > last - 12


def test_one_that_raises_is_switched_off_and_the_analysis_goes_on(
    make_experiment: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = {**wished("raises"), "off_after": 4}
    seen, summary = ran(make_experiment, tmp_path / "run", bad)
    assert summary["decisions"]["faults"] == {
        "bad": {
            "failed_on": 4,
            "not_considered": 0,
            "switched_off": "it failed on 4 frames in a row",
        }
    }
    assert "child_restarts" not in summary["counts"]
    assert any("bad is switched off" in note["text"] for note in seen.notes)
    print_summary(summary)
    assert "policy bad: failed on 4 frames, switched off" in capsys.readouterr().out
    granted_to_the_end(seen)
    assert replay(seen.path).identical


@pytest.mark.parametrize("how", ["hangs", "dies"])
def test_one_that_takes_the_process_with_it_is_switched_off_at_once(
    make_experiment: Make, tmp_path: Path, how: str
) -> None:
    seen, summary = ran(make_experiment, tmp_path / "run", wished(how, first=5))
    assert summary["counts"]["child_restarts"] == 1
    assert summary["counts"]["frames_failed"] == 1
    off = summary["decisions"]["faults"]["bad"]["switched_off"]
    assert ("no answer within" if how == "hangs" else "has died") in off
    assert any("asking the policy bad" in note["text"] for note in seen.notes)
    granted_to_the_end(seen)
    replayed = replay(seen.path)
    assert replayed.identical, replayed.first_difference


def test_one_that_floods_is_cut_counted_and_told_once(
    make_experiment: Make, tmp_path: Path
) -> None:
    seen, summary = ran(make_experiment, tmp_path / "run", wished("floods"))
    frames = len(seen.analysed)
    assert summary["decisions"]["faults"]["bad"] == {
        "failed_on": 0,
        "not_considered": 9_900 * frames,
    }
    assert summary["decisions"]["by_policy"]["bad"] == {"granted": 100 * frames}
    assert sum("more than 100" in note["text"] for note in seen.notes) == 1
    granted_to_the_end(seen)


def test_words_that_differ_in_every_frame_do_not_fill_the_journal(
    make_experiment: Make, tmp_path: Path
) -> None:
    bad = {**wished("raises differently"), "off_after": 1000}
    experiment = make_experiment(
        rounds=150, places=1, interval_s=1, response=[bad, GOOD]
    )
    result = run(experiment, tmp_path / "run", in_process=True)
    seen = Run.open(result.folder)
    assert result.summary["decisions"]["faults"]["bad"]["failed_on"] == len(
        seen.analysed
    )
    assert len([n for n in seen.notes if n["level"] == "error"]) == 100
    assert json.dumps(result.summary)
