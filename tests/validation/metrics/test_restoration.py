"""Restoration metrics: bounds, symmetries, invariances, and independent formulas."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter
from scipy.stats import pearsonr

from smartscope.validation import metrics

Floats = npt.NDArray[np.float64]
seeds = st.integers(0, 2**32 - 1)


def pair(seed: int, size: int = 24, noise: float = 3.0) -> tuple[Floats, Floats]:
    rng = np.random.default_rng(seed)
    clean = 100 + 50 * gaussian_filter(rng.normal(size=(size, size)), 2) * 8
    return clean + rng.normal(0, noise, clean.shape), clean


@given(seeds)
@settings(max_examples=20)
def test_bounds_and_the_perfect_image(seed: int) -> None:
    noisy, clean = pair(seed)
    told = metrics.restoration(noisy, clean)
    assert told["mse"] > 0
    assert told["nrmse"] > 0
    assert -1 <= told["ssim"] <= 1
    assert -1 <= told["pearson"] <= 1
    best = metrics.restoration(clean, clean)
    assert best["mse"] == best["nrmse"] == 0
    assert best["psnr_db"] == math.inf
    assert best["ssim"] == pytest.approx(1)
    assert best["pearson"] == pytest.approx(1)
    assert (best["gain"], best["offset"]) == pytest.approx((1, 0), abs=1e-9)


@given(seeds, st.floats(0.01, 50), st.floats(-1e3, 1e3))
@settings(max_examples=30)
def test_affine_variants_do_not_see_gain_and_offset(
    seed: int, gain: float, offset: float
) -> None:
    noisy, clean = pair(seed)
    plain, other = (
        metrics.restoration(image, clean) for image in (noisy, gain * noisy + offset)
    )
    for name in ("affine_mse", "affine_nrmse", "affine_psnr_db", "affine_ssim"):
        assert other[name] == pytest.approx(plain[name], rel=1e-6)
    assert other["pearson"] == pytest.approx(plain["pearson"], abs=1e-9)


@given(seeds, st.floats(0.1, 10), st.floats(-500, 500))
@settings(max_examples=20)
def test_psnr_and_nrmse_do_not_depend_on_the_units(
    seed: int, gain: float, offset: float
) -> None:
    noisy, clean = pair(seed)
    for of in (metrics.psnr, metrics.nrmse, metrics.ssim):
        both = of(gain * noisy + offset, gain * clean + offset)
        # K1 of SSIM sees an offset, by design
        if of is not metrics.ssim or offset == 0:
            assert both == pytest.approx(of(noisy, clean), rel=1e-6)


@given(seeds)
@settings(max_examples=20)
def test_the_fit_is_the_least_squares_one(seed: int) -> None:
    noisy, clean = pair(seed)
    gain, offset = metrics.affine_fit(noisy, clean)
    slope, intercept = np.polyfit(noisy.ravel(), clean.ravel(), 1)
    assert (gain, offset) == pytest.approx((slope, intercept), rel=1e-6)
    # and so never worse than no fit
    assert metrics.mse(noisy, clean, affine=True) <= metrics.mse(noisy, clean)


@given(seeds)
@settings(max_examples=20)
def test_against_formulas_of_others(seed: int) -> None:
    noisy, clean = pair(seed)
    error = sum((a - b) ** 2 for a, b in zip(noisy.flat, clean.flat, strict=True))
    mse = error / clean.size
    full = max(clean.flat) - min(clean.flat)
    assert metrics.mse(noisy, clean) == pytest.approx(mse)
    assert metrics.psnr(noisy, clean) == pytest.approx(
        20 * math.log10(full / math.sqrt(mse))
    )
    assert metrics.nrmse(noisy, clean) == pytest.approx(math.sqrt(mse) / full)
    r = pearsonr(noisy.ravel(), clean.ravel()).statistic
    assert metrics.pearson(noisy, clean) == pytest.approx(r)
    # after the best fit what is left of the variance is 1 - r²
    left = metrics.mse(noisy, clean, affine=True)
    assert left == pytest.approx(np.var(clean) * (1 - r**2))


def test_ssim_is_that_of_wang() -> None:
    noisy, clean = pair(1, 40)
    full = float(np.ptp(clean))
    c1, c2 = (0.01 * full) ** 2, (0.03 * full) ** 2

    def mean(image: Floats) -> Floats:
        return np.asarray(gaussian_filter(image, 1.5, truncate=3.5))

    mx, my = mean(noisy), mean(clean)
    vx, vy = mean(noisy**2) - mx**2, mean(clean**2) - my**2
    both = mean(noisy * clean) - mx * my
    wanted = (
        (2 * mx * my + c1) * (2 * both + c2) / ((mx**2 + my**2 + c1) * (vx + vy + c2))
    )
    assert metrics.ssim_map(noisy, clean) == pytest.approx(wanted, abs=1e-9)
    assert metrics.ssim(noisy, clean) == pytest.approx(wanted[5:-5, 5:-5].mean())


@given(seeds)
@settings(max_examples=10)
def test_ssim_and_pearson_are_symmetric(seed: int) -> None:
    noisy, clean = pair(seed)
    assert metrics.pearson(noisy, clean) == pytest.approx(metrics.pearson(clean, noisy))
    # of two images of one range
    other = (noisy - noisy.min()) / np.ptp(noisy) * np.ptp(clean)
    assert metrics.ssim(other, clean) == pytest.approx(metrics.ssim(clean, other))


@given(seeds)
@settings(max_examples=10)
def test_more_noise_is_worse_in_every_number(seed: int) -> None:
    less, clean = pair(seed, 48, 2.0)
    more, _ = pair(seed, 48, 8.0)
    few, many = (metrics.restoration(image, clean) for image in (less, more))
    for name in ("mse", "nrmse", "affine_mse", "affine_nrmse"):
        assert few[name] < many[name]
    for name in ("psnr_db", "affine_psnr_db", "ssim", "affine_ssim", "pearson"):
        assert few[name] > many[name]


def test_a_constant_restored_image_tells_nothing_and_breaks_nothing() -> None:
    _, clean = pair(3)
    flat = np.full(clean.shape, 7.0)
    assert metrics.affine_fit(flat, clean) == (0.0, clean.mean())
    assert metrics.pearson(flat, clean) == 0
    assert metrics.mse(flat, clean, affine=True) == pytest.approx(np.var(clean))


@pytest.mark.parametrize("of", [metrics.psnr, metrics.nrmse, metrics.ssim])
def test_a_constant_clean_image_is_refused(of: object) -> None:
    noisy, clean = pair(3)
    with pytest.raises(ValueError, match="one value only"):
        of(noisy, np.full(clean.shape, 3.0))  # type: ignore[operator]


def test_other_shapes_and_nan_are_refused() -> None:
    noisy, clean = pair(3)
    with pytest.raises(ValueError, match="of one shape"):
        metrics.mse(noisy[:-1], clean)
    broken = noisy.copy()
    broken[2, 2] = np.nan
    with pytest.raises(ValueError, match="no number"):
        metrics.psnr(broken, clean)
    with pytest.raises(ValueError, match="11 pixels"):
        metrics.ssim(noisy[:8, :8], clean[:8, :8])


def test_integers_are_not_wrapped_around() -> None:
    dark, bright = np.zeros((12, 12), np.uint8), np.zeros((12, 12), np.uint8)
    bright[::2] = 255
    assert metrics.mse(dark, bright) == 255**2 / 2


@pytest.mark.parametrize("blur", [0.8, 1.5, 3.0])
def test_a_sharper_image_has_no_resolution_scaled_error(blur: float) -> None:
    _, sharp = pair(5, 64)
    reference = gaussian_filter(sharp, blur, mode="reflect")
    told = metrics.resolution_scaled(3 * sharp - 20, reference)
    assert told.sigma_px == pytest.approx(blur, abs=0.02)
    assert told.error < 0.01 * np.ptp(reference)
    assert told.pearson == pytest.approx(1, abs=1e-4)
    assert told.gain == pytest.approx(1 / 3, rel=1e-2)


def test_the_map_shows_what_is_invented() -> None:
    _, clean = pair(6, 64)
    invented = clean.copy()
    invented[20:24, 30:34] += 80
    told = metrics.resolution_scaled(invented, clean)
    at = np.unravel_index(np.argmax(told.map), told.map.shape)
    assert 19 <= at[0] <= 24
    assert 29 <= at[1] <= 34
    assert told.error == pytest.approx(np.sqrt(np.mean(told.map**2)))
    assert told.error <= metrics.mse(invented, clean, affine=True) ** 0.5 + 1e-9
