"""Finding the focus on real devices: by the autofocus, and by images."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from useq import MDAEvent

from smartscope.acquisition import (
    EngineListener,
    EventTag,
    Focused,
    FocusOrder,
    Frame,
    LightBudget,
    Limits,
    Readings,
    SmartEngine,
    focus_event,
)
from smartscope.microscope import Microscope, find_microscope, open_microscope

SPECIMEN = {"time": "virtual", "cells": 60, "divisions_per_hour": 0}
FITC = {"config": "FITC", "group": "Channel"}
AUTOFOCUS = """
[simulation.autofocus]
present = true
on = false
error_um = 0.0

[simulation.autofocus.lost_in."well D"]
x_um = [300.0, 800.0]
y_um = [-400.0, 400.0]
"""
TILT = "[simulation.ugliness]\ntilt_um_per_mm = [10.0, 0.0]\n"


class Watched:
    """An engine that says what came of each look for the focus."""

    def __init__(self, scope: Microscope, light: LightBudget | None = None) -> None:
        self.core = scope.core
        self.frames: list[Frame] = []
        self.found: list[Focused] = []
        engine = SmartEngine(
            scope.core,
            EngineListener(
                frame=self.frames.append,
                focused=lambda _event, found: self.found.append(found),
            ),
            scope.clock,
            light or LightBudget((300, 300)),
        )
        self.core.mda.set_engine(engine)

    def look(self, order: FocusOrder, **where: Any) -> Focused:
        event = MDAEvent(**{"x_pos": 0, "y_pos": 0, "z_pos": 0, **where})
        tag = EventTag(origin="focus", image="focus_0001")
        self.core.mda.run(iter([focus_event(tag, order, event)]))
        return self.found[-1]


@pytest.fixture(scope="module")
def simulated() -> Iterator[Microscope]:
    limits = Limits(z_um=(-40, 20))
    with open_microscope("simulated", specimen=SPECIMEN, limits=limits) as scope:
        yield scope


@pytest.fixture(scope="module")
def with_autofocus(tmp_path_factory: Any) -> Iterator[Microscope]:
    path = tmp_path_factory.mktemp("scope") / "af.toml"
    text = find_microscope("simulated").read_text(encoding="utf-8")
    assert "[simulation.ugliness]\n" in text
    text = text.replace("[simulation.ugliness]\n", TILT) + AUTOFOCUS
    path.write_text(text, encoding="utf-8")
    with open_microscope(path, specimen=SPECIMEN) as scope:
        yield scope


@settings(max_examples=6)
@given(start=st.floats(-8, 8), x=st.floats(-150, 150), cells_ms=st.floats(10, 40))
def test_images_find_the_plane_from_wherever_the_focus_is(
    simulated: Microscope, start: float, x: float, cells_ms: float
) -> None:
    watched = Watched(simulated)
    order = FocusOrder("image")
    found = watched.look(order, x_pos=x, z_pos=start, channel=FITC, exposure=cells_ms)
    assert found.why == ""
    assert found.z_um == pytest.approx(0, abs=0.5)
    before, after = found.sharpness
    assert before is not None
    assert after is not None
    if abs(start) > 2:
        assert after > before
    assert found.frames == len(watched.frames) == order.frames
    assert {f.origin for f in watched.frames} == {"focus"}
    assert [EventTag.of(f.event).index[0] for f in watched.frames] == list(
        range(order.frames)
    )


def test_light_of_a_sweep_is_charged_and_a_sweep_too_many_is_not_begun(
    simulated: Microscope,
) -> None:
    light = LightBudget((300, 300), 20 * 20 * 100.0)
    watched = Watched(simulated, light)
    watched.look(FocusOrder("image"), channel=FITC, exposure=20)
    assert light.total() == pytest.approx(18 * 20 * 100)
    found = watched.look(FocusOrder("image"), channel=FITC, exposure=20)
    assert found.z_um is None
    assert "Light at" in found.why
    assert len(watched.frames) == 18


def test_a_sweep_stays_within_the_limits_and_the_drive_comes_back(
    simulated: Microscope,
) -> None:
    watched = Watched(simulated)
    found = watched.look(FocusOrder("image"), z_pos=17, channel=FITC, exposure=20)
    heights = [f.state.z_um for f in watched.frames]
    assert max(heights) == 19
    assert found.z_um is None
    assert "lower end, z 7.00" in found.why
    assert found.sharpest_um == 7
    assert simulated.core.getPosition() == 17
    # from where it was sharpest, the plane is found
    order = FocusOrder("image", shift_um=found.sharpest_um - 17)
    again = watched.look(order, z_pos=17, channel=FITC, exposure=20)
    assert again.z_um == pytest.approx(0, abs=0.5)


def test_where_nothing_is_a_sweep_says_so(simulated: Microscope) -> None:
    watched = Watched(simulated)
    found = watched.look(
        FocusOrder("image"), x_pos=3000, y_pos=3000, channel=FITC, exposure=20
    )
    assert found.z_um is None
    assert "too little contrast" in found.why
    assert simulated.core.getPosition() == 0


def test_the_autofocus_moves_the_drive_to_the_plane_or_says_it_is_lost(
    with_autofocus: Microscope,
) -> None:
    scope, watched = with_autofocus, Watched(with_autofocus)
    found = watched.look(FocusOrder("hardware"), x_pos=200, z_pos=1)
    assert found.z_um == pytest.approx(2.0, abs=0.05)  # a tilt of 10 µm in a mm
    assert scope.core.getPosition() == pytest.approx(2.0, abs=0.05)
    assert not watched.frames
    offset = FocusOrder("hardware", device_offset_um=1.5)
    assert watched.look(offset, x_pos=200).z_um == pytest.approx(3.5, abs=0.05)
    lost = watched.look(FocusOrder("hardware"), x_pos=400, z_pos=3)
    assert lost.z_um is None
    assert "lost in well D" in lost.why
    assert scope.core.getPosition() == 3


def test_an_autofocus_that_ends_outside_the_limits_is_a_failure(
    with_autofocus: Microscope,
) -> None:
    scope, watched = with_autofocus, Watched(with_autofocus)
    found = watched.look(
        FocusOrder("hardware", device_offset_um=60.0), x_pos=0, z_pos=4
    )
    assert found.z_um is None
    assert "outside the limits" in found.why
    assert scope.core.getPosition() == 4


def test_what_is_watched_is_in_the_state_of_each_frame(
    with_autofocus: Microscope,
) -> None:
    core = with_autofocus.core
    core.setAutoFocusOffset(0.0)
    core.setPosition(0)
    core.enableContinuousFocus(True)
    seen: list[dict[str, float]] = []
    engine = SmartEngine(
        core,
        EngineListener(frame=lambda f: seen.append(dict(f.state.measured))),
        with_autofocus.clock,
        LightBudget((300, 300)),
        readings=Readings(
            core, [("Light", "Power"), ("Objective", "Label")], locked=True
        ),
    )
    core.mda.set_engine(engine)
    core.mda.run(iter([MDAEvent(x_pos=x, y_pos=0, exposure=5) for x in (0, 400)]))
    core.enableContinuousFocus(False)
    assert [m["autofocus.locked"] for m in seen] == [1.0, 0.0]
    assert all(m["Light.Power"] == 100 for m in seen)
    assert "Objective.Label" not in seen[0]
    assert [m["x_um"] for m in seen] == pytest.approx([0, 400], abs=0.5)


@pytest.fixture
def demo() -> Iterator[Microscope]:
    pytest.importorskip("mm_test_adapters", reason="needs the extra 'demo'")
    with open_microscope("demo") as scope:
        yield scope


def test_micro_managers_own_demo_autofocus_works(
    demo: Microscope,
) -> None:
    assert demo.core.getAutoFocusDevice()
    found = Watched(demo).look(FocusOrder("hardware"), z_pos=2)
    assert (found.z_um, found.why) == (pytest.approx(2), "")
