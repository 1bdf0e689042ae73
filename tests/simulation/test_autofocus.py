"""The hardware autofocus: it holds the plane, and says when and where it cannot."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smartscope.acquisition import GuardedUniCore
from smartscope.microscope import open_microscope
from smartscope.simulation import AutofocusSettings, SensorSettings

WELL = {"well B2": {"x_um": [400, 600], "y_um": [-100, 100]}}


def defocus(simulated: Any) -> float:
    """What the next frame would be off the plane by, in µm."""
    stand, t_s = simulated.stand, simulated.clock.now_s()
    added = (
        0.0
        if stand.autofocus is None
        else stand.autofocus.added_um(stand.xy.where_um(), t_s)
    )
    return float(stand.defocus_um(stand.z.where_um() + added, t_s, stand.xy.where_um()))


@settings(max_examples=12)
@given(
    drift=st.floats(-20, 20),
    tilt=st.tuples(st.floats(-5, 5), st.floats(-5, 5)),
    places=st.lists(st.tuples(st.floats(-300, 300), st.floats(-300, 300)), max_size=5),
    z=st.floats(-5, 5),
)
def test_it_holds_the_plane_against_drift_and_tilt(
    opened: Any,
    drift: float,
    tilt: tuple[float, float],
    places: list[tuple[float, float]],
    z: float,
) -> None:
    ugly = {"focus_drift_um_per_h": drift, "tilt_um_per_mm": tilt}
    held = AutofocusSettings(present=True, error_um=0)
    core, simulated = opened(ugly=ugly, autofocus=held)
    bare, without = opened(ugly=ugly)
    for place in places:
        for scope in (core, bare):
            scope.setXYPosition(*place)
            scope.setPosition(z)
        for each in (simulated, without):
            each.clock.sleep(1800)
        assert core.getPosition() == z
        assert defocus(simulated) == pytest.approx(z)
        plane = drift * without.clock.now_s() / 3600 + np.dot(tilt, place) / 1000
        assert defocus(without) == pytest.approx(z - plane)
    core.unloadAllDevices()
    bare.unloadAllDevices()


def test_it_is_lost_in_one_well_and_says_so(opened: Any) -> None:
    settings_ = AutofocusSettings(present=True, error_um=0, lost_in=WELL, lost_um=6)
    core, simulated = opened(ugly={"focus_drift_um_per_h": 10}, autofocus=settings_)
    assert core.getAutoFocusDevice() == "Autofocus"
    assert core.isContinuousFocusEnabled()
    for x, off, said in (
        (0, 0, "locked"),
        (500, 6, "lost in well B2"),
        (0, 0, "locked"),
    ):
        core.setXYPosition(x, 0)
        simulated.clock.sleep(3600)
        assert core.getProperty("Autofocus", "Status") == said
        assert core.isContinuousFocusLocked() == (off == 0)
        assert int(core.getProperty("Autofocus", "Locked")) == (off == 0)
        assert defocus(simulated) == pytest.approx(off)


def test_a_well_that_dries_out_is_lost_from_then_on(opened: Any) -> None:
    drying = AutofocusSettings(
        present=True, error_um=0, lost_in=WELL, lost_from_s=1000, lost_um=-5
    )
    core, simulated = opened(autofocus=drying)
    core.setXYPosition(500, 0)
    assert core.isContinuousFocusLocked()
    assert defocus(simulated) == 0
    simulated.clock.sleep(1000)
    assert not core.isContinuousFocusLocked()
    assert defocus(simulated) == -5


def test_frames_are_blurred_where_it_is_lost_only(opened: Any, snap: Any) -> None:
    core, _ = opened(
        autofocus=AutofocusSettings(present=True, lost_in=WELL, lost_um=9),
        sensor=SensorSettings(shape=(256, 256)),
    )
    sharp, _ = opened(sensor=SensorSettings(shape=(256, 256)))
    for each in (core, sharp):
        each.setExposure(100)

    def contrast(scope: Any, x_um: float) -> float:
        scope.setXYPosition(x_um, 0)
        image = snap(scope).astype(float)
        return float((np.diff(image, n=2, axis=0) ** 2).mean())

    assert contrast(core, 0) == pytest.approx(contrast(sharp, 0), rel=0.05)
    assert contrast(core, 450) < 0.8 * contrast(sharp, 450)


def test_each_lock_has_an_error_of_its_own_and_a_seed_repeats_it(opened: Any) -> None:
    def errors(seed: int) -> list[float]:
        settings_ = AutofocusSettings(present=True, error_um=0.5)
        core, simulated = opened(autofocus=settings_, seed=seed)
        seen = []
        for i in range(200):
            core.setXYPosition(i % 7, 0)
            seen.append(defocus(simulated))
            # nothing moves: the lock holds
            assert defocus(simulated) == seen[-1]
        return seen

    first = errors(1)
    assert np.std(first) == pytest.approx(0.5, rel=0.2)
    assert len(set(first)) == 200
    assert errors(1) == first
    assert errors(2) != first


def test_to_lock_takes_its_time(opened: Any) -> None:
    held = AutofocusSettings(present=True, lock_ms=300)
    with_it, simulated = opened(autofocus=held)
    bare, without = opened()
    for core in (with_it, bare):
        core.setXYPosition(100, 0)
        core.setXYPosition(100, 0)  # where it is already: nothing to look for
    assert simulated.clock.now_s() - without.clock.now_s() == pytest.approx(0.3)
    with_it.enableContinuousFocus(False)
    before = simulated.clock.now_s()
    with_it.setXYPosition(0, 0)
    assert simulated.clock.now_s() - before == pytest.approx(100 / 5000)


def test_switched_off_it_leaves_the_focus_and_drift_goes_on(opened: Any) -> None:
    held = AutofocusSettings(present=True, error_um=0)
    core, simulated = opened(ugly={"focus_drift_um_per_h": 4}, autofocus=held)
    simulated.clock.sleep(3600)
    core.setProperty("Autofocus", "State", 0)
    assert core.getProperty("Autofocus", "Status") == "off"
    simulated.clock.sleep(1800)
    assert defocus(simulated) == pytest.approx(-2, abs=1e-3)
    core.fullFocus()
    assert not core.isContinuousFocusEnabled()
    assert defocus(simulated) == pytest.approx(0, abs=1e-3)
    core.setAutoFocusOffset(1.5)
    core.enableContinuousFocus(True)
    assert core.getAutoFocusOffset() == 1.5
    assert defocus(simulated) == pytest.approx(1.5, abs=1e-3)


def test_one_look_where_it_cannot_lock_is_an_error(opened: Any) -> None:
    core, _ = opened(autofocus=AutofocusSettings(present=True, on=False, lost_in=WELL))
    core.setXYPosition(500, 0)
    with pytest.raises(RuntimeError, match="lost in well B2"):
        core.fullFocus()
    assert not core.isContinuousFocusEnabled()


def test_in_real_time_it_searches_first(opened: Any) -> None:
    from smartscope.simulation import SpecimenSettings

    core, _ = opened(
        specimen=SpecimenSettings(),
        autofocus=AutofocusSettings(present=True, lock_ms=60_000),
    )
    core.setXYPosition(10, 0)
    assert core.deviceBusy("Autofocus")
    assert core.getProperty("Autofocus", "Status") == "searching"
    assert not core.isContinuousFocusLocked()


def test_without_one_the_core_has_none(opened: Any) -> None:
    core, _ = opened()
    assert core.getAutoFocusDevice() == ""
    assert not core.isContinuousFocusLocked()
    assert "Autofocus" not in core.getLoadedDevices()
    with pytest.raises(RuntimeError, match="no autofocus"):
        core.fullFocus()


def test_it_stands_behind_the_guard() -> None:
    with open_microscope("simulated", specimen={"time": "virtual"}) as scope:
        assert isinstance(scope.core, GuardedUniCore)
        assert scope.core.getAutoFocusDevice() == ""


@pytest.mark.parametrize("span", [[5, 5], [3, 1]])
def test_an_area_that_does_not_rise_is_refused(span: list[float]) -> None:
    with pytest.raises(ValueError, match="must rise"):
        AutofocusSettings(lost_in={"a": {"x_um": span, "y_um": [0, 1]}})
