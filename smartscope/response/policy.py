"""The seam for policies: what decides what to do about what was seen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from smartscope.response.actions import Action
from smartscope.response.observation import Observation


class Policy(Protocol):
    """Decides what the microscope should do about what it has just seen.

    It may also have ``remarks() -> Sequence[str]``, asked once after each decision for
    what it wants on record besides (a cell was lost), and ``told(news)``, which is
    given each `Decision` about its wishes, every `Outcome`, and after a restart its
    last decisions again; and ``pointed(target)``, which is given each `Target` that a
    person chooses.
    """

    def decide(self, seen: Observation, /) -> Sequence[Action]:
        """Return the wished-for actions, most important first; may be empty.

        Called once per analysed frame, in the analysis process. It must be quick and
        cannot touch hardware: the planner turns granted actions into events. What it
        remembers must come from what it is shown, so that a replay decides the same.
        """
