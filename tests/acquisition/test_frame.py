"""Frame: its header goes through JSON and back without a change."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from useq import MDAEvent

from smartscope.acquisition import EventTag, Frame, FrameState

FINITE = st.floats(allow_nan=False, allow_infinity=False)
STATES = st.builds(
    FrameState,
    x_um=FINITE,
    y_um=FINITE,
    z_um=FINITE,
    exposure_ms=FINITE,
    channel=st.text(),
    pixel_size_um=st.floats(0.01, 10),
    objective=st.text(),
    power_percent=st.floats(0, 100),
    moving=st.booleans(),
    measured=st.dictionaries(st.sampled_from(["x_um", "y_um"]), FINITE),
    orientation=st.just(((0.0, -1.0), (1.0, 0.0))),
)


@given(
    STATES,
    FINITE,
    st.just(math.nan) | st.floats(0, 1e9),
    st.sampled_from(["survey", "burst"]),
    st.sampled_from(["uint8", "uint16", ">u2"]),
    st.text(),
    st.booleans(),
)
def test_header_round_trip(
    state: FrameState,
    time_s: float,
    camera_s: float,
    origin: str,
    dtype: str,
    camera: str,
    shares_light: bool,
) -> None:
    tag = EventTag("p3", origin, "17/1", "burst_0001", (1, 2, 3))  # type: ignore[arg-type]
    event = tag.on(
        MDAEvent(index={"t": 1, "p": 3}, x_pos=1.5, exposure=20, channel="FITC")
    )
    pixels = np.arange(12).reshape(3, 4).astype(dtype)
    frame = Frame(
        pixels=pixels,
        event=event,
        frame_id=17,
        time_s=time_s,
        handed_over_s=2.25,
        place=tag.place,
        state=state,
        light_ms_percent=123.5,
        shares_light=shares_light,
        camera=camera,
        camera_time_s=camera_s,
        origin=tag.origin,
        decision_id=tag.decision_id,
    )
    line = frame.encode_header()
    assert b"\n" not in line
    assert b"NaN" not in line
    again = Frame.from_header(json.loads(line), pixels)
    assert again.encode_header() == line
    assert again.state == state
    assert again.time_s == time_s
    assert (again.camera, again.shares_light) == (camera, shares_light)
    assert math.isnan(again.camera_time_s) == math.isnan(camera_s)
    assert EventTag.of(again.event) == tag
    assert again.event.channel == event.channel
    assert (again.event.x_pos, again.event.exposure) == (1.5, 20)


def test_other_pixels_than_the_header_says_are_refused() -> None:
    pixels = np.zeros((3, 4), np.uint16)
    state = FrameState(0, 0, 0, 1, "", 1)
    header = Frame(pixels, MDAEvent(), 0, 0, 0, "p0", state).header()
    for wrong in (np.zeros((4, 3), np.uint16), np.zeros((3, 4), np.uint8)):
        with pytest.raises(ValueError, match="must be"):
            Frame.from_header(header, wrong)


def test_tags_of_untagged_events_come_from_their_index() -> None:
    tag = EventTag.of(MDAEvent(index={"t": 4, "p": 2, "g": 5, "c": 1}))
    assert (tag.place, tag.image, tag.index) == ("p2g5", "survey_p2g5", (4, 1, 0))
    assert EventTag.of(MDAEvent()).place == "p0"
