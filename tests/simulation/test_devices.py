"""The simulated devices behind a real core: what is ordered is what is done."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import useq
from hypothesis import given, settings
from hypothesis import strategies as st
from pymmcore_plus.experimental.unicore import UniMMCore

from smartscope.simulation import (
    CHANNELS,
    OpticsSettings,
    SensorSettings,
    Simulated,
    SimulationSettings,
    SpecimenSettings,
    UglinessSettings,
    read_stamp,
    simulate,
)

QUIET = UglinessSettings(settle_ms=0)
PLACE, EDGE = st.integers(0, 200), st.integers(16, 90)


def opened(**changes: Any) -> tuple[UniMMCore, Simulated]:
    given_settings: dict[str, Any] = {
        "specimen": SpecimenSettings(time="virtual"),
        "sensor": SensorSettings(stamp=True),
        "ugliness": QUIET,
        **changes,
    }
    core = UniMMCore(mm_path=".")
    return core, simulate(core, SimulationSettings(**given_settings), buffer_mb=64)


@pytest.fixture(scope="module")
def scope() -> Iterator[tuple[UniMMCore, Simulated]]:
    core, simulated = opened()
    yield core, simulated
    core.unloadAllDevices()


@pytest.fixture
def core(scope: tuple[UniMMCore, Simulated]) -> UniMMCore:
    core, _ = scope
    core.clearROI()
    core.setProperty("Camera", "Binning", "1")
    core.setProperty("Camera", "BitDepth", "16")
    core.setProperty("Light", "Power", 100)
    core.setConfig("Objective", "10X")
    core.setConfig("Channel", "FITC")
    core.setAutoShutter(True)
    core.setShutterOpen(False)
    core.setXYPosition(0, 0)
    core.setPosition(0)
    core.setExposure(10)
    return core


def snap(core: UniMMCore) -> np.ndarray:
    core.snapImage()
    return core.getImage()


def test_it_answers_to_the_demo_names(core: UniMMCore) -> None:
    roles = (
        core.getCameraDevice(),
        core.getXYStageDevice(),
        core.getFocusDevice(),
        core.getShutterDevice(),
        core.getChannelGroup(),
    )
    assert roles == ("Camera", "XY", "Z", "White Light Shutter", "Channel")
    assert set(core.getAvailableConfigs("Channel")) == set(CHANNELS)
    for group in core.getAvailableConfigGroups():
        for preset in core.getAvailableConfigs(group):
            core.setConfig(group, preset)
            assert core.getCurrentConfig(group) == preset


def test_the_turret_sets_the_pixel_size(core: UniMMCore) -> None:
    for preset, pixel_um in (("40X", 0.1625), ("20X", 0.325), ("10X", 0.65)):
        core.setConfig("Objective", preset)
        assert core.getPixelSizeUm() == pytest.approx(pixel_um)
        core.setProperty("Camera", "Binning", 2)
        assert core.getPixelSizeUm() == pytest.approx(2 * pixel_um)
        core.setProperty("Camera", "Binning", 1)


@settings(max_examples=40, deadline=None)
@given(
    x=st.integers(-2000, 2000),
    y=st.integers(-2000, 2000),
    z=st.integers(-40, 40),
    exposure_ms=st.integers(1, 200),
    channel=st.sampled_from(CHANNELS),
    roi=st.tuples(PLACE, PLACE, EDGE, EDGE),
    bits=st.sampled_from([8, 12, 16]),
)
def test_a_stamp_tells_what_was_ordered(
    scope: tuple[UniMMCore, Simulated],
    x: int,
    y: int,
    z: int,
    exposure_ms: int,
    channel: str,
    roi: tuple[int, int, int, int],
    bits: int,
) -> None:
    core, _ = scope
    core.setProperty("Camera", "BitDepth", bits)
    core.setROI(*roi)
    core.setXYPosition(x / 2, y / 2)
    core.setPosition(z / 4)
    core.setExposure(exposure_ms)
    core.setConfig("Channel", channel)
    image = snap(core)
    assert image.shape == (roi[3], roi[2])
    assert image.dtype == (np.uint8 if bits == 8 else np.uint16)
    stamp = read_stamp(image)
    assert (stamp.x_um, stamp.y_um, stamp.z_um) == (x / 2, y / 2, z / 4)
    assert stamp.exposure_ms == exposure_ms
    assert CHANNELS[stamp.channel] == channel
    assert stamp.light_on
    assert stamp.exposure_number == core.getProperty("Camera", "ExposureNumber")


def test_roi_and_binning_show_the_same_specimen(core: UniMMCore) -> None:
    core.setExposure(100)
    whole = snap(core).astype(float) - 100
    core.setROI(100, 60, 200, 160)
    part = snap(core).astype(float) - 100
    expected = whole[60:220, 100:300]
    # two exposures: the difference is noise, of gain 0.5 and read noise 1.6
    sigma = np.sqrt(2 * (0.5 * np.maximum(expected, 1) + 1.6**2))
    score = (part - expected)[2:] / sigma[2:]
    assert score.std() == pytest.approx(1, abs=0.1)
    core.clearROI()
    core.setConfig("Camera", "MedRes")
    core.setProperty("Camera", "BitDepth", 16)
    binned = snap(core).astype(float) - 100
    assert binned.shape == (256, 256)
    summed = whole.reshape(256, 2, 256, 2).sum(axis=(1, 3))
    assert np.corrcoef(binned[2:].ravel(), summed[2:].ravel())[0, 1] > 0.98
    assert binned[2:].sum() == pytest.approx(summed[2:].sum(), rel=0.02)


def test_there_is_light_only_where_it_is_let_through(core: UniMMCore) -> None:
    def bright() -> bool:
        image = snap(core)
        on = read_stamp(image).light_on
        assert (image[2:].mean() > 103) == on
        return on

    assert bright()
    assert not core.getShutterOpen()
    core.setAutoShutter(False)
    assert not bright()
    core.setShutterOpen(True)
    assert bright()
    assert core.getShutterOpen()
    core.setProperty("Light", "Power", 0)
    assert not bright()
    core.setProperty("Light", "Power", "50")
    core.setProperty("White Light Shutter", "State", "0")
    assert not core.getShutterOpen()
    assert not bright()


def test_light_follows_exposure_and_power(core: UniMMCore) -> None:
    means = []
    for exposure_ms, power in ((100, 100), (100, 50), (50, 100)):
        core.setExposure(exposure_ms)
        core.setProperty("Light", "Power", power)
        means.append(snap(core)[2:].mean() - 100)
    assert means[1] == pytest.approx(means[0] / 2, rel=0.01)
    assert means[2] == pytest.approx(means[0] / 2, rel=0.01)


def test_the_multiband_presets_use_the_led(core: UniMMCore) -> None:
    core.setConfig("Channel-Multiband", "Rhodamine")
    assert core.getShutterDevice() == "LED Shutter"
    stamp = read_stamp(snap(core))
    assert CHANNELS[stamp.channel] == "Rhodamine"
    assert stamp.light_on
    core.setConfig("Channel", "FITC")
    assert core.getShutterDevice() == "White Light Shutter"
    assert CHANNELS[read_stamp(snap(core)).channel] == "FITC"


def test_wheels_at_no_preset_show_no_label(core: UniMMCore) -> None:
    core.setExposure(100)
    seen = snap(core)[2:].max()
    core.setStateLabel("Emission", "State-9")
    image = snap(core)
    assert read_stamp(image).channel == 255
    assert image[2:].max() < 0.5 * seen


def test_a_sequence_keeps_its_numbers_and_closes_the_shutter(core: UniMMCore) -> None:
    core.setExposure(7)
    core.startSequenceAcquisition(30, 0, True)
    frames = [popped(core) for _ in range(30)]
    numbers = [read_stamp(image).exposure_number for image, _ in frames]
    assert numbers == list(range(numbers[0], numbers[0] + 30))
    assert [int(md["exposure_number"]) for _, md in frames] == numbers
    times = np.array([float(md["scope_time_s"]) for _, md in frames])
    assert np.diff(times) == pytest.approx(0.007)
    assert all(read_stamp(image).light_on for image, _ in frames)
    core.stopSequenceAcquisition()
    assert not core.getShutterOpen()


def popped(core: UniMMCore) -> tuple[np.ndarray, dict[str, Any]]:
    while not core.getRemainingImageCount():
        assert core.isSequenceRunning() or core.getRemainingImageCount()
    image, md = core.popNextImageAndMD()
    return image, dict(md)


def test_an_interrupted_sequence_closes_the_shutter(core: UniMMCore) -> None:
    core.startContinuousSequenceAcquisition(0)
    popped(core)
    core.stopSequenceAcquisition()
    assert not core.isSequenceRunning()
    assert not core.getShutterOpen()


def test_a_z_sequence_is_triggered_by_the_camera(core: UniMMCore) -> None:
    z_um = [3.0, -1.0, 2.5]
    core.loadStageSequence("Z", z_um)
    core.startStageSequence("Z")
    core.startSequenceAcquisition(6, 0, True)
    seen = [read_stamp(popped(core)[0]).z_um for _ in range(6)]
    core.stopSequenceAcquisition()
    core.stopStageSequence("Z")
    assert seen == z_um * 2
    core.setProperty("Z", "UseSequences", "No")
    assert not core.isStageSequenceable("Z")
    core.setProperty("Z", "UseSequences", "Yes")


def test_an_mda_takes_what_it_orders(core: UniMMCore) -> None:
    sequence = useq.MDASequence(
        stage_positions=[(0, 0, 0), (50, -30, 2)],
        channels=[
            {"config": "FITC", "exposure": 5},
            {"config": "Rhodamine", "exposure": 20},
        ],
        z_plan={"range": 4, "step": 2},
        time_plan={"interval": 0, "loops": 2},
    )
    taken: list[tuple[useq.MDAEvent, np.ndarray]] = []

    def take(image: np.ndarray, event: useq.MDAEvent) -> None:
        taken.append((event, image))

    core.mda.events.frameReady.connect(take)
    core.mda.run(sequence)
    core.mda.events.frameReady.disconnect(take)
    assert len(taken) == 2 * 2 * 2 * 3
    for event, image in taken:
        stamp = read_stamp(image)
        assert event.channel is not None
        assert CHANNELS[stamp.channel] == event.channel.config
        assert stamp.exposure_ms == event.exposure
        where = (stamp.x_um, stamp.y_um, stamp.z_um)
        assert where == (event.x_pos, event.y_pos, event.z_pos)
        assert stamp.light_on
    assert not core.getShutterOpen()


@pytest.mark.parametrize(
    ("order", "complaint"),
    [
        (lambda core: core.setROI(500, 0, 20, 20), "does not lie on the sensor"),
        (lambda core: core.setExposure(0), "above 0"),
        (lambda core: core.setXYPosition(float("nan"), 0), "cannot go"),
        (lambda core: core.setPosition(float("inf")), "cannot go"),
        (lambda core: core.setProperty("Light", "Power", 101), "allowed range"),
        (lambda core: core.setProperty("Camera", "Binning", 3), "not allowed"),
    ],
)
def test_what_cannot_be_is_refused_and_nothing_changes(
    core: UniMMCore, order: Any, complaint: str
) -> None:
    with pytest.raises(ValueError, match=complaint):
        order(core)
    assert snap(core).shape == (512, 512)
    assert core.getXYPosition() == (0, 0)
    assert core.getExposure() == 10


def test_virtual_time_repeats_itself_exactly() -> None:
    def run() -> list[np.ndarray]:
        ugly = UglinessSettings(
            backlash_um=1,
            focus_drift_um_per_h=2,
            filter_ms=20,
            shutter_ms=3,
            flicker=0.02,
        )
        core, simulated = opened(
            seed=9, ugliness=ugly, sensor=SensorSettings(shape=(96, 128))
        )
        images = []
        for i in range(6):
            core.setXYPosition(10 * i, -5 * i)
            core.setConfig("Channel", ("FITC", "Rhodamine")[i % 2])
            images.append(snap(core))
            simulated.clock.sleep(100)
        assert simulated.clock.now_s() > 600
        core.unloadAllDevices()
        return images

    first, second = run(), run()
    assert all((a == b).all() for a, b in zip(first, second, strict=True))


def test_the_stand_is_as_ugly_as_told() -> None:
    ugly = UglinessSettings(
        stage_speed_um_per_s=100,
        settle_ms=50,
        backlash_um=2,
        focus_drift_um_per_h=10,
        filter_ms=30,
        shutter_ms=4,
        rearm_ms=500,
        readout_ms=3,
        flicker=0.1,
    )
    core, simulated = opened(ugliness=ugly, optics=OpticsSettings(vignetting=0))
    clock = simulated.clock
    core.setXYPosition(100, 0)
    # 101 µm less the backlash at 100 µm/s, and settling
    assert clock.now_s() == pytest.approx(0.99 + 0.05)
    assert core.getXYPosition() == (99, 0)
    core.setXYPosition(50, 0)
    assert core.getXYPosition() == (51, 0)
    before = clock.now_s()
    core.setExposure(10)
    core.snapImage()
    # the shutter opens and closes
    assert clock.now_s() - before == pytest.approx(0.004 + 0.01 + 0.004)
    before = clock.now_s()
    core.startSequenceAcquisition(4, 0, True)
    times = [float(popped(core)[1]["scope_time_s"]) for _ in range(4)]
    assert times[0] - before > 0.5
    assert np.diff(times) == pytest.approx(0.013)
    core.stopSequenceAcquisition()
    assert simulated.stand.defocus_um(0.0, 1800.0) == -5
    means = [snap(core)[2:].mean() - 100 for _ in range(60)]
    assert np.std(means) / np.mean(means) == pytest.approx(0.1, rel=0.35)
    core.unloadAllDevices()


def test_what_the_field_gets_is_bleached_and_the_rest_is_not() -> None:
    core, _ = opened(
        specimen=SpecimenSettings(
            time="virtual", bleach_ms_percent=1e4, cells=300, background_photons=0
        ),
        sensor=SensorSettings(shape=(200, 200)),
    )
    core.setExposure(20)

    def brightness(x_um: float) -> float:
        core.setXYPosition(x_um, 0)
        return float(np.percentile(snap(core), 99) - 100)

    lit, dark = brightness(-150), brightness(150)
    for _ in range(10):
        core.setXYPosition(-150, 0)
        core.snapImage()
    # 20 ms at 100 % twelve times over
    assert brightness(-150) / lit == pytest.approx(np.exp(-2.2), abs=0.06)
    assert brightness(150) / dark == pytest.approx(np.exp(-0.2), abs=0.1)
    core.unloadAllDevices()


def test_in_real_time_devices_are_busy_until_they_have_arrived() -> None:
    ugly = UglinessSettings(stage_speed_um_per_s=1000, settle_ms=0, filter_ms=40)
    core, _ = opened(specimen=SpecimenSettings(), ugliness=ugly)
    core.setXYPosition(100, 0)
    assert core.deviceBusy("XY")
    assert 0 <= core.getXYPosition()[0] < 100
    core.waitForDevice("XY")
    assert core.getXYPosition() == (100, 0)
    core.setConfig("Channel", "DAPI")
    assert core.deviceBusy("Emission")
    core.waitForDevice("Emission")
    core.setExposure(30)
    before = core.getProperty("Camera", "ScopeTime_s")
    core.snapImage()
    assert core.getProperty("Camera", "ScopeTime_s") - before >= 0.03
    core.unloadAllDevices()
