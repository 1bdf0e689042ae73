"""The turret: it turns only where it may, and a point stays where it is."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy import ndimage
from useq import MDAEvent

from smartscope.acquisition import EventTag, Frame, LightBudget, sequenced
from smartscope.errors import LimitBroken, Refused
from smartscope.microscope import open_microscope

_SPEC = importlib.util.spec_from_file_location(
    "engine_run", Path(__file__).parent / "engine_run.py"
)
assert _SPEC is not None
assert _SPEC.loader is not None
engine_run = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(engine_run)

LOW, HIGH = "Nikon 10X S Fluor", "Nikon 40X Plan Fluor ELWD"
QUIET: dict[str, Any] = {
    "time": "virtual",
    "cells": 1,
    "area_um": [40, 40],
    "divisions_per_hour": 0,
    "speed_um_per_min": 0,
    "bleach_ms_percent": None,
    "radius_um": 8.0,
}


FILE = """
kind = "simulated"
focus_direction = "toward"
objective = "Nikon 10X S Fluor"

[pixel_size_um]
"Nikon 10X S Fluor" = 0.65
"Nikon 40X Plan Fluor ELWD" = 0.1625

[turret]
may_turn = true
safe_z_um = -30.0

[objectives."Nikon 40X Plan Fluor ELWD"]
parfocal_um = 8.0
parcentric_um = [12.0, -7.0]
x_um = [-1000.0, 1000.0]

[limits]
x_um = [-5000.0, 5000.0]
y_um = [-5000.0, 5000.0]
z_um = [-50.0, 50.0]

