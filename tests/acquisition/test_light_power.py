"""Power of the light: as an event asks, and its own for all others."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from useq import MDAEvent

from smartscope.acquisition import (
    EventTag,
    GuardedCore,
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

POWER = ("Light", "Power")


@pytest.fixture
def scope() -> Iterator[Any]:
    with open_microscope(
        "simulated",
        specimen={"time": "virtual"},
        limits=Limits(power_percent=(5, 80)),
    ) as scope:
        scope.core.setProperty(*POWER, 40)
        yield scope


def event(power: float | None, decision: str = "", channel: str = "FITC") -> MDAEvent:
    tag = EventTag(power_percent=power, decision_id=decision)
    return tag.on(MDAEvent(channel=channel, exposure=10))


def test_each_frame_says_the_power_it_was_taken_with(scope: Any) -> None:
    light = LightBudget((300, 300))
    run = engine_run.Run(scope.core, clock=scope.clock, light=light)
    asked = [None, 20, 20, None, 60, 10, None]
    run.run([event(power) for power in asked])
    powers = [frame.state.power_percent for frame in run.frames]
    assert powers == [40, 20, 20, 40, 60, 10, 40]
    assert light.total() == pytest.approx(10 * sum(powers))
    assert [f.light_ms_percent for f in run.frames][-1] == light.total()
    # what is brighter was lit with more
    means = [float(f.pixels.mean()) for f in run.frames]
    assert means[4] > means[0] > means[1] > means[5]


def test_after_the_run_the_light_is_as_it_was(scope: Any) -> None:
    run = engine_run.Run(scope.core, clock=scope.clock)
    run.run([event(None), event(7)])
    assert float(scope.core.getProperty(*POWER)) == 40
    assert run.engine.not_set_back == []


def test_a_sequence_has_one_power_and_is_charged_for_it(scope: Any) -> None:
    light = LightBudget((300, 300))
    run = engine_run.Run(scope.core, clock=scope.clock, light=light)
    events = [event(power) for power in (None, None, 20, 20, 20, None)]
    merged = list(sequenced(scope.core, events))
    assert [len(parts(e)) for e in merged] == [2, 3, 1]
    run.run(merged)
    powers = [frame.state.power_percent for frame in run.frames]
    assert powers == [40, 40, 20, 20, 20, 40]
    assert light.total() == pytest.approx(10 * sum(powers))


def test_a_power_outside_the_limits_is_not_set(scope: Any) -> None:
    run = engine_run.Run(scope.core, clock=scope.clock)
    run.run([event(90, "1/0"), event(None)])
    assert len(run.refused) == 1
    assert "power_percent" in run.refused[0]
    assert [f.state.power_percent for f in run.frames] == [40]
    with pytest.raises(BrokenOff, match="power_percent"):
        run.run([event(90)])


def test_lower_power_fits_where_the_own_one_does_not(scope: Any) -> None:
    light = LightBudget((300, 300), limit_ms_percent=300)
    run = engine_run.Run(scope.core, clock=scope.clock, light=light)
    run.run([event(None), event(20)])
    assert len(run.refused) == 1
    assert [f.state.power_percent for f in run.frames] == [20]
    assert light.total() == 200


def test_without_a_power_it_is_said_that_it_cannot_be_set() -> None:
    pytest.importorskip("mm_test_adapters", reason="needs the extra 'demo'")
    with open_microscope("demo") as scope:
        assert isinstance(scope.core, GuardedCore)
        run = engine_run.Run(scope.core)
        run.run([event(50, "1/0"), event(None)])
        assert "cannot be set" in run.refused[0]
        assert len(run.frames) == 1


@pytest.fixture(scope="module")
def preset_scope() -> Iterator[Any]:
    with open_microscope("simulated", specimen={"time": "virtual"}) as scope:
        scope.core.defineConfig("Channel", "FITC", *POWER, "30")
        yield scope


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["FITC", "DAPI"]),
        st.none() | st.sampled_from([10.0, 30.0, 50.0]),
        st.none() | st.sampled_from([70.0, 80.0]),
    ),
    min_size=1,
    max_size=8,
)


@given(steps=STEPS)
def test_what_nobody_asks_for_is_what_preset_or_person_set_last(
    preset_scope: Any, steps: list[tuple[str, float | None, float | None]]
) -> None:
    core = preset_scope.core
    core.setProperty(*POWER, 100)
    by_hand = [hand for _, _, hand in steps]

    def meddle(frame: Any) -> None:
        if by_hand[frame.event.index["t"]] is not None:
            core.setProperty(*POWER, by_hand[frame.event.index["t"]])

    run = engine_run.Run(core, clock=preset_scope.clock, on_frame=meddle)
    run.run(
        [
            event(power, channel=channel).model_copy(update={"index": {"t": i}})
            for i, (channel, power, _) in enumerate(steps)
        ]
    )
    own, before, expected = 100.0, "", []
    asserted = True  # somebody has ordered something: the preset is set again
    for channel, power, hand in steps:
        if channel == "FITC" and (asserted or before != channel):
            own = 30.0
        expected.append(own if power is None else power)
        if asserted := hand is not None:
            own = hand
        before = channel
    assert [f.state.power_percent for f in run.frames] == expected
