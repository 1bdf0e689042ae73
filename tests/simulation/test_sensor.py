"""Noise from the bank must be as that of the formula."""

import numpy as np
import pytest

from smartscope.simulation import SensorSettings
from smartscope.simulation.sensor import Sensor

SHAPE = (256, 256)


@pytest.fixture(scope="module")
def sensor() -> Sensor:
    return Sensor(SensorSettings(gain=0.5, offset=100, read_noise=1.6), seed=3)


def frames(sensor: Sensor, photons: float, n: int, first: int = 0) -> np.ndarray:
    rate = np.full(SHAPE, photons, np.float32)
    out = np.empty((n, *SHAPE), np.uint16)
    for i in range(n):
        sensor.expose(rate, first + i, out[i])
    return out.astype(float)


@pytest.mark.parametrize("photons", [0, 0.5, 3, 10, 30, 300, 10_000])
def test_mean_variance_and_skewness_follow_the_formula(
    sensor: Sensor, photons: float
) -> None:
    counts = frames(sensor, photons, 16)
    gain, read = 0.5, 1.6
    variance = gain**2 * photons + read**2 + 1 / 12  # 1/12: whole counts
    n = counts.size
    assert counts.mean() == pytest.approx(
        100 + gain * photons, abs=5 * (variance / n) ** 0.5
    )
    assert counts.var() == pytest.approx(variance, rel=0.01)
    third = ((counts - counts.mean()) ** 3).mean()
    error = 6 * (6 / n) ** 0.5 * variance**1.5
    # rows of 256 pixels repeat within the bank: a little less certain than n says
    assert third == pytest.approx(gain**3 * photons, rel=0.25, abs=3 * error)


def test_frames_pixels_rows_and_columns_are_independent(sensor: Sensor) -> None:
    z = frames(sensor, 50, 12)
    z = (z - z.mean()) / z.std()
    limit = 5 / (z[0].size * 11) ** 0.5
    assert abs((z[1:] * z[:-1]).mean()) < limit
    assert abs((z[:, 1:] * z[:, :-1]).mean()) < limit
    assert abs((z[:, :, 1:] * z[:, :, :-1]).mean()) < limit
    # the sums of rows and columns are as even as those of white noise
    assert z.mean(axis=2).var() == pytest.approx(1 / 256, rel=0.15)
    assert z.mean(axis=1).var() == pytest.approx(1 / 256, rel=0.15)
    assert z.mean(axis=0).var() == pytest.approx(1 / 12, rel=0.05)


def test_noise_is_keyed_by_seed_and_exposure_number(sensor: Sensor) -> None:
    again = Sensor(sensor.settings, seed=3)
    other = Sensor(sensor.settings, seed=4)
    first = frames(sensor, 20, 1, first=7)
    assert (first == frames(again, 20, 1, first=7)).all()
    assert (first != frames(other, 20, 1, first=7)).mean() > 0.5
    assert (first != frames(sensor, 20, 1, first=8)).mean() > 0.5


@pytest.mark.parametrize(("bits", "dtype"), [(8, np.uint8), (12, np.uint16)])
def test_it_saturates_at_its_bit_depth(bits: int, dtype: type) -> None:
    sensor = Sensor(SensorSettings(bit_depth=bits), seed=0)
    out = np.empty((32, 48), dtype)
    sensor.expose(np.full(out.shape, 1e6, np.float32), 0, out)
    assert (out == 2**bits - 1).all()


def test_scale_multiplies_the_photons(sensor: Sensor) -> None:
    one, two = np.empty(SHAPE, np.uint16), np.empty(SHAPE, np.uint16)
    sensor.expose(np.full(SHAPE, 8, np.float32), 5, one, scale=10)
    sensor.expose(np.full(SHAPE, 80, np.float32), 5, two)
    assert (one == two).all()
