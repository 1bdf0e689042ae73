"""A person says yes: every question has one answer, and silence has its default."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from smartscope.cli.answers import KeyboardAnswers
from smartscope.loop import run
from smartscope.loop.approval import Answer, ApprovalDesk
from smartscope.replay import replay
from smartscope.response import Bookmark, Burst, Decision
from smartscope.settings import ApproveSettings, Experiment
from smartscope.signals import RunSignals
from smartscope.storage import Run

Make = Callable[..., Experiment]
HERE = {"here": {"kind": "count", "above": 0, "frames": 1, "of": 1}}
BURST = {"policy": "burst", "on": "here", "frames": 4}


def granted(i: int, place: str = "p0", track_id: int = -1, **more: Any) -> Decision:
    action = more.pop("action", None) or Burst(
        place=place, track_id=track_id, x_um=0, y_um=0, frames=3, exposure_ms=1
    )
    return Decision(
        decision_id=f"{i}/0",
        frame_id=i,
        time_s=0.0,
        handed_over_s=0.0,
        policy=more.get("policy", "burst"),
        priority=0,
        wish=action,
        granted=action,
        verdict="granted",
        reason="test",
    )


class Desk:
    def __init__(self, **settings: Any) -> None:
        self.now_s = 0.0
        self.asked: list[str] = []
        self.answers: list[Answer] = []
        self.desk = ApprovalDesk(
            ApproveSettings(**settings),
            asked=lambda decision, _: self.asked.append(decision.decision_id),
            answered=self.answers.append,
            clock=lambda: self.now_s,
        )

    @property
    def told(self) -> dict[str, tuple[bool, str]]:
        ids = [a.decision.decision_id for a in self.answers]
        assert len(set(ids)) == len(ids)
        return {a.decision.decision_id: (a.yes, a.why) for a in self.answers}


@pytest.mark.parametrize("otherwise", ["refuse", "grant"])
def test_silence_has_its_default_and_a_late_answer_changes_nothing(
    otherwise: str,
) -> None:
    one = Desk(within_s=10, otherwise=otherwise)
    one.desk.ask(granted(0))
    one.now_s = 9.0
    one.desk.look()
    assert one.told == {}
    one.now_s = 10.5
    one.desk.look()
    one.desk.answer("0/0", otherwise == "refuse")
    assert one.told == {"0/0": (otherwise == "grant", "nobody answered within 10 s")}
    assert one.answers[0].waited_ms == 10_500


def test_a_no_holds_for_a_while_for_the_same_and_for_nothing_else() -> None:
    one = Desk(no_holds_s=60)
    one.desk.ask(granted(0))
    one.desk.answer("0/0", False)
    one.now_s = 12.0
    one.desk.ask(granted(1))
    assert one.told["1/0"] == (False, "not approved 12 s ago")
    one.desk.ask(granted(2, "p1"))
    one.desk.ask(granted(3, track_id=5))
    one.now_s = 61.0
    one.desk.ask(granted(4))
    assert one.asked == ["0/0", "2/0", "3/0", "4/0"]


def test_a_newer_question_takes_the_place_of_the_same_one() -> None:
    one = Desk()
    one.desk.ask(granted(0))
    one.desk.ask(granted(1))
    assert one.told == {"0/0": (False, "replaced by a newer wish of the same kind")}
    one.desk.answer("1/0", True)
    assert one.told["1/0"] == (True, "approved")


def test_what_needs_no_light_is_not_asked_and_others_only_if_named() -> None:
    one = Desk(policies=("burst",))
    assert one.desk.wants(granted(0))
    assert not one.desk.wants(granted(0, policy="follow"))
    mark = granted(0, action=Bookmark(place="p0", x_um=0, y_um=0))
    assert not one.desk.wants(mark)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["ask", "yes", "no", "look", "wait"]), st.integers(0, 5)
        ),
        max_size=40,
    )
)
def test_every_question_has_exactly_one_answer(steps: list[tuple[str, int]]) -> None:
    one = Desk(within_s=5, no_holds_s=7)
    asked = 0
    for what, which in steps:
        if what == "ask":
            one.desk.ask(granted(asked, f"p{which % 2}"))
            asked += 1
        elif what in ("yes", "no"):
            one.desk.answer(f"{which}/0", what == "yes")
        elif what == "look":
            one.desk.look()
        else:
            one.now_s += which
    one.desk.close()
    assert set(one.told) == {f"{i}/0" for i in range(asked)}


@pytest.mark.parametrize("yes", [True, False])
def test_a_run_does_what_was_approved_and_says_what_was_not(
    make_experiment: Make, tmp_path: Path, yes: bool
) -> None:
    signals = RunSignals()
    asked: list[str] = []

    def ask(decision: Decision, within_s: float) -> None:
        assert within_s == 600
        asked.append(decision.decision_id)
        signals.decisionAnswered.emit(decision.decision_id, yes)

    signals.decisionAsked.connect(ask)
    experiment = make_experiment(
        analysis={"occurrences": HERE}, response=[BURST], approve={"within_s": 600}
    )
    result = run(experiment, tmp_path / "run", signals=signals)
    seen = Run.open(result.folder)
    assert (result.outcome, result.exit_code) == ("completed", 0), result.reason
    assert len(asked) == 2
    assert {o["status"] for o in seen.outcomes} == {"done" if yes else "refused"}
    assert result.summary["frames"]["burst"] == (8 if yes else 0)
    answers = [line for line in seen.inputs if line["input"] == "answer"]
    assert {a["decision_id"] for a in answers} == set(asked)
    assert {a["yes"] for a in answers} == {yes}
    assert replay(result.folder).identical


def test_a_run_that_nobody_answers_ends(make_experiment: Make, tmp_path: Path) -> None:
    experiment = make_experiment(
        analysis={"occurrences": HERE}, response=[BURST], approve={"within_s": 0.2}
    )
    result = run(experiment, tmp_path / "run")
    seen = Run.open(result.folder)
    assert result.outcome == "completed"
    assert {o["status"] for o in seen.outcomes} == {"refused"}
    assert all("nobody answered" in o["reason"] for o in seen.outcomes)


def test_the_keyboard_answers_the_oldest_question_first() -> None:
    signals = RunSignals()
    said = io.StringIO()
    answered: list[tuple[str, bool]] = []
    signals.decisionAnswered.connect(lambda *told: answered.append(told))
    keyboard = KeyboardAnswers(signals, lines=[], console=Console(file=said, width=200))
    keyboard._ask(granted(0), 30.0)
    keyboard._ask(granted(1), 30.0)
    keyboard._lines = ["maybe\n", "y\n", "NO\n", "y\n"]
    keyboard._read()
    assert answered == [("0/0", True), ("1/0", False)]
    told = said.getvalue()
    assert "burst asks for a burst at p0: y or n, then Enter, within 30 s" in told
    assert "Answer with y or n, or change it" in told
    assert "Nothing is asked." in told


def test_the_keyboard_changes_what_is_asked_and_tells_why_it_may_not() -> None:
    signals = RunSignals()
    said = io.StringIO()
    answered: list[tuple[str, bool]] = []
    edited: list[tuple[str, dict[str, Any]]] = []

    def edit(decision_id: str, changes: dict[str, Any]) -> None:
        edited.append((decision_id, changes))
        if changes.get("frames") == 99:
            signals.editRefused.emit(decision_id, "99 frames are too many")

    signals.decisionAnswered.connect(lambda *told: answered.append(told))
    signals.decisionEdited.connect(edit)
    keyboard = KeyboardAnswers(signals, lines=[], console=Console(file=said, width=200))
    keyboard._ask(granted(0), 30.0)
    keyboard._lines = ["y frames=99\n", "n frames=9\n", "y frames=9 channels=[A,B]\n"]
    keyboard._read()
    assert edited == [
        ("0/0", {"frames": 99}),
        ("0/0", {"frames": 9, "channels": ["A", "B"]}),
    ]
    assert answered == [("0/0", True)]
    assert (
        "It was not changed: 99 frames are too many. Answer again." in said.getvalue()
    )


def test_a_person_shortens_a_burst_before_it_is_approved(
    make_experiment: Make, tmp_path: Path
) -> None:
    signals = RunSignals()
    refused: list[str] = []
    signals.editRefused.connect(lambda _, why: refused.append(why))

    def ask(decision: Decision, within_s: float) -> None:
        for changes in ({"frames": 0}, {"x_um": 5.0}, {"exposure_ms": 1e9}):
            signals.decisionEdited.emit(decision.decision_id, changes)
        signals.decisionEdited.emit(decision.decision_id, {"frames": 2})
        signals.decisionAnswered.emit(decision.decision_id, True)

    signals.decisionAsked.connect(ask)
    experiment = make_experiment(
        analysis={"occurrences": HERE}, response=[BURST], approve={"within_s": 600}
    )
    result = run(experiment, tmp_path / "run", signals=signals)
    seen = Run.open(result.folder)
    assert (result.outcome, result.exit_code) == ("completed", 0), result.reason
    assert result.summary["frames"]["burst"] == 4
    assert len(refused) == 6
    assert "greater than 0" in refused[0]
    assert "'x_um' cannot be changed" in refused[1]
    assert "exposure_ms = 1e+09 is outside the limits" in refused[2]
    assert sum(line["input"] == "edit" for line in seen.inputs) == 2
    assert replay(result.folder).identical
