"""The engine and the simulated modulator: lit through a pattern, dark at once after."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from useq import MDAEvent, SLMImage

from smartscope.acquisition import EventTag, Frame, LightBudget
from smartscope.errors import BrokenOff
from smartscope.microscope import Microscope, open_microscope

_SPEC = importlib.util.spec_from_file_location(
    "engine_run", Path(__file__).parent / "engine_run.py"
)
assert _SPEC is not None
assert _SPEC.loader is not None
engine_run = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(engine_run)
Run = engine_run.Run

SHARE = 0.01


@pytest.fixture(scope="module")
def scope() -> Iterator[Microscope]:
    even = {"time": "virtual", "cells": 1, "background_photons": 40}
    with open_microscope("simulated", specimen=even) as scope:
        yield scope


def shown(scope: Microscope) -> int:
    """What the modulator shows at its brightest pixel."""
    assert scope.simulation is not None
    assert scope.simulation.stand.slm is not None
    return int(scope.simulation.stand.slm.shown().max())


def survey(**keys: Any) -> MDAEvent:
    given: dict[str, Any] = {"channel": "FITC", "exposure": 20, "x_pos": 0, "y_pos": 0}
    return MDAEvent(**{**given, **keys})


def stimulation(scope: Microscope, x_um: float = 60, **keys: Any) -> MDAEvent:
    slm = scope.slm_map()
    assert slm is not None
    mask, (pixels,) = slm.mask([([(x_um, 20)], 10)], (0, 0))
    assert pixels > 100
    tag = EventTag(
        origin="stimulation",
        decision_id="0/0",
        image="stimulation_0001",
        lit_share=SHARE,
    )
    image = SLMImage(data=mask, device=slm.device)
    return tag.on(survey(**{"channel": "Stimulation", "slm_image": image, **keys}))


def test_only_the_target_is_lit_and_the_survey_sees_no_pattern(
    scope: Microscope,
) -> None:
    after: list[int] = []
    run = Run(
        scope.core, clock=scope.clock, on_frame=lambda _: after.append(shown(scope))
    )
    # something was left on it by whoever was here before
    scope.core.setSLMPixelsTo("SLM", 255)
    scope.core.displaySLMImage("SLM")
    run.run([survey(), stimulation(scope), survey()])
    first, lit, last = run.frames
    assert after == [0, 0, 0]
    assert (lit.origin, lit.state.channel) == ("stimulation", "Stimulation")
    # 60 µm right and 20 µm below the middle, at 0.65 µm
    rows, columns = np.nonzero(lit.pixels > (int(lit.pixels.max()) + 100) / 2)
    assert (columns.mean(), rows.mean()) == pytest.approx((347.8, 286.3), abs=0.7)
    # a ring of 15 µm about it is as dark as the offset
    r, c = np.indices(lit.pixels.shape)
    outside = np.hypot(r - 286.3, c - 347.8) > 17
    assert lit.pixels[outside].mean() == pytest.approx(100, abs=1)
    for frame in (first, last):
        assert frame.state.channel == "FITC"
        assert frame.pixels[240:340, 300:400].std() < 0.2 * (
            frame.pixels[240:340, 300:400].mean()
        )
    assert last.pixels.mean() == pytest.approx(first.pixels.mean(), rel=0.02)


def test_the_place_is_charged_for_its_share(scope: Microscope) -> None:
    light = LightBudget((333, 333))
    run = Run(scope.core, clock=scope.clock, light=light)
    run.run([survey(), stimulation(scope)])
    first, lit = run.frames
    assert first.light_ms_percent == pytest.approx(2000)
    assert lit.light_ms_percent == pytest.approx(2000 + 2000 * SHARE)
    assert lit.state.light_ms_percent == pytest.approx(2000 * SHARE)
    again = Frame.from_header(lit.header(), lit.pixels)
    assert again.state == lit.state
    assert "lit_share" not in first.header()["state"]


def test_a_stimulation_that_is_too_much_light_is_refused(scope: Microscope) -> None:
    light = LightBudget((333, 333), limit_ms_percent=2000 * SHARE * 1.5)
    run = Run(scope.core, clock=scope.clock, light=light)
    run.run([stimulation(scope), stimulation(scope)])
    assert len(run.frames) == 1
    assert "would become" in run.refused[0]


def test_it_is_dark_when_the_camera_fails(
    scope: Microscope, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []

    def fails() -> None:
        seen.append(shown(scope))
        raise RuntimeError("no light in the tunnel")

    run = Run(scope.core, clock=scope.clock)
    monkeypatch.setattr(scope.core, "snapImage", fails)
    with pytest.raises(BrokenOff, match="tunnel"):
        run.run([stimulation(scope)])
    assert seen == [255], "the pattern was shown"
    assert shown(scope) == 0


def test_dark_means_the_modulator_too(scope: Microscope) -> None:
    scope.core.setSLMPixelsTo("SLM", 255)
    scope.core.displaySLMImage("SLM")
    assert shown(scope) == 255
    scope.core.dark()
    assert shown(scope) == 0
