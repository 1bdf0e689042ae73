"""Clean images and labels that belong elsewhere are found."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
from scipy.ndimage import gaussian_filter

from smartscope.errors import Refused
from smartscope.pairs import PairFolder, checked
from smartscope.pairs.matching import labels_away

Write = Callable[..., Path]


def cleans(write_pairs: Write) -> list[np.ndarray]:
    folder = write_pairs()
    return [tifffile.imread(folder / "clean" / f"a{i}.tif") for i in range(5)]


def test_clean_images_that_were_changed_about_are_told(write_pairs: Write) -> None:
    own = cleans(write_pairs)
    checked(PairFolder.open(write_pairs()).examples)
    swapped = write_pairs(clean1=own[3], clean3=own[1])
    with pytest.raises(Refused) as told:
        checked(PairFolder.open(swapped).examples)
    assert "a1: its clean image shows something else; that of a3 fits" in str(told)
    assert "a3: its clean image shows something else; that of a1 fits" in str(told)


def test_a_clean_image_of_two_is_told(write_pairs: Write) -> None:
    own = cleans(write_pairs)
    with pytest.raises(Refused, match="a4: its clean image is also that of a0"):
        checked(PairFolder.open(write_pairs(clean4=own[0])).examples)


def discs(seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    ys, xs = np.indices((128, 128))
    labels = np.zeros((128, 128), np.uint16)
    for k in range(8):
        y, x = rng.uniform(12, 116, 2)
        labels[np.hypot(ys - y, xs - x) <= rng.uniform(6, 10)] = k + 1
    return labels


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("bright", [1.0, -0.7])
def test_labels_in_place_are_not_told(seed: int, bright: float) -> None:
    labels, rng = discs(seed), np.random.default_rng(seed)
    image = 500 + bright * 400 * gaussian_filter((labels > 0).astype(float), 1)
    image = rng.poisson(image + 20 * rng.random())
    assert labels_away(labels, image) == ""
    # a pixel off, as people draw
    assert labels_away(np.roll(labels, (1, -1), (0, 1)), image) == ""
    # things that show as noise only fit nowhere
    assert labels_away(labels, rng.poisson(200, labels.shape)) == ""


@pytest.mark.parametrize("seed", range(5))
def test_labels_elsewhere_are_told(seed: int) -> None:
    labels, rng = discs(seed), np.random.default_rng(seed)
    image = rng.poisson(200 + 400 * gaussian_filter((labels > 0).astype(float), 1))
    moved = np.roll(labels, (14, -9), (0, 1))
    told = labels_away(moved, image)
    assert "they would fit 14 rows up and 9 columns to the right" in told


def test_a_clean_image_of_a_field_that_is_not_there_is_noticed(
    write_pairs: Write,
) -> None:
    data = write_pairs()
    rng = np.random.default_rng(99)
    elsewhere = next((data / "clean").glob("a2.*"))
    image = tifffile.imread(elsewhere)
    other = gaussian_filter(rng.normal(size=image.shape), 3)
    other = image.mean() + image.std() / other.std() * other
    tifffile.imwrite(elsewhere, np.clip(other, 0, 60_000).astype(image.dtype))
    with pytest.raises(Refused, match=r"a2: its clean image shows something else\.\n"):
        checked(PairFolder.open(data).examples)


def test_an_image_in_which_nothing_can_be_seen_is_not_called_mixed_up(
    write_pairs: Write,
) -> None:
    data = write_pairs()
    dark = next((data / "noisy").glob("a2.*"))
    image = tifffile.imread(dark)
    noise = np.random.default_rng(3).poisson(20, image.shape).astype(image.dtype)
    tifffile.imwrite(dark, noise)
    assert checked(PairFolder.open(data).examples)


def test_what_lies_beside_the_compared_middle_is_not_called_mixed_up(
    tmp_path: Path,
) -> None:
    # the middle 256 pixels of the first are empty, but not its margins
    rng = np.random.default_rng(5)
    for i in range(4):
        clean = np.full((512, 512), 100.0)
        for y, x in rng.integers(150, 370, (12, 2)):
            clean[y if i else 450, x] += 90_000
        clean = gaussian_filter(clean, 5)
        for kind, image in (("noisy", rng.poisson(clean / 5)), ("clean", 10 * clean)):
            (tmp_path / kind).mkdir(exist_ok=True)
            tifffile.imwrite(tmp_path / kind / f"a{i}.tif", image.astype(np.uint16))
    assert checked(PairFolder.open(tmp_path).examples)
