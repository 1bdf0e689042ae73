"""Bursts of several channels and planes: every frame once, within the limits."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from useq import MDAEvent

from smartscope.acquisition import EventTag, Frame, FrameState, Limits
from smartscope.response import Burst, BurstSettings
from smartscope.response.burst_plan import burst_times
from smartscope.response.within_limits import Refusal, within_limits


def burst(**more: Any) -> Burst:
    fields = {"place": "p0", "x_um": 1, "y_um": 2, "frames": 2, "exposure_ms": 5}
    return Burst(**{**fields, **more})


def events(action: Burst, z_um: float | None = 10.0) -> Iterator[list[MDAEvent]]:
    return burst_times(
        action,
        "1/0",
        image="burst_0001",
        z_um=z_um,
        channel_group="Channel",
        power_of=lambda place, channel: None,
    )


@given(st.integers(1, 4), st.integers(1, 3), st.integers(1, 5), st.floats(0.1, 3.0))
def test_it_is_times_channels_planes_each_once(
    times: int, channels: int, planes: int, step_um: float
) -> None:
    names = tuple("ABC"[:channels])
    action = burst(frames=times, channels=names, z_planes=planes, z_step_um=step_um)
    taken = list(events(action))
    assert [len(of_time) for of_time in taken] == [channels * planes] * times
    tags = [EventTag.of(e).index for of_time in taken for e in of_time]
    assert tags == [
        (t, c, z) for t in range(times) for c in range(channels) for z in range(planes)
    ]
    heights = [e.z_pos for e in taken[0][:planes] if e.z_pos is not None]
    assert np.mean(heights) == pytest.approx(10.0)
    assert np.diff(heights) == pytest.approx([step_um] * (planes - 1))


def test_without_a_z_of_the_survey_the_focus_is_left_alone() -> None:
    assert {e.z_pos for of_time in events(burst(), z_um=None) for e in of_time} == {
        None
    }


def frame() -> Frame:
    return Frame(
        pixels=np.zeros((64, 64), np.uint16),
        event=MDAEvent(),
        frame_id=0,
        time_s=0.0,
        handed_over_s=0.0,
        place="p0",
        state=FrameState(
            x_um=0, y_um=0, z_um=0, exposure_ms=5, channel="A", pixel_size_um=1.0
        ),
    )


def test_the_limit_of_frames_counts_channels_and_planes() -> None:
    limits = Limits(burst_frames=20)
    action, clips = within_limits(burst(frames=9, z_planes=3), frame(), limits)
    assert isinstance(action, Burst)
    assert action.frames == 6
    assert clips == ["9 to 6 times of 3 frames by limits.burst_frames"]
    with pytest.raises(Refusal, match="21 frames of one time"):
        within_limits(burst(z_planes=21), frame(), limits)


def test_one_channel_or_several() -> None:
    with pytest.raises(ValidationError, match="one of 'channel' and 'channels'"):
        BurstSettings(on=("a",), channel="A", channels=("B",))
