"""Lamp, wheels, shutter, re-arm, flat field and fixed pattern do what they say."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smartscope.simulation import (
    OpticsSettings,
    SensorSettings,
    SpecimenSettings,
    UglinessSettings,
)
from smartscope.simulation.fixed_pattern import FixedPattern
from smartscope.simulation.lamp import Lamp
from smartscope.simulation.sensor import Sensor

SENSOR = Sensor(SensorSettings(), seed=3)
BLANK = SpecimenSettings(time="virtual", cells=1, area_um=(1, 1))


def lamp(**ugly: Any) -> Lamp:
    return Lamp(UglinessSettings(**ugly), SENSOR)


# ----------------------------------------------------------------------------- lamp


@given(number=st.integers(0, 10**6), t_s=st.floats(0, 1e6))
def test_a_lamp_without_faults_gives_what_is_ordered(number: int, t_s: float) -> None:
    assert lamp().brightness(number, t_s) == 1.0


@pytest.mark.parametrize("correlation", [0.0, 0.5, 0.9])
def test_flicker_has_its_spread_and_correlation(correlation: float) -> None:
    flickering = lamp(flicker=0.05, flicker_correlation=correlation)
    x = np.array([flickering.brightness(n, 0.0) for n in range(6000)])
    # frames that hang together tell less
    error = np.sqrt((1 + correlation) / (1 - correlation) / 6000)
    assert x.mean() == pytest.approx(1, abs=5 * 0.05 * error)
    assert x.std() == pytest.approx(0.05, rel=5 * error)
    assert np.corrcoef(x[1:], x[:-1])[0, 1] == pytest.approx(correlation, abs=0.06)


@given(
    numbers=st.lists(st.integers(0, 200), min_size=1, max_size=20, unique=True),
    correlation=st.floats(0, 0.99),
)
@settings(max_examples=30)
def test_a_frame_flickers_the_same_whichever_were_lit_before(
    numbers: list[int], correlation: float
) -> None:
    ugly = {"flicker": 0.1, "flicker_correlation": correlation}
    all_of_them, some = lamp(**ugly), lamp(**ugly)
    expected = [all_of_them.brightness(n, 0.0) for n in range(201)]
    for n in sorted(numbers):
        assert some.brightness(n, 0.0) == expected[n]


@given(percent=st.floats(-50, 50), hours=st.floats(0, 12))
def test_the_lamp_drifts_and_never_below_nothing(percent: float, hours: float) -> None:
    light = lamp(lamp_drift_percent_per_h=percent).brightness(0, hours * 3600)
    assert light == pytest.approx(max(0.0, 1 + percent * hours / 100))


def test_what_the_lamp_does_is_in_the_frames(opened: Any, snap: Any) -> None:
    core, simulated = opened(
        ugly={"lamp_drift_percent_per_h": -20},
        specimen=BLANK,
        sensor=SensorSettings(shape=(128, 128)),
    )
    core.setExposure(100)
    first = snap(core).mean() - 100
    simulated.clock.sleep(3600)
    assert (snap(core).mean() - 100) / first == pytest.approx(0.8, abs=0.01)


# --------------------------------------------------------------------------- delays


def test_the_wheels_of_a_preset_turn_together(opened: Any, snap: Any) -> None:
    core, simulated = opened(ugly={"filter_ms": 50})
    clock = simulated.clock
    for preset, turned_s in (
        ("Rhodamine", 0.05),  # three wheels
        ("Rhodamine", 0.0),
        ("Cy5", 0.05),  # one
        ("FITC", 0.05),
        ("DAPI", 0.05),
        ("FITC", 0.05),  # at once back again
    ):
        before = clock.now_s()
        core.setConfig("Channel", preset)
        core.waitForConfig("Channel", preset)
        assert clock.now_s() - before == pytest.approx(turned_s)
    core.setExposure(10)
    before = clock.now_s()
    snap(core)
    core.setConfig("Channel", "Cy5")
    assert clock.now_s() - before == pytest.approx(0.06)


def test_shutter_and_rearming_take_exactly_their_time(opened: Any, snap: Any) -> None:
    core, simulated = opened(ugly={"shutter_ms": 4, "rearm_ms": 200})
    clock = simulated.clock
    core.setExposure(10)
    before = clock.now_s()
    snap(core)
    assert clock.now_s() - before == pytest.approx(0.018)
    for _ in range(2):
        before = clock.now_s()
        core.startSequenceAcquisition(5, 0, True)
        times = []
        while len(times) < 5:
            assert core.isSequenceRunning() or core.getRemainingImageCount()
            if core.getRemainingImageCount():
                times.append(float(core.popNextImageAndMD()[1]["scope_time_s"]))
        core.stopSequenceAcquisition()
        expected = before + 0.204 + 0.01 * np.arange(1, 6)
        assert times == pytest.approx(list(expected))


# ----------------------------------------------------------------------- flat field


@pytest.mark.parametrize("loss", [0.1, 0.4])
def test_vignetting_is_the_flat_field(opened: Any, snap: Any, loss: float) -> None:
    images = []
    for each in (loss, 0.0):
        core, _ = opened(
            specimen=BLANK,
            sensor=SensorSettings(shape=(64, 64), read_noise=0, gain=4),
            optics=OpticsSettings(vignetting=each),
        )
        core.setExposure(1000)
        images.append(snap(core).astype(float) - 100)
    flat = images[0] / images[1]
    assert flat[30:34, 30:34].mean() == pytest.approx(1, abs=0.02)
    corner = np.mean([flat[i, j] for i in (0, 1, -1, -2) for j in (0, 1, -1, -2)])
    assert corner == pytest.approx(1 - loss * (62 / 63) ** 2, abs=0.02)


# --------------------------------------------------------------------- fixed pattern


def dark(core: Any, snap: Any, n: int = 1) -> np.ndarray:
    core.setProperty("Light", "Power", 0)
    return np.mean([snap(core).astype(float) for _ in range(n)], axis=0)


def test_the_offset_has_a_pattern_that_stays(opened: Any, snap: Any) -> None:
    sensor = SensorSettings(shape=(256, 256), offset_pattern=4, read_noise=1)
    core, _ = opened(sensor=sensor)
    one, two = dark(core, snap, 8), dark(core, snap, 8)
    assert one.mean() == pytest.approx(100, abs=1)
    assert one.std() == pytest.approx(4, rel=0.12)
    assert np.corrcoef(one.ravel(), two.ravel())[0, 1] > 0.98
    # half of its variance is that of columns
    assert one.mean(axis=0).var() == pytest.approx(8, rel=0.4)
    assert one.mean(axis=1).var() < 0.5
    core.setROI(40, 70, 64, 32)
    assert dark(core, snap, 8) == pytest.approx(one[70:102, 40:104], abs=2.5)


def test_hot_pixels_collect_electrons_while_it_exposes(opened: Any, snap: Any) -> None:
    sensor = SensorSettings(
        shape=(256, 256), hot_pixels=0.01, hot_electrons_per_s=2000, read_noise=1
    )
    core, _ = opened(sensor=sensor)
    means = []
    for exposure_ms in (100, 200):
        core.setExposure(exposure_ms)
        image = dark(core, snap, 4) - 100
        hot = image > 5
        # 2000 e/s of mean, exponential, gain 0.5: few are below 5 counts
        assert 0.008 < hot.mean() < 0.0125
        means.append(image[hot].mean())
    assert means[0] == pytest.approx(100, rel=0.15)
    assert means[1] / means[0] == pytest.approx(2, rel=0.1)
    whole = dark(core, snap, 4) - 100
    core.setProperty("Camera", "Binning", 2)
    summed = whole.reshape(128, 2, 128, 2).sum(axis=(1, 3))
    assert dark(core, snap, 4) - 100 == pytest.approx(summed, abs=60)
    assert (dark(core, snap) - 100).sum() == pytest.approx(whole.sum(), rel=0.05)


@given(
    corner=st.tuples(st.integers(0, 20), st.integers(0, 20)),
    shape=st.tuples(st.integers(1, 12), st.integers(1, 12)),
    seed=st.integers(0, 5),
)
def test_a_region_shows_its_part_of_the_pattern(
    corner: tuple[int, int], shape: tuple[int, int], seed: int
) -> None:
    chip = SensorSettings(shape=(32, 32), offset_pattern=3, hot_pixels=0.05)
    whole = FixedPattern(chip, seed).part(1, (0, 0), (32, 32))
    part = FixedPattern(chip, seed).part(1, corner, shape)
    assert whole is not None
    assert part is not None
    assert whole.electrons_per_ms is not None
    assert part.electrons_per_ms is not None
    where = tuple(slice(c, c + n) for c, n in zip(corner, shape, strict=True))
    assert (part.offset == whole.offset[where]).all()
    assert (part.electrons_per_ms == whole.electrons_per_ms[where]).all()


def test_without_a_pattern_there_is_none() -> None:
    assert FixedPattern(SensorSettings(), 0).part(1, (0, 0), (512, 512)) is None
