"""The command line: what it prints where, and with which code it ends."""

from __future__ import annotations

import io
import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest
import typer
import yaml
from rich.console import Console
from typer.testing import CliRunner

from smartscope.cli import app
from smartscope.cli.live import LiveView, line, span
from smartscope.cli.telling import telling
from smartscope.errors import AnalysisFailed, BrokenOff, LimitBroken, Refused
from smartscope.loop import Progress
from smartscope.storage import Run

SMARTSCOPE = [sys.executable, "-c", "from smartscope.cli import main; main()"]
SMALL: dict[str, Any] = {
    "name": "small",
    "mode": "synchronized",
    "specimen": {"time": "virtual", "cells": 20},
    "survey": {
        "channels": [{"config": "FITC", "exposure": 20}],
        "stage_positions": [[0, 0], [150, 0]],
        "time_plan": {"interval": 60, "loops": 4},
    },
    "analysis": {"occurrences": {"division": {"kind": "split"}}},
    "response": [
        {"policy": "adapt_exposure", "target_snr": 60},
        {"policy": "burst", "on": "division", "frames": 3},
    ],
}


def write(folder: Path, content: dict[str, Any], name: str = "e.yaml") -> Path:
    path = folder / name
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return path


def call(*arguments: object) -> Any:
    return CliRunner().invoke(app, [str(a) for a in arguments])


@pytest.fixture(scope="module")
def small_run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    folder = tmp_path_factory.mktemp("cli")
    out = folder / "run"
    done = call("run", write(folder, SMALL), "--out", out, "--json")
    return out, done


# ------------------------------------------------------------------ quick commands


def test_help_names_every_command_and_exit_code() -> None:
    done = call("--help")
    assert done.exit_code == 0
    for word in ("demo", "run", "show", "replay", "schema", "bench", "microscopes"):
        assert word in done.stdout
    for code in ("0 well", "1 differs", "2 refused", "3 degraded", "130 stopped"):
        assert code in " ".join(done.stdout.split())


@pytest.mark.parametrize(
    "statement", ["import smartscope", "from smartscope.cli import main"]
)
def test_starting_loads_nothing_heavy(statement: str) -> None:
    asked = f"{statement}; import sys, json; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", asked], capture_output=True, text=True, check=True
    )
    heavy = {"numpy", "scipy", "useq", "pydantic", "pymmcore_plus", "onnxruntime"}
    assert not heavy & set(json.loads(done.stdout))


def test_version() -> None:
    from smartscope import __version__

    assert call("version").stdout.strip() == __version__


def test_the_schema_is_one_json_document() -> None:
    done = call("schema")
    assert done.exit_code == 0
    assert {"survey", "analysis", "response"} <= set(
        json.loads(done.stdout)["properties"]
    )


def test_the_schema_says_what_every_key_of_ours_means() -> None:
    document = json.loads(call("schema").stdout)
    ours = ("Settings", "Limits", "Appear", "Disappear", "Split", "Brighten")
    models = {k: v for k, v in document["$defs"].items() if k.endswith(ours)}
    assert len(models) > 10
    silent = [
        f"{name}.{key}"
        for name, model in {"Experiment": document, **models}.items()
        for key, what in model["properties"].items()
        if not {"description", "const"} & what.keys()
    ]
    assert not silent


def test_shipped_microscopes() -> None:
    assert {"simulated", "demo"} <= set(
        json.loads(call("microscopes", "--json").stdout)
    )
    assert "simulated" in call("microscopes").stdout


def test_an_unknown_bench_is_refused_with_the_nearest() -> None:
    done = call("bench", "latncy")
    assert done.exit_code == 2
    assert "Did you mean 'latency'?" in done.stderr
    assert done.stdout == ""


# ------------------------------------------------------------------ errors


ENDS = [
    (Refused("no"), 2),
    (AnalysisFailed("no"), 3),
    (BrokenOff("no", state="The stage is at 3 µm."), 4),
    (LimitBroken("no"), 4),
    (KeyboardInterrupt(), 130),
    (ZeroDivisionError("ours"), 4),
]


