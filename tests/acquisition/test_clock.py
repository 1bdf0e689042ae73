"""Clocks: virtual time is exact and jumps; real time is scaled; waits can be woken."""

from __future__ import annotations

import threading

import pytest

from smartscope.acquisition import RealClock, VirtualClock


def test_virtual_time_is_the_sum_of_sleeps_and_jumps() -> None:
    clock = VirtualClock()
    clock.sleep(1.5)
    clock.sleep(-3)
    changed = threading.Condition()
    with changed:
        clock.wait(changed, 4.0)
        assert clock.now_s() == 4.0
        clock.wait(changed, 2.0)  # the past is not gone back to
    assert clock.now_s() == 4.0
    clock.restart()
    assert clock.now_s() == 0


def test_real_time_runs_on_and_is_scaled(monkeypatch: pytest.MonkeyPatch) -> None:
    wall = 100.0
    monkeypatch.setattr("time.monotonic", lambda: wall)
    clock = RealClock(scale=60)
    wall += 0.5
    assert clock.now_s() == pytest.approx(30)
    clock.restart()
    assert clock.now_s() == 0


def test_a_wait_in_real_time_lasts_wall_seconds() -> None:
    class Waited(threading.Condition):
        seconds: float | None = None

        def wait(self, timeout: float | None = None) -> bool:
            self.seconds = timeout
            return True

    clock, changed = RealClock(scale=10), Waited()
    with changed:
        clock.wait(changed, clock.now_s() + 50)
        assert changed.seconds is not None
        assert 4 < changed.seconds <= 5
        changed.seconds = None
        clock.wait(changed, clock.now_s() - 1)
        assert changed.seconds is None
