"""SmartEngine: what it is told it does, or it says so; each frame is handed over."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from useq import HardwareAutofocus, MDAEvent

from smartscope.acquisition import (
    EventTag,
    Frame,
    GuardedCore,
    GuardSettings,
    LightBudget,
    Limits,
    parts,
    sequenced,
)
from smartscope.errors import BrokenOff
from smartscope.microscope import open_microscope

_SPEC = importlib.util.spec_from_file_location(
    "engine_run", Path(__file__).parent / "engine_run.py"
)
assert _SPEC is not None
assert _SPEC.loader is not None
engine_run = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(engine_run)
Run = engine_run.Run

LIMITS = Limits(x_um=(-1000, 1000), y_um=(-1000, 1000), z_um=(-50, 50))


@pytest.fixture
def core() -> Iterator[Any]:
    core = GuardedCore()
    core.loadSystemConfiguration()
    core.setProperty("Camera", "PixelType", "16bit")
    core.setProperty("Camera", "FastImage", "1")
    core.arm(GuardSettings(limits=LIMITS, focus_direction="toward"))
    yield core
    core.disarm()
    core.unloadAllDevices()


def survey(n: int, **fields: Any) -> list[MDAEvent]:
    given = {"exposure": 1.0, "channel": "DAPI", **fields}
    return [MDAEvent(index={"t": i}, **given) for i in range(n)]


def burst(core: Any, n: int, **fields: Any) -> list[MDAEvent]:
    tag = EventTag(origin="burst", decision_id="3/1", image="burst_0001")
    return list(sequenced(core, [tag.on(e) for e in survey(n, **fields)]))


def test_single_events_carry_the_state_they_were_taken_in(core: Any) -> None:
    run = Run(core)
    run.run(
        [
            MDAEvent(x_pos=100, y_pos=50, z_pos=5, exposure=2, channel="DAPI"),
            MDAEvent(exposure=3, channel="FITC"),
            MDAEvent(x_pos=-20, y_pos=10),
        ]
    )
    said = [
        (f.state.x_um, f.state.y_um, f.state.z_um, f.state.exposure_ms, f.state.channel)
        for f in run.frames
    ]
    assert said == [
        (100, 50, 5, 2, "DAPI"),
        (100, 50, 5, 3, "FITC"),
        (-20, 10, 5, 3, "FITC"),  # nothing was said: it stays, and is read back
    ]
    assert run.frames[0].state.measured == pytest.approx(
        {"x_um": 100, "y_um": 50}, abs=0.02
    )
    assert [n for _, n in run.done] == [1, 1, 1]
    assert run.frames[0].pixels.dtype == np.uint16
    assert "runner_t0" not in run.frames[0].event.metadata


def test_without_orders_the_state_is_read_back_after_a_burst_too(core: Any) -> None:
    core.setExposure(7)
    core.setConfig("Channel", "Rhodamine")
    run = Run(core)
    run.run([MDAEvent(), *burst(core, 3, exposure=2.0, channel="FITC"), MDAEvent()])
    first, last = run.frames[0].state, run.frames[-1].state
    assert (first.exposure_ms, first.channel) == (7, "Rhodamine")
    assert (last.exposure_ms, last.channel) == (2, "FITC")


def test_a_sequence_gives_its_frames_in_order(core: Any) -> None:
    events = burst(core, 20)
    assert len(events) == 1
    run = Run(core)
    run.run(events)
    assert [f.event.index["t"] for f in run.frames] == list(range(20))
    assert {f.decision_id for f in run.frames} == {"3/1"}
    assert [n for _, n in run.done] == [20]
    assert not run.left
    assert all(f.camera_time_s >= 0 for f in run.frames)


@pytest.mark.parametrize("stop_at", [1, 7])
@pytest.mark.parametrize("how", ["interrupt", "halt", "yields"])
def test_of_an_interrupted_sequence_each_event_is_a_frame_or_told(
    core: Any, how: str, stop_at: int
) -> None:
    asked = False

    def on_frame(frame: Frame) -> None:
        nonlocal asked
        if frame.frame_id + 1 == stop_at:
            asked = True
            if how != "yields":
                getattr(run.engine, how)()

    run = Run(core, on_frame=on_frame, yields=lambda: asked)
    run.run(list(sequenced(core, survey(500, exposure=5.0))))
    assert stop_at <= len(run.frames) < 500
    indices = [f.event.index["t"] for f in run.frames]
    assert indices + [e.index["t"] for e in run.left] == list(range(500))
    assert not core.isSequenceRunning()
    assert [n for _, n in run.done] == [len(run.frames)]


def test_a_burst_does_not_yield_and_a_halted_engine_starts_none(core: Any) -> None:
    run = Run(core, yields=lambda: True)
    run.run(burst(core, 5))
    assert len(run.frames) == 5
    run = Run(core, on_frame=lambda _frame: run.engine.halt())
    run.run([*survey(1), *burst(core, 5)])
    assert len(run.frames) == 1
    assert len(run.left) == 5


def test_cancel_ends_a_sequence_and_hands_over_what_was_taken(core: Any) -> None:
    run = Run(core, on_frame=lambda _frame: core.mda.cancel())
    run.run(list(sequenced(core, survey(500, exposure=5.0))))
    assert 1 <= len(run.frames) < 20
    assert len(run.frames) + len(run.left) == 500


@pytest.mark.parametrize("complete", [True, False])
def test_after_a_sequence_a_single_event_is_taken_with_its_own_channel(
    core: Any, complete: bool
) -> None:
    """The trap: the engine below believes its cached channel after a burst."""
    at_exposure: list[str] = []
    core.events.imageSnapped.connect(
        lambda *_: at_exposure.append(core.getCurrentConfig("Channel"))
    )

    def on_frame(frame: Frame) -> None:
        if frame.frame_id == 2 and not complete:
            run.engine.interrupt()

    run = Run(core, on_frame=on_frame)
    run.run(
        [
            *survey(1, channel="DAPI"),
            *burst(core, 50, channel="FITC", exposure=4.0),
            *survey(1, channel="DAPI"),
        ]
    )
    assert run.frames[-1].state.channel == "DAPI"
    assert at_exposure == ["DAPI", "DAPI"]
    assert run.frames[-1].state.exposure_ms == 1


def test_what_others_order_in_between_is_noticed(core: Any) -> None:
    def meddle(_frame: Frame) -> None:
        core.setConfig("Channel", "FITC")
        core.setXYPosition(500, 500)
        core.setExposure(50)

    at_exposure: list[tuple[str, float, float]] = []
    core.events.imageSnapped.connect(
        lambda *_: at_exposure.append(
            (core.getCurrentConfig("Channel"), *core.getXYPosition())
        )
    )
    run = Run(core, on_frame=meddle)
    run.run(survey(2, x_pos=10, y_pos=20))
    assert [f.state.exposure_ms for f in run.frames] == [1, 1]
    for channel, x, y in at_exposure:
        assert channel == "DAPI"
        assert (x, y) == pytest.approx((10, 20), abs=0.1)


def test_toward_the_sample_comes_last_and_away_from_it_first(core: Any) -> None:
    orders: list[str] = []
    core.setPosition(0)
    xy, z = core.setXYPosition, core.setPosition
    core.setXYPosition = lambda *a: (orders.append("xy"), xy(*a))
    core.setPosition = lambda *a: (orders.append("z"), z(*a))
    run = Run(core)
    # the first z is not known to the engine: it must ask
    for step in (
        [MDAEvent(x_pos=1, y_pos=1, z_pos=-5, exposure=1)],
        [MDAEvent(x_pos=2, y_pos=2, z_pos=5, exposure=1)],
        burst(core, 2, x_pos=3, y_pos=3, z_pos=-5),
        burst(core, 2, x_pos=4, y_pos=4, z_pos=5),
    ):
        run.core.mda.run(iter(step))
    assert orders == ["z", "xy", "xy", "z"] * 2


def test_the_shutter_kept_open_for_one_event_is_closed_after_the_next(
    core: Any,
) -> None:
    core.setShutterDevice("White Light Shutter")
    is_open: list[bool] = []
    run = Run(core, on_frame=lambda _frame: is_open.append(core.getShutterOpen()))
    keep = [MDAEvent(exposure=1, keep_shutter_open=True)]
    run.run([*keep, *survey(1), *keep, *burst(core, 2)])
    assert is_open[:2] == [True, False]
    assert not core.getShutterOpen()
    assert core.getAutoShutter()


# ---------------------------------------------------------------- what breaks off


class Broken(GuardedCore):
    """A microscope that can be told what shall not work."""

    broken = ""

    def getExposure(self, *args: Any) -> float:
        got = super().getExposure(*args)
        return 2 * got if self.broken == "exposure" else got

    def getXYPosition(self, *args: Any) -> tuple[float, float]:
        x, y = super().getXYPosition(*args)
        return (x + 30, y) if self.broken == "stage" else (x, y)

    def getPosition(self, *args: Any) -> float:
        z = super().getPosition(*args)
        return z - 9 if self.broken == "focus" else z

    def getImage(self, *args: Any, **kwargs: Any) -> Any:
        image = super().getImage(*args, **kwargs)
        return image[:-1] if self.broken == "shape" else image

    def waitForDevice(self, label: str) -> None:
        if self.broken == "busy" and label == "Emission":
            raise RuntimeError("Wait for device timed out")
        super().waitForDevice(label)

    def waitForSystem(self) -> None:
        for device in self.getLoadedDevices():
            self.waitForDevice(device)

    def deviceBusy(self, label: str) -> bool:
        return (self.broken == "busy" and label == "Emission") or super().deviceBusy(
            label
        )

    def snapImage(self) -> None:
        if self.broken == "camera":
            raise RuntimeError("no camera")
        super().snapImage()

    def startSequenceAcquisition(self, *args: Any) -> None:
        if self.broken == "short":
            args = (args[0] - 2, *args[1:])
        super().startSequenceAcquisition(*args)


@pytest.fixture
def broken() -> Iterator[Broken]:
    core = Broken()
    core.loadSystemConfiguration()
    core.setProperty("Camera", "FastImage", "1")
    core.arm(GuardSettings(limits=LIMITS, focus_direction="toward"))
    yield core
    core.broken = ""
    core.disarm()
    core.unloadAllDevices()


@pytest.mark.parametrize(
    ("what", "told"),
    [
        ("exposure", "told to expose 1 ms and says 2 ms"),
        ("stage", "stage was sent to .* and says it is at"),
        ("focus", "focus was sent to 3.00 µm and says it is at -6.00 µm"),
        ("shape", "shape .511, 512. instead of .512, 512."),
        ("busy", "Still busy after waiting: Emission"),
        ("camera", "The camera failed: no camera"),
    ],
)
def test_hardware_that_does_not_obey_breaks_the_run_off(
    broken: Broken, what: str, told: str
) -> None:
    run = Run(broken)
    broken.broken = what
    with pytest.raises(BrokenOff, match=told) as caught:
        run.run(survey(3, x_pos=10, y_pos=10, z_pos=3))
    assert "The microscope now:" in caught.value.state
    assert not run.frames


def test_a_camera_that_ends_by_itself_breaks_the_run_off(broken: Broken) -> None:
    run = Run(broken)
    broken.broken = "short"
    with pytest.raises(BrokenOff, match="ended by itself after 8 of 10 frames"):
        run.run(burst(broken, 10))
    assert len(run.frames) == 8
    assert not run.left  # it would be queued again for ever


def test_a_busy_flag_that_is_not_trusted_is_not_waited_for(broken: Broken) -> None:
    broken.arm(
        GuardSettings(
            limits=LIMITS, focus_direction="toward", untrusted_busy=("Emission",)
        )
    )
    broken.broken = "busy"
    run = Run(broken)
    run.run(survey(2))
    assert len(run.frames) == 2


def test_a_refused_move_of_the_survey_breaks_the_run_off(core: Any) -> None:
    run = Run(core)
    with pytest.raises(BrokenOff, match="x_um = 2000 is outside") as caught:
        run.run([*survey(1), *survey(1, x_pos=2000, y_pos=0)])
    assert "The microscope now: stage" in caught.value.state
    assert caught.value.rule
    assert caught.value.way_out
    assert len(run.frames) == 1


@pytest.mark.parametrize("n", [1, 5])
@pytest.mark.parametrize("wrong", [{"x_pos": 2000.0, "y_pos": 0.0}, {"channel": "XX"}])
def test_a_refused_burst_is_told_and_the_run_goes_on(
    core: Any, n: int, wrong: dict[str, Any]
) -> None:
    reaction = (
        burst(core, n, **{"channel": None, **wrong})[:1]
        if "x_pos" in wrong
        else [EventTag(origin="burst", decision_id="3/1").on(survey(1, **wrong)[0])]
    )
    run = Run(core)
    run.run([*survey(1), *reaction, *survey(1)])
    assert len(run.frames) == 2
    assert len(run.refused) == 1


def test_autofocus_is_refused_and_not_recorded_wrongly(core: Any) -> None:
    run = Run(core)
    with pytest.raises(BrokenOff, match="autofocus"):
        run.run([MDAEvent(action=HardwareAutofocus())])


def test_an_error_of_who_takes_frames_is_not_blamed_on_the_camera(core: Any) -> None:
    def full(_frame: Frame) -> None:
        raise OSError(28, "No space left on device")

    for events in (survey(1), burst(core, 5)):
        run = Run(core, on_frame=full)
        with pytest.raises(OSError, match="No space left"):
            run.run(events)
        assert not core.isSequenceRunning()


# ---------------------------------------------------------------- light


def test_light_is_charged_as_exposed_and_its_limit_skips_events(core: Any) -> None:
    light = LightBudget((300, 300), limit_ms_percent=1000)
    run = Run(core, light=light)
    run.run(
        [
            *survey(1, exposure=4.0, x_pos=0, y_pos=0),
            *burst(core, 5, exposure=1.0, x_pos=0, y_pos=0),
            *survey(1, exposure=2.0, x_pos=0, y_pos=0),  # 1100: too much
            *survey(1, exposure=2.0, x_pos=800, y_pos=0),
            *burst(core, 2, exposure=1.0, x_pos=0, y_pos=0),
            *survey(1, exposure=1.0, x_pos=0, y_pos=0),
        ]
    )
    assert [f.light_ms_percent for f in run.frames] == pytest.approx(
        [400, 500, 600, 700, 800, 900, 200, 1000]
    )
    assert len(run.refused) == 2
    assert light.total() == pytest.approx(1200)


def test_light_counts_the_power_that_the_event_sets() -> None:
    with open_microscope("simulated") as scope:
        light = LightBudget((300, 300), limit_ms_percent=1000)
        run = Run(scope.core, clock=scope.clock, light=light)
        scope.core.setProperty("Light", "Power", 10)
        run.run(
            [
                MDAEvent(exposure=20),
                MDAEvent(exposure=20, properties=[("Light", "Power", "50")]),
                MDAEvent(exposure=20),
            ]
        )
        assert [f.light_ms_percent for f in run.frames] == [200]
        assert len(run.refused) == 2


def test_a_turned_objective_or_binning_changes_pixel_size_and_shape(core: Any) -> None:
    run = Run(core)
    run.run(
        [
            MDAEvent(exposure=1),
            MDAEvent(exposure=1, properties=[("Camera", "Binning", "2")]),
            MDAEvent(exposure=1, properties=[("Objective", "State", "3")]),
        ]
    )
    shapes = [f.pixels.shape for f in run.frames]
    assert shapes == [(512, 512), (256, 256), (256, 256)]
    sizes = [f.state.pixel_size_um for f in run.frames]
    assert sizes[1] == pytest.approx(2 * sizes[0])
    assert len({f.state.objective for f in run.frames}) == 2
    assert parts(run.frames[0].event)