@pytest.mark.parametrize(
    ("error", "code"), ENDS, ids=[type(e).__name__ for e, _ in ENDS]
)
@pytest.mark.parametrize("as_json", [False, True])
def test_each_error_has_its_code(
    error: BaseException, code: int, as_json: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(typer.Exit) as left, telling(as_json):
        raise error
    assert left.value.exit_code == code
    said = capsys.readouterr()
    if as_json:
        document = json.loads(said.out)
        assert document["exit_code"] == code
        assert document["error"]["what"]
    else:
        assert said.out == ""
    assert said.err
    if isinstance(error, BrokenOff):
        assert "state: The stage is at 3 µm." in said.err


def test_bad_input_is_refused_in_words(tmp_path: Path) -> None:
    path = write(tmp_path, {**SMALL, "respons": []})
    out = tmp_path / "run"
    done = subprocess.run(
        [*SMARTSCOPE, "run", str(path), "--out", str(out)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert "respons: unknown key. Did you mean 'response'?" in done.stderr
    assert "Nothing has moved" in done.stderr
    assert "Traceback" not in done.stderr
    assert not out.exists()


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"microscope": "simulatd"}, "Did you mean 'simulated'?"),
        ({"limits": {"x_um": [9000, 9999]}}, "limits.x_um"),
        (
            {
                "specimen": {
                    "movie": "none.tif",
                    "pixel_size_um": 0.5,
                    "frame_interval_s": 60,
                }
            },
            "none.tif",
        ),
        ({"analysis": {"channel": "DAPI"}}, "analysis.channel"),
        ({"storage": {"reserve_mb": 10**9}}, "MB free"),
    ],
)
def test_what_cannot_run_leaves_nothing_behind(
    tmp_path: Path, change: dict[str, Any], told: str
) -> None:
    path = write(tmp_path, {**SMALL, "response": [], **change})
    done = call("run", path, "--out", tmp_path / "run", "--json")
    assert done.exit_code == 2
    assert told in json.loads(done.stdout)["error"]["what"]
    assert list(tmp_path.iterdir()) == [path]


# ------------------------------------------------------------------ runs


def test_a_run_prints_its_summary_as_one_document(small_run: tuple[Path, Any]) -> None:
    out, done = small_run
    assert done.exit_code == 0, done.stderr
    summary = json.loads(done.stdout)
    assert summary["outcome"] == "completed"
    assert summary["frames"]["acquired"] == summary["frames"]["stored"] >= 8
    assert summary["folder"] == str(out)
    assert "frames:" in done.stderr, "progress goes to stderr"


def test_show_says_the_same(small_run: tuple[Path, Any]) -> None:
    out, done = small_run
    shown = call("show", out, "--json")
    assert shown.exit_code == 0
    assert json.loads(shown.stdout) == json.loads(done.stdout)
    told = call("show", out).stdout
    for word in ("completed", "acquired", "occurrences", "decisions", "p95", "light"):
        assert word in told
    assert str(out) in told.replace("\n", "")


def test_replay_says_identical_or_ends_with_1(
    small_run: tuple[Path, Any], tmp_path: Path
) -> None:
    import shutil

    out, _ = small_run
    same = call("replay", out)
    assert (same.exit_code, same.stdout.split()[0]) == (0, "identical")
    spoilt = shutil.copytree(out, tmp_path / "spoilt")
    journal = spoilt / "journal.jsonl"
    text = journal.read_text(encoding="utf-8")
    journal.write_text(text.replace('"granted"', '"refused"'), encoding="utf-8")
    other = call("replay", spoilt, "--json")
    assert other.exit_code == 1
    assert "verdict" in json.loads(other.stdout)["first_difference"]
    assert call("replay", spoilt).stdout.startswith("different: frame ")


def test_show_of_what_is_no_run(tmp_path: Path) -> None:
    assert call("show", tmp_path).exit_code == 2


