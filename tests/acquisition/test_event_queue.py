"""EventQueue: of the due events the most urgent, equals in turn, nothing lost."""

from __future__ import annotations

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st
from useq import MDAEvent

from smartscope.acquisition import EventQueue, VirtualClock

PUTS = st.lists(
    st.tuples(st.integers(0, 3), st.sampled_from([0.0, 1.0, 2.0, 5.0])), max_size=30
)


def numbered(i: int) -> MDAEvent:
    return MDAEvent(metadata={"n": i})


def number(event: MDAEvent) -> int:
    return int(event.metadata["n"])


@given(PUTS)
def test_of_the_due_events_the_most_urgent_comes_first_and_equals_keep_order(
    puts: list[tuple[int, float]],
) -> None:
    clock = VirtualClock()
    queue = EventQueue(clock)
    for i, (urgency, due_s) in enumerate(puts):
        queue.put(numbered(i), urgency=urgency, due_s=due_s)
    queue.close()
    waiting = dict(enumerate(puts))
    for event in queue:
        i = number(event)
        now_s = clock.now_s()
        due = {k: v for k, v in waiting.items() if v[1] <= now_s}
        assert i in due
        best = max(v[0] for v in due.values())
        same = [k for k, v in due.items() if v[0] == best]
        assert waiting[i][0] == best
        # in turn: by when they became due, then by when they were put
        assert i == min(same, key=lambda k: (waiting[k][1] if not now_s else 0, k))
        del waiting[i]
    assert not waiting


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("put"), st.integers(0, 2)),
            st.tuples(st.just("withdraw"), st.integers(0, 20)),
            st.tuples(st.just("refuse"), st.integers(0, 2)),
            st.tuples(st.just("next"), st.just(0)),
            st.tuples(st.just("hold"), st.booleans()),
        ),
        max_size=60,
    )
)
def test_nothing_is_lost_or_doubled(steps: list[tuple[str, int]]) -> None:
    queue = EventQueue(VirtualClock())
    tickets: list[int] = []
    refused: set[int] = set()
    withdrawn: set[int] = set()
    out: list[int] = []
    held = False
    for step, value in steps:
        n = len(tickets)
        if step == "put":
            tickets.append(queue.put(numbered(n), urgency=value))
        elif step == "refuse":
            refused.add(n)
            tickets.append(queue.put(numbered(n), urgency=value, admit=lambda: False))
        elif step == "withdraw" and value < n:
            if queue.withdraw(tickets[value]):
                withdrawn.add(value)
        elif step == "hold":
            held = bool(value)
            queue.hold(held)
        elif step == "next" and not held:
            # asking when nothing is left would wait for ever
            if set(range(n)) - refused - withdrawn - set(out):
                out.append(number(next(queue)))
    queue.hold(False)
    queue.close()
    out += [number(event) for event in queue]
    assert sorted(out) == sorted(set(range(len(tickets))) - refused - withdrawn)
    assert not withdrawn & set(out)


def test_refuses_a_start_time_nan_and_puts_after_the_close() -> None:
    queue = EventQueue()
    with pytest.raises(ValueError, match="due_s"):
        queue.put(MDAEvent(min_start_time=1))
    with pytest.raises(ValueError, match="NaN"):
        queue.put(MDAEvent(), due_s=float("nan"))
    queue.close()
    with pytest.raises(RuntimeError, match="closed"):
        queue.put(MDAEvent())
    assert list(queue) == []


def test_close_drop_ends_at_once() -> None:
    queue = EventQueue(VirtualClock())
    queue.put(numbered(0), due_s=100)
    queue.close(drop=True)
    assert list(queue) == []
    assert len(queue) == 0


class Observed(VirtualClock):
    """A clock whose waits are waits: it tells when somebody has begun to wait."""

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[float | None] = []
        self.waiting = threading.Semaphore(0)

    def wait(self, changed: threading.Condition, until_s: float | None) -> None:
        self.waits.append(until_s)
        self.waiting.release()
        changed.wait()


def test_an_urgent_event_put_into_a_wait_is_handed_out_at_once() -> None:
    clock = Observed()
    queue = EventQueue(clock)
    queue.put(numbered(0), due_s=3.0)
    out: list[int] = []
    thread = threading.Thread(target=lambda: out.extend(number(e) for e in queue))
    thread.start()
    clock.waiting.acquire()
    clock.sleep(0.1)
    queue.put(numbered(1), urgency=10)
    clock.waiting.acquire()  # it was handed out, and the first is waited for again
    assert out == [1]
    assert clock.now_s() == 0.1
    clock.sleep(5.0)
    queue.wake()
    queue.close()
    thread.join()
    assert out == [1, 0]
    assert clock.waits == [3.0, 3.0]


@pytest.mark.parametrize("change", ["wake", "withdraw", "put", "close"])
def test_a_change_between_refill_and_wait_is_not_slept_through(change: str) -> None:
    """The planner takes its event back just after the refill has seen it waiting."""
    calls = 0
    queue: EventQueue

    def refill() -> bool:
        nonlocal calls
        calls += 1
        if calls == 1:
            if change == "withdraw":
                queue.withdraw(ticket)
            elif change == "put":
                queue.put(numbered(7))
            elif change == "close":
                queue.close(drop=True)
            else:
                queue.wake()
            return True
        return False  # seen again: nothing will come any more

    queue = EventQueue(VirtualClock(), refill)
    ticket = queue.put(numbered(0), due_s=50.0)
    if change == "wake":
        queue.withdraw(ticket)
    out = [number(event) for event in queue]
    assert out == {"wake": [], "withdraw": [], "put": [7, 0], "close": []}[change]


def test_a_held_queue_hands_out_nothing_until_it_is_released() -> None:
    queue = EventQueue(VirtualClock())
    asked = threading.Event()
    queue = EventQueue(VirtualClock(), lambda: asked.set() or True)
    queue.hold(True)
    queue.put(numbered(0))
    out: list[int] = []
    thread = threading.Thread(target=lambda: out.append(number(next(queue))))
    thread.start()
    asked.wait()
    assert out == []
    assert not queue.is_due(0)
    queue.hold(False)
    thread.join()
    assert out == [0]


def test_is_due_looks_at_urgency_and_time() -> None:
    clock = VirtualClock()
    queue = EventQueue(clock)
    assert not queue.is_due(0)
    queue.put(numbered(0), urgency=1)
    queue.put(numbered(1), urgency=5, due_s=2.0)
    assert queue.is_due(1)
    assert not queue.is_due(5)
    clock.sleep(2.0)
    assert queue.is_due(5)
