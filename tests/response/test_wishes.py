"""Generated sequences of wishes, from the wish to the last frame.

Arbiter, planner and event queue are real, the clock is virtual, a fake runner takes the
events. ``SMARTSCOPE_WISHES=10000 pytest tests/response/test_wishes.py`` tries more.
"""

from __future__ import annotations

import importlib.util
import math
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smartscope.response import (
    AuditLook,
    Bookmark,
    Burst,
    EndSeries,
    EndSurvey,
    KeepFrames,
    MoveSeries,
    MoveStage,
    Notify,
    OwnPolicySettings,
    Pause,
    Refocus,
    Series,
    SetExposure,
    SetInterval,
    SetPower,
    SetProperty,
    Stimulate,
    Visit,
)
from smartscope.response.actions import ACTIONS

_SPEC = importlib.util.spec_from_file_location(
    "nights", Path(__file__).parent / "nights.py"
)
assert _SPEC is not None
assert _SPEC.loader is not None
nights: Any = importlib.util.module_from_spec(_SPEC)
sys.modules["nights"] = nights  # its dataclasses look for it
_SPEC.loader.exec_module(nights)
Night, Step = nights.Night, nights.Step
Maker = Callable[[Any], Any]

EXAMPLES = int(os.environ.get("SMARTSCOPE_WISHES", "150"))
PLACE = st.sampled_from([*["p0"] * 4, *["p1"] * 3, "p2", "nowhere"])
UM = st.floats(-600, 1000)
SHORT_S = st.sampled_from([0.0, 0.3, 2.0, 7.0])
SOME_S = st.sampled_from([0.5, 3.0, 12.0, 40.0])
CHANNEL = st.sampled_from(["DAPI", "FITC"])
MS = st.floats(0.5, 60)
LATE = st.floats(0, 30)


def of_a_series(night: Any, *, number: int, **fields: Any) -> dict[str, Any]:
    """One of the series that have begun, or one that never has."""
    begun = night.begun["series"] or ["none"]
    return {**fields, "series": begun[number % len(begun)]}


def plain(night: Any, **fields: Any) -> dict[str, Any]:
    return fields


def wishes_of(
    kind: type[Any], how: Callable[..., dict[str, Any]] = plain, **fields: Any
) -> st.SearchStrategy[Maker]:
    """Makers of one kind of action, of places and fields that are drawn."""
    drawn = st.fixed_dictionaries({"place": PLACE, **fields})
    return drawn.map(lambda values: lambda night: kind(**how(night, **values)))


XY = {"x_um": UM, "y_um": UM}
LOOK = {**XY, "frames": st.integers(1, 40), "exposure_ms": MS, "interval_s": SHORT_S}
STACK = {"z_planes": st.integers(1, 3), "channels": st.sampled_from([(), ("DAPI",)])}
# every kind that a policy may wish; a new one needs a line here
WISHES: dict[type[Any], st.SearchStrategy[Maker]] = {
    MoveStage: wishes_of(MoveStage, **XY),
    Burst: wishes_of(Burst, **LOOK, **STACK),
    AuditLook: wishes_of(AuditLook, **LOOK, delay_s=LATE),
    SetExposure: wishes_of(SetExposure, exposure_ms=MS, channel=CHANNEL),
    SetPower: wishes_of(SetPower, power_percent=st.floats(1, 100), channel=CHANNEL),
    SetProperty: wishes_of(
        SetProperty,
        device=st.sampled_from(["Pump", "Valve", "Laser"]),
        property=st.sampled_from(["Rate", "State"]),
        value=st.sampled_from([0.5, 9.0, "open"]),
        back_after_s=st.none() | SOME_S,
    ),
    SetInterval: wishes_of(SetInterval, interval_s=st.sampled_from([0.0, 3, 10, 25])),
    Series: wishes_of(
        Series,
        **XY,
        **STACK,
        interval_s=SOME_S,
        visits=st.integers(1, 9),
        exposure_ms=MS,
        track_id=st.integers(0, 2),
    ),
    MoveSeries: wishes_of(MoveSeries, of_a_series, **XY, number=st.integers(0, 9)),
    EndSeries: wishes_of(
        EndSeries, of_a_series, why=st.just("drawn"), number=st.integers(0, 9)
    ),
    Pause: wishes_of(Pause, for_s=SOME_S),
    EndSurvey: wishes_of(EndSurvey, why=st.just("drawn")),
    KeepFrames: wishes_of(
        KeepFrames, before=st.integers(0, 3), after=st.integers(0, 3)
    ),
    Stimulate: wishes_of(
        Stimulate,
        x_um=st.floats(-50, 50),
        y_um=st.floats(-50, 50),
        targets=st.just([{"outline_um": [(0.0, 0.0)], "grown_um": 5.0}]),
        share=st.floats(0.01, 1),
        channel=CHANNEL,
        exposure_ms=MS,
        pulses=st.integers(1, 4),
        interval_s=SHORT_S,
    ),
    Visit: wishes_of(
        Visit,
        **XY,
        **STACK,
        z_um=st.just(5.0),
        exposure_ms=MS,
        frames=st.integers(1, 3),
        interval_s=SHORT_S,
        max_wait_s=SOME_S,
    ),
    Refocus: wishes_of(Refocus, **XY, exposure_ms=MS),
    Bookmark: wishes_of(Bookmark, **XY, text=st.sampled_from(["a", "b"])),
    Notify: wishes_of(Notify, **XY, call=st.sampled_from(["m:f", "m:g"])),
}
# what ends the survey early is drawn less often, so that most nights are long
KINDS = [kind for kind in WISHES if kind is not EndSurvey] * 3 + [EndSurvey]


def test_every_kind_of_action_is_among_the_wishes() -> None:
    assert set(WISHES) == set(ACTIONS)


STEPS = st.lists(
    st.builds(
        Step,
        wishes=st.lists(
            st.tuples(st.integers(0, 3), st.sampled_from(KINDS).flatmap(WISHES.get)),
            min_size=1,
            max_size=4,
        ).map(tuple),
        lag=st.integers(0, 3),
        refused=st.sampled_from([False] * 9 + [True]),
        fall_back=st.sampled_from([False] * 30 + [True]),
    ),
    min_size=5,
    max_size=14,
)
POLICIES = st.lists(
    st.builds(
        OwnPolicySettings,
        policy=st.just("m:C"),
        priority=st.integers(-3, 9),
        cool_down_s=st.sampled_from([0.0, 0.0, 5.0, 30.0]),
        max_age_ms=st.sampled_from([None, 500.0, 5e4]),
    ),
    min_size=4,
    max_size=4,
)


@pytest.mark.timeout(0)
@settings(deadline=None, max_examples=EXAMPLES)
@given(
    night=st.builds(
        Night,
        policies=POLICIES,
        steps=STEPS,
        rounds=st.integers(1, 7),
        places=st.integers(1, 3),
        dark=st.booleans(),
        merged=st.booleans(),
        longest_wait_s=st.none() | st.sampled_from([0.2, 1.0, 5.0]),
        stops_after=st.none() | st.integers(1, 30),
    )
)
def test_nothing_starves_nothing_is_lost_equals_keep_their_order(night: Any) -> None:
    night.run()
    night.nothing_is_lost_or_doubled()
    night.the_survey_is_whole()
    night.nobody_starves()
    assert math.isfinite(night.clock.now_s())
