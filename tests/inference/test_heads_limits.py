"""What is more than a head keeps is said, in the graph and outside it."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from smartscope.inference import DetectSettings, Inferred, Pipeline
from smartscope.inference.heads.boxes import BOX_LIMIT
from smartscope.inference.heads.peaks import LIMIT
from smartscope.inference.heads.stardist import STAR_LIMIT

_SPEC = importlib.util.spec_from_file_location(
    "tiny_models", Path(__file__).with_name("tiny_models.py")
)
assert _SPEC is not None
assert _SPEC.loader is not None
tiny = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(tiny)

FUSED = pytest.mark.parametrize("fuse", [True, False])


def run(model: Path, pixels: npt.NDArray[Any], fuse: bool, **more: Any) -> Inferred:
    asked = DetectSettings(model=str(model), device="cpu", **more)
    return Pipeline.load(asked, fuse=fuse, threads=1).run(pixels)


def lattice(count: int, side: int) -> npt.NDArray[np.uint16]:
    """Single pixels of 100 counts, far enough apart to be peaks of their own."""
    pixels = np.zeros((side, side), np.uint16)
    rows, columns = divmod(np.arange(count), side // 5)
    pixels[5 * rows + 2, 5 * columns + 2] = 100
    return pixels


@FUSED
@pytest.mark.parametrize("classes", [("a",), ("a", "b")])
@pytest.mark.parametrize("tile_px", [None, 128])
def test_peaks(
    tmp_path: Path, fuse: bool, classes: tuple[str, ...], tile_px: int | None
) -> None:
    card = {"head": "peaks", "classes": [*classes]}
    model = tiny.write_map_net(tmp_path / "m.onnx", len(classes), card)
    few = run(model, lattice(LIMIT - 1, 250), fuse, tile_px=tile_px)
    assert few.cut == ""
    many = run(model, lattice(LIMIT + 50, 250), fuse, tile_px=tile_px)
    assert many.cut.startswith(f"{LIMIT} peaks, the most that are kept")


@FUSED
def test_boxes(tmp_path: Path, fuse: bool) -> None:
    for count in (BOX_LIMIT - 1, BOX_LIMIT + 50):
        rows, columns = divmod(np.arange(count, dtype=np.float32), 50)
        sides = np.full(count, 8)
        said = np.stack([10 * columns + 5, 10 * rows + 5, sides, sides, 0.9 + 0 * rows])
        model = tiny.write_saying(
            tmp_path / f"{count}.onnx",
            [said[None].astype(np.float32)],
            {"head": "boxes"},
        )
        told = run(model, np.zeros((500, 500), np.uint16), fuse).cut
        assert bool(told) == (count > BOX_LIMIT)
        assert not told or told.startswith(f"{BOX_LIMIT} boxes, the most")


@FUSED
@pytest.mark.parametrize("side", [255, 257])
def test_stars(tmp_path: Path, fuse: bool, side: int) -> None:
    model = tiny.write_star_net(tmp_path / "s.onnx", 4, 3.0)
    told = run(model, np.full((side, side), 90, np.uint16), fuse).cut
    assert bool(told) == (side**2 > STAR_LIMIT)
