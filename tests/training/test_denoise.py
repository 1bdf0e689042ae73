"""A tiny training, from an image to a package that a run takes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
from typer.testing import CliRunner

torch = pytest.importorskip("torch", reason="the extra 'train' is not installed")

from smartscope.cli import app  # noqa: E402  # only where torch is
from smartscope.errors import Refused  # noqa: E402
from smartscope.inference import ModelPackage, verify  # noqa: E402
from smartscope.training.denoise import Denoising, train_denoise  # noqa: E402
from smartscope.training.learning import Learner  # noqa: E402
from smartscope.training.samples import Samples  # noqa: E402
from smartscope.training.settings import TrainSettings  # noqa: E402
from smartscope.trial.restorer import Restorer  # noqa: E402
from smartscope.validation.metrics import psnr  # noqa: E402


@pytest.fixture
def image(
    write_noisy: Callable[..., np.ndarray], tmp_path: Path
) -> tuple[Path, np.ndarray]:
    path = tmp_path / "one.tif"
    return path, write_noisy(path)


def tiny(**more: object) -> TrainSettings:
    return TrainSettings.model_validate(
        {
            "method": "n2v",
            "width": 4,
            "levels": 1,
            "patch_px": 32,
            "batch": 8,
            "steps": 120,
            "every": 20,
            "rate": 5e-3,
            **more,
        }
    )


def test_from_one_noisy_image_to_a_package(
    image: tuple[Path, np.ndarray], tmp_path: Path
) -> None:
    path, clean = image
    made = train_denoise(path, tmp_path / "made", tiny())
    assert made.course.ended == "all steps are done"
    assert made.course.watch[-1] < made.course.watch[0]
    assert made.figures["deviation_of_export"] < 1e-4
    package = ModelPackage.load(made.package)
    assert verify(package).state == "reproduced"
    noisy = tifffile.imread(path)
    restored = Restorer(str(made.package)).restore(noisy[None])[0]
    # better than what came in, in its own counts, without any fit
    assert psnr(restored, clean) > psnr(noisy, clean) + 2
    assert (tmp_path / "made" / "curves.png").is_file()
    record = json.loads((tmp_path / "made" / "training.json").read_text())
    assert record["versions"]["torch"]
    assert record["course"]["step"] == 120


def test_a_training_that_was_stopped_goes_on_the_same(
    image: tuple[Path, np.ndarray], tmp_path: Path
) -> None:
    path, _ = image
    settings = tiny(steps=60)
    samples = Samples.read(path, settings)
    whole = Learner(Denoising(samples, settings), settings, tmp_path / "a.pt")
    whole.learn()
    first = Learner(Denoising(samples, settings), settings, tmp_path / "b.pt")

    def stop(course: object) -> None:
        if first.course.step >= 20:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        first.learn(stop)
    second = Learner(Denoising(samples, settings), settings, tmp_path / "b.pt")
    assert second.course.step == 20
    second.learn()
    assert second.course.watch == pytest.approx(whole.course.watch, rel=1e-4)


def test_folders_and_settings_are_checked(
    image: tuple[Path, np.ndarray], tmp_path: Path
) -> None:
    path, _ = image
    with pytest.raises(Refused, match="exists"):
        train_denoise(path, tmp_path, tiny())
    with pytest.raises(Refused, match="no training to go on with"):
        train_denoise(path, tmp_path, tiny(), resume=True)
    wrong = ["train", "denoise", str(path), "--out", str(tmp_path / "o")]
    done = CliRunner().invoke(app, [*wrong, "--method", "n3v"])
    assert done.exit_code == 2
    assert "method" in done.stderr
