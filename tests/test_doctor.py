"""``smartscope doctor``: what is broken on a machine is named, in words."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from smartscope.cli import app
from smartscope.cli.doctor import examine, lines
from smartscope.inference import Provider, Runtime, probe_runtime
from smartscope.inference.runtime_probe import (
    installed_wheels,
    missing_libraries,
    wheel_problems,
)

GOOD = Runtime({"onnxruntime": "1.31.1"}, "1.31.1", (Provider("cpu", True),), ())


def call(*arguments: object) -> Any:
    return CliRunner().invoke(app, [str(a) for a in arguments])


def test_this_machine_can_run_models() -> None:
    done = call("doctor", "--json")
    told = json.loads(done.stdout)
    assert done.exit_code == (1 if told["problems"] else 0)
    assert {"name": "cpu", "obtained": True, "missing": [], "why": ""} in told[
        "onnxruntime"
    ]["providers"]
    assert told["cores"] >= 1
    assert told["micro_manager"]["device_interface"]
    assert told["disk"]["write_mb_per_s"] > 0


def test_nothing_but_json_is_on_stdout() -> None:
    """Also of what onnxruntime prints past Python."""
    command = [sys.executable, "-c", "from smartscope.cli import main; main()"]
    done = subprocess.run(
        [*command, "doctor", "--json"], capture_output=True, timeout=60, check=False
    )
    assert json.loads(done.stdout)["onnxruntime"]["providers"]
    assert done.stderr == b""


def test_no_qt_is_needed() -> None:
    code = (
        "import sys; from pathlib import Path; from smartscope.cli.doctor import "
        "examine; examine(Path('.')); print([m for m in sys.modules if 'Qt' in m])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, timeout=60, check=True
    )
    assert done.stdout.strip() == b"[]"


def test_plain_words(tmp_path: Path) -> None:
    told = examine(tmp_path, runtime=lambda: GOOD)
    rows = dict(lines(told))
    assert rows["models run on"] == "cpu"
    assert rows["onnxruntime"] == "onnxruntime 1.31.1"
    assert "MB/s" in rows["disk"]
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("wheels", "words"),
    [
        ({}, "No onnxruntime is installed"),
        ({"onnxruntime": "1", "onnxruntime-gpu": "1"}, "installed together"),
        ({"onnxruntime-directml": "1", "onnxruntime-gpu": "1"}, "installed together"),
    ],
)
def test_wheels_that_break_each_other(wheels: dict[str, str], words: str) -> None:
    (problem,) = wheel_problems(wheels)
    assert words in problem
    assert "pip" in problem
    for name in wheels:
        assert name in problem


@pytest.mark.parametrize("wheel", ["onnxruntime", "onnxruntime-gpu"])
def test_one_wheel_is_fine(wheel: str) -> None:
    assert wheel_problems({wheel: "1.31.1"}) == ()


def test_both_wheels_are_found_and_end_with_1(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a second wheel beside the one that is there, as pip leaves it."""
    names = {"onnxruntime", "onnxruntime-gpu"}
    missing = names - set(installed_wheels())
    for name in missing:
        info = tmp_path / f"{name.replace('-', '_')}-1.31.1.dist-info"
        info.mkdir()
        text = f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.31.1\n"
        (info / "METADATA").write_text(text, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert names <= set(installed_wheels())
    done = call("doctor", "--json")
    assert done.exit_code == 1
    assert any("installed together" in p for p in json.loads(done.stdout)["problems"])


def test_a_gpu_that_is_not_there_is_a_note(tmp_path: Path) -> None:
    cuda = Provider("cuda", False, ("libcudnn.so.9",), "missing libcudnn.so.9")
    runtime = Runtime(
        {"onnxruntime-gpu": "1.31.1"}, "1.31.1", (cuda, Provider("cpu", True)), ()
    )
    told = examine(tmp_path, runtime=lambda: runtime)
    assert not [p for p in told["problems"] if "cuda" in p]
    assert any("libcudnn.so.9" in note for note in told["notes"])
    assert told["onnxruntime"]["providers"][0]["missing"] == ("libcudnn.so.9",)


def test_libraries_that_onnxruntime_names_are_told() -> None:
    said = (
        "[E:onnxruntime] Failed to load library libonnxruntime_providers_cuda.so with "
        "error: libnothing_like_it.so.13: cannot open shared object file"
    )
    assert "libnothing_like_it.so.13" in missing_libraries("AnyProvider", said)
    assert not any("onnxruntime" in n for n in missing_libraries("AnyProvider", said))


def test_probing_leaves_stdout_as_it_was(capfd: pytest.CaptureFixture[str]) -> None:
    before = os.fstat(1)
    assert probe_runtime().providers
    assert os.fstat(1) == before
    os.write(1, b"still here")
    assert capfd.readouterr().out == "still here"


def test_a_folder_that_cannot_be_written_is_a_problem(tmp_path: Path) -> None:
    told = examine(tmp_path / "nowhere", runtime=lambda: GOOD)
    assert any("Nothing can be written" in p for p in told["problems"])
