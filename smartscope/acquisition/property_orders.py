"""Properties that a reaction sets, some of them for a time only.

It alone knows what a property was before: whatever ends the run, what was set for a
time is set back.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from useq import CustomAction, MDAEvent

from smartscope.acquisition.declared import written
from smartscope.acquisition.event_tag import EventTag
from smartscope.acquisition.guarded_core import GuardedCore, GuardedUniCore

SET = "smartscope.set_property"
SET_BACK = "smartscope.set_property_back"


def property_event(
    tag: EventTag,
    device: str,
    name: str,
    value: float | str,
    *,
    then: Literal["stay", "back"] = "stay",
) -> MDAEvent:
    """Return the event that sets a property and takes no frame.

    Parameters
    ----------
    tag : EventTag
        Whose order it is.
    device, name : str
        The property.
    value : float or str
        What it shall be.
    then : {"stay", "back"}
        Whether ``set_back_event`` will follow, or the end of the run sets it back.
    """
    data = {"device": device, "property": name, "value": value, "then": then}
    return tag.on(MDAEvent(action=CustomAction(name=SET, data=data)))


def set_back_event(tag: EventTag, device: str, name: str) -> MDAEvent:
    """Return the event that gives a property the value it had before its decision."""
    data = {"device": device, "property": name}
    return tag.on(MDAEvent(action=CustomAction(name=SET_BACK, data=data)))


def is_property_event(event: MDAEvent) -> bool:
    """Whether an event sets a property and does nothing else."""
    action = event.action
    return isinstance(action, CustomAction) and action.name in (SET, SET_BACK)


@dataclass(frozen=True, slots=True)
class _Held:
    """A property that is set for a time: by whom, and what it was before."""

    decision_id: str
    before: str


class PropertyOrders:
    """Sets properties and sets them back.

    Of several orders about one property the newest holds: an older one's time then ends
    without effect, and with the newest one's time the property has the value again that
    it had before them all. One that sets it to stay ends this too.

    Parameters
    ----------
    core : GuardedCore or GuardedUniCore
        The microscope; it refuses what is not declared or out of range.
    """

    def __init__(self, core: GuardedCore | GuardedUniCore) -> None:
        self._core = core
        self._held: dict[tuple[str, str], _Held] = {}

    def carry_out(self, event: MDAEvent) -> str:
        """Set or set back, and return what was done, in words.

        Raises
        ------
        LimitBroken
            If the property is not declared, or the value lies outside its range.
        """
        action = event.action
        if not isinstance(action, CustomAction):
            raise ValueError(f"No order about a property: {event}")
        data, decision_id = action.data, EventTag.of(event).decision_id
        key = (str(data["device"]), str(data["property"]))
        if action.name == SET_BACK:
            return self._set_back(key, decision_id)
        return self._set(key, data["value"], decision_id, data["then"] == "back")

    def _set(
        self, key: tuple[str, str], value: Any, decision_id: str, back: bool
    ) -> str:
        guard, (device, name) = self._core.guard, key
        if guard is not None:
            guard.limits.check_declared(device, name)
        now = str(self._core.getProperty(device, name))
        self._core.setProperty(device, name, written(value))
        held = self._held.pop(key, None)
        if back:
            before = now if held is None else held.before
            self._held[key] = _Held(decision_id, before)
        is_now = str(self._core.getProperty(device, name))
        return f"'{name}' of '{device}': {now} to {is_now}"

    def _set_back(self, key: tuple[str, str], decision_id: str) -> str:
        held = self._held.get(key)
        if held is None or held.decision_id != decision_id:
            return "not set back: a newer decision has set it"
        del self._held[key]
        self._restore(key, held.before)
        return f"back to {held.before}"

    def _restore(self, key: tuple[str, str], before: str) -> None:
        # where it was before somebody reacted it may be again, whatever its range
        with self._core.passed([(*key, before)]):
            self._core.setProperty(*key, before)

    def all_back(self) -> list[str]:
        """Set back all that is set for a time; return what could not be, in words."""
        failed = []
        for key, held in list(self._held.items()):
            device, name = key
            try:
                self._restore(key, held.before)
            except Exception as e:  # noqa: BLE001 the others must be set back too
                failed.append(
                    f"'{name}' of '{device}' could not be set back to {held.before}: "
                    f"{e}"
                )
        self._held.clear()
        return failed
