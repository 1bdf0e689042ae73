"""Properties set by reactions: declared ones only, and set back whatever happens."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from useq import MDAEvent

from smartscope.acquisition import EventTag, property_event, set_back_event
from smartscope.acquisition.property_orders import PropertyOrders
from smartscope.errors import LimitBroken
from smartscope.microscope import open_microscope

_SPEC = importlib.util.spec_from_file_location(
    "engine_run", Path(__file__).parent / "engine_run.py"
)
assert _SPEC is not None
assert _SPEC.loader is not None
engine_run = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(engine_run)

PATH = ("Path", "State")  # both microscopes' files allow it 0 to 2


@pytest.fixture(params=["demo", "simulated"])
def core(request: pytest.FixtureRequest) -> Iterator[Any]:
    if request.param == "demo":
        pytest.importorskip("mm_test_adapters", reason="needs the extra 'demo'")
    with open_microscope(request.param, specimen={"time": "virtual"}) as scope:
        yield scope.core


def setting(value: Any, decision: str = "1/0", **more: Any) -> MDAEvent:
    return property_event(EventTag(decision_id=decision), *PATH, value, **more)


def back(decision: str = "1/0") -> MDAEvent:
    return set_back_event(EventTag(decision_id=decision), *PATH)


def state(core: Any) -> int:
    return int(core.getProperty(*PATH))


def test_a_property_is_set_between_two_frames_and_stays(core: Any) -> None:
    seen: list[int] = []
    run = engine_run.Run(core, on_frame=lambda _: seen.append(state(core)))
    run.run([MDAEvent(exposure=5), setting(2), MDAEvent(exposure=5)])
    assert seen == [0, 2]
    assert run.told == ["'State' of 'Path': 0 to 2"]
    assert [frames for _, frames in run.done] == [1, 0, 1]
    assert state(core) == 2
    assert run.engine.not_set_back == []


def test_what_is_set_for_a_time_is_set_back_in_time(core: Any) -> None:
    seen: list[int] = []
    run = engine_run.Run(core, on_frame=lambda _: seen.append(state(core)))
    snap = MDAEvent(exposure=5)
    run.run([setting(1, then="back"), snap, back(), snap])
    assert seen == [1, 0]
    assert run.told[1] == "back to 0"


def test_it_is_set_back_when_the_run_ends_or_breaks(core: Any) -> None:
    run = engine_run.Run(core)
    run.run([setting(2, then="back")])
    assert state(core) == 0

    def fail(_: Any) -> None:
        raise RuntimeError("the disk is full")

    broken = engine_run.Run(core, on_frame=fail)
    with pytest.raises(RuntimeError, match="disk"):
        broken.run([setting(2, then="back"), MDAEvent(exposure=5)])
    assert state(core) == 0


@pytest.mark.parametrize(
    ("event", "why"),
    [
        (setting(3), "may not be 3"),
        (setting("open"), "may not be open"),
        (
            property_event(EventTag(decision_id="1/0"), "Emission", "State", 1),
            "not declared",
        ),
    ],
)
def test_what_is_not_declared_is_refused_and_the_run_goes_on(
    core: Any, event: MDAEvent, why: str
) -> None:
    run = engine_run.Run(core)
    run.run([event, MDAEvent(exposure=5)])
    (told,) = run.refused
    assert why in told
    assert len(run.frames) == 1
    assert state(core) == 0


def test_nobody_leaves_a_declared_range(core: Any) -> None:
    core.setProperty(*PATH, 2)
    for order in (
        lambda: core.setProperty(*PATH, 3),
        lambda: core.setState("Path", 3),
    ):
        with pytest.raises(LimitBroken, match=r"limits\.properties|may not be 3"):
            order()
    assert state(core) == 2


def test_a_device_that_does_not_take_it_ends_no_run() -> None:
    with open_microscope("simulated", specimen={"time": "virtual"}) as scope:
        # declared without a check against the device, as preflight would
        loose = scope.limits.model_copy(
            update={"properties": {"Path": {"State": (0, 9)}}}
        )
        scope.core.arm(_with_limits(scope.core.guard, loose))
        run = engine_run.Run(scope.core, clock=scope.clock)
        run.run([setting(9), MDAEvent(exposure=5)])
        assert len(run.refused) == 1
        assert "did not take it" in run.refused[0]
        assert len(run.frames) == 1


def _with_limits(guard: Any, limits: Any) -> Any:
    from dataclasses import replace

    return replace(guard, limits=limits)


ORDERS = st.lists(
    st.tuples(st.sampled_from("abc"), st.sampled_from(["set", "hold", "back"]),
              st.integers(0, 2)),
    max_size=12,
)  # fmt: skip


@pytest.fixture(scope="module")
def simulated() -> Iterator[Any]:
    with open_microscope("simulated", specimen={"time": "virtual"}) as scope:
        yield scope.core


@given(orders=ORDERS, start=st.integers(0, 2))
def test_in_the_end_it_is_as_before_or_as_it_was_last_set_to_stay(
    simulated: Any, orders: list[tuple[str, str, int]], start: int
) -> None:
    simulated.setProperty(*PATH, start)
    properties = PropertyOrders(simulated)
    stays, holder = start, ""
    for decision, what, value in orders:
        if what == "back":
            properties.carry_out(back(decision))
            if decision == holder:
                holder = ""
        else:
            then = "back" if what == "hold" else "stay"
            properties.carry_out(setting(value, decision, then=then))
            holder = decision if what == "hold" else ""
            stays = value if what == "set" else stays
        if not holder:
            assert state(simulated) == stays
    assert properties.all_back() == []
    assert state(simulated) == stays
