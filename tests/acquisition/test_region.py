"""A region of the camera: what it reads lies where its frames say it lies."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from useq import MDAEvent

from smartscope.acquisition import EventTag, Frame, FrameState, parts, sequenced
from smartscope.acquisition.region import Region
from smartscope.microscope import open_microscope

_SPEC = importlib.util.spec_from_file_location(
    "engine_run", Path(__file__).parent / "engine_run.py"
)
assert _SPEC is not None
assert _SPEC.loader is not None
engine_run = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(engine_run)


class Chip:
    """A camera of ``columns`` × ``rows`` that reads in steps of ``step`` pixels."""

    def __init__(
        self, columns: int, rows: int, step: int, *, strict: bool = False
    ) -> None:
        self.whole = (0, 0, columns, rows)
        self.region = self.whole
        self._step = step
        self._strict = strict

    def clearROI(self) -> None:  # the core's name
        self.region = self.whole

    def setROI(self, x: int, y: int, width: int, height: int) -> None:  # the core's
        wanted = (x, y, width, height)
        fits = tuple(v // self._step * self._step for v in wanted)
        if self._strict and fits != wanted:
            raise RuntimeError(f"not a multiple of {self._step}")
        self.region = fits  # as cameras do: silently a little less

    def getROI(self) -> list[int]:
        return list(self.region)

    def getImageWidth(self) -> int:
        return self.region[2]

    def getImageHeight(self) -> int:
        return self.region[3]

    def getPixelSizeUm(self) -> float:
        return 0.5


def of_um(roi_um: float | None) -> MDAEvent:
    return EventTag(roi_um=roi_um).on(MDAEvent())


@given(
    columns=st.integers(2, 40).map(lambda n: 64 * n),
    rows=st.integers(2, 40).map(lambda n: 64 * n),
    step=st.sampled_from([1, 2, 8, 16, 64]),
    strict=st.booleans(),
    share=st.floats(0.05, 1.0),
)
def test_whatever_its_steps_the_camera_reads_the_square_and_knows_where(
    columns: int, rows: int, step: int, strict: bool, share: float
) -> None:
    chip: Any = Chip(columns, rows, step, strict=strict)
    region = Region(chip)
    roi_um = share * min(columns, rows) * 0.5
    assert region.apply(of_um(roi_um))
    x, y, width, height = chip.region
    # all of the square about the middle, and less than one step more at each edge
    assert min(width, height) * 0.5 >= roi_um
    assert max(width, height) <= roi_um / 0.5 + 2 * step + 1
    middle = ((rows - 1) / 2, (columns - 1) / 2)
    half_px = roi_um / 0.5 / 2 - 1
    assert y <= middle[0] - half_px
    assert y + height - 1 >= middle[0] + half_px
    assert x <= middle[1] - half_px
    assert x + width - 1 >= middle[1] + half_px
    assert region.offset_px == (
        y + (height - 1) / 2 - middle[0],
        x + (width - 1) / 2 - middle[1],
    )
    assert region.field_px == (rows, columns)
    assert not region.apply(of_um(roi_um))
    assert region.apply(of_um(None))
    assert chip.region == chip.whole
    assert (region.offset_px, region.field_px) == ((0.0, 0.0), None)


def test_a_camera_that_reads_only_a_region_has_it_again() -> None:
    chip: Any = Chip(512, 512, 1)
    chip.region = (100, 50, 200, 100)
    region = Region(chip)
    region.apply(of_um(20))
    assert chip.region == (180, 80, 40, 40)
    # about the middle of what it read, which is where the stage's position is
    assert region.offset_px == (0.0, 0.0)
    region.apply(of_um(None))
    assert chip.region == (100, 50, 200, 100)


@pytest.fixture(params=["demo", "simulated"])
def scope(request: pytest.FixtureRequest) -> Iterator[Any]:
    if request.param == "demo":
        pytest.importorskip("mm_test_adapters", reason="needs the extra 'demo'")
    with open_microscope(request.param, specimen={"time": "virtual"}) as scope:
        yield scope


def burst(roi_um: float, n: int) -> list[MDAEvent]:
    tag = EventTag(origin="burst", decision_id="1/0", roi_um=roi_um)
    return [tag.on(MDAEvent(exposure=5, index={"t": i})) for i in range(n)]


def test_a_burst_reads_its_region_and_the_survey_all_again(scope: Any) -> None:
    core = scope.core
    run = engine_run.Run(core, clock=scope.clock)
    snap = MDAEvent(exposure=5)
    run.run([snap, *sequenced(core, burst(65, 4)), snap, *burst(65, 2), snap])
    side = int(np.ceil(65 / core.getPixelSizeUm()))
    shapes = [f.pixels.shape for f in run.frames]
    whole, part = (512, 512), (side, side)
    assert shapes == [whole, *[part] * 4, whole, *[part] * 2, whole]
    assert [f.state.field_px for f in run.frames[:2]] == [None, (512, 512)]
    assert core.getROI() == [0, 0, 512, 512]
    for frame in run.frames:
        state = frame.state
        again = Frame.from_header(_as_json(frame.header()), frame.pixels)
        assert again.state == state
        assert ("offset_px" in frame.header()["state"]) == (
            state.offset_px != (0.0, 0.0)
        )


def _as_json(header: dict[str, Any]) -> dict[str, Any]:
    import json

    read: dict[str, Any] = json.loads(json.dumps(header))
    return read


def test_a_run_that_ends_in_a_region_leaves_the_camera_as_it_was(scope: Any) -> None:
    run = engine_run.Run(scope.core, clock=scope.clock)
    run.run(burst(50, 2))
    assert scope.core.getROI() == [0, 0, 512, 512]


def test_a_region_that_was_left_in_between_is_set_again(scope: Any) -> None:
    def clear(frame: Frame) -> None:
        if frame.frame_id == 0:
            scope.core.clearROI()
            scope.core.setExposure(6)  # somebody orders: nothing is believed

    run = engine_run.Run(scope.core, clock=scope.clock, on_frame=clear)
    run.run(burst(65, 2))
    assert len({f.pixels.shape for f in run.frames}) == 1


@pytest.mark.parametrize("roi", [(0, 0, 228, 196), (301, 177, 164, 200)])
def test_a_thing_is_at_the_same_place_in_every_region(
    roi: tuple[int, int, int, int],
) -> None:
    with open_microscope(
        "simulated", specimen={"time": "virtual", "cells": 400}
    ) as scope:
        run = engine_run.Run(scope.core, clock=scope.clock)
        event = MDAEvent(exposure=100, channel="FITC", x_pos=10, y_pos=-20)
        run.run([event, event.model_copy(update={"roi": _roi(roi)}), event])
        whole, part, after = run.frames
    assert whole.pixels.shape == after.pixels.shape == (512, 512)
    assert part.pixels.shape == (roi[3], roi[2])
    x, y, width, height = roi
    pixels = np.array([[0.0, 0.0], [height - 1, width - 1], [5.0, 9.0]])
    in_part = part.state.stage_map.to_stage(
        pixels, part.pixels.shape, (part.state.x_um, part.state.y_um)
    )
    in_whole = whole.state.stage_map.to_stage(
        pixels + np.array([y, x]),
        whole.pixels.shape,
        (whole.state.x_um, whole.state.y_um),
    )
    np.testing.assert_allclose(in_part, in_whole, atol=1e-9)
    # the picture says so too: it is like its own place, and not like one beside it
    assert _likeness(whole, part, y, x) > 0.8 > 0.5 > _likeness(whole, part, y, x + 30)


def _likeness(whole: Frame, part: Frame, row: int, column: int) -> float:
    height, width = part.pixels.shape
    cut = whole.pixels[row : row + height, column : column + width].astype(float)
    there = part.pixels.astype(float)
    return float(np.corrcoef(cut.ravel(), there.ravel())[0, 1])


def _roi(roi: tuple[int, int, int, int]) -> Any:
    from useq import MDAEvent as Event

    return Event(roi=roi).roi


def test_the_region_of_the_setup_is_the_survey_s() -> None:
    with open_microscope("simulated", specimen={"time": "virtual"}) as scope:
        core = scope.core
        run = engine_run.Run(core, clock=scope.clock)
        run.engine._first = MDAEvent(roi=_roi((0, 0, 256, 128)))
        snap = MDAEvent(exposure=5)
        run.run([snap, *burst(65, 2), snap])
        shapes = [f.pixels.shape for f in run.frames]
        assert shapes == [(128, 256), (100, 100), (100, 100), (128, 256)]
        assert run.frames[0].state.offset_px == (-192.0, -128.0)
        assert run.frames[0].state.field_px is None
        assert run.frames[1].state.offset_px == (0.0, 0.0)


def test_two_sizes_are_never_merged_into_one_sequence(scope: Any) -> None:
    events = [*burst(65, 2), *burst(32, 2), MDAEvent(exposure=5), MDAEvent(exposure=5)]
    merged = list(sequenced(scope.core, events))
    assert [len(parts(e)) for e in merged] == [2, 2, 2]


@given(
    offset=st.tuples(st.floats(-200, 200), st.floats(-200, 200)),
    shape=st.tuples(st.integers(1, 300), st.integers(1, 300)),
    turn=st.sampled_from([((1, 0), (0, 1)), ((0, -1), (1, 0)), ((-1, 0), (0, 1))]),
    pixel=st.tuples(st.floats(-50, 350), st.floats(-50, 350)),
)
def test_there_and_back_with_an_offset(
    offset: tuple[float, float],
    shape: tuple[int, int],
    turn: Any,
    pixel: tuple[float, float],
) -> None:
    state = FrameState(
        5.0, -7.0, 0.0, 10.0, "", 0.65, orientation=turn, offset_px=offset
    )
    at = np.array([pixel])
    stage = state.stage_map.to_stage(at, shape, (5.0, -7.0))
    np.testing.assert_allclose(
        state.stage_map.to_pixels(stage, shape, (5.0, -7.0)), at, atol=1e-6
    )
    # the pixel that shows the stage's position is the offset away from the middle
    middle = (np.array([shape], float) - 1) / 2 - offset
    np.testing.assert_allclose(
        state.stage_map.to_stage(middle, shape, (5.0, -7.0)), [[5.0, -7.0]], atol=1e-6
    )
