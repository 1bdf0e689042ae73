"""Properties and power on their way: one decision, one outcome, set back in time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from useq import MDAEvent, MDASequence

from smartscope.acquisition import EventTag, Frame, FrameState, Limits, VirtualClock
from smartscope.recognition import Detections, Occurrence
from smartscope.response import (
    AdaptExposureSettings,
    Arbiter,
    Burst,
    Decision,
    Observation,
    Outcome,
    OwnPolicySettings,
    Planner,
    Series,
    SetExposure,
    SetPower,
    SetProperty,
    SetPropertySettings,
    Wish,
    load_policy,
    parse_action,
)
from smartscope.telemetry import Telemetry

SURVEY = MDASequence(
    axis_order="tpc",
    stage_positions=((0, 0, 0), (300, 0, 0)),
    channels=({"config": "FITC", "exposure": 10}, "DAPI"),
    time_plan={"interval": 10, "loops": 4},
)
DECLARED = {"Pump": {"Rate": [0, 5], "Valve": ["open", "shut"]}}
LIMITS = Limits.model_validate({"properties": DECLARED, "power_percent": [5, 50]})


def observed(
    *hits: Occurrence,
    power: float = 40.0,
    exposure_ms: float = 10.0,
    account: float = 0.0,
    pixels: Any = None,
    intensity: Sequence[float] = (),
) -> Observation:
    state = FrameState(0.0, 0.0, 0.0, exposure_ms, "FITC", 1.0, power_percent=power)
    frame = Frame(
        np.zeros((100, 100), np.uint16) if pixels is None else pixels,
        MDAEvent(), 0, 0.0, 0.0, "p0", state, light_ms_percent=account, bit_depth=12,
    )  # fmt: skip
    n = len(intensity)
    found = Detections(
        centers_px=np.zeros((n, 2), np.float32),
        centers_um=np.zeros((n, 2)),
        score=np.ones(n, np.float32),
        class_id=np.zeros(n, np.int32),
        boxes_px=np.zeros((n, 4), np.float32),
        area_px=np.ones(n, np.float32),
        intensity=np.asarray(intensity, np.float32),
    )
    return Observation(frame, found, {}, hits)


def setting(**more: Any) -> SetProperty:
    values = {"place": "p0", "device": "Pump", "property": "Rate", "value": 2.0}
    return SetProperty.model_validate({**values, **more})


def decided(*actions: Any, limits: Limits = LIMITS, **seen: Any) -> list[Decision]:
    own = OwnPolicySettings(policy="m:C")
    wishes = [Wish(f"w{i}", own, a, (i, 0)) for i, a in enumerate(actions)]
    decisions = Arbiter(limits).decide(observed(**seen), wishes)
    assert all(parse_action(d.wish.model_dump()) == d.wish for d in decisions)
    return decisions


# ------------------------------------------------------------------- the arbiter


@pytest.mark.parametrize(
    ("action", "verdict", "value"),
    [
        (setting(), "granted", 2.0),
        (setting(value=9.0), "clipped", 5.0),
        (setting(value="3"), "granted", "3"),
        (setting(value="fast"), "refused", None),
        (setting(value=float("nan")), "refused", None),
        (setting(property="Valve", value="shut"), "granted", "shut"),
        (setting(property="Valve", value="ajar"), "refused", None),
        (setting(property="Other"), "refused", None),
        (setting(device="Laser"), "refused", None),
    ],
)
def test_only_declared_values_are_granted(
    action: SetProperty, verdict: str, value: Any
) -> None:
    (decision,) = decided(action)
    assert decision.verdict == verdict
    assert getattr(decision.granted, "value", None) == value
    assert decision.reason


def test_a_property_is_set_once_by_the_first_of_one_frame() -> None:
    first, second, other = decided(
        setting(), setting(value=1.0), setting(property="Valve", value="open")
    )
    verdicts = [first.verdict, second.verdict, other.verdict]
    assert verdicts == ["granted", "superseded", "granted"]


def test_power_is_clipped_and_kept_within_the_account() -> None:
    clipped, lower = decided(
        SetPower(place="p0", channel="FITC", power_percent=90),
        SetPower(place="p0", channel="DAPI", power_percent=20),
    )
    assert (clipped.verdict, lower.verdict) == ("clipped", "granted")
    assert isinstance(clipped.granted, SetPower)
    assert clipped.granted.power_percent == 50
    tight = LIMITS.model_copy(update={"light_ms_percent": 1000.0})
    brighter = SetPower(place="p0", channel="FITC", power_percent=45)
    dimmer = SetPower(place="p0", channel="FITC", power_percent=30)
    (refused,) = decided(brighter, limits=tight, account=600)
    assert refused.verdict == "refused"
    assert "45 % fits" in refused.reason
    (granted,) = decided(dimmer, limits=tight, account=600)
    assert granted.verdict == "granted"


@given(value=st.floats(allow_nan=True) | st.text(max_size=4))
def test_nothing_granted_leaves_what_is_declared(value: Any) -> None:
    (decision,) = decided(setting(value=value))
    if isinstance(decision.granted, SetProperty):
        LIMITS.check_property("Pump", "Rate", decision.granted.value)


# ------------------------------------------------------------------- the planner


class Stand:
    """A planner, and a runner that is moved by hand."""

    def __init__(self, **more: Any) -> None:
        self.clock = VirtualClock()
        self.outcomes: list[Outcome] = []
        self.planner = Planner(
            SURVEY,
            self.clock,
            outcome=self.outcomes.append,
            telemetry=Telemetry(),
            merge_survey=False,
            **more,
        )
        self._ids = 0

    def decide(self, action: Any) -> str:
        self._ids += 1
        decision = Decision(
            decision_id=f"{self._ids}/0",
            frame_id=self._ids,
            time_s=self.clock.now_s(),
            handed_over_s=0.0,
            policy="w",
            priority=0,
            wish=action,
            granted=action,
            verdict="granted",
            reason="within all limits",
        )
        self.planner.act(decision)
        return decision.decision_id

    def next(self, *, refused: str | None = None) -> MDAEvent:
        event = next(self.planner.queue)
        if refused is not None:
            self.planner.refused(event, refused)
            return event
        if event.action.type == "custom":
            self.planner.told(event, event.action.name.removeprefix("smartscope."))
        self.planner.done(event, int(event.action.type == "acquire_image"))
        return event


def words(event: MDAEvent) -> str:
    return event.action.name if event.action.type == "custom" else "frame"


def test_a_property_is_set_before_the_next_frame_and_done() -> None:
    stand = Stand()
    stand.next()
    decision_id = stand.decide(setting())
    assert words(stand.next()) == "smartscope.set_property"
    (outcome,) = stand.outcomes
    assert (outcome.decision_id, outcome.status) == (decision_id, "done")
    assert words(stand.next()) == "frame"


def test_it_is_set_back_when_its_time_is_over_and_then_done() -> None:
    stand = Stand()
    stand.next()
    stand.decide(setting(back_after_s=12.0))
    told = []
    while len(told) < 2:
        event = stand.next()
        if words(event) != "frame":
            told.append((words(event), stand.clock.now_s()))
            assert len(stand.outcomes) == len(told) - 1
    (set_s, back_s) = (at for _, at in told)
    assert back_s == pytest.approx(set_s + 12)
    (outcome,) = stand.outcomes
    assert outcome.reason == "set_property, after 12 s, set_property_back"


@pytest.mark.parametrize(("after", "status"), [(0, "refused"), (1, "failed")])
def test_a_refusal_is_its_outcome(after: int, status: str) -> None:
    stand = Stand()
    stand.decide(setting(back_after_s=0.001))
    for _ in range(after):
        stand.next()
    stand.clock.sleep(1)
    stand.next(refused="the pump does not answer")
    (outcome,) = stand.outcomes
    assert (outcome.status, outcome.reason) == (status, "the pump does not answer")


def test_what_the_end_of_the_run_sets_back_is_told_once() -> None:
    stand = Stand()
    stand.decide(setting(back_after_s=1000.0))
    stand.next()
    stand.decide(setting(property="Valve", value="open"))
    stand.planner.finish()
    assert [(o.status, o.reason) for o in stand.outcomes] == [
        ("done", "set_property, back at the end of the run"),
        ("stale", "the run ended first"),
    ]


def test_power_is_that_of_the_place_and_channel_bursts_and_series_too() -> None:
    stand = Stand()

    def taken(n: int) -> list[tuple[Any, ...]]:
        seen = []
        for _ in range(n):
            event = stand.next()
            tag = EventTag.of(event)
            channel = event.channel.config if event.channel else ""
            seen.append((tag.origin, tag.place, channel, tag.power_percent, tag.roi_um))
        return seen

    def burst(place: str, roi_um: float | None = None) -> Burst:
        return Burst(
            place=place, x_um=0, y_um=0, frames=1, exposure_ms=5, channel="FITC",
            roi_um=roi_um,
        )  # fmt: skip

    stand.decide(SetPower(place="p0", channel="FITC", power_percent=20))
    # it was granted for the light that the survey had, and not for what it will have
    stand.decide(burst("p0"))
    assert taken(5) == [
        ("burst", "p0", "FITC", None, None),
        ("survey", "p0", "FITC", 20, None),
        ("survey", "p0", "DAPI", None, None),
        ("survey", "p1", "FITC", None, None),
        ("survey", "p1", "DAPI", None, None),
    ]
    stand.decide(SetPower(place="p0", channel="FITC", power_percent=60))
    stand.decide(burst("p0", 50))
    stand.decide(burst("p1"))
    stand.decide(
        Series(
            place="p0",
            x_um=0,
            y_um=0,
            interval_s=1,
            visits=1,
            exposure_ms=5,
            channels=("FITC", "DAPI"),
            roi_um=40,
        )
    )
    assert taken(5) == [
        ("burst", "p0", "FITC", 20, 50),
        ("burst", "p1", "FITC", None, None),
        ("series", "p0", "FITC", 20, 40),
        ("series", "p0", "DAPI", None, 40),
        ("survey", "p0", "FITC", 60, None),
    ]
    power = stand.outcomes[[o.decision_id for o in stand.outcomes].index("1/0")]
    assert (power.status, power.reason) == ("done", "applied to the next visit")


def test_without_a_power_to_set_the_decision_is_refused_and_the_run_goes_on() -> None:
    stand = Stand(has_power=False)
    stand.decide(SetPower(place="p0", channel="FITC", power_percent=20))
    assert [o.status for o in stand.outcomes] == ["refused"]
    assert EventTag.of(stand.next()).power_percent is None


# ------------------------------------------------------------------- the policies


def test_the_policy_wishes_once_for_all_hits_of_a_frame() -> None:
    policy = load_policy(
        SetPropertySettings(
            on=("here",), device="Pump", property="Rate", value=3, back_after_s=5
        )
    )
    hits = [
        Occurrence(
            occurrence_id=f"{track_id}", name="here", kind="brighten", place="p0",
            x_um=1.0, y_um=2.0, onset_s=0.0, seen_s=0.0, confidence=confidence,
            track_ids=(track_id,),
        )
        for track_id, confidence in ((4, 0.5), (7, 0.9))
    ]  # fmt: skip
    assert policy.decide(observed()) == []
    assert policy.decide(observed(*hits)) == [
        setting(value=3.0, back_after_s=5.0, track_id=7)
    ]


def noisy(seed: int = 0) -> Any:
    rng = np.random.default_rng(seed)
    return rng.normal(100, 10, (200, 200)).round().astype(np.uint16)


@pytest.mark.parametrize(
    ("power", "exposure_ms", "target", "expected"),
    [
        # brighter by power, the exposure stays
        (20.0, 10.0, 15.0, [("power", 30.0)]),
        # what the power does not reach is left to the exposure
        (80.0, 10.0, 20.0, [("power", 100.0), ("exposure", 16.0)]),
        (100.0, 10.0, 15.0, [("exposure", 15.0)]),
        # back by power, also where the exposure was raised
        (100.0, 20.0, 5.0, [("power", 50.0)]),
        (6.0, 20.0, 5.0, [("power", 5.0), ("exposure", 12.0)]),
        (40.0, 10.0, 10.5, []),
    ],
)
def test_power_is_preferred_as_far_as_it_goes(
    power: float, exposure_ms: float, target: float, expected: list[Any]
) -> None:
    policy = load_policy(
        AdaptExposureSettings(
            prefer="power",
            target_snr=target,
            power_percent=(5, 100),
            exposure_ms=(2, 50),
        )
    )
    seen = observed(
        power=power, exposure_ms=exposure_ms, pixels=noisy(), intensity=[100.0] * 3
    )
    wished = [
        ("power", a.power_percent) if isinstance(a, SetPower) else ("exposure",
                                                                    a.exposure_ms)
        for a in policy.decide(seen)
        if isinstance(a, SetPower | SetExposure)
    ]  # fmt: skip
    assert [what for what, _ in wished] == [what for what, _ in expected]
    # the noise of one picture is known to some per cent
    np.testing.assert_allclose(
        [v for _, v in wished], [v for _, v in expected], rtol=0.06
    )
