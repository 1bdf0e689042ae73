"""The simulated filter wheels and turrets."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from pymmcore_plus.experimental.unicore import StateDevice

from smartscope.simulation.devices.number_properties import NumberProperties
from smartscope.simulation.stand import Stand


class Wheel(NumberProperties, StateDevice):
    """A wheel or turret that needs its time to turn.

    Parameters
    ----------
    labels : Mapping[int, str]
        Of all positions.
    stand : Stand
        Whose time it takes.
    turned : Callable, optional
        Called with the new label when it has been told to turn.
    delay_ms : float, optional
        What it takes to turn; default: what a filter wheel takes.
    """

    def __init__(
        self,
        labels: Mapping[int, str],
        stand: Stand,
        turned: Callable[[str], None] | None = None,
        delay_ms: float | None = None,
    ) -> None:
        super().__init__(labels)
        self._labels = dict(labels)
        self._stand = stand
        self._turned = turned
        self._delay_ms = delay_ms
        self._position = 0
        self._until = 0.0

    def busy(self) -> bool:
        """Return True until it has turned."""
        return self._stand.busy(self._until)

    def label(self) -> str:
        """Return the label of its position."""
        return self._labels[self._position]

    def get_state(self) -> int:
        """Return its position."""
        return self._position

    def set_state(self, position: int) -> None:
        """Turn it; it is busy for its delay."""
        position = int(position)
        if position == self._position:
            return
        self._position = position
        delay_ms = self._delay_ms
        if delay_ms is None:
            delay_ms = self._stand.settings.ugliness.filter_ms
        self._until = self._stand.turns(self, delay_ms / 1000)
        if self._turned is not None:
            self._turned(self._labels[position])
