"""What is wrong with data is told by the command, and nothing is left behind."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from typer.testing import CliRunner

torch = pytest.importorskip("torch", reason="the extra 'train' is not installed")

from smartscope.cli import app  # noqa: E402  # only where torch is
from smartscope.errors import BrokenOff  # noqa: E402
from smartscope.training.denoise import Denoising  # noqa: E402
from smartscope.training.folder import read_checkpoint  # noqa: E402
from smartscope.training.learning import Learner  # noqa: E402
from smartscope.training.samples import Samples  # noqa: E402
from smartscope.training.settings import TrainSettings  # noqa: E402

Write = Callable[..., Path]


def told(*arguments: object) -> str:
    """Return what a refused command has said, in one line."""
    given = ["train", *map(str, arguments), "--steps", "1"]
    done = CliRunner().invoke(app, given)
    assert done.exit_code == 2, done.stderr
    out = Path(given[given.index("--out") + 1])
    assert not out.exists()
    return re.sub(r"\s+", " ", done.stderr)


def test_pairs_that_cannot_teach(write_pairs: Write, tmp_path: Path) -> None:
    out = ("--out", tmp_path / "out")
    folder = write_pairs(size=128)
    clean = tifffile.imread(folder / "clean" / "a2.tif")
    noisy = tifffile.imread(folder / "noisy" / "a0.tif")
    full = clean.copy()
    full[:20] = 65535
    for wrong, words in (
        ({"clean2": np.roll(clean, 5, 0)}, "a2: the two are not registered"),
        ({"clean2": full}, "a2: the clean image is saturated"),
        ({"clean2": clean[:40]}, "a2: the shapes differ"),
        ({"noisy4": noisy}, "a4 and a0 are the same image"),
    ):
        assert words in told("denoise", write_pairs(size=128, **wrong), *out)
    folder = write_pairs()
    (folder / "clean" / "a3.tif").unlink()
    assert "1 have no truth (a3)" in told("denoise", folder, *out)
    for i in range(1, 5):
        (folder / "noisy" / f"a{i}.tif").unlink()
        (folder / "clean" / f"a{i}.tif").unlink(missing_ok=True)
    assert "too few images" in told("denoise", folder, *out)
    assert "has 1 noisy frame" in told("denoise", write_pairs(), *out, "--frames", 3)


def test_labels_that_cannot_teach(write_discs: Write, tmp_path: Path) -> None:
    out = ("--out", tmp_path / "out")
    folder = write_discs(tmp_path / "discs", n=5)
    path = folder / "labels" / "02.tif"
    labels = tifffile.imread(path)
    for wrong, words in (
        (np.where(labels > 0, 255, 0).astype(np.uint8), "the labels are a mask"),
        (labels[:80], "02: the shapes differ"),
        (np.roll(labels, (20, 9), (0, 1)), "the labels do not match the image"),
    ):
        tifffile.imwrite(path, wrong)
        assert words in told("detect", folder, *out)
    for other in (folder / "labels").iterdir():
        tifffile.imwrite(other, np.zeros_like(labels))
    assert "holds a thing" in told("detect", folder, *out)
    for i in (0, 1):
        for kind in ("images", "labels"):
            (folder / kind / f"{i:02d}.tif").unlink()
    assert "too few images" in told("detect", folder, *out)


def test_a_license_that_is_none_is_told_before_the_training(
    write_pairs: Write, tmp_path: Path
) -> None:
    wrong = ("--license", "MINE", "--out", tmp_path / "out")
    assert "no license 'MINE'" in told("denoise", write_pairs(), *wrong)


class Hungry(Denoising):
    """Asks for more memory than there is after some steps."""

    steps = 0

    def loss(self, net: Any, batch: Any) -> Any:
        object.__setattr__(self, "steps", self.steps + net.training)
        if self.steps > 7:
            torch.empty(2**50)
        return super().loss(net, batch)


def test_what_ends_a_training_keeps_what_was_learned(
    write_noisy: Callable[..., np.ndarray], tmp_path: Path
) -> None:
    write_noisy(tmp_path / "one.tif", 96)
    settings = TrainSettings(
        method="n2v", width=4, levels=1, patch_px=32, batch=2, steps=12, every=5
    )
    samples = Samples.read(tmp_path / "one.tif", settings)
    learner = Learner(Hungry(samples, settings), settings, tmp_path / "checkpoint.pt")
    with pytest.raises(BrokenOff, match="Memory is not enough") as memory:
        learner.learn()
    assert "What was learned is kept" in str(memory.value)
    assert read_checkpoint(tmp_path)["course"]["step"] == 7
    going_on = Learner(Denoising(samples, settings), settings)
    going_on.keep(tmp_path / "checkpoint.pt")
    assert going_on.learn().step == 12


@pytest.mark.parametrize("bias", [float("nan"), 1e9])
def test_a_loss_that_says_nothing_ends_it(
    bias: float, write_noisy: Callable[..., np.ndarray], tmp_path: Path
) -> None:
    write_noisy(tmp_path / "one.tif", 96)
    settings = TrainSettings(method="n2v", width=4, levels=1, patch_px=32, batch=2)
    samples = Samples.read(tmp_path / "one.tif", settings)
    learner = Learner(Denoising(samples, settings), settings)
    with torch.no_grad():
        learner.net.last.bias.fill_(bias)
    with pytest.raises(BrokenOff, match=r"lower --rate.*Nothing was learned"):
        learner.learn()
