"""Users' functions are called at hits: told once, and never in anybody's way."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from smartscope.errors import Refused
from smartscope.loop import run
from smartscope.loop.messenger import Messenger
from smartscope.replay import replay
from smartscope.response import Decision, Notify
from smartscope.settings import Experiment
from smartscope.storage import Run

Make = Callable[..., Experiment]
HERE = {"here": {"kind": "count", "above": 0, "frames": 1, "of": 1}}


def notify(call: str) -> dict[str, Any]:
    return {"policy": "notify", "on": "here", "call": call, "text": "look"}


def test_a_hit_is_told_to_a_function_in_its_own_process(
    make_experiment: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOTED", str(tmp_path / "noted"))
    experiment = make_experiment(
        analysis={"occurrences": HERE},
        response=[
            notify("faulty_parts:note"),
            {**notify("faulty_parts:fails"), "name": "bad"},
        ],
    )
    result = run(experiment, tmp_path / "run")
    assert (result.outcome, result.exit_code) == ("completed", 0), result.reason
    told = [json.loads(x) for x in (tmp_path / "noted").read_text().splitlines()]
    seen = Run.open(result.folder)
    assert len(told) == len(seen.occurrences) == 2  # one for each place
    assert {m["place"] for m in told} == {"p0", "p1"}
    assert {m["text"] for m in told} == {"look"}
    by_id = {o["decision_id"]: o for o in seen.outcomes}
    for decision in seen.decisions:
        outcome = by_id[decision["decision_id"]]
        if decision["policy"] == "bad":
            assert outcome["status"] == "failed"
            assert "RuntimeError: nobody was told of look" in outcome["reason"]
        else:
            assert outcome["status"] == "done"
    assert replay(result.folder).identical


def test_a_function_that_is_not_there_is_refused_before_the_run(
    make_experiment: Make, tmp_path: Path
) -> None:
    for call, why in (
        ("faulty_parts:nothing", "has no function 'nothing'"),
        ("no_such_module:f", "cannot be imported"),
    ):
        experiment = make_experiment(
            analysis={"occurrences": HERE}, response=[notify(call)]
        )
        with pytest.raises(Refused, match=why):
            run(experiment, tmp_path / "run")
        assert not (tmp_path / "run").exists()


def decision(i: int, call: str) -> tuple[Decision, Notify]:
    action = Notify(place="p0", call=call, x_um=0, y_um=0, text=str(i))
    return (
        Decision(
            decision_id=f"{i}/0",
            frame_id=i,
            time_s=0.0,
            handed_over_s=0.0,
            policy="notify",
            priority=0,
            wish=action,
            granted=action,
            verdict="granted",
            reason="test",
        ),
        action,
    )


def test_one_that_hangs_is_killed_and_the_next_is_told(
    make_experiment: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # the fixture lets 'faulty_parts' be found
    monkeypatch.setenv("NOTED", str(tmp_path / "noted"))
    told: dict[str, tuple[str, str]] = {}
    messenger = Messenger(
        lambda i, status, reason: told.update({i: (status, reason)}), timeout_s=2.0
    )
    messenger.send(*decision(0, "faulty_parts:hangs"))
    messenger.send(*decision(1, "faulty_parts:note"))
    messenger.close()
    messenger.send(*decision(2, "faulty_parts:note"))
    assert told["0/0"] == ("failed", "faulty_parts:hangs took longer than 2 s")
    assert told["1/0"][0] == "done"
    assert told["2/0"] == ("failed", "the run has ended")


def test_a_flood_is_bounded_and_told() -> None:
    told: dict[str, str] = {}
    messenger = Messenger(lambda i, status, _: told.update({i: status}))
    # nobody works them off
    messenger._thread = messenger_thread = _Idle()
    for i in range(150):
        messenger.send(*decision(i, "json:dumps"))
    assert sum(status == "failed" for status in told.values()) == 50
    assert messenger_thread.started == 0


class _Idle:
    started = 0

    def start(self) -> None:
        self.started += 1
