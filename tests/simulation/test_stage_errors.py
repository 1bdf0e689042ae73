"""Drift, backlash and creep do what they say, and nothing when they are off."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smartscope.acquisition import StageMap
from smartscope.simulation import (
    OpticsSettings,
    SensorSettings,
    SpecimenSettings,
    UglinessSettings,
    read_stamp,
)
from smartscope.simulation.drift import Drift
from smartscope.simulation.truth import Truth, TruthEvent

STILL = SpecimenSettings(
    time="virtual", cells=1, area_um=(1, 1), divisions_per_hour=0, speed_um_per_min=0
)
PLACES = st.lists(
    st.tuples(st.integers(-400, 400), st.integers(-400, 400)), min_size=1, max_size=12
)


def where(core: Any, snap: Callable[..., np.ndarray]) -> tuple[float, float]:
    stamp = read_stamp(snap(core))
    return stamp.x_um, stamp.y_um


# ------------------------------------------------------------------- everything off


def test_with_everything_off_a_frame_is_specimen_vignetting_and_noise(
    opened: Any, snap: Any
) -> None:
    from smartscope.simulation.optics import Field, vignette
    from smartscope.simulation.sensor import Sensor
    from smartscope.simulation.specimen import LivingCells

    specimen, sensor = SpecimenSettings(time="virtual"), SensorSettings(shape=(96, 80))
    core, simulated = opened(specimen=specimen, sensor=sensor, seed=5)
    cells, noise = LivingCells(specimen, 5), Sensor(sensor, 5)
    core.setExposure(20)
    shade = vignette(OpticsSettings().vignetting, (96, 80), (0, 0), (96, 80))
    for i, place in enumerate([(0, 0), (60, -40), (-33, 12.5)]):
        core.setXYPosition(*place)
        t_s = simulated.clock.now_s()
        field = Field(place, (96, 80), ((0.65, 0.0), (0.0, 0.65)), 0.35)
        expected = np.empty((96, 80), np.uint16)
        noise.expose(cells.rate(field, t_s, "FITC") * shade, i, expected, scale=20.0)
        cells.expose(field, 20 * 100)
        assert (snap(core) == expected).all()


# ---------------------------------------------------------------------------- drift


@given(
    speed=st.floats(0.1, 50),
    direction=st.floats(-360, 360),
    hours=st.floats(0, 24),
)
def test_drift_goes_at_its_speed_in_its_direction(
    speed: float, direction: float, hours: float
) -> None:
    ugly = UglinessSettings(drift_um_per_h=speed, drift_direction_deg=direction)
    dx, dy = Drift(ugly).at(hours * 3600)
    assert math.hypot(dx, dy) == pytest.approx(speed * hours)
    angle = math.radians(direction)
    assert dx * math.sin(angle) == pytest.approx(dy * math.cos(angle), abs=1e-6)
    # what is seen at a place of the stage was there before it drifted
    x, y = Drift(ugly).under((10.0, 20.0), hours * 3600)
    assert (x, y) == pytest.approx((10 - dx, 20 - dy), abs=0.011)


def test_a_cell_drifts_out_of_the_middle_and_the_stage_does_not_know(
    opened: Any, snap: Any
) -> None:
    core, simulated = opened(
        ugly={"drift_um_per_h": 5, "drift_direction_deg": 90},
        specimen=STILL,
        sensor=SensorSettings(shape=(128, 128)),
        optics=OpticsSettings(vignetting=0),
    )
    core.setExposure(100)
    at = []
    for hours in (0, 2):
        simulated.clock.sleep(hours * 3600 - simulated.clock.now_s())
        image = snap(core).astype(float) - 300
        rows, columns = np.nonzero(image > 0.5 * image.max())
        pixel = np.array([[rows.mean(), columns.mean()]])
        stage_map = StageMap(0.65, ((1.0, 0.0), (0.0, 1.0)))
        at.append(stage_map.to_stage(pixel, image.shape, (0.0, 0.0))[0])
        assert core.getXYPosition() == (0, 0)
    # the nucleus turns a little meanwhile
    assert at[1] - at[0] == pytest.approx([0, 10], abs=0.7)


def test_the_truth_is_where_the_stage_sees_it(opened: Any) -> None:
    busy = SpecimenSettings(time="virtual", divisions_per_hour=5)
    _, steady = opened(specimen=busy)
    _, drifting = opened(specimen=busy, ugly={"drift_um_per_h": 10})
    for scope in (steady, drifting):
        scope.clock.sleep(3600)
    expected, seen = steady.truth(), drifting.truth()
    assert expected is not None
    assert seen is not None
    assert len(seen.events) == len(expected.events) > 50
    for one, other in zip(expected.events, seen.events, strict=True):
        assert (one.kind, one.t_s, one.y_um) == (other.kind, other.t_s, other.y_um)
        assert other.x_um - one.x_um == pytest.approx(10 * one.t_s / 3600)


def test_what_is_to_be_ignored_drifts_too() -> None:
    drift = Drift(UglinessSettings(drift_um_per_h=3600))
    truth = Truth(
        (TruthEvent("a", 7.0, 1.0, 2.0),), ignore=((2.0, 4.0, 5.0, 6.0, 1.0),)
    )
    seen = drift.on_stage(truth)
    assert seen.events[0].x_um == pytest.approx(8)
    assert seen.ignore[0] == pytest.approx((2, 4, 8, 6, 1))


# ------------------------------------------------------------------------- backlash


@settings(max_examples=20)
@given(places=PLACES, play=st.tuples(st.integers(0, 40), st.integers(0, 40)))
def test_a_stage_with_play_follows_late_and_never_goes_the_wrong_way(
    opened: Any, places: list[tuple[int, int]], play: tuple[int, int]
) -> None:
    core, simulated = opened(ugly={"backlash_um": play})
    stage, before, ordered = simulated.stand.xy, (0.0, 0.0), (0.0, 0.0)
    for place in places:
        core.setXYPosition(*place)
        now = stage.where_um()
        assert core.getXYPosition() == now
        for axis in (0, 1):
            gone, asked = now[axis] - before[axis], place[axis] - ordered[axis]
            assert abs(now[axis] - place[axis]) <= play[axis] / 2
            assert gone * asked >= 0
            if abs(asked) >= play[axis] and asked:
                short = math.copysign(play[axis] / 2, asked)
                assert now[axis] == place[axis] - short
        before, ordered = now, place
    core.unloadAllDevices()


def test_after_a_reversal_it_stops_short_by_the_backlash(
    opened: Any, snap: Any
) -> None:
    core, _ = opened(ugly={"backlash_um": 2})
    seen = []
    for x in (-100, 0, 100, 0, -100):
        core.setXYPosition(x, 0)
        seen.append(where(core, snap)[0])
    # both ways to the same place differ by the backlash
    assert seen == [-99, -1, 99, 1, -99]


def test_without_an_encoder_the_stage_says_where_it_was_sent(
    opened: Any, snap: Any
) -> None:
    core, _ = opened(ugly={"backlash_um": 2, "encoder": False})
    core.setXYPosition(50, -50)
    assert core.getXYPosition() == (50, -50)
    assert where(core, snap) == (49, -49)


@pytest.mark.parametrize("play", [-1.0, (1.0, -0.5)])
def test_a_play_below_zero_is_refused(play: Any) -> None:
    with pytest.raises(ValueError, match="must not be below 0"):
        UglinessSettings(backlash_um=play)


# ---------------------------------------------------------------------------- creep


def test_a_stage_creeps_in_after_it_says_it_is_there(opened: Any, snap: Any) -> None:
    core, simulated = opened(
        ugly={"creep_um": 3, "creep_ms": 40}, sensor=SensorSettings(stamp=True)
    )
    core.setExposure(1)
    core.setXYPosition(300, 0)
    assert core.getXYPosition() == (300, 0)
    began = simulated.clock.now_s()
    for wait_s in (0.0, 0.03, 0.03, 0.1):
        simulated.clock.sleep(wait_s)
        since_ms = 1000 * (simulated.clock.now_s() - began)
        x, y = where(core, snap)
        # the stamp is of the first of the drawings of an exposure of 1 ms
        assert x == pytest.approx(300 - 3 * math.exp(-since_ms / 40), abs=0.05)
        assert y == 0
    simulated.clock.sleep(1)
    assert where(core, snap) == (300, 0)


@given(dx=st.floats(-20, 20), dy=st.floats(-20, 20))
@settings(max_examples=12)
def test_after_a_short_move_it_creeps_less(opened: Any, dx: float, dy: float) -> None:
    core, simulated = opened(ugly={"creep_um": 5})
    core.setXYPosition(dx, dy)
    x, y = simulated.stand.xy.exposed_um()
    assert math.hypot(dx - x, dy - y) <= 0.1 * math.hypot(dx, dy) + 0.01
    assert (dx - x) * dx + (dy - y) * dy >= 0
    core.unloadAllDevices()


def test_a_frame_taken_too_early_is_smeared_and_one_taken_later_is_not(
    opened: Any, snap: Any
) -> None:
    def sharpness(image: np.ndarray) -> float:
        return float((np.diff(image[2:].astype(float), n=2, axis=1) ** 2).mean())

    sensor = SensorSettings(shape=(256, 256), read_noise=0)
    core, simulated = opened(
        ugly={"creep_um": 8, "creep_ms": 100}, sensor=sensor, seed=2
    )
    calm, _ = opened(sensor=sensor, seed=2)
    for each in (core, calm):
        each.setExposure(100)
        each.setXYPosition(200, 0)
    expected = sharpness(snap(calm))
    assert sharpness(snap(core)) < 0.8 * expected
    simulated.clock.sleep(5)
    assert sharpness(snap(core)) == pytest.approx(expected, rel=0.1)