[simulation.sensor]
shape = [256, 256]
"""


def scope_file(tmp_path: Path, **replaced: str) -> Path:
    """Return a simulated microscope without faults, with lines replaced or left out."""
    lines = []
    for line in FILE.splitlines():
        key = line.partition(" =")[0]
        if key in replaced:
            line = f"{key} = {replaced[key]}" if replaced[key] else ""
        lines.append(line)
    path = tmp_path / "scope.toml"
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def at(
    x: float, y: float, z: float | None = 0.0, objective: str | None = None, **more: Any
) -> MDAEvent:
    event = MDAEvent(x_pos=x, y_pos=y, z_pos=z, exposure=20, **more)
    return EventTag(objective=objective).on(event)


class Told:
    """Orders to stage, focus and turret, in their order."""

    def __init__(self, core: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        self.said: list[tuple[Any, ...]] = []
        for name in ("setXYPosition", "setPosition", "setStateLabel"):
            monkeypatch.setattr(core, name, self._noting(name, getattr(core, name)))

    def _noting(self, name: str, order: Any) -> Any:
        def noted(*args: Any) -> None:
            self.said.append((name, *(args[1:] if name == "setStateLabel" else args)))
            order(*args)

        return noted


# ---------------------------------------------------------------- the guard


def test_it_does_not_turn_where_the_file_does_not_say_so(tmp_path: Path) -> None:
    path = scope_file(tmp_path, may_turn="false")
    with open_microscope(path, specimen=QUIET) as scope:
        core = scope.core
        core.setPosition(-40)
        for order in (
            lambda: core.setStateLabel("Objective", HIGH),
            lambda: core.setState("Objective", 0),
            lambda: core.setProperty("Objective", "Label", HIGH),
            lambda: core.setConfig("Objective", "40X"),
        ):
            with pytest.raises(LimitBroken, match="may_turn"):
                order()
        assert core.getStateLabel("Objective") == LOW
        # where it stands already is no turn
        core.setConfig("Objective", "10X")


@pytest.mark.parametrize("toward", [True, False])
def test_it_turns_only_away_from_the_sample(tmp_path: Path, toward: bool) -> None:
    word, safe, near = ("toward", -30.0, -20.0) if toward else ("away", 30.0, 20.0)
    path = scope_file(tmp_path, focus_direction=f'"{word}"', safe_z_um=str(safe))
    with open_microscope(path, specimen=QUIET) as scope:
        core = scope.core
        core.setPosition(near)
        with pytest.raises(LimitBroken, match="too near to the sample"):
            core.setStateLabel("Objective", HIGH)
        core.setPosition(safe + (-5 if toward else 5))
        core.setStateLabel("Objective", HIGH)
        assert core.getStateLabel("Objective") == HIGH


def test_an_objective_that_is_not_described_is_not_turned_to(tmp_path: Path) -> None:
    with open_microscope(scope_file(tmp_path), specimen=QUIET) as scope:
        scope.core.setPosition(-40)
        with pytest.raises(LimitBroken, match="not described"):
            scope.core.setState("Objective", 5)


def test_each_objective_has_its_own_limits(tmp_path: Path) -> None:
    path = scope_file(tmp_path)
    with open_microscope(path, specimen=QUIET) as scope:
        core = scope.core
        core.setXYPosition(1500, 0)
        core.setPosition(-40)
        with pytest.raises(LimitBroken, match=f"With '{HIGH}'"):
            core.setStateLabel("Objective", HIGH)
        core.setXYPosition(500, 0)
        core.setStateLabel("Objective", HIGH)
        with pytest.raises(LimitBroken, match=f"With '{HIGH}'"):
            core.setXYPosition(1500, 0)
        core.setStateLabel("Objective", LOW)
        core.setXYPosition(1500, 0)


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"safe_z_um": ""}, "where the focus goes"),
        ({"safe_z_um": "-70.0"}, "outside limits.z_um"),
        ({"focus_direction": ""}, "focus direction"),
        ({"objective": f'"{HIGH}"'}, "objective at the start and has offsets"),
    ],
)
def test_a_file_that_cannot_be_meant(
    tmp_path: Path, wrong: dict[str, str], told: str
) -> None:
    with pytest.raises(Refused, match=told):
        open_microscope(scope_file(tmp_path, **wrong), specimen=QUIET)


# ---------------------------------------------------------------- the engine


def test_the_focus_goes_away_before_it_turns_and_comes_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_microscope(scope_file(tmp_path), specimen=QUIET) as scope:
        scope.core.setPosition(3.0)
        told = Told(scope.core, monkeypatch)
        run = engine_run.Run(scope.core, clock=scope.clock)
        # the survey names no z: it has the one that a person has focused on
        run.run(
            [
                at(50, 0, None),
                at(10, 20, 5.0, HIGH),
                at(30, 0, 5.0, HIGH),
                at(0, 0, None),
            ]
        )
        assert told.said == [
            ("setXYPosition", 50.0, 0.0),
            ("setPosition", -30.0),
            ("setStateLabel", HIGH),
            ("setXYPosition", 22.0, 13.0),
            ("setPosition", 13.0),
            ("setXYPosition", 42.0, -7.0),
            ("setPosition", -30.0),
            ("setStateLabel", LOW),
            ("setXYPosition", 0.0, 0.0),
            ("setPosition", 3.0),
        ]
        states = [frame.state for frame in run.frames]
        assert [s.objective for s in states] == [LOW, HIGH, HIGH, LOW]
        assert [(s.x_um, s.y_um) for s in states] == [
            (50, 0),
            (10, 20),
            (30, 0),
            (0, 0),
        ]
        assert [s.z_um for s in states] == [3.0, 5.0, 5.0, 3.0]
        assert [s.pixel_size_um for s in states] == [0.65, 0.1625, 0.1625, 0.65]


def test_it_is_turned_back_whatever_ends_the_run(tmp_path: Path) -> None:
    with open_microscope(scope_file(tmp_path), specimen=QUIET) as scope:
        core = scope.core
        core.setPosition(3.0)

        def fail(frame: Frame) -> None:
            if frame.state.objective == HIGH:
                raise RuntimeError("the disk is full")

        run = engine_run.Run(core, clock=scope.clock, on_frame=fail)
        with pytest.raises(RuntimeError, match="disk"):
            run.run([at(0, 0, None), at(0, 0, 3.0, HIGH), at(0, 0, None)])
        assert core.getStateLabel("Objective") == LOW
        assert core.getPosition() == pytest.approx(3.0)
        assert run.engine.not_set_back == []


def test_a_stack_in_one_sequence_has_the_offset_too(tmp_path: Path) -> None:
    with open_microscope(scope_file(tmp_path), specimen=QUIET) as scope:
        core, (_, dz) = scope.core, (0, 8.0)
        stack = [at(0, 0, z, HIGH) for z in (-2.0, 0.0, 2.0)]
        (merged,) = sequenced(core, stack)
        seen: list[float] = []
        run = engine_run.Run(
            core,
            clock=scope.clock,
            on_frame=lambda _frame: seen.append(core.getPosition()),
        )
        run.run([merged])
        assert [f.state.z_um for f in run.frames] == [-2.0, 0.0, 2.0]
        assert max(seen) == pytest.approx(2.0 + dz)


def centre_um(frame: Frame) -> np.ndarray[Any, Any]:
    """Return where on the stage the one thing in a frame is."""
    pixels = ndimage.gaussian_filter(frame.pixels.astype(float), 2)
    light = np.clip(pixels - np.median(pixels), 0, None)
    light[light < 0.3 * light.max()] = 0
    state = frame.state
    point = np.array([ndimage.center_of_mass(light)])
    shape = frame.pixels.shape
    return state.stage_map.to_stage(point, shape, (state.x_um, state.y_um))[0]


@given(
    parcentric=st.tuples(st.integers(-12, 12), st.integers(-12, 12)),
    parfocal=st.integers(-9, 9),
    off=st.tuples(st.integers(-8, 8), st.integers(-8, 8)),
)
@settings(
    max_examples=10,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_a_thing_is_at_the_same_place_whatever_the_objective(
    tmp_path: Path,
    parcentric: tuple[int, int],
    parfocal: int,
    off: tuple[int, int],
) -> None:
    """Pixel to stage at 10x and at 40x, through the offsets of the objective."""
    path = scope_file(
        tmp_path, parcentric_um=f"{list(parcentric)}", parfocal_um=str(parfocal)
    )
    with open_microscope(path, specimen=QUIET) as scope:
        assert scope.simulation is not None
        stand, sharp_um = scope.simulation.stand, []

        def note(_frame: Frame) -> None:
            sharp_um.append(stand.z.where_um() - stand.objective().parfocal_um)

        run = engine_run.Run(scope.core, clock=scope.clock, on_frame=note)
        run.run([at(0, 0, 0.0)])
        (low,) = run.frames
        cell = centre_um(low)
        target = cell + np.array(off)
        run.run([at(*target, 0.0, HIGH)])
        high = run.frames[-1]
        assert high.state.objective == HIGH
        assert np.hypot(*(centre_um(high) - cell)) < 0.8
        assert sharp_um == pytest.approx([0.0, 0.0]), "both are in focus"


def test_light_is_charged_where_the_objective_lights(tmp_path: Path) -> None:
    with open_microscope(scope_file(tmp_path), specimen=QUIET) as scope:
        light = LightBudget((166.4, 166.4), finest=0.25)
        run = engine_run.Run(scope.core, clock=scope.clock, light=light)
        run.run([at(0, 0, 0.0), at(50, 0, 0.0, HIGH), at(-50, 0, 0.0, HIGH)])
        one = 20 * 100.0
        assert light.account(0, 0) == 2 * one, "the most exposed spot of the field"
        assert light.account(50, 0, 0.25) == 2 * one
        assert light.account(0, 0, 0.25) == one, "between the two only the survey lit"
        assert light.total() == 3 * one
        assert [f.light_ms_percent for f in run.frames] == [one, 2 * one, 2 * one]
