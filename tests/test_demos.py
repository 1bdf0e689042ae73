"""The demos run as they stand, and what README shows is true."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
import threading
from http.server import HTTPServer
from pathlib import Path

import pytest
import yaml

import smartscope
from smartscope.microscope import open_microscope
from smartscope.preflight import check
from smartscope.settings import AnalysisSettings, Experiment
from smartscope.storage import Run

CHECKOUT = Path(__file__).parent.parent
DEMOS = CHECKOUT / "demos"
DEMO = pytest.mark.skipif(
    importlib.util.find_spec("mm_test_adapters") is None,
    reason="needs the extra 'demo' (mm-test-adapters)",
)


def demo(name: str, out: Path) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-W", "error", str(DEMOS / name), str(out)],
        capture_output=True,
        text=True,
        check=False,
        cwd=out.parent,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_an_experiment_from_python(tmp_path: Path) -> None:
    lines = demo("from_python.py", tmp_path / "run")
    assert lines == ["10 frames planned", "completed 10 frames (512, 512)"]


def test_a_policy_of_ones_own(tmp_path: Path) -> None:
    *told, _ = demo("own_policy.py", tmp_path / "run")
    run = Run.open(tmp_path / "run")
    assert len(told) == len(run.decisions) > 0
    assert {d["policy"] for d in run.decisions} == {"own_policy:BurstAtBrightest"}
    done = {o["decision_id"] for o in run.outcomes if o["status"] == "done"}
    bursts = [f for f in run.frames if f["origin"] == "burst"]
    assert done
    assert len(bursts) == 4 * len(done), "options reach the class: 4 frames a burst"


def test_a_cell_that_is_pointed_at(tmp_path: Path) -> None:
    followed, first, last, outcome = demo("follow_by_click.py", tmp_path / "run")
    assert "which was pointed at" in followed
    assert "stage at 0.0, 0.0" in first
    assert "stage at 0.0, 0.0" not in last
    assert outcome == "completed"


def test_a_detector_of_ones_own(tmp_path: Path) -> None:
    *told, _ = demo("own_detector.py", tmp_path / "run")
    run = Run.open(tmp_path / "run")
    assert len(told) == len(run.analysed) == len(run.frames) == 8
    assert all(len(a["detections"]["score"]) > 0 for a in run.analysed)


@pytest.mark.parametrize("name", ["own_policy.py", "own_detector.py"])
def test_what_the_readme_promises_in_20_lines(name: str) -> None:
    text = (DEMOS / name).read_text(encoding="utf-8")
    body = text[text.index("\nclass ") : text.index("\ndef main")]
    assert len([line for line in body.splitlines() if line.strip()]) <= 20


def test_the_experiment_in_the_readme_can_run(tmp_path: Path) -> None:
    text = (CHECKOUT / "README.md").read_text(encoding="utf-8")
    shown, _ = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    (tmp_path / "division.yaml").write_text(shown, encoding="utf-8")
    experiment = Experiment.load(tmp_path / "division.yaml")
    keys = {"specimen": experiment.specimen, "limits": experiment.limits}
    with open_microscope(experiment.microscope, **keys) as scope:
        assert check(experiment, scope, tmp_path / "run").frames == 180


def test_what_the_readme_says_of_models_are_keys_that_there_are() -> None:
    text = (CHECKOUT / "README.md").read_text(encoding="utf-8")
    _, shown = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    analysis = AnalysisSettings.model_validate(yaml.safe_load(shown)["analysis"])
    assert analysis.channels == ("DAPI", "FITC")


@pytest.mark.parametrize("microscope", ["simulated", pytest.param("demo", marks=DEMO)])
def test_the_experiment_in_the_readme_runs_on_both_microscopes(
    tmp_path: Path, microscope: str
) -> None:
    text = (CHECKOUT / "README.md").read_text(encoding="utf-8")
    shown, _ = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    hour = "time_plan: {interval: 60, loops: 60}"
    assert hour in shown
    (tmp_path / "division.yaml").write_text(
        shown.replace(hour, "time_plan: {interval: 0, loops: 3}"), encoding="utf-8"
    )
    out = tmp_path / "run"
    done = smartscope.run(tmp_path / "division.yaml", out, microscope=microscope)
    assert (done.outcome, done.exit_code) == ("completed", 0)
    assert len([f for f in Run.open(out).frames if f["origin"] == "survey"]) == 9


def test_the_files_that_the_readme_names_are_there() -> None:
    text = (CHECKOUT / "README.md").read_text(encoding="utf-8")
    named = re.findall(r"\]\((?!http)([^)]+)\)", text)
    assert named
    for path in named:
        assert (CHECKOUT / path).is_file(), path


def test_the_packaged_demo_can_run() -> None:
    from importlib.resources import as_file, files

    with as_file(files("smartscope.zoo") / "demo.yaml") as path:
        experiment = Experiment.load(path)
    keys = {"specimen": experiment.specimen, "limits": experiment.limits}
    with open_microscope(experiment.microscope, **keys) as scope:
        assert check(experiment, scope).frames > 0


def test_a_web_address_is_told() -> None:
    spec = importlib.util.spec_from_file_location("webhook", DEMOS / "webhook.py")
    assert spec is not None
    assert spec.loader is not None
    webhook = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(webhook)
    taken: list[str] = []

    class Printer(webhook._Printer):  # type: ignore[misc, name-defined]
        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with HTTPServer(("localhost", 0), Printer) as server:
        waiter = threading.Thread(target=server.handle_request)
        waiter.start()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("builtins.print", lambda text: taken.append(text))
            patch.setenv("WEBHOOK", f"http://localhost:{server.server_port}")
            webhook.post({"text": "division", "place": "p0"})
            waiter.join()
    assert taken == ['{"text": "division", "place": "p0"}']
