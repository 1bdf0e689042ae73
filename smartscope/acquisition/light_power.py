"""The power of the light: what an event asks for, and what it is without that."""

from __future__ import annotations

from smartscope.acquisition.declared import written
from smartscope.acquisition.guarded_core import GuardedCore, GuardedUniCore
from smartscope.errors import BrokenOff, LimitBroken

# of what was asked for, and in percent of full power
_TOLERANCE, _LEAST = 0.1, 0.5


class LightPower:
    """Sets the power that an event asks for, and takes it back for one that asks none.

    What the power is when nobody asks for one is what setup, presets or a person have
    set last.

    Parameters
    ----------
    core : GuardedCore or GuardedUniCore
        The microscope, with the device and property that set the power, if any.
    """

    def __init__(self, core: GuardedCore | GuardedUniCore) -> None:
        self._core = core
        self._property: tuple[str, str] | None = None
        # what was asked for last and what the device then said, None: nothing is asked
        self._asked: float | None = None
        self._said = self._own = 100.0

    def begin(self) -> None:
        """Begin a run: nothing has been asked for."""
        self._asked = None

    def now(self) -> float:
        """Return the power in percent; 100 where it is not known."""
        guard = self._core.guard
        if guard is None or guard.power_property is None:
            return 100.0
        return float(self._core.getProperty(*guard.power_property))

    def expected(self, asked: float | None) -> float:
        """Return the power that an event will have, as far as it is known before."""
        if asked is not None:
            return asked
        return self.now() if self._asked is None else self._own

    def is_set_by(self, device: str, name: str) -> bool:
        """Whether a property is the one that sets the power."""
        guard = self._core.guard
        return guard is not None and (device, name) == guard.power_property

    def set_otherwise(self) -> None:
        """A preset has set the power: that is now what it is without asking."""
        self._asked = None

    def assert_for(self, asked: float | None) -> None:
        """Bring the light to the power an event asks for, or to its own.

        Raises
        ------
        LimitBroken
            If the microscope cannot set it, or may not.
        BrokenOff
            If the light does not take it.
        """
        if asked is None and self._asked is None:
            return
        guard = self._core.guard
        if guard is None or guard.power_property is None:
            raise LimitBroken(
                "The power of the light cannot be set.",
                rule="It is set through light.power_property of the microscope's file.",
                way_out="Name it there, or change the exposure in its place.",
                state="The order was not carried out.",
            )
        now = self.now()
        if self._asked is None or now != self._said:
            self._own = now  # somebody else has set it since
        elif asked == self._asked:
            return
        want = self._own if asked is None else asked
        if now != want:
            self._core.setProperty(*guard.power_property, written(want))
            now = self.now()
        if not abs(now - want) <= max(_TOLERANCE * want, _LEAST):
            raise BrokenOff(
                f"The light was told to have {want:g} % and says {now:g} %.",
                rule="A power must be taken within 10 %.",
                way_out="Ask for a power that the light can have.",
            )
        self._asked, self._said = asked, now
