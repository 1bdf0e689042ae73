"""Folders of pairs by their names, and everything that can be wrong with them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from smartscope.errors import Refused
from smartscope.pairs import PairFolder, checked
from smartscope.pairs.assembly import write_image

Write = Callable[..., Path]


def refused(folder: Path, split: Any = "test") -> str:
    with pytest.raises(Refused) as told:
        checked(PairFolder.open(folder).of_split(split))
    return str(told.value)


def test_two_folders(write_pairs: Write) -> None:
    pairs = PairFolder.open(write_pairs(), pixel_size_um=0.3)
    assert pairs.kind == "clean"
    assert [e.name for e in pairs.examples] == [f"a{i}" for i in range(5)]
    assert {e.pixel_size_um for e in pairs.examples} == {0.3}
    assert len(checked(pairs.of_split("test"))) == 5
    first = pairs.examples[0]
    assert first.noisy().shape == (1, 64, 64)
    assert first.truth().shape == (64, 64)


@pytest.mark.parametrize(
    ("image", "truth", "kind"),
    [
        ("NAME_noisy.tif", "NAME_clean.tif", "clean"),
        ("low/NAME.tiff", "high/NAME.tif", "clean"),
        ("raw/NAME.ome.tif", "gt/NAME.tif", "clean"),
        ("Images/NAME.tif", "Masks/NAME.tif", "labels"),
        ("NAME-image.tif", "NAME-labels.tif", "labels"),
    ],
)
def test_how_names_may_look(tmp_path: Path, image: str, truth: str, kind: str) -> None:
    for name in ("one", "b_2"):
        for pattern in (image, truth):
            path = tmp_path / pattern.replace("NAME", name)
            path.parent.mkdir(exist_ok=True)
            tifffile.imwrite(path, np.arange(4096, dtype=np.uint16).reshape(64, 64))
    pairs = PairFolder.open(tmp_path)
    assert pairs.kind == kind
    assert [e.name for e in pairs.examples] == ["b_2", "one"]


def test_ome_zarr_and_repeats(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    noisy = rng.integers(0, 900, (3, 40, 50)).astype(np.uint16)
    for i in range(2):
        write_image(tmp_path / f"noisy/p{i}.ome.zarr", noisy + i, 0.5, {})
        write_image(
            tmp_path / f"clean/p{i}.ome.zarr", noisy[0].astype(np.float32), 0.5, {}
        )
    pairs = PairFolder.open(tmp_path)
    assert np.array_equal(pairs.examples[1].noisy(), noisy + 1)
    assert pairs.examples[0].truth().dtype == np.float32


def test_no_folder_and_nothing_in_it(tmp_path: Path) -> None:
    assert "There is no folder" in refused(tmp_path / "none")
    (tmp_path / "notes.txt").write_text("?")
    told = refused(tmp_path)
    assert "no pairs" in told
    assert "notes.txt" in told
    assert "noisy/ and clean/" in told


def test_unpaired(write_pairs: Write) -> None:
    folder = write_pairs()
    (folder / "clean" / "a2.tif").unlink()
    (folder / "noisy" / "a4.tif").rename(folder / "noisy" / "b.tif")
    told = refused(folder)
    assert "2 have no truth (a2, b)" in told
    assert "1 have no image (a4)" in told


def test_too_few(write_pairs: Write) -> None:
    told = refused(write_pairs(3))
    assert "too few images: 3" in told
    assert "At least 4" in told


def test_all_that_is_wrong_is_told_at_once(write_pairs: Write) -> None:
    plain = np.random.default_rng(0).normal(500, 20, (64, 64)).astype(np.float32)
    saturated = plain.astype(np.uint16)
    saturated[10:20, 10:20] = 4095
    folder = write_pairs(
        6,
        clean0=plain[:60],
        clean1=saturated,
        clean2=np.full((64, 64), 7.0, np.float32),
        noisy3=np.zeros((64, 64), np.uint16),
    )
    told = refused(folder)
    assert "a0: the shapes differ: 64 x 64 and the truth 60 x 64 pixels" in told
    assert "a1: the clean image is saturated: 2.4 %" in told
    assert "a2: the clean image has one value only" in told
    assert "a3: the image has one value only" in told


def test_pairs_that_do_not_lie_on_each_other(write_pairs: Write) -> None:
    folder = write_pairs(5, size=128)
    clean = tifffile.imread(folder / "clean" / "a1.tif")
    tifffile.imwrite(folder / "clean" / "a1.tif", np.roll(clean, (3, -2), (0, 1)))
    told = refused(folder)
    assert "a1: the two are not registered: shifted by 3." in told
    assert "a0" not in told


def test_the_noisy_image_is_no_truth(write_pairs: Write) -> None:
    folder = write_pairs()
    same = tifffile.imread(folder / "noisy" / "a0.tif")
    tifffile.imwrite(folder / "clean" / "a0.tif", same)
    assert "a0: the clean image is the noisy one" in refused(folder)


def test_a_truth_of_several_frames(write_pairs: Write) -> None:
    folder = write_pairs(clean0=np.ones((3, 64, 64), np.float32))
    assert "holds 3 frames" in refused(folder)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("float", "labels are whole numbers"),
        ("mask", "the labels are a mask: 4 things have the one number 1"),
        ("full", "no background"),
        ("other", "do not match the image"),
    ],
)
def test_labels_that_do_not_match(tmp_path: Path, wrong: str, said: str) -> None:
    rng = np.random.default_rng(0)
    labels = np.zeros((64, 64), np.uint16)
    for i in range(4):
        labels[8:24, 3 + 15 * i : 14 + 15 * i] = i + 1
    image = rng.poisson(20 + 200 * (labels > 0)).astype(np.uint16)
    for name in ("images", "labels"):
        (tmp_path / name).mkdir()
    changed = {
        "float": labels.astype(np.float32),
        "mask": (labels > 0).astype(np.uint8),
        "full": labels + 1,
        "other": labels,
    }[wrong]
    for i in range(4):
        given = rng.poisson(20, image.shape).astype(np.uint16)
        shown = given if wrong == "other" and i == 0 else image
        tifffile.imwrite(tmp_path / "images" / f"{i}.tif", shown)
        tifffile.imwrite(tmp_path / "labels" / f"{i}.tif", labels if i else changed)
    told = refused(tmp_path)
    assert f"0: {said}" in told or said in told
    assert "1: " not in told


def test_a_broken_manifest(write_pairs: Write) -> None:
    folder = write_pairs()
    (folder / "pairs.json").write_text("{")
    assert "pairs.json cannot be read" in refused(folder)
    (folder / "pairs.json").write_text(json.dumps({"format": 9}))
    assert "format 9" in refused(folder)


def test_the_same_image_in_two_splits(write_pairs: Write) -> None:
    folder = write_pairs()
    tifffile.imwrite(
        folder / "noisy" / "a3.tif", tifffile.imread(folder / "noisy" / "a1.tif")
    )
    splits = ["train", "train", "validation", "test", "test"]
    content = {
        "pixel_size_um": 0.5,
        "method": "pairs",
        "high": {},
        "pairs": [
            {
                "name": f"p{i}",
                "split": split,
                "noisy": f"noisy/a{i}.tif",
                "clean": f"clean/a{i}.tif",
            }
            for i, split in enumerate(splits)
        ],
    }
    (folder / "pairs.json").write_text(json.dumps({"format": 1, **content}))
    content["high"] = {"exposure_ms": 1}
    (folder / "pairs.json").write_text(json.dumps({"format": 1, **content}))
    pairs = PairFolder.open(folder)
    with pytest.raises(Refused, match=r"p1 \(train\) and p3 \(test\)"):
        pairs.check_no_leak()
    assert [e.name for e in pairs.of_split("test")] == ["p3", "p4"]
    assert len(pairs.of_split("all")) == 5
