"""A tiny training of a detector, from labelled images to a package that finds."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import tifffile

torch = pytest.importorskip("torch", reason="the extra 'train' is not installed")

from smartscope.errors import Refused  # noqa: E402  # only where torch is
from smartscope.inference import ModelPackage, verify  # noqa: E402
from smartscope.training.detect import train_detect  # noqa: E402
from smartscope.training.judge import LONGER_PX  # noqa: E402
from smartscope.training.learning import Course  # noqa: E402
from smartscope.training.settings import StarSettings  # noqa: E402
from smartscope.trial import validate  # noqa: E402

Discs = Callable[..., Path]


def tiny(**more: object) -> StarSettings:
    return StarSettings.model_validate(
        {"size": "small", "patch_px": 64, "batch": 4, "steps": 120, "every": 40, **more}
    )


def test_from_labelled_images_to_a_package_that_finds(
    write_discs: Discs, tmp_path: Path
) -> None:
    data = write_discs(tmp_path / "discs")
    made = train_detect(data, tmp_path / "made", tiny(), license_id="CC0-1.0")
    assert made.course.ended == "all steps are done"
    assert made.course.watch[-1] < made.course.watch[0]
    package = ModelPackage.load(made.package)
    assert verify(package).state == "reproduced"
    figures = made.figures
    assert figures["judged_on"] == "test"
    assert figures["tp"] + figures["fn"] == 9 * figures["images"]
    assert figures["ap"] > 0.5
    assert figures["longer_px"] in LONGER_PX
    assert figures["deviation_of_export"] < 1e-4
    record = json.loads((tmp_path / "made" / "training.json").read_text())
    assert not set(record["images_sha256"]) & set(record["test_sha256"])
    with pytest.raises(Refused, match="was trained on"):
        validate(str(made.package), data, out=tmp_path / "judged")
    assert sum(record["images"].values()) == 14
    told = (made.package / "README.md").read_text()
    assert f"{figures['tp']} found" in told
    # a second one begins where the first has ended
    one_step = tiny(steps=1, every=1)
    before = tmp_path / "made" / "checkpoint.pt"
    again = train_detect(data, tmp_path / "again", one_step, begin_with=before)
    chance = train_detect(data, tmp_path / "chance", one_step)
    assert again.course.watch[0] < chance.course.watch[0] / 2


def test_a_training_that_was_stopped_goes_on_as_it_was_begun(
    write_discs: Discs, tmp_path: Path
) -> None:
    data = write_discs(tmp_path / "discs", n=6)

    def stop(course: Course) -> None:
        if course.step >= 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_detect(data, tmp_path / "made", tiny(steps=8, every=2), told=stop)
    # what it is stays as it was, how long it goes on may be another
    other = tiny(size="medium", steps=6)
    made = train_detect(data, tmp_path / "made", other, resume=True)
    assert made.course.step == 6
    record = json.loads((tmp_path / "made" / "training.json").read_text())
    assert record["settings"]["size"] == "small"
    with pytest.raises(Refused, match="has ended"):
        train_detect(data, tmp_path / "made", other, resume=True)


def test_what_does_not_fit_is_refused(write_discs: Discs, tmp_path: Path) -> None:
    data = write_discs(tmp_path / "discs", n=5)
    with pytest.raises(Refused, match="holds no training to go on with"):
        train_detect(data, tmp_path / "none", tiny(), resume=True)
    (tmp_path / "there").mkdir()
    with pytest.raises(Refused, match="exists"):
        train_detect(data, tmp_path / "there", tiny())
    torch.save({"best": {}, "settings": {}}, tmp_path / "other.pt")
    with pytest.raises(Refused, match="do not fit"):
        train_detect(data, tmp_path / "x", tiny(), begin_with=tmp_path / "other.pt")
    assert not (tmp_path / "x").exists()
    image = data / "images" / "00.tif"
    tifffile.imwrite(data / "images" / "01.tif", tifffile.imread(image))
    with pytest.raises(Refused, match="are the same image"):
        train_detect(data, tmp_path / "y", tiny())
