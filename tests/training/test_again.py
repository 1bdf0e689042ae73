"""A package made again, and one of a training that was stopped."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import onnx
import pytest
import yaml
from typer.testing import CliRunner

torch = pytest.importorskip("torch", reason="the extra 'train' is not installed")

from smartscope.cli import app  # noqa: E402  # only where torch is
from smartscope.errors import Refused  # noqa: E402
from smartscope.inference import ModelPackage, verify  # noqa: E402
from smartscope.training.again import export_again, make_package  # noqa: E402
from smartscope.training.denoise import train_denoise  # noqa: E402
from smartscope.training.learning import Course  # noqa: E402
from smartscope.training.settings import TrainSettings  # noqa: E402


@pytest.mark.parametrize("kind", ["denoiser", "detector"])
def test_a_graph_written_again_is_the_same(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    folder = tmp_path / "made"
    shutil.copytree(request.getfixturevalue(kind), folder)
    weights = folder / "model" / "weights.onnx"
    before = onnx.load(str(weights))
    told = folder / "model" / "bioimageio.yaml"
    described = yaml.safe_load(told.read_text())
    described["weights"]["onnx"]["sha256"] = "0" * 64
    told.write_text(yaml.safe_dump(described))
    assert export_again(folder) < 1e-4
    assert verify(ModelPackage.load(folder / "model")).state == "reproduced"
    names = {t.name for t in onnx.load(str(weights)).graph.initializer}
    assert names == {t.name for t in before.graph.initializer}
    described = yaml.safe_load(told.read_text())
    assert described["weights"]["onnx"]["sha256"] != "0" * 64
    assert sorted(p.name for p in folder.iterdir()) == sorted(
        p.name for p in request.getfixturevalue(kind).iterdir()
    )


def test_other_weights_are_not_packed_under_the_old_figures(
    denoiser: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "made"
    shutil.copytree(denoiser, folder)
    held = torch.load(folder / "checkpoint.pt", weights_only=True)
    held["best"]["last.bias"] += 1.0
    torch.save(held, folder / "checkpoint.pt")
    before = (folder / "model" / "weights.onnx").read_bytes()
    with pytest.raises(Refused, match="test"):
        export_again(folder)
    assert (folder / "model" / "weights.onnx").read_bytes() == before


def test_a_training_that_was_stopped_is_packed(denoiser: Path, tmp_path: Path) -> None:
    data = denoiser.parent / "one.tif"
    settings = TrainSettings(
        method="n2v", width=4, levels=1, patch_px=32, batch=8, steps=40, every=10
    )

    def stop(course: Course) -> None:
        if course.step >= 10:
            raise KeyboardInterrupt

    out = tmp_path / "stopped"
    with pytest.raises(KeyboardInterrupt):
        train_denoise(data, out, settings, authors=("A. Maker",), told=stop)
    done = CliRunner().invoke(app, ["train", "pack", str(out), "--json"])
    assert done.exit_code == 0, done.stderr
    package = ModelPackage.load(json.loads(done.stdout)["package"])
    assert verify(package).state == "reproduced"
    described = yaml.safe_load((out / "model" / "bioimageio.yaml").read_text())
    assert described["authors"] == [{"name": "A. Maker"}]
    course = described["config"]["smartscope_training"]["course"]
    assert (course["step"], course["ended"]) == (10, "it was stopped")


def test_no_folder_of_a_training_is_told(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="holds no training"):
        make_package(tmp_path)
