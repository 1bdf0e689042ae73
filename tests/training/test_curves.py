"""The page of a training."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="the extra 'train' is not installed")

from smartscope.training.curves import Shown, write_page
from smartscope.training.learning import Course


def test_the_page_tells_how_far_it_is_and_loads_itself_anew(tmp_path: Path) -> None:
    path = tmp_path / "curves.html"
    write_page(path, "beads & more", Course(), ())
    assert "goes on" in path.read_text()
    course = Course(
        step=50,
        seconds=100.0,
        steps=[10, 20, 30, 40, 50],
        train=[1.0, 0.8, 0.6, 0.5, 0.4],
        watch=[1.0, 0.7, 0.8, 0.9, 1.0],
        best=0.7,
        planned=80,
    )
    shown = Shown({"noisy": np.eye(8), "restored": np.zeros((8, 8))})
    write_page(path, "beads & more", course, [shown, shown])
    page = path.read_text()
    assert "beads &amp; more" in page
    assert "0.7 at step 20" in page
    assert "1 min 0 s" in page  # 30 steps of 2 s
    assert "It overfits" in page
    assert page.count("data:image/png") == 1 + 2 * 2
    assert "http-equiv" in page
    assert "src=http" not in page
    assert "//" not in page.replace("data:image/png;base64,", "").split("<body>")[0]
    course.ended = "all steps are done"
    write_page(path, "beads & more", course, ())
    page = path.read_text()
    assert "all steps are done" in page
    assert "http-equiv" not in page
    assert [p.name for p in tmp_path.iterdir()] == ["curves.html"]


@pytest.mark.parametrize("shift", [0.0, -3.0])
def test_overfitting_is_told_of_any_loss_also_of_logarithms(shift: float) -> None:
    watch = np.array([1.0, 0.7, 0.8, 1.2, 1.4]) + shift
    train = np.array([1.0, 0.8, 0.6, 0.5, 0.4]) + shift
    assert Course(train=train.tolist(), watch=watch.tolist()).overfits
    flat = np.array([1.0, 0.7, 0.701, 0.702, 0.701]) + shift
    assert not Course(train=train.tolist(), watch=flat.tolist()).overfits
