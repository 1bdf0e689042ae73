"""What decisions have changed about the survey's visits to its places."""

from __future__ import annotations

from dataclasses import dataclass, field

from useq import MDAEvent

from smartscope.acquisition import EventTag
from smartscope.response.actions import MoveStage, SetExposure, SetPower
from smartscope.response.reactions import Reactions
from smartscope.response.survey import Planned

Slot = tuple[str, str]
"""What is changed: ``("move", "")``, ``("exposure", channel)``, ``("power", …)``."""


@dataclass(slots=True)
class _Changes:
    move: MoveStage | None = None
    # where the middle of the planes shall be
    z_um: float | None = None
    exposures: dict[str, float] = field(default_factory=dict)
    powers: dict[str, float] = field(default_factory=dict)
    # of these, what visits have had: bursts are granted for that light
    lit: dict[str, float] = field(default_factory=dict)


class Visits:
    """Changes of places, exposures and powers, and the decisions that wait for a visit.

    Parameters
    ----------
    reactions : Reactions
        Where decisions get their outcomes.
    """

    def __init__(self, reactions: Reactions) -> None:
        self._reactions = reactions
        self._changes: dict[str, _Changes] = {}
        self._waiting: dict[str, dict[Slot, str]] = {}
        # lowest and highest plane of each place, as planned
        self._planes_um: dict[str, tuple[float, float]] = {}

    def change(
        self, decision_id: str, action: MoveStage | SetExposure | SetPower
    ) -> None:
        """Change the visits to a place from the next one on."""
        changes = self._changes.setdefault(action.place, _Changes())
        waiting = self._waiting.setdefault(action.place, {})
        slot: Slot
        if isinstance(action, MoveStage):
            changes.move, slot = action, ("move", "")
            if action.z_um is not None:
                changes.z_um = action.z_um
        elif isinstance(action, SetExposure):
            # the newest last: it holds where the survey names no channel
            changes.exposures.pop(action.channel, None)
            changes.exposures[action.channel] = action.exposure_ms
            slot = ("exposure", action.channel)
        else:
            changes.powers.pop(action.channel, None)
            changes.powers[action.channel] = action.power_percent
            slot = ("power", action.channel)
        if (older := waiting.pop(slot, None)) is not None:
            self._reactions.end(
                older, "stale", "replaced by a newer decision before its visit"
            )
        waiting[slot] = decision_id

    def event_of(self, planned: Planned) -> MDAEvent:
        """Return an event of the survey with what decisions have changed, tagged."""
        event, place = planned.event, planned.place
        index = {**event.index, "t": planned.round} if event.index else event.index
        tag = EventTag(
            place=place,
            image=f"survey_{place}",
            index=(planned.round, index.get("c", 0), index.get("z", 0)),
            power_percent=self.power_percent(
                place, event.channel.config if event.channel is not None else None
            )
            or EventTag.of(event).power_percent,
        )
        update: dict[str, object] = {
            "index": index,
            "min_start_time": None,
            "reset_event_timer": False,
            "metadata": {**event.metadata, **tag.values()},
        }
        return event.model_copy(update={**update, **self.of_event(place, event)})

    def of_event(self, place: str, event: MDAEvent) -> dict[str, object]:
        """Return the fields of an event of the survey that are changed."""
        update: dict[str, object] = {}
        if event.z_pos is not None:
            low, high = self._planes_um.get(place, (event.z_pos, event.z_pos))
            self._planes_um[place] = min(low, event.z_pos), max(high, event.z_pos)
        if (changes := self._changes.get(place)) is not None:
            if changes.z_um is not None and event.z_pos is not None:
                middle = sum(self._planes_um[place]) / 2
                update["z_pos"] = event.z_pos + changes.z_um - middle
            if changes.move is not None:
                update["x_pos"], update["y_pos"] = changes.move.x_um, changes.move.y_um
            for channel, exposure_ms in changes.exposures.items():
                if _concerns(event, ("exposure", channel)):
                    update["exposure"] = exposure_ms
        return update

    def middle_um(self, place: str) -> float | None:
        """Return where the middle of a place's planes was moved to, None if nowhere."""
        changes = self._changes.get(place)
        return None if changes is None else changes.z_um

    def power_percent(self, place: str, channel: str | None) -> float | None:
        """Return the power that was set for a place and channel, or None.

        Without a channel that of the newest decision holds.
        """
        changes = self._changes.get(place)
        powers = {} if changes is None else changes.powers
        if channel is None:
            return next(reversed(powers.values()), None)
        return powers.get(channel)

    def lit_percent(self, place: str, channel: str | None) -> float | None:
        """Return the same as the survey's last visit had it."""
        changes = self._changes.get(place)
        lit = {} if changes is None else changes.lit
        return (
            next(reversed(lit.values()), None) if channel is None else lit.get(channel)
        )

    def waiting_for(self, place: str, event: MDAEvent) -> list[str]:
        """Return the decisions that a visit with this event will apply."""
        waiting = self._waiting.get(place, {})
        return [waiting[slot] for slot in waiting if _concerns(event, slot)]

    def applied(self, place: str, decisions: list[str]) -> None:
        """A visit begins: what it was planned with is done."""
        waiting = self._waiting.get(place, {})
        for slot, decision_id in list(waiting.items()):
            if decision_id in decisions:
                del waiting[slot]
                what, channel = slot
                if what == "power":
                    changes = self._changes[place]
                    changes.lit.pop(channel, None)
                    changes.lit[channel] = changes.powers[channel]
                self._reactions.end(decision_id, "done", "applied to the next visit")

    def clear(self) -> None:
        """Visit as the plan has it again."""
        self._changes.clear()
        for waiting in self._waiting.values():
            for decision_id in waiting.values():
                self._reactions.end(decision_id, "stale", "the survey fell back first")
        self._waiting.clear()


def _concerns(event: MDAEvent, slot: Slot) -> bool:
    """Whether a change of a place's visits applies to one of its events.

    An event without a channel is taken with the one that is set, whatever its name.
    """
    what, channel = slot
    return what == "move" or event.channel is None or event.channel.config == channel
