"""The general denoiser: true to scale by construction, trained, packed, judged."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch", reason="the extra 'train' is not installed")

from smartscope.errors import Refused  # noqa: E402  # only where torch is
from smartscope.inference import ModelPackage, verify  # noqa: E402
from smartscope.training.blind_net import STEP, BlindNet  # noqa: E402
from smartscope.training.folder import read_record  # noqa: E402
from smartscope.training.general import (  # noqa: E402
    GeneralDenoising,
    GeneralSettings,
    taken,
)
from smartscope.training.general_judge import Pair, intensity, unseen  # noqa: E402
from smartscope.training.shipped.denoise import make  # noqa: E402
from smartscope.trial.restorer import Restorer  # noqa: E402

TINY = GeneralSettings(
    patch_px=48,
    batch=4,
    steps=60,
    every=20,
    rate=1e-2,
    widths=(4, 8, 8),
    scenes=14,
    scene_px=96,
)


def net(seed: int = 0) -> BlindNet:
    torch.manual_seed(seed)
    made = BlindNet((4, 8, 8))
    made.eval()
    with torch.no_grad():  # a new one does next to nothing
        made.last.weight.mul_(100)
    return made


@settings(max_examples=20)
@given(
    gain=st.floats(0.01, 100),
    offset=st.floats(-1000, 1000),
    rows=st.integers(1, 4),
    columns=st.integers(1, 4),
    seed=st.integers(0, 99),
)
def test_gain_and_offset_go_through(
    gain: float, offset: float, rows: int, columns: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    shape = (1, 1, rows * STEP, columns * STEP)
    x = torch.from_numpy(rng.gamma(2, 50, shape).astype(np.float32))
    with torch.no_grad():
        one, other = net(seed)(x), net(seed)(gain * x + offset)
    wanted = gain * one + offset
    largest = float(wanted.abs().max()) + abs(offset)
    assert float((other - wanted).abs().max()) < 1e-3 * largest
    # and it is not because nothing is done
    assert float((one - x).abs().max()) > 1e-3 * float(x.std())


def test_a_frame_of_one_value_stays_what_it_is() -> None:
    flat = torch.full((2, 1, 32, 48), 731.0)
    with torch.no_grad():
        torch.testing.assert_close(net()(flat), flat)


def test_samples_are_other_ones_for_watching_and_the_same_again() -> None:
    task = GeneralDenoising(TINY)
    one, again, watched = (
        task.batch(np.random.default_rng(0), watch=watch)
        for watch in (False, False, True)
    )
    np.testing.assert_array_equal(one[0], again[0])
    assert one[0].shape == one[1].shape == (4, 1, 48, 48)
    assert not np.array_equal(one[0], watched[0])


def test_taken_images_are_near_what_is_expected() -> None:
    scene = np.linspace(0.5, 1, 96 * 96, dtype=np.float32).reshape(96, 96)
    for seed in range(30):
        noisy, expected = taken(np.random.default_rng(seed), scene, 48)
        assert noisy.shape == (48, 48)
        off = noisy - expected
        assert abs(off.mean()) < 6 * off.std() / 20 + 0.5


def test_the_loss_is_of_shares() -> None:
    """Twice the counts, the same loss; what is worse than before costs."""
    task = GeneralDenoising(TINY.model_copy(update={"scenes": 1}))
    ramp = torch.linspace(100, 200, 48).expand(2, 1, 48, 48)
    noisy = ramp + torch.normal(0, 10, ramp.shape, generator=torch.manual_seed(0))
    same = torch.nn.Identity().eval()
    with torch.no_grad():
        nothing = task.loss(same, (noisy, ramp))
        scaled = task.loss(same, (7 * noisy + 3, 7 * ramp + 3))
        better = task.loss(nearer(0.5), (noisy, ramp))
        worse = task.loss(nearer(2.0), (noisy, ramp))
    torch.testing.assert_close(nothing, scaled, rtol=1e-3, atol=1e-3)
    assert better < nothing < worse
    assert worse - nothing > nothing - better


def nearer(share: float) -> Any:
    """Return what brings pixels nearer to the mean around them, or farther from it."""
    net = torch.nn.Conv2d(1, 1, 3, padding=1, padding_mode="reflect", bias=False)
    with torch.no_grad():
        net.weight.fill_((1 - share) / 9)
        net.weight[0, 0, 1, 1] += share
    return net.eval()


def test_from_nothing_to_a_package(tmp_path: Path) -> None:
    still = np.random.default_rng(0).poisson(
        np.linspace(5, 60, 64 * 64).reshape(64, 64), (5, 64, 64)
    )
    tifffile.imwrite(tmp_path / "still.tif", still.astype(np.uint16))
    out = tmp_path / "made"
    figures = make(out, data=tmp_path / "still.tif", settings=TINY, judged_images=1)
    package = ModelPackage.load(out / "model")
    assert verify(package).state == "reproduced"
    assert figures["deviation_of_export"] < 1e-4
    groups = {
        "scenes",
        "faint",
        "resized",
        "spots",
        "targets",
        "microscope",
        "real, never trained on",
    }
    assert groups < set(figures)
    course = read_record(out)["course"]
    assert course["train"][-1] < course["train"][0]
    readme = (out / "model" / "README.md").read_text()
    assert f"{figures['scenes']['affine_psnr_db']['restored']:.2f} dB" in readme
    assert sum(f.stat().st_size for f in (out / "model").iterdir()) < 3e6
    # the packed one is true to scale too, at sizes that are padded
    restorer = Restorer(str(out / "model"))
    image = still[:1, :50, :61].astype(np.float32)
    one, other = (restorer.restore(i)[0] for i in (image, 3 * image + 40))
    assert one.shape == (50, 61)
    np.testing.assert_allclose(other, 3 * one + 40, rtol=1e-3)
    with pytest.raises(Refused, match="exists"):
        make(out, settings=TINY)


def test_a_movie_that_cannot_judge_is_refused_before_the_training(
    tmp_path: Path,
) -> None:
    tifffile.imwrite(tmp_path / "one.tif", np.zeros((32, 32), np.uint16))
    with pytest.raises(Refused, match="has the shape"):
        make(tmp_path / "made", data=tmp_path / "one.tif", settings=TINY)
    assert not (tmp_path / "made").exists()


def test_intensity_is_measured() -> None:
    rng = np.random.default_rng(0)
    true = (100 * rng.random((8, 8))).repeat(16, 0).repeat(16, 1).astype(np.float32)
    pair = Pair(true + rng.normal(0, 2, true.shape).astype(np.float32), true)
    exact = intensity([(pair, true)])
    assert exact["slope"]["pixels"]["median"] == pytest.approx(1, abs=1e-6)
    assert exact["bias"]["edge"]["median"] == 0
    weak = intensity([(pair, 0.9 * true + 5)])
    assert weak["slope"]["blocks"]["median"] == pytest.approx(0.9, abs=1e-6)
    assert weak["bias"]["dim"]["median"] > 0 > weak["bias"]["bright"]["median"]
    # nothing is said of what is lost in noise
    lost = Pair(true + rng.normal(0, 90, true.shape).astype(np.float32), true)
    assert intensity([(lost, true)]) == {}


def test_unseen_images_are_the_same_each_time() -> None:
    one, again = (unseen(1, edge=64) for _ in range(2))
    for name, pairs in one.items():
        np.testing.assert_array_equal(pairs[0].noisy, again[name][0].noisy)
