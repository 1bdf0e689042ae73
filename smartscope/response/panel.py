"""The policies of an experiment, asked one after the other, each on its own risk."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice

from smartscope.response.actions import ACTIONS, Action
from smartscope.response.arbiter import Wish
from smartscope.response.decision import Decision, Outcome
from smartscope.response.observation import Observation
from smartscope.response.policies import load_policy
from smartscope.response.policy import Policy
from smartscope.response.settings import PolicySettings
from smartscope.response.within_limits import is_finite

MAX_WISHES = 100


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
    """

    wishes: list[Wish] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)


class PolicyPanel:
    """All policies of an experiment.

    A policy that raises or returns something else than actions is a failure of that
    policy on that frame; the others are asked all the same. Of one policy at most 100
    wishes a frame are considered. Policies without a name of their own that share a
    word are numbered: 'burst', 'burst 2'.

    Parameters
    ----------
    settings : sequence of PolicySettings
        In the order of the experiment file.

    Raises
    ------
    smartscope.errors.Refused
        If a policy of one's own cannot be loaded.
    """

    def __init__(self, settings: Sequence[PolicySettings]) -> None:
        self._seats: list[tuple[str, PolicySettings, Policy]] = [
            (name, each, load_policy(each))
            for name, each in zip(names_of(settings), settings, strict=True)
        ]

    def ask(self, seen: Observation) -> Asked:
        """Ask every policy what it wishes."""
        asked = Asked()
        for seat, (name, settings, policy) in enumerate(self._seats):
            try:
                answer = policy.decide(seen)
                actions, failures = _sorted_out(answer)
                remarks: Callable[[], Iterable[str]] = getattr(policy, "remarks", list)
                asked.remarks += [f"{name}: {remark}" for remark in remarks()]
            # user code may raise anything; it must not stop the other policies
            except Exception as e:  # noqa: BLE001 - counted and told as a failure
                asked.failures.append(f"policy {name}: {type(e).__name__}: {e}")
                continue
            asked.failures += [f"policy {name}: {failure}" for failure in failures]
            asked.wishes += [
                Wish(name, settings, action, (seat, i))
                for i, action in enumerate(actions)
            ]
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
        for name, _, policy in self._seats:
            told = getattr(policy, "told", None)
            if told is None:
                continue
            for piece in news:
                if isinstance(piece, Decision) and piece.policy != name:
                    continue
                try:
                    told(piece)
                # user code may raise anything
                except Exception as e:  # noqa: BLE001 - counted, told as a failure
                    failures.append(f"policy {name}: {type(e).__name__}: {e}")
        return failures


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


def _sorted_out(answer: object) -> tuple[list[Action], list[str]]:
    """Return the usable actions of an answer, and what was wrong with the rest."""
    if isinstance(answer, str | bytes | dict) or not hasattr(answer, "__iter__"):
        what = "None" if answer is None else f"a {type(answer).__name__}"
        return [], [f"returned {what}, not a sequence of actions"]
    actions: list[Action] = []
    failures = []
    iterator = iter(answer)
    for item in islice(iterator, MAX_WISHES):
        if not isinstance(item, ACTIONS):
            failures.append(f"wished a {type(item).__name__}, which is no action")
        elif not is_finite(item):
            failures.append(f"wished a {item.kind} with a number that is not finite")
        else:
            actions.append(item)
    if hasattr(answer, "__len__"):
        left = len(answer) - MAX_WISHES
        if left > 0:
            failures.append(f"{left} wishes beyond {MAX_WISHES} were not considered")
    elif next(iterator, None) is not None:
        failures.append(f"wishes beyond {MAX_WISHES} were not considered")
    return actions, failures
