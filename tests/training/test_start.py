"""A training begins with what is there: checkpoints, folders, packages."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import onnx
import pytest

torch = pytest.importorskip("torch", reason="the extra 'train' is not installed")

from smartscope.errors import Refused  # noqa: E402  # only where torch is
from smartscope.training.again import export_again  # noqa: E402
from smartscope.training.blind_net import BlindNet  # noqa: E402
from smartscope.training.denoise import train_denoise  # noqa: E402
from smartscope.training.detect import train_detect  # noqa: E402
from smartscope.training.export import export  # noqa: E402
from smartscope.training.folder import read_checkpoint  # noqa: E402
from smartscope.training.net import Net  # noqa: E402
from smartscope.training.settings import StarSettings, TrainSettings  # noqa: E402
from smartscope.training.star_net import StarNet  # noqa: E402
from smartscope.training.start import Start  # noqa: E402


def zipped(folder: Path, to: Path) -> Path:
    with zipfile.ZipFile(to, "w") as archive:
        for path in folder.iterdir():
            archive.write(path, path.name)
    return to


@pytest.mark.parametrize("kind", ["denoiser", "detector"])
def test_a_package_holds_the_weights_of_the_checkpoint(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    folder: Path = request.getfixturevalue(kind)
    best = read_checkpoint(folder)["best"]
    net = Net(4, 1, 0, 1) if kind == "denoiser" else StarNet(32, "small")
    for source in (
        folder,
        folder / "checkpoint.pt",
        folder / "model",
        zipped(folder / "model", tmp_path / "model.zip"),
    ):
        start = Start.read(source)
        made = start.fitted(net)
        assert made.keys() == best.keys()
        for name, tensor in made.items():
            if not name.endswith("num_batches_tracked"):
                # weights of a detector are packed in half precision
                assert torch.allclose(tensor, best[name], rtol=1e-3, atol=1e-7), name
        assert start.settings["patch_px"] in (32, 64)


def test_a_denoiser_begins_with_a_package_in_its_size_and_the_new_scale(
    denoiser: Path, tmp_path: Path
) -> None:
    asked = TrainSettings(method="n2v", patch_px=32, batch=8, steps=1, every=1)
    begun = train_denoise(
        denoiser.parent / "one.tif",
        tmp_path / "begun",
        asked,
        begin_with=denoiser / "model",
    )
    chance = train_denoise(denoiser.parent / "one.tif", tmp_path / "chance", asked)
    assert begun.course.watch[0] < chance.course.watch[0]
    record = json.loads((tmp_path / "begun" / "training.json").read_text())
    assert record["settings"]["width"] == 4
    assert record["begun_with"] == str(denoiser / "model")
    # what was asked for is kept, and refused where it cannot be
    wider = asked.model_copy(update={"width": 8})
    with pytest.raises(Refused, match="do not fit"):
        train_denoise(
            denoiser.parent / "one.tif", tmp_path / "x", wider, begin_with=denoiser
        )
    assert not (tmp_path / "x").exists()


def test_several_frames_begin_with_what_one_frame_taught(denoiser: Path) -> None:
    start = Start.read(denoiser)
    one, three = Net(4, 1, 1000, 200), Net(4, 1, 1000, 200, frames=3)
    one.load_state_dict(start.fitted(one, own=("mean", "scale")))
    three.load_state_dict(start.fitted(three, own=("mean", "scale")))
    assert float(three.mean) == 1000
    frames = 1000 + 200 * torch.randn(2, 3, 16, 16)
    assert torch.allclose(one(frames[:, -1:]), three(frames), rtol=1e-5)


def test_a_detector_begins_with_a_package(detector: Path, tmp_path: Path) -> None:
    asked = StarSettings(patch_px=64, batch=4, steps=1, every=1)
    begun = train_detect(
        detector.parent / "discs",
        tmp_path / "begun",
        asked,
        begin_with=str(detector / "model"),
    )
    record = json.loads((tmp_path / "begun" / "training.json").read_text())
    assert record["settings"]["size"] == "small"
    ended = read_checkpoint(detector)["course"]["watch"][-1]
    assert begun.course.watch[0] < 1.5 * ended


def test_what_cannot_be_begun_with_is_told(denoiser: Path, tmp_path: Path) -> None:
    net = Net(4, 1, 0, 1)
    with pytest.raises(Refused, match="do not fit"):
        Start.read("gaussian").fitted(net)
    with pytest.raises(Refused, match="gausian"):
        Start.read("gausian")
    (tmp_path / "checkpoint.pt").write_bytes(b"no pickle")
    with pytest.raises(Refused, match="cannot be read"):
        Start.read(tmp_path)


def test_folded_norms_are_told(detector: Path, tmp_path: Path) -> None:
    folded = tmp_path / "folded.onnx"
    model = onnx.load(str(detector / "model" / "weights.onnx"))
    kept = [t for t in model.graph.initializer if "running" not in t.name]
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)
    onnx.save(model, str(folded))
    with pytest.raises(Refused, match="running_mean"):
        Start.read(folded).fitted(StarNet(32, "small"))


def test_a_denoiser_begins_with_the_network_of_the_shipped_one(
    denoiser: Path, tmp_path: Path
) -> None:
    widths = (4, 6, 8)
    net = BlindNet(widths)
    card = {"name": "general", "axes": "bcyx", "step": 16}
    export(
        net,
        tmp_path / "general",
        card,
        around=(500, 100),
        record={"settings": {"widths": list(widths), "scenes": 10}},
    )
    asked = TrainSettings(method="n2v", patch_px=32, batch=4, steps=2, every=1)
    data = denoiser.parent / "one.tif"
    made = train_denoise(
        data, tmp_path / "made", asked, begin_with=tmp_path / "general"
    )
    begun = read_checkpoint(tmp_path / "made")["best"]
    assert begun.keys() == net.state_dict().keys()
    assert made.figures["deviation_of_export"] < 1e-4
    assert export_again(tmp_path / "made") < 1e-4
    several = asked.model_copy(update={"frames": 2})
    with pytest.raises(Refused, match="sees one frame"):
        train_denoise(data, tmp_path / "x", several, begin_with=tmp_path / "general")
