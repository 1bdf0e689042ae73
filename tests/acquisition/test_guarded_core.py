"""GuardedCore: no order of any kind brings a device outside the limits."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pymmcore_plus import DeviceType

from smartscope.acquisition import GuardedCore, GuardSettings, Limits
from smartscope.errors import LimitBroken
from smartscope.microscope import open_microscope, opening

LIMITS = Limits(
    x_um=(-100, 100),
    y_um=(-50, 50),
    z_um=(-20, 20),
    exposure_ms=(1, 200),
    power_percent=(5, 60),
)
LIGHT_OFF = (("Light", "Power", "0"),)


@pytest.fixture(params=["demo", "simulated"])
def core(request: pytest.FixtureRequest) -> Iterator[Any]:
    if request.param == "demo":
        core: Any = GuardedCore()
        core.loadSystemConfiguration()
        core.arm(GuardSettings(limits=LIMITS, focus_direction="toward"))
        yield core
        core.disarm()
        core.unloadAllDevices()
    else:
        with open_microscope("simulated", limits=LIMITS) as scope:
            yield scope.core


NUMBER = st.one_of(
    st.floats(-300, 300), st.sampled_from([float("nan"), float("inf"), -20.0, 100.0])
)
ORDERS = st.lists(
    st.one_of(
        st.tuples(st.just("setXYPosition"), NUMBER, NUMBER),
        st.tuples(st.just("setXYPosition"), st.just("XY"), NUMBER, NUMBER),
        st.tuples(st.just("setRelativeXYPosition"), NUMBER, NUMBER),
        st.tuples(st.just("setRelativeXYPosition"), st.just("XY"), NUMBER, NUMBER),
        st.tuples(st.just("setRelativeXYZPosition"), NUMBER, NUMBER, NUMBER),
        st.tuples(st.just("setPosition"), NUMBER),
        st.tuples(st.just("setPosition"), st.just("Z"), NUMBER),
        st.tuples(st.just("setZPosition"), NUMBER),
        st.tuples(st.just("setRelativePosition"), NUMBER),
        st.tuples(st.just("setRelativePosition"), st.just("Z"), NUMBER),
        st.tuples(st.just("setProperty"), st.just("Z"), st.just("Position"), NUMBER),
        st.tuples(st.just("setExposure"), NUMBER),
        st.tuples(st.just("setExposure"), st.just("Camera"), NUMBER),
        st.tuples(
            st.just("setProperty"), st.just("Camera"), st.just("Exposure"), NUMBER
        ),
        st.tuples(st.just("preset"), NUMBER),
    ),
    min_size=1,
    max_size=12,
)


@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(ORDERS)
def test_nothing_leaves_the_limits(core: Any, orders: list[tuple[Any, ...]]) -> None:
    for name, *args in orders:
        try:
            if name == "preset":
                core.defineConfig("Away", "there", "Z", "Position", str(args[0]))
                core.setConfig("Away", "there")
            else:
                getattr(core, name)(*args)
        except (LimitBroken, RuntimeError, ValueError, KeyError):
            # refused by us, or by the device itself
            core.waitForSystem()
        core.waitForSystem()
        x, y = core.getXYPosition()
        assert -100.5 <= x <= 100.5  # half the backlash of the simulated stage
        assert -50.5 <= y <= 50.5
        assert -20.01 <= core.getPosition() <= 20.01
        assert 1 <= core.getExposure() <= 200


def test_limits_are_inclusive(core: Any) -> None:
    core.setXYPosition(100, -50)
    core.setPosition(20)
    core.setExposure(200)
    core.waitForSystem()
    assert core.getPosition() == pytest.approx(20, abs=0.01)


@pytest.mark.parametrize("z", [20.1, float("nan")])
def test_a_preset_that_drives_a_stage_is_a_move(core: Any, z: float) -> None:
    core.defineConfig("Away", "there", "Z", "Position", str(z))
    before = core.getPosition()
    with pytest.raises(LimitBroken):
        core.setConfig("Away", "there")
    assert core.getPosition() == before


def test_sequences_are_checked_position_by_position(core: Any) -> None:
    with pytest.raises(LimitBroken, match="z_um"):
        core.loadStageSequence("Z", [0.0, 19.0, 21.0])
    with pytest.raises(LimitBroken, match="x_um"):
        core.loadXYStageSequence("XY", [0.0, 101.0], [0.0, 0.0])
    with pytest.raises(LimitBroken, match="exposure_ms"):
        core.loadExposureSequence("Camera", [10.0, 201.0])
    with pytest.raises(LimitBroken, match="z_um"):
        core.setStageLinearSequence("Z", 3.0, 10)
    with pytest.raises(LimitBroken, match="exposure_ms"):
        core.loadPropertySequence("Camera", "Exposure", ["10", "500"])


def test_without_a_focus_direction_no_z_moves(core: Any) -> None:
    core.arm(GuardSettings(limits=LIMITS))
    for order in (
        lambda: core.setPosition(0.1),
        lambda: core.setZPosition(0.1),
        lambda: core.setRelativePosition(0.1),
        lambda: core.setProperty("Z", "Position", 0.1),
        lambda: core.loadStageSequence("Z", [0.0]),
    ):
        with pytest.raises(LimitBroken, match="focus direction"):
            order()
    core.setXYPosition(1, 1)


def test_the_largest_step_counts_from_where_the_stage_is(core: Any) -> None:
    limits = LIMITS.tightened(Limits(max_step_um=60))
    core.arm(GuardSettings(limits=limits, focus_direction="toward"))
    core.setXYPosition(0, 0)
    core.waitForSystem()
    with pytest.raises(LimitBroken, match="largest step"):
        core.setXYPosition(61, 0)
    core.setXYPosition(50, 0)
    core.waitForSystem()
    core.setXYPosition(100, 0)
    core.waitForSystem()
    with pytest.raises(LimitBroken, match="largest step"):
        core.setRelativeXYPosition(-61, 0)


@pytest.mark.parametrize(
    ("rate", "times", "passed"),
    [
        (2.0, [0, 0.1, 0.2, 0.99, 1.0, 1.05, 1.1], [1, 1, 0, 0, 1, 0, 1]),
        (2.5, [0, 0.1, 0.2, 1.0], [1, 1, 0, 1]),
        (0.5, [0, 1.0, 1.9, 2.0], [1, 0, 0, 1]),
    ],
)
def test_moves_a_second(
    core: Any, rate: float, times: list[float], passed: list[int]
) -> None:
    now = 0.0
    limits = LIMITS.tightened(Limits(moves_per_s=rate))
    core.arm(GuardSettings(limits=limits, focus_direction="toward", clock=lambda: now))
    moved = []
    for i, now in enumerate(times):  # noqa: B007 the guard's clock reads it
        wait_s = core.move_wait_s()
        try:
            core.setPosition(0.1 * i) if i % 2 else core.setXYPosition(0.1 * i, 0)
            moved.append(1)
            assert wait_s == 0
        except LimitBroken:
            moved.append(0)
            assert wait_s > 0
    assert moved == passed
    # whoever waits as long as he is told may move, whatever the rounding
    now += core.move_wait_s()
    core.setPosition(0.0)


def test_what_redefines_positions_or_cannot_be_checked_is_refused(core: Any) -> None:
    orders: list[tuple[Any, ...]] = [
        ("home", "XY"),
        ("home", "Z"),
        ("setOrigin",),
        ("setOrigin", "Z"),
        ("setOriginXY",),
        ("setOriginX",),
        ("setOriginY",),
        ("setAdapterOrigin", 1.0),
        ("setAdapterOriginXY", 1.0, 1.0),
        ("loadSystemState", "x.cfg"),
        ("loadSystemConfiguration",),
        ("setSerialPortCommand", "COM1", "MOV X=1", ""),
        ("writeToSerialPort", "COM1", b"MOV"),
    ]
    for name, *args in orders:
        with pytest.raises(LimitBroken, match="refused on a guarded"):
            getattr(core, name)(*args)


def test_orders_are_counted(core: Any) -> None:
    for order in (
        lambda: core.setXYPosition(1, 1),
        lambda: core.setZPosition(1),
        lambda: core.setExposure(5),
        lambda: core.setConfig("Channel", "DAPI"),
        lambda: core.setStateLabel("Excitation", "Chroma-HQ480"),
        lambda: core.setState("Excitation", 1),
        lambda: core.setProperty("Camera", "Binning", 1),
    ):
        before = core.order_count
        order()
        assert core.order_count > before


def test_a_listener_does_not_slip_through_behind_a_checked_order() -> None:
    """What is emitted while a preset is set is checked like everything else."""
    with open_microscope("simulated", limits=LIMITS) as scope:
        core = scope.core
        refused: list[LimitBroken] = []

        def meddle(*_args: object) -> None:
            try:
                core.setXYPosition(5000, 0)
            except LimitBroken as e:
                refused.append(e)

        core.events.configSet.connect(meddle)
        core.setConfig("Channel", "DAPI")
        core.events.configSet.disconnect(meddle)
        core.waitForSystem()
        assert refused
        assert abs(core.getXYPosition()[0]) < 1


# ---------------------------------------------------------------- darkness


def shutters(core: Any) -> dict[str, bool]:
    return {
        s: core.getShutterOpen(s)
        for s in core.getLoadedDevicesOfType(DeviceType.Shutter)
    }


def test_dark_closes_every_shutter_and_stops_the_camera(core: Any) -> None:
    core.setAutoShutter(False)
    for shutter in shutters(core):
        core.setShutterOpen(shutter, True)
    core.startContinuousSequenceAcquisition(0)
    core.dark()
    assert not core.isSequenceRunning()
    assert not any(shutters(core).values())
    assert core.getAutoShutter()


class _Stuck(opening.SimulatedCore):
    stuck = ""

    def setShutterOpen(self, *args: Any) -> None:
        if self.stuck and args[0] == self.stuck:
            raise RuntimeError(f"{self.stuck} does not answer")
        super().setShutterOpen(*args)


@pytest.mark.parametrize("stuck", ["White Light Shutter", "LED Shutter"])
def test_dark_closes_the_others_when_one_fails(
    stuck: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(opening, "SimulatedCore", _Stuck)
        scope = open_microscope("simulated")
    core: Any = scope.core
    # without the second way out that the microscope's file names
    core.arm(GuardSettings())
    for shutter in shutters(core):
        core.setShutterOpen(shutter, True)
    core.stuck = stuck
    with pytest.raises(RuntimeError, match="does not answer"):
        core.dark()
    assert [s for s, is_open in shutters(core).items() if is_open] == [stuck]
    core.stuck = ""
    scope.close()


def test_no_limit_keeps_the_light_from_going_out() -> None:
    with open_microscope("simulated") as scope:
        scope.core.arm(
            GuardSettings(
                limits=LIMITS,
                power_property=("Light", "Power"),
                light_off=LIGHT_OFF,
            )
        )
        scope.core.setProperty("Light", "Power", 50)
        with pytest.raises(LimitBroken, match="power_percent"):
            scope.core.setProperty("Light", "Power", 0)
        scope.core.dark()
        assert float(scope.core.getProperty("Light", "Power")) == 0
        with pytest.raises(LimitBroken, match="power_percent"):
            scope.core.setProperty("Light", "Power", 61)
