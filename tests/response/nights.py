"""A run that is moved by hand: arbiter, planner and queue are real, the runner is not.

`Night` is given what is wished on each frame of its survey and what goes wrong, and
knows afterwards what must have held.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
from useq import MDAEvent, MDASequence

from smartscope.acquisition import (
    EventTag,
    Focused,
    Frame,
    FrameState,
    Limits,
    SequencedEvent,
    SlmMap,
    VirtualClock,
    is_focus_event,
    parts,
)
from smartscope.recognition import Detections
from smartscope.response import (
    Action,
    Arbiter,
    Burst,
    Decision,
    EndSeries,
    EndSurvey,
    Observation,
    Outcome,
    OwnPolicySettings,
    Pause,
    Planner,
    Series,
    SetInterval,
    Wish,
)
from smartscope.response.focus_orders import FocusOrders
from smartscope.telemetry import Telemetry

PIXELS = np.zeros((8, 8), np.uint16)
INTERVAL_S = 10.0
FRAME_S = 0.1
LIMITS = Limits(
    x_um=(-500, 900),
    exposure_ms=(1, 50),
    burst_frames=30,
    properties={"Pump": {"Rate": (0.0, 5.0)}, "Valve": {"State": ("open", "shut")}},
)

Maker = Callable[["Night"], Action]


@dataclass(frozen=True)
class Step:
    """What is wished on one frame of the survey, and what goes wrong meanwhile."""

    wishes: tuple[tuple[int, Maker], ...]
    lag: int  # frames until the decisions arrive
    refused: bool  # by the engine: the next event
    fall_back: bool


def merge(events: Any) -> Any:
    """All that is asked for in one sequence, as a camera that can everything."""
    several = tuple(events)
    if len(several) == 1:
        yield several[0]
    elif several:
        first = several[0]
        yield SequencedEvent(
            events=several,
            x_pos=first.x_pos,
            y_pos=first.y_pos,
            exposure=first.exposure,
            channel=first.channel,
        )


@dataclass
class Ticket:
    """One event that was put into the queue, and what became of it."""

    event: MDAEvent
    due_s: float
    urgency: int
    state: str = "waits"


@dataclass
class Taken:
    """One part of an event that the runner has taken."""

    tag: EventTag
    began_s: float
    frame: bool


@dataclass
class Night:
    """A run: the real arbiter, planner and queue, and a runner that takes events."""

    policies: list[OwnPolicySettings]
    steps: list[Step]
    rounds: int
    places: int
    dark: bool
    merged: bool
    longest_wait_s: float | None
    stops_after: int | None
    outcomes: list[Outcome] = field(default_factory=list)
    decisions: dict[str, Decision] = field(default_factory=dict)
    taken: list[Taken] = field(default_factory=list)
    tickets: dict[int, Ticket] = field(default_factory=dict)
    refused: list[EventTag] = field(default_factory=list)
    begun: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    longest_event_s: float = 0.0
    paused_s: float = 0.0
    frames: int = 0
    looked: int = 0
    fell_back: bool = False
    stopped: bool = False

    def __post_init__(self) -> None:
        self.clock = VirtualClock()
        names = [f"p{i}" for i in range(self.places)]
        self.dark_places = names[-1:] if self.dark and self.places > 1 else []
        self.arbiter = Arbiter(LIMITS, sham={"policy 3": 0.3}, seed=1)
        self.planner = Planner(
            MDASequence(
                axis_order="tpgcz",
                time_plan={"interval": INTERVAL_S, "loops": self.rounds},
                stage_positions=[(100 * i, 0, 5) for i in range(self.places)],
                channels=[{"config": "DAPI", "exposure": 20}],
                z_plan={"range": 2, "step": 1},
            ),
            self.clock,
            outcome=self._on_outcome,
            telemetry=Telemetry(),
            merge=merge if self.merged else iter,
            longest_wait_s=self.longest_wait_s,
            dark=self.dark_places,
            notify=lambda decision, action: self._notified.append(decision),
            keep=lambda frame_id, action: ("done", "kept"),
            slm=SlmMap("SLM", (64, 64), ((1, 0, 0), (0, 1, 0)), 255, 1.0),
            focus=FocusOrders(active=True, home_um=5.0),
        )
        self._notified: list[Decision] = []
        self._arriving: list[tuple[int, Decision]] = []
        self._watch(self.planner.queue)

    # ------------------------------------------------------------- the queue

    def _watch(self, queue: Any) -> None:
        """See every event that is put, withdrawn, dropped and handed out."""
        put, withdraw = queue.put, queue.withdraw

        def watched_put(event: MDAEvent, *, admit: Any = None, **how: Any) -> int:
            mine = Ticket(event, how.get("due_s", 0.0), how.get("urgency", 0))
            ticket = put(event, admit=partial(self._turn, mine, admit), **how)
            self.tickets[ticket] = mine
            return int(ticket)

        def watched_withdraw(ticket: int) -> bool:
            taken = bool(withdraw(ticket))
            if taken:
                assert self.tickets[ticket].state == "waits"
                self.tickets[ticket].state = "withdrawn"
            return taken

        queue.put, queue.withdraw = watched_put, watched_withdraw

    def _turn(self, mine: Ticket, admit: Callable[[], bool] | None) -> bool:
        """An event has come to its turn: it was due, and none was before it."""
        assert mine.state == "waits"
        now_s = self.clock.now_s()
        assert mine.due_s <= now_s
        number = next(n for n, t in self.tickets.items() if t is mine)
        for other, ticket in self.tickets.items():
            if ticket.state == "waits" and ticket.due_s <= now_s:
                assert (ticket.urgency, -other) <= (mine.urgency, -number)
        admitted = admit is None or admit()
        mine.state = "taken" if admitted else "dropped"
        return admitted

    # ------------------------------------------------------------- decisions

    def _on_outcome(self, outcome: Outcome) -> None:
        self.outcomes.append(outcome)
        self.arbiter.take(outcome)

    def look(self, tag: EventTag) -> None:
        """A frame of the survey is analysed; its decisions arrive some frames later."""
        step = self.steps.pop(0) if self.steps else None
        if step is None:
            return
        state = FrameState(0.0, 0.0, 0.0, 20.0, "DAPI", 200.0)
        seen = Observation(
            Frame(
                PIXELS,
                MDAEvent(),
                self.frames,
                self.clock.now_s(),
                0.0,
                tag.place,
                state,
            ),
            Detections.empty(),
            {},
            (),
        )
        wishes = [
            Wish(f"policy {i}", self.policies[i], make(self), (i, n))
            for n, (i, make) in enumerate(step.wishes)
        ]
        made = self.arbiter.decide(seen, wishes)
        assert len(made) == len(wishes)
        for decision in made:
            self.decisions[decision.decision_id] = decision
            self.begun[decision.wish.kind].append(decision.decision_id)
            self._arriving.append((self.frames + step.lag, decision))
        if step.fall_back:
            self.fell_back = True
            self.planner.fall_back()

    def arrive(self, *, all_of_them: bool = False) -> None:
        now = [d for n, d in self._arriving if all_of_them or n <= self.frames]
        self._arriving = [
            (n, d) for n, d in self._arriving if n > self.frames and not all_of_them
        ]
        for decision in now:
            before = len(self.outcomes)
            self.planner.act(decision)
            said = self.outcomes[before:]
            if isinstance(decision.granted, Pause) and any(
                o.status == "done" for o in said
            ):
                self.paused_s += decision.granted.for_s
        for decision in self._notified[:]:
            self._notified.remove(decision)
            self.planner.notified(decision.decision_id, "done", "called")

    # ------------------------------------------------------------- the runner

    def run(self) -> None:
        events = 0
        while (event := next(self.planner.queue, None)) is not None:
            events += 1
            began_s = self.clock.now_s()
            if self.steps and self.steps[0].refused:
                self.steps.pop(0)
                self.refused += [EventTag.of(e) for e in parts(event)]
                self.planner.refused(event, "drawn")
            else:
                self._execute(event)
            if EventTag.of(parts(event)[0]).origin != "survey":
                took_s = self.clock.now_s() - began_s
                self.longest_event_s = max(self.longest_event_s, took_s)
            if events == self.stops_after:
                self.stopped = True
                self.planner.finish()
                self.planner.queue.close(drop=True)
        self.arrive(all_of_them=True)
        self.planner.finish()

    def _execute(self, event: MDAEvent) -> None:
        several = list(parts(event))
        if is_focus_event(event):
            # found, or not, by turns
            self.clock.sleep(FRAME_S)
            self.looked += 1
            z_um = 5.5 if self.looked % 2 else None
            self.planner.focused(event, Focused(z_um, "" if z_um else "drawn"))
            return
        if several[0].action.type == "custom":
            tag = EventTag.of(event)
            self.taken.append(Taken(tag, self.clock.now_s(), frame=False))
            self.planner.told(event, "set")
            self.planner.done(event, 0)
            return
        n = 0
        for each in several:
            tag = EventTag.of(each)
            if n and tag.origin == "survey" and self.planner.yields():
                break
            self.taken.append(Taken(tag, self.clock.now_s(), frame=True))
            self.clock.sleep(FRAME_S)
            n += 1
            self.frames += 1
            if tag.origin == "survey":
                self.look(tag)
            self.arrive()
        if n < len(several):
            self.planner.interrupted(several[n:])
        self.planner.done(event, n)

    # ------------------------------------------------------------- what must hold

    def ended_from_outside(self) -> set[str]:
        if self.stopped or self.fell_back:
            return set(self.decisions)
        return {
            d.granted.series
            for d in self.decisions.values()
            if isinstance(d.granted, EndSeries)
        }

    def nothing_is_lost_or_doubled(self) -> None:
        granted = {i for i, d in self.decisions.items() if d.granted is not None}
        assert Counter(o.decision_id for o in self.outcomes) == Counter(granted)
        frames = Counter(t.tag.decision_id for t in self.taken if t.frame)
        ended = {o.decision_id: o for o in self.outcomes}
        for decision_id, outcome in ended.items():
            if isinstance(self.decisions[decision_id].granted, Burst | Series):
                # one that is ended from outside may have an event with the runner
                assert outcome.frames <= frames[decision_id]
                if decision_id not in self.ended_from_outside():
                    assert outcome.frames == frames[decision_id]
        one_by_one: dict[str, list[tuple[int, ...]]] = defaultdict(list)
        for each in self.taken:
            if each.frame:
                one_by_one[each.tag.image].append(each.tag.index)
        for image, indices in one_by_one.items():
            assert len(set(indices)) == len(indices), image
            if not image.startswith("survey"):
                times = [i[0] for i in indices]
                assert times == sorted(times), "parts of a reaction keep their order"
        for decision_id, outcome in ended.items():
            action = self.decisions[decision_id].granted
            if isinstance(action, Burst) and outcome.status == "done":
                assert frames[decision_id] == action.frames * action.frames_each
        for ticket in self.tickets.values():
            assert ticket.state != "waits" or self.stopped
            tag = EventTag.of(parts(ticket.event)[0])
            if ticket.state == "dropped" and tag.decision_id:
                assert tag.decision_id in ended

    def the_survey_is_whole(self) -> None:
        visits = [t for t in self.taken if t.tag.origin == "survey" and t.frame]
        left_out = [
            t for t in self.refused if t.origin == "survey" and not t.decision_id
        ]
        keys = [(t.tag.index[0], t.tag.place, t.tag.index[2]) for t in visits]
        order = [(t, int(p[1:]), z) for t, p, z in keys]
        assert order == sorted(order), "in the order of the plan"
        lit = {f"p{i}" for i in range(self.places)} - set(self.dark_places)
        planes = range(3)
        came = set(keys) | {(t.index[0], t.place, t.index[2]) for t in left_out}
        assert len(came) == len(keys) + len(left_out)
        rounds = sorted({t for t, _, _ in came})
        last = max(rounds, default=-1)
        ended = self.stopped or any(
            isinstance(self.decisions[o.decision_id].granted, EndSurvey)
            and o.status == "done"
            for o in self.outcomes
        )
        if ended:
            # but for the round in which it is ended, and the closing one after it
            rounds = rounds[: -1 - bool(self.dark_places)]
        assert rounds == list(range(len(rounds)))
        for t in rounds:
            of_round = {(t, p, z) for p in lit for z in planes}
            assert {k for k in came if k[0] == t and k[1] in lit} == of_round
        for place in self.dark_places:
            shown = {t for t, p, _ in came if p == place}
            assert shown <= {last}, "dark until the closing round"
            if not self.stopped:
                assert shown == {last}
            closing_s = [t.began_s for t in visits if t.tag.index[0] == last]
            for each in self.taken:
                if each.frame and each.tag.place == place:
                    assert each.began_s >= min(closing_s)

    def nobody_starves(self) -> None:
        """Between two visits of a place no more passes than is stated.

        A round is due after the interval, or when the one before it has ended; for
        bursts and series it waits at most ``longest_wait_s`` in all, and for the one
        that runs then.
        """
        if self.longest_wait_s is None:
            return
        intervals = [
            d.granted.interval_s
            for d in self.decisions.values()
            if isinstance(d.granted, SetInterval)
        ]
        # a slower interval leaves whole rounds of the plan out
        interval_s = INTERVAL_S + max(intervals, default=0.0)
        round_s = self.places * 3 * FRAME_S
        # a tour is one reaction: the survey waits until it has come to its end
        toured = [t for t in self.taken if t.tag.origin == "visit"]
        tours_s = max((t.began_s + FRAME_S for t in toured), default=0.0) - min(
            (t.began_s for t in toured), default=0.0
        )
        waits_s = self.longest_wait_s + self.longest_event_s + tours_s
        longest_s = max(interval_s, round_s + waits_s) + round_s + waits_s
        for place in range(self.places):
            name = f"p{place}"
            if name in self.dark_places:
                continue
            began = {
                t.tag.index[0]: t.began_s
                for t in reversed(self.taken)
                if t.tag.origin == "survey" and t.tag.place == name and t.frame
            }
            for number, at_s in began.items():
                if number + 1 in began:
                    absent_s = began[number + 1] - at_s - self.paused_s
                    assert absent_s <= longest_s + 1e-6
