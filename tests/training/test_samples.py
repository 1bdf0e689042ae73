"""What a network learns from; nothing here needs torch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st

from smartscope.errors import Refused
from smartscope.training.samples import Samples, hidden
from smartscope.training.settings import TrainSettings
from smartscope.training.windows import window


@given(st.integers(0, 2**32 - 1), st.floats(0.001, 0.2), st.integers(8, 24))
def test_a_hidden_pixel_never_keeps_its_value(
    seed: int, share: float, edge: int
) -> None:
    # every pixel has a value of its own
    image = np.arange(edge * edge, dtype=np.float32).reshape(edge, edge)
    changed, where = hidden(image, share, np.random.default_rng(seed))
    assert where.sum() == max(1, round(share * image.size))
    assert np.array_equal(changed != image, where == 1)
    y, x = np.nonzero(where)
    from_y, from_x = np.divmod(changed[y, x].astype(int), edge)
    assert np.abs(from_y - y).max() <= 4
    assert np.abs(from_x - x).max() <= 4


def settings(method: str, **more: object) -> TrainSettings:
    return TrainSettings.model_validate(
        {"method": method, "patch_px": 32, "batch": 4, **more}
    )


def test_of_one_image_a_part_watches(tmp_path: Path) -> None:
    image = np.random.default_rng(0).poisson(50, (128, 96)).astype(np.uint16)
    tifffile.imwrite(tmp_path / "one.tif", image)
    samples = Samples.read(tmp_path / "one.tif", settings("n2v"))
    assert samples.train[0].noisy.shape == (1, 96, 96)
    assert samples.watch[0].noisy.shape == (1, 32, 96)
    rng = np.random.default_rng(0)
    given_, wanted, weight = samples.batch(settings("n2v"), rng)
    assert given_.shape == wanted.shape == weight.shape == (4, 1, 32, 32)
    assert np.array_equal(given_ != wanted, (weight == 1) & (given_ != wanted))
    assert abs(float(wanted.mean())) < 0.5
    again = samples.batch(settings("n2v"), np.random.default_rng(0))
    assert np.array_equal(again[0], given_)


def pairs(folder: Path, repeats: int = 2, count: int = 6) -> Path:
    rng = np.random.default_rng(0)
    for i in range(count):
        clean = rng.normal(500, 80, (40, 40)).astype(np.float32)
        noisy = rng.poisson(np.repeat(clean[None] / 10, repeats, 0)).astype(np.uint16)
        for kind, pixels in (("noisy", noisy), ("clean", clean)):
            (folder / kind).mkdir(parents=True, exist_ok=True)
            tifffile.imwrite(
                folder / kind / f"{i}.tif", pixels, photometric="minisblack"
            )
    return folder


def test_n2n_goes_from_one_repeat_to_another(tmp_path: Path) -> None:
    samples = Samples.read(pairs(tmp_path), settings("n2n"))
    assert (len(samples.train), len(samples.watch)) == (5, 1)
    got, wanted, weight = samples.batch(settings("n2n"), np.random.default_rng(1))
    assert not np.array_equal(got, wanted)
    assert weight.min() == 1
    with pytest.raises(Refused, match="one noisy frame"):
        Samples.read(pairs(tmp_path / "one", repeats=1), settings("n2n"))


def test_care_goes_to_the_clean_image(tmp_path: Path) -> None:
    samples = Samples.read(pairs(tmp_path), settings("care"))
    got, wanted, _ = samples.batch(settings("care"), np.random.default_rng(1))
    assert np.corrcoef(got.ravel(), wanted.ravel())[0, 1] > 0.5
    # a tenth of the light: what is restored is in the counts of the noisy image
    assert samples.gain == pytest.approx(0.1, abs=0.005)
    assert abs(float(got.mean() - wanted.mean())) < 0.05


def movies(folder: Path, frames: int) -> Path:
    folder.mkdir()
    rng = np.random.default_rng(0)
    for i in range(2):
        # each frame says which it is, each pixel where it is
        movie = (
            1000 * np.arange(frames)[:, None, None]
            + np.arange(64 * 80).reshape(64, 80) % 97
        )
        noisy = (movie + rng.integers(0, 3, movie.shape)).astype(np.uint16)
        tifffile.imwrite(folder / f"{i}.tif", noisy, photometric="minisblack")
    return folder


def test_a_window_is_of_frames_that_follow_each_other(tmp_path: Path) -> None:
    chosen = settings("n2v", frames=3, batch=40)
    samples = Samples.read(movies(tmp_path / "movies", 5), chosen)
    given_, wanted, weight = samples.batch(chosen, np.random.default_rng(0))
    assert given_.shape == (40, 3, 32, 32)
    assert wanted.shape == weight.shape == (40, 1, 32, 32)
    which = np.rint((given_ * samples.scale + samples.mean - 50).mean((2, 3)) / 1000)
    steps = {tuple(w - w[-1]) for w in which.tolist() for w in [np.array(w)]}
    # at the beginning the first frame stands for those before it
    assert steps == {(-2, -1, 0), (-1, -1, 0), (0, 0, 0)}
    # where it stands for itself, what is hidden is hidden in it too
    alone = which[:, 0] == which[:, 2]
    hidden_ = weight[alone] == 1
    assert np.array_equal(given_[alone][:, :1][hidden_], given_[alone][:, 2:][hidden_])
    # the others may be looked at
    full = ~alone & (which[:, 1] != which[:, 2])
    now, before = wanted[full, 0], given_[full, 1]
    assert np.abs(now - before - 1000 / samples.scale).max() < 5 / samples.scale


def test_windows_of_repeats_never_show_what_is_wanted(tmp_path: Path) -> None:
    folder = pairs(tmp_path / "pairs", repeats=4)
    chosen = settings("n2n", frames=3, batch=30)
    samples = Samples.read(folder, chosen)
    got, wanted, _ = samples.batch(chosen, np.random.default_rng(1))
    for frames, other in zip(got, wanted[:, 0], strict=True):
        assert not any(np.array_equal(frame, other) for frame in frames)
    with pytest.raises(Refused, match="has 4 noisy frames"):
        Samples.read(folder, settings("n2n", frames=4))
    with pytest.raises(Refused, match="has 2 noisy frames"):
        Samples.read(pairs(tmp_path / "two"), settings("care", frames=3))


@pytest.mark.parametrize("moved", [True, False])
def test_what_stands_still_is_made_to_move(moved: bool) -> None:
    rng = np.random.default_rng(0)
    still = np.repeat(rng.normal(size=(1, 96, 96)), 3, 0).astype(np.float32)
    drawn = [
        window(still, still[2, 30:62, 30:62], (2, 30, 30), rng, frames=3, moved=moved)
        for _ in range(60)
    ]
    same = sum(bool(np.array_equal(w[0], w[2])) for w in drawn)
    assert all(np.array_equal(w[2], still[2, 30:62, 30:62]) for w in drawn)
    assert (20 < same < 50) if moved else same == 60


@pytest.mark.parametrize("method", ["care", "n2v"])
def test_bad_data_is_told(tmp_path: Path, method: str) -> None:
    with pytest.raises(Refused, match="nothing at"):
        Samples.read(tmp_path / "none", settings(method))
    tifffile.imwrite(tmp_path / "small.tif", np.eye(40, dtype=np.uint16))
    with pytest.raises(Refused, match=r"too small|no pairs"):
        Samples.read(tmp_path, settings(method))
    tifffile.imwrite(tmp_path / "small.tif", np.ones((99, 99), np.uint16))
    with pytest.raises(Refused, match=r"one value only|no pairs"):
        Samples.read(tmp_path, settings(method))
