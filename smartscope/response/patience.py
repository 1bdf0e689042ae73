"""How long the survey has waited for what goes before it."""

from __future__ import annotations

from smartscope.acquisition import Clock


class Patience:
    """Adds up what the visits of a round have waited, and says when it is enough.

    Parameters
    ----------
    clock : Clock
        The run's clock.
    longest_s : float or None
        The visits of a round that are due wait together at most so long; None: as long
        as the others take.
    """

    def __init__(self, clock: Clock, longest_s: float | None) -> None:
        self._clock = clock
        self._longest_s = longest_s
        self._round = -1
        self._waited_s = 0.0

    def of_round(self, number: int) -> bool:
        """Whether this round has waited enough already; another one begins anew."""
        if number != self._round:
            self._round, self._waited_s = number, 0.0
        return self._is_enough(self._waited_s)

    def ends(self, ready_s: float) -> bool:
        """Whether it has waited enough with a visit that waits since ``ready_s``."""
        return self._is_enough(self._with(ready_s))

    def waited(self, ready_s: float) -> None:
        """A visit that has waited since ``ready_s`` waits no more."""
        self._waited_s = self._with(ready_s)

    def _with(self, ready_s: float) -> float:
        return self._waited_s + max(0.0, self._clock.now_s() - ready_s)

    def _is_enough(self, waited_s: float) -> bool:
        return self._longest_s is not None and waited_s > self._longest_s
