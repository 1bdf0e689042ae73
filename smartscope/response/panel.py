"""The policies of an experiment, asked one after the other, each on its own risk."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from smartscope.response.actions import ACTIONS, Action
from smartscope.response.arbiter import Wish
from smartscope.response.decision import Decision, Outcome
from smartscope.response.observation import Observation
from smartscope.response.policies import load_policy
from smartscope.response.policy import Policy
from smartscope.response.settings import PolicySettings
from smartscope.response.target import Target
from smartscope.response.within_limits import is_finite

MAX_WISHES = 100
"""Of one policy on one frame; the others are counted and not considered."""


@dataclass(slots=True)
class Asked:
    """What the policies said to one frame.

    Attributes
    ----------
    wishes : list of Wish
        In the order of the experiment file, then as each policy gave them.
    failures : list of str
        Which policy failed, and how.
    remarks : list of str
        What policies said besides, with their names.
    chosen : set of int
        Tracks that policies have chosen: they follow them, or take their series.
    """

    wishes: list[Wish] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    chosen: set[int] = field(default_factory=set)


@dataclass(slots=True)
class _Seat:
    """One policy, and how it has behaved."""

    name: str
    settings: PolicySettings
    policy: Policy
    failed: bool = False  # since it was asked last
    in_a_row: int = 0  # frames
    off: bool = False


class PolicyPanel:
    """All policies of an experiment.

    A policy that raises or returns something else than actions is a failure of that
    policy on that frame; the others are asked all the same. One that fails on
    ``off_after`` frames in a row is switched off: it is not asked any more. Of one
    policy at most 100 wishes a frame are considered. Policies without a name of their
    own that share a word are numbered: 'burst', 'burst 2'.

    Parameters
    ----------
    settings : sequence of PolicySettings
        In the order of the experiment file.
    asking : Callable, optional
        Called with the number of a policy, counted from 1, before it is asked or told
        something, and with 0 after all: whoever watches knows where it hangs.

    Raises
    ------
    smartscope.errors.Refused
        If a policy of one's own cannot be loaded.
    """

    def __init__(
        self,
        settings: Sequence[PolicySettings],
        asking: Callable[[int], None] | None = None,
    ) -> None:
        self._seats = [
            _Seat(name, each, load_policy(each))
            for name, each in zip(names_of(settings), settings, strict=True)
        ]
        self._asking = asking or (lambda number: None)
        self._faults: dict[str, dict[str, Any]] = {}

    def ask(self, seen: Observation) -> Asked:
        """Ask every policy what it wishes."""
        asked = Asked()
        for number, seat in enumerate(self._seats):
            if seat.off:
                continue
            if not seat.failed:
                seat.in_a_row = 0
            seat.failed = False
            self._asking(number + 1)
            try:
                answer = seat.policy.decide(seen)
                actions, faults, flooded = _sorted_out(answer)
                remarks: Callable[[], Iterable[str]] = getattr(
                    seat.policy, "remarks", list
                )
                asked.remarks += [f"{seat.name}: {remark}" for remark in remarks()]
                chosen: Callable[[], Iterable[int]] = getattr(
                    seat.policy, "chosen_tracks", tuple
                )
                asked.chosen.update(int(track_id) for track_id in chosen())
            # user code may raise anything; it must not stop the other policies
            except Exception as e:  # noqa: BLE001 - counted and told as a failure
                asked.failures += self._failed(seat, [f"{type(e).__name__}: {e}"])
                continue
            if faults:
                asked.failures += self._failed(seat, faults)
            if flooded:
                self._of(seat)["flooded"] = flooded
                asked.failures.append(
                    f"policy {seat.name}: wishes more than {MAX_WISHES} actions on one "
                    "frame; the others are counted and not considered"
                )
            asked.wishes += [
                Wish(seat.name, seat.settings, action, (number, i))
                for i, action in enumerate(actions)
            ]
        self._asking(0)
        return asked

    def tell(self, news: Sequence[Decision | Outcome]) -> list[str]:
        """Tell policies that want to know what became of their wishes.

        Decisions go to the policy that wished; outcomes, which carry no name, to all.

        Returns
        -------
        list of str
            Which policy failed over it, and how.
        """
        failures = []
        for number, seat in enumerate(self._seats):
            told = getattr(seat.policy, "told", None)
            if told is None or not news:
                continue
            self._asking(number + 1)
            for piece in news:
                if isinstance(piece, Decision) and piece.policy != seat.name:
                    continue
                if seat.off:
                    break
                try:
                    told(piece)
                # user code may raise anything
                except Exception as e:  # noqa: BLE001 - counted, told as a failure
                    failures += self._failed(seat, [f"{type(e).__name__}: {e}"])
        self._asking(0)
        return failures

    def point(self, target: Target) -> list[str]:
        """Tell policies that want to know where a person has pointed at.

        Returns
        -------
        list of str
            Which policy failed over it, and how.
        """
        failures = []
        for number, seat in enumerate(self._seats):
            pointed = getattr(seat.policy, "pointed", None)
            if pointed is None or seat.off:
                continue
            self._asking(number + 1)
            try:
                pointed(target)
            # user code may raise anything
            except Exception as e:  # noqa: BLE001 - counted, told as a failure
                failures += self._failed(seat, [f"{type(e).__name__}: {e}"])
        self._asking(0)
        return failures

    def faults(self) -> Mapping[str, Mapping[str, Any]]:
        """Return, once, what was wrong, by policy.

        Of each ``failed`` (how often), ``flooded`` (wishes not considered; at least)
        and ``off`` (why it is asked no more), as far as there is any.
        """
        faults, self._faults = self._faults, {}
        return faults

    def switch_off(self, names: Iterable[str]) -> None:
        """Ask these policies no more."""
        off = set(names)
        for seat in self._seats:
            seat.off = seat.off or seat.name in off

    def _of(self, seat: _Seat) -> dict[str, Any]:
        return self._faults.setdefault(seat.name, {})

    def _failed(self, seat: _Seat, how: Sequence[str]) -> list[str]:
        """Count that a policy failed on this frame; return what is told of it."""
        faults = self._of(seat)
        faults["failed"] = faults.get("failed", 0) + len(how)
        told = [f"policy {seat.name}: {each}" for each in how]
        if seat.failed:
            return told
        seat.failed = True
        seat.in_a_row += 1
        if seat.in_a_row >= seat.settings.off_after:
            seat.off = True
            faults["off"] = f"it failed on {seat.in_a_row} frames in a row"
            told.append(f"policy {seat.name} is switched off: {faults['off']}")
        return told


def names_of(settings: Sequence[PolicySettings]) -> Iterator[str]:
    """Yield a unique name for each policy: its label, numbered from the second on."""
    taken: set[str] = set()
    for each in settings:
        name, number = each.label, 1
        while name in taken:
            number += 1
            name = f"{each.label} {number}"
        taken.add(name)
        yield name


def _sorted_out(answer: object) -> tuple[list[Action], list[str], int]:
    """Return the usable actions, what was wrong with others, how many were too many."""
    if isinstance(answer, str | bytes | dict) or not hasattr(answer, "__iter__"):
        what = "None" if answer is None else f"a {type(answer).__name__}"
        return [], [f"returned {what}, not a sequence of actions"], 0
    actions: list[Action] = []
    wrong: Counter[str] = Counter()
    iterator = iter(answer)
    for item in islice(iterator, MAX_WISHES):
        if not isinstance(item, ACTIONS):
            wrong[f"wished a {type(item).__name__}, which is no action"] += 1
        elif not is_finite(item):
            wrong[f"wished a {item.kind} with a number that is not finite"] += 1
        else:
            actions.append(item)
    if hasattr(answer, "__len__"):
        flooded = max(0, len(answer) - MAX_WISHES)
    else:
        flooded = 0 if next(iterator, iterator) is iterator else 1
    return actions, list(wrong), flooded
