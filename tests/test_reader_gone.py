"""Who reads only the first line of what is printed, as ``head`` does."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from smartscope.cli.reader_gone import reader_may_go
from smartscope.loop import run
from smartscope.settings import Experiment

CODE = "from smartscope.cli.app import main; main()"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    experiment = Experiment.parse(
        {
            "name": "short",
            "microscope": "simulated",
            "specimen": {"time": "virtual", "cells": 5},
            "survey": {
                "channels": [{"config": "FITC", "exposure": 10}],
                "time_plan": {"interval": 10, "loops": 3},
            },
            "analysis": {"detect": "otsu"},
            "storage": {"reserve_mb": 0},
        }
    )
    path = tmp_path_factory.mktemp("head") / "run"
    run(experiment, path, in_process=True)
    return path


@pytest.mark.parametrize(
    ("spoil", "code"), [(False, 0), (True, 1)], ids=["identical", "different"]
)
@pytest.mark.parametrize("command", ["show", "replay"])
def test_a_command_keeps_its_exit_code_when_its_reader_goes(
    folder: Path, command: str, spoil: bool, code: int
) -> None:
    journal = folder / "journal.jsonl"
    whole = journal.read_text(encoding="utf-8")
    if spoil:
        changed = whole.replace('"next_track_id":', '"next_track_id":1', 1)
        journal.write_text(changed, encoding="utf-8")
    process = subprocess.Popen(
        [sys.executable, "-c", CODE, command, str(folder)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    process.stdout.close()  # before it has written a word
    _, said = process.communicate(timeout=60)
    journal.write_text(whole, encoding="utf-8")
    assert process.returncode == (code if command == "replay" else 0), said
    assert b"roken" not in said


def test_other_errors_of_the_output_are_raised(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(_text: str) -> int:
        raise OSError(28, "No space left on device")

    write: Callable[[str], int] = full
    with reader_may_go():
        monkeypatch.setattr(vars(sys.stdout)["_stream"], "write", write)
        with pytest.raises(OSError, match="No space"):
            sys.stdout.write("something")
