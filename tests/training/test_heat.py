"""A tiny training of a detector of points, from a folder to a package that finds."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
import tifffile
from scipy.ndimage import gaussian_filter

torch = pytest.importorskip("torch", reason="the extra 'train' is not installed")

from smartscope.errors import Refused  # noqa: E402  # only where torch is
from smartscope.inference import DetectSettings, ModelPackage, verify  # noqa: E402
from smartscope.inference.receptive_field import ReceptiveField  # noqa: E402
from smartscope.recognition import ModelDetector, load_detector  # noqa: E402
from smartscope.training.again import export_again  # noqa: E402
from smartscope.training.folder import read_checkpoint  # noqa: E402
from smartscope.training.heat import train_points  # noqa: E402
from smartscope.training.heat_net import HeatNet  # noqa: E402
from smartscope.training.points import PointFolder  # noqa: E402
from smartscope.training.settings import HeatSettings  # noqa: E402
from smartscope.training.start import Start  # noqa: E402
from smartscope.trial import finds  # noqa: E402


def write_blobs(folder: Path, n: int = 8, frames: int = 1) -> Path:
    """Points that glow in a frame of their own; in movies others glow all the time."""
    rng = np.random.default_rng(2)
    moving = frames > 1
    kinds = ("movies", "events") if moving else ("images", "points")
    for name in kinds:
        (folder / name).mkdir(parents=True)
    for i in range(n):
        movie, rows = np.zeros((frames, 64, 64)), []
        cells = rng.permutation(16)[:10]
        for k, cell in enumerate(cells):
            y, x = 8 + 16 * np.array(divmod(cell, 4)) + rng.uniform(-4, 4, 2)
            at = (round(y), round(x))
            if moving and k % 2:
                movie[:, at[0], at[1]] = 1
                continue
            t = int(rng.integers(1, frames)) if moving else 0
            movie[t:, at[0], at[1]] = 1
            rows.append(f"{t},{at[0]},{at[1]}" if moving else f"{at[0]},{at[1]}")
        blurred = np.stack([gaussian_filter(one, 1.6) for one in movie])
        noisy = 300 + 40_000 * blurred + rng.normal(0, 60, movie.shape)
        pixels = np.rint(noisy).astype(np.uint16)
        tifffile.imwrite(folder / kinds[0] / f"{i:02d}.tif", pixels)
        head = "frame,y,x" if moving else "y,x"
        (folder / kinds[1] / f"{i:02d}.csv").write_text("\n".join([head, *rows]))
    return folder


def tiny(**more: object) -> HeatSettings:
    return HeatSettings.model_validate(
        {"patch_px": 32, "batch": 6, "steps": 60, "every": 30, "rate": 8e-3, **more}
        | HeatSettings.of(radius=4.0)
        | {key: more[key] for key in ("frames",) if key in more}
    )


def test_from_points_to_a_package_that_finds(tmp_path: Path) -> None:
    data = write_blobs(tmp_path / "blobs")
    made = train_points(data, tmp_path / "made", tiny(), license_id="CC0-1.0")
    assert made.course.ended == "all steps are done"
    package = ModelPackage.load(made.package)
    assert verify(package).state == "reproduced"
    figures = made.figures
    assert figures["judged_on"] == "test"
    assert figures["tp"] + figures["fn"] == 10 * figures["images"]
    assert figures["f1"] > 0.8
    assert figures["error_px"] < 1.5
    assert figures["deviation_of_export"] < 1e-4
    record = json.loads((tmp_path / "made" / "training.json").read_text())
    assert not set(record["images_sha256"]) & set(record["test_sha256"])
    assert sum(record["images"].values()) == 8
    assert f"{figures['tp']} found" in (made.package / "README.md").read_text()
    # what it does not find without a threshold of its own is found at the card's
    test = PointFolder.read(data, tiny()).parts["test"]
    detector = load_detector(DetectSettings(model=str(made.package)))
    found = finds(detector, test, tiny().distance_px).at(0.0)
    assert (found["tp"], found["fp"]) == (figures["tp"], figures["fp"])
    assert export_again(tmp_path / "made") < 1e-4
    # large frames are cut into tiles only if it is known how far the net sees
    graph = onnx.load(str(package.onnx.path))
    assert ReceptiveField.of(graph) is not None
    # what another one would begin with
    held = Start.read(made.package).fitted(HeatNet(1, "small", 2))
    best = read_checkpoint(tmp_path / "made")["best"]
    assert torch.equal(held["stem.0.weight"], best["stem.0.weight"])


def test_an_event_is_told_from_what_glows_all_the_time(tmp_path: Path) -> None:
    data = write_blobs(tmp_path / "flashes", frames=6)
    made = train_points(data, tmp_path / "made", tiny(frames=2, steps=90))
    detector = load_detector(DetectSettings(model=str(made.package)))
    assert isinstance(detector, ModelDetector)
    assert detector.window == 2
    assert made.figures["tp"] + made.figures["fn"] == 5 * made.figures["images"]
    assert made.figures["f1"] > 0.5


def test_what_does_not_fit_is_refused(tmp_path: Path) -> None:
    data = write_blobs(tmp_path / "blobs", n=3)
    (tmp_path / "there").mkdir()
    with pytest.raises(Refused, match="exists"):
        train_points(data, tmp_path / "there", tiny())
    with pytest.raises(Refused, match="no training to go on with"):
        train_points(data, tmp_path / "none", tiny(), resume=True)
    torch.save({"settings": {}, "best": {}}, tmp_path / "other.pt")
    with pytest.raises(Refused, match="do not fit"):
        train_points(data, tmp_path / "x", tiny(), begin_with=tmp_path / "other.pt")
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize("frames", [1, 3])
def test_a_net_does_not_see_light_and_offset_alone(frames: int) -> None:
    torch.manual_seed(1)
    net = HeatNet(frames, "small", 1).eval()
    image = torch.randn(1, frames, 32, 40)
    assert net(image).shape == (1, 1, 32, 40)
    assert HeatNet(frames, "small", 2).eval()(image).shape == (1, 1, 16, 20)
    contrast = net.contrast(image)[:, frames:]
    other = net.contrast(3 * image + 5)[:, frames:]
    assert torch.allclose(contrast, other, atol=0.05)
    bright = image.clone()
    bright[0, 0, 5, 5] = 1e6
    assert torch.isfinite(net(bright)).all()
    assert net.contrast(bright).abs().max() <= 5