def test_a_run_is_found_by_a_path_with_steps_upward(
    small_run: tuple[Path, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, _ = small_run
    (out.parent / "below").mkdir()
    monkeypatch.chdir(out.parent / "below")
    assert call("replay", "../run").stdout.startswith("identical")
    spared = write(tmp_path, SMALL)
    assert call("run", spared, "--out", "../below/../second").exit_code == 0
    assert Run.open(out.parent / "second").finished


def test_shadow_reacts_to_nothing(tmp_path: Path) -> None:
    out = tmp_path / "run"
    done = call("run", write(tmp_path, SMALL), "--out", out, "--shadow", "--json")
    assert done.exit_code == 0
    run = Run.open(out)
    assert {d["verdict"] for d in run.decisions} == {"shadowed"}
    assert {f["origin"] for f in run.frames} == {"survey"}


FAILS = """
class Fails:
    def detect(self, frame):
        raise RuntimeError("cannot see")
"""


def test_a_detector_beside_the_experiment_that_fails_degrades_the_run(
    tmp_path: Path,
) -> None:
    (tmp_path / "detector_that_fails.py").write_text(FAILS)
    analysis = {"detect": "detector_that_fails:Fails"}
    path = write(tmp_path, {**SMALL, "analysis": analysis, "response": []})
    done = subprocess.run(
        [*SMARTSCOPE, "run", str(path), "--out", str(tmp_path / "run"), "--json"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 3, done.stderr
    summary = json.loads(done.stdout)
    assert summary["outcome"] == "degraded"
    assert summary["frames"]["stored"] == 8
    assert summary["frames"]["failed"] == 8


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT for others")
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_ctrl_c_and_its_like_end_the_run_cleanly(tmp_path: Path, name: str) -> None:
    endless = {
        **SMALL,
        "mode": "free_run",
        "specimen": {"cells": 5},
        "survey": {**SMALL["survey"], "time_plan": {"interval": 0.2, "loops": 9999}},
    }
    out = tmp_path / "run"
    running = subprocess.Popen(
        [
            *SMARTSCOPE,
            "run",
            str(write(tmp_path, endless)),
            "--out",
            str(out),
            "--json",
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert running.stderr is not None
    for said in running.stderr:  # until it shows that it runs
        if "frames:" in said:
            break
    children = psutil.Process(running.pid).children(recursive=True)
    running.send_signal(getattr(signal, name))
    try:
        stdout, _ = running.communicate(timeout=30)
    finally:
        running.kill()
    assert running.returncode == 130
    assert json.loads(stdout)["outcome"] == "stopped"
    assert Run.open(out).finished
    assert children, "the analysis runs in a process of its own"
    _, left = psutil.wait_procs(children, timeout=10)
    assert all(child.status() == psutil.STATUS_ZOMBIE for child in left)


# ------------------------------------------------------------------ what is shown


def progress(time_s: float = 75.0) -> Progress:
    return Progress(
        time_s=time_s,
        wall_s=1.25,
        expected_s=3600.0,
        counts={"frames_acquired": 12, "frames_stored": 11, "frames_late": 1},
        places={
            f"p{i}": {"frames": i, "light_ms_percent": 3e3, "exposure_ms": 20.0}
            for i in range(15)
        },
        last_decisions=("burst: burst at p1 granted (within all limits)",),
        occurrences={"division": 2},
        latency_ms={"decide": {"n": 3, "p95_ms": 4.5}},
    )


def test_elsewhere_than_on_a_terminal_it_is_lines_now_and_then() -> None:
    said, now = io.StringIO(), [0.0]
    console = Console(file=said, force_terminal=False)
    with LiveView("demo", console, lambda: now[0]) as view:
        for now[0] in (0.0, 1.0, 4.9, 5.0, 9.9):
            view.show(progress(now[0]))
    lines = said.getvalue().splitlines()
    assert [text.split(" of ")[0] for text in lines] == ["0.0 s", "5.0 s"]
    assert lines[0] == line(progress(0.0))


def test_on_a_terminal_it_is_drawn_at_most_twice_a_second() -> None:
    said, now = io.StringIO(), [0.0]
    console = Console(file=said, force_terminal=True, width=100, height=40)
    drawn = []
    with LiveView("demo", console, lambda: now[0]) as view:
        for tick in range(40):
            now[0] = tick * 0.125
            before = said.tell()
            view.show(progress())
            drawn.append(said.tell() > before)
    assert sum(drawn) == 10
    text = said.getvalue()
    for word in ("demo", "12 acquired", "1 late", "2 division", "p11", "and 3 more"):
        assert word in text


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (0, "0.0 s"),
        (59.94, "59.9 s"),
        (75, "1:15"),
        (3600, "1:00:00"),
        (7384, "2:03:04"),
    ],
)
def test_times_are_told_shortly(seconds: float, told: str) -> None:
    assert span(seconds) == told
