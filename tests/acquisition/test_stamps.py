"""What is recorded with a frame is what the devices did, burst or not, ended or not.

``SMARTSCOPE_STAMPED_FRAMES=10000`` takes as many frames as the bar asks for.
"""

from __future__ import annotations

import os
import random
from typing import Any

import pytest
from useq import MDAEvent

from smartscope.acquisition import (
    EngineListener,
    EventTag,
    Frame,
    LightBudget,
    SmartEngine,
    sequenced,
)
from smartscope.microscope import open_microscope
from smartscope.simulation import CHANNELS, NO_CHANNEL, read_stamp

FRAMES = int(os.environ.get("SMARTSCOPE_STAMPED_FRAMES", "400"))
SCOPE = """
kind = "simulated"
focus_direction = "toward"
[simulation.specimen]
time = "virtual"
[simulation.sensor]
shape = [64, 64]
stamp = true
[simulation.ugliness]
backlash_um = 0.0
"""


def wrong(frame: Frame) -> list[str]:
    stamp, state = read_stamp(frame.pixels), frame.state
    really = "" if stamp.channel == NO_CHANNEL else CHANNELS[stamp.channel]
    pairs: dict[str, tuple[Any, Any]] = {
        "channel": (state.channel, really),
        "exposure_ms": (state.exposure_ms, pytest.approx(stamp.exposure_ms, rel=1e-6)),
        "x_um": (state.x_um, pytest.approx(stamp.x_um, abs=0.002)),
        "y_um": (state.y_um, pytest.approx(stamp.y_um, abs=0.002)),
        "z_um": (state.z_um, pytest.approx(stamp.z_um, abs=0.002)),
        "light": (True, stamp.light_on),
    }
    return [
        f"frame {frame.frame_id}: {name} is recorded as {said} and was {was}"
        for name, (said, was) in pairs.items()
        if said != was
    ]


def events(rng: random.Random, core: Any) -> list[MDAEvent]:
    """Return a few single events or a burst, some orders left out."""
    fields: dict[str, Any] = {}
    if rng.random() < 0.7:
        fields["exposure"] = rng.choice([1.0, 2.0, 5.5])
    if rng.random() < 0.7:
        fields["channel"] = rng.choice(CHANNELS)
    if rng.random() < 0.5:
        fields |= {"x_pos": rng.uniform(-200, 200), "y_pos": rng.uniform(-200, 200)}
    if rng.random() < 0.5:
        fields["z_pos"] = rng.uniform(-10, 10)
    if rng.random() < 0.4:
        return [MDAEvent(**fields)]
    stack = rng.random() < 0.4
    several = [
        MDAEvent(**(fields | ({"z_pos": rng.uniform(-10, 10)} if stack else {})))
        for _ in range(rng.randint(2, 12))
    ]
    tag = EventTag(origin="burst", decision_id="0/0")
    return list(sequenced(core, [tag.on(e) for e in several]))


def test_recorded_is_what_the_devices_did(tmp_path: Any) -> None:
    rng = random.Random(7)
    file = tmp_path / "stamped.toml"
    file.write_text(SCOPE)
    with open_microscope(str(file)) as scope:
        core: Any = scope.core
        mistakes: list[str] = []
        count = bursts = interrupted = 0
        stop_after = 0

        def take(frame: Frame) -> None:
            nonlocal count, stop_after
            assert frame.frame_id == count
            count += 1
            mistakes.extend(wrong(frame))
            if stop_after and not (stop_after := stop_after - 1):
                engine.interrupt()

        def left(_events: object) -> None:
            nonlocal interrupted
            interrupted += 1

        def done(_event: MDAEvent, _frames: int) -> None:
            if rng.random() < 0.05:  # somebody at the stand
                core.setConfig("Channel", rng.choice(CHANNELS))
                core.setExposure(rng.choice([3.0, 4.0]))
                core.setPosition(rng.uniform(-10, 10))
                core.waitForSystem()

        def stream() -> Any:
            nonlocal bursts, stop_after
            while count < FRAMES:
                for event in events(rng, core):
                    burst = EventTag.of(getattr(event, "events", [event])[0])
                    bursts += burst.origin == "burst"
                    stop_after = rng.choice([0, 0, 1, 3])
                    yield event

        engine = SmartEngine(
            core,
            EngineListener(frame=take, done=done, interrupted=left),
            scope.clock,
            LightBudget((42, 42)),
        )
        core.mda.set_engine(engine)
        core.mda.run(stream())
    assert mistakes == []
    assert count >= FRAMES
    assert bursts > FRAMES / 40
    assert interrupted > 0
