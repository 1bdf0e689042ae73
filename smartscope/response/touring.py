"""Hits that wait for a visit, and the tour that is under way.

It is part of the planner, lives in the acquisition process, and is called under the
planner's lock. A tour has the microscope for itself: the objective is turned once,
every visit is made, and it is turned back before the survey goes on.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from itertools import count, product

from useq import CustomAction, MDAEvent

from smartscope.acquisition import Clock, EventQueue, EventTag
from smartscope.response.reactions import Reaction, Reactions
from smartscope.response.tour import Made, TourPlan, Waiting, choose, short_way
from smartscope.response.visit_settings import AfterHits, VisitSettings
from smartscope.response.visiting import Visit

# before bursts and series of any priority; turning back goes before the next tour
_TOURING, _TURNING = 100_000, 2_000_000
TURN_BACK = "smartscope.turn_back"
"""Name of the event that ends a tour and takes no frame."""


@dataclass(slots=True)
class _Kept:
    """Of one policy: hits that wait, and visits that were given."""

    plan: TourPlan
    waiting: dict[str, tuple[Reaction, Visit]] = field(default_factory=dict)
    made: Made = field(default_factory=Made)
    tours: int = 0


@dataclass(slots=True)
class _Tour:
    """The one that is under way."""

    kept: _Kept
    stops: deque[tuple[Reaction, Visit]]
    planned: int
    turned: bool = False
    here: tuple[Reaction, Visit] | None = None
    stop: int = 0


def _hit(reaction: Reaction, visit: Visit) -> Waiting:
    return Waiting(reaction.decision_id, visit.place, visit.x_um, visit.y_um)


class Tours:
    """Collects granted visits, and makes them in tours.

    Parameters
    ----------
    queue : EventQueue
        Where the events go.
    clock : Clock
        The run's clock.
    reactions : Reactions
        Where decisions get their outcomes.
    plans : Mapping of str to TourPlan
        By the policy's name; a visit of another one is made at once.
    merge : Callable
        Merges events into sequences the hardware can take.
    channel_group : str
        Group of the channel presets.
    declare : Callable
        Told of a visit that begins, and the name of its image.
    power_of : Callable
        Asked for the power that the survey has at a place and channel; None: as it is.

    Attributes
    ----------
    begins : Callable
        Called when a tour begins: the survey's waiting event is to be taken back.
    """

    def __init__(
        self,
        queue: EventQueue,
        clock: Clock,
        reactions: Reactions,
        *,
        plans: Mapping[str, TourPlan],
        merge: Callable[[Iterable[MDAEvent]], Iterator[MDAEvent]],
        channel_group: str,
        declare: Callable[[Visit, str], None],
        power_of: Callable[[str, str | None], float | None],
    ) -> None:
        self._queue = queue
        self._clock = clock
        self._reactions = reactions
        self._merge = merge
        self._channel_group = channel_group
        self._declare = declare
        self._power_of = power_of
        self._kept = {name: _Kept(plan) for name, plan in plans.items()}
        self._images = count(1)
        self._tour: _Tour | None = None
        self._round = 0
        self._finished = False
        self._at_um: tuple[float, float] | None = None
        self.begins: Callable[[], None] = lambda: None

    @property
    def running(self) -> bool:
        """Whether a tour is under way: the survey waits."""
        return self._tour is not None

    def see(self, event: MDAEvent) -> None:
        """Learn where the survey is: the next tour sets out from there."""
        if event.x_pos is not None and event.y_pos is not None:
            self._at_um = event.x_pos, event.y_pos

    # ---------------------------------------------------------------- when

    def take(self, reaction: Reaction, visit: Visit) -> None:
        """Keep a granted visit until its tour."""
        policy = reaction.decision.policy
        if policy not in self._kept:
            # of one's own: there is nothing to wait for
            settings = VisitSettings(name=policy, on=("any",), when=AfterHits(hits=1))
            self._kept[policy] = _Kept(TourPlan(settings))
        self._kept[policy].waiting[reaction.decision_id] = (reaction, visit)
        self._begin_if(self._enough)

    def begin_round(self, number: int) -> bool:
        """Learn which round of the survey comes next; True if a tour goes before it."""
        if number == self._round:
            return False
        self._round = number
        self._begin_if(lambda kept: kept.plan.settings.when == "round")
        return self.running

    def end_survey(self) -> None:
        """Visit what still waits: nothing will come any more."""
        self._begin_if(lambda kept: True)

    @staticmethod
    def _enough(kept: _Kept) -> bool:
        when = kept.plan.settings.when
        return isinstance(when, AfterHits) and len(kept.waiting) >= when.hits

    def _begin_if(self, ready: Callable[[_Kept], bool]) -> None:
        for kept in self._kept.values():
            if self._tour is not None or self._finished:
                return
            if kept.waiting and ready(kept):
                self._begin(kept)

    # ---------------------------------------------------------------- a tour

    def _begin(self, kept: _Kept) -> None:
        """Choose, tell those that are not chosen, and set out."""
        for decision_id, (reaction, visit) in list(kept.waiting.items()):
            if not self._reactions.is_open(decision_id) or self._stale(reaction, visit):
                del kept.waiting[decision_id]
        hits = [_hit(*one) for one in kept.waiting.values()]
        chosen, why = choose(hits, kept.plan, kept.made)
        for decision_id, reason in why.items():
            del kept.waiting[decision_id]
            self._reactions.end(decision_id, "refused", reason)
        if not chosen:
            return
        way = short_way([hit.at_um for hit in chosen], self._at_um)
        stops = deque(kept.waiting.pop(chosen[i].decision_id) for i in way)
        kept.tours += 1
        self._tour = _Tour(kept, stops, planned=len(stops))
        self.begins()
        self._go_on()

    def _stale(self, reaction: Reaction, visit: Visit) -> bool:
        """Give a hit that has waited too long its outcome."""
        waited_s = self._clock.now_s() - reaction.decision.time_s
        if waited_s <= visit.max_wait_s:
            return False
        self._reactions.end(
            reaction.decision_id,
            "stale",
            f"waited {waited_s:.0f} s, longer than max_wait_s {visit.max_wait_s:g}",
        )
        return True

    def _go_on(self) -> None:
        """Put the next visit of the tour; after the last one turn back."""
        tour = self._tour
        while tour is not None and tour.stops:
            reaction, visit = tour.here = tour.stops.popleft()
            tour.stop += 1
            if not self._reactions.is_open(reaction.decision_id):
                continue
            if self._stale(reaction, visit):
                tour.kept.made.add(_hit(reaction, visit), tour.kept.plan, by=-1)
                continue
            tour.turned = tour.turned or visit.objective is not None
            self._put(reaction, visit)
            return
        self._tour = None
        if tour is not None and tour.turned and not self._finished:
            event = MDAEvent(action=CustomAction(name=TURN_BACK))
            self._put_all([EventTag().on(event)], [0.0], _TURNING)
        self._begin_if(self._enough)

    def _put(self, reaction: Reaction, visit: Visit) -> None:
        image = f"visit_{next(self._images):04d}"
        self._declare(visit, image)
        begin_s = self._clock.now_s()
        events, due_s = [], []
        for t in range(visit.frames):
            of_time = list(self._events(reaction, visit, image, t))
            merged = of_time if visit.interval_s else list(self._merge(of_time))
            events += merged
            due_s += [begin_s + t * visit.interval_s] * len(merged)
        reaction.urgency = _TOURING + reaction.decision.priority
        reaction.events_left = len(events)
        is_open = partial(self._reactions.is_open, reaction.decision_id)
        if not self._put_all(events, due_s, reaction.urgency, is_open):
            self._reactions.end(reaction.decision_id, "stale", "the run has ended")

    def _put_all(
        self,
        events: list[MDAEvent],
        due_s: list[float],
        urgency: int,
        admit: Callable[[], bool] | None = None,
    ) -> bool:
        try:
            for event, due in zip(events, due_s, strict=True):
                self._queue.put(event, urgency=urgency, due_s=due, admit=admit)
        except RuntimeError:  # the queue has closed: the run ended just now
            return False
        return True

    def _events(
        self, reaction: Reaction, visit: Visit, image: str, t: int
    ) -> Iterator[MDAEvent]:
        middle = (visit.z_planes - 1) / 2
        channels = visit.channels or (None,)
        for (c, channel), z in product(enumerate(channels), range(visit.z_planes)):
            event = MDAEvent(
                index={"t": t, "c": c, "z": z},
                x_pos=visit.x_um,
                y_pos=visit.y_um,
                z_pos=visit.z_um + (z - middle) * visit.z_step_um,
                exposure=visit.exposure_ms,
                channel=(
                    {"config": channel, "group": self._channel_group}
                    if channel
                    else None
                ),
            )
            tag = EventTag(
                place=visit.place,
                origin="visit",
                decision_id=reaction.decision_id,
                image=image,
                index=(t, c, z),
                power_percent=self._power_of(visit.place, channel),
                objective=visit.objective,
            )
            yield tag.on(event)

    # ---------------------------------------------------------------- what came of it

    def ran(self, decision_id: str, frames: int, refused: str | None) -> bool:
        """One event has run, or was refused; False if it is of no visit."""
        tour = self._tour
        if tour is None or tour.here is None:
            return False
        reaction, visit = tour.here
        if reaction.decision_id != decision_id:
            return False
        reaction.frames += frames
        reaction.events_left -= 1
        if refused is not None:
            if not reaction.frames:
                tour.kept.made.add(_hit(reaction, visit), tour.kept.plan, by=-1)
            self._reactions.end(
                decision_id, "failed" if reaction.frames else "refused", refused
            )
        elif reaction.events_left <= 0:
            self._reactions.end(
                decision_id,
                "done",
                f"{reaction.frames} frames taken, stop {tour.stop} of {tour.planned} "
                f"in tour {tour.kept.tours}",
            )
        else:
            return True
        self._go_on()
        return True

    def finish(self) -> None:
        """Set out no more."""
        self._finished = True
        if self._tour is not None:
            self._tour.stops.clear()
