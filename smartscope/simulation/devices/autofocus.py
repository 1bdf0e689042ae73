"""The simulated hardware autofocus."""

from __future__ import annotations

from pymmcore_plus import DeviceType
from pymmcore_plus.experimental.unicore import GenericDevice

from smartscope.simulation.devices.number_properties import NumberProperties
from smartscope.simulation.focus import FocusLock
from smartscope.simulation.stand import Spot, Stand


class Autofocus(NumberProperties, GenericDevice):
    """A hardware autofocus that holds the focus on the specimen's plane while it is on.

    It looks for the plane anew after each move of the stage. The position of the focus
    drive then counts from the plane; the drive does not tell what the autofocus adds.
    Properties: ``State`` (0, 1: on), ``Locked`` (1 if it is), ``Status`` (in words) and
    ``Offset`` (µm from the plane).

    Parameters
    ----------
    stand : Stand
        Whose time it takes.
    """

    _TYPE = DeviceType.AutoFocus

    def __init__(self, stand: Stand) -> None:
        super().__init__()
        settings = stand.settings
        self._stand = stand
        self._focus = FocusLock(settings.autofocus, settings.ugliness, settings.seed)
        self._until = 0.0
        kind = type(self)
        self.register_property(
            "State",
            property_type=int,
            allowed_values=(0, 1),
            getter=kind.get_state,
            setter=kind.set_state,
        )
        self.register_property(
            "Locked", property_type=int, is_read_only=True, getter=kind.get_locked
        )
        self.register_property(
            "Status", property_type=str, is_read_only=True, getter=kind.get_status
        )
        self.register_property(
            "Offset",
            property_type=float,
            getter=kind.get_offset,
            setter=kind.set_offset,
        )
        if self._focus.on:
            self._focus.relock()

    def busy(self) -> bool:
        """Return True while it searches."""
        return self._stand.busy(self._until)

    def moved(self, until: float) -> None:
        """Look for the plane anew when what the stage has begun is over."""
        if self._focus.on:
            self._search(until)

    def added_um(self, xy_um: Spot, t_s: float) -> float:
        """Return what it adds to the position of the focus drive, now."""
        return self._focus.added_um(xy_um, t_s, self.busy())

    def get_state(self) -> int:
        """Return 1 if it is on."""
        return int(self._focus.on)

    def set_state(self, value: int) -> None:
        """Switch it on with 1; with 0 the focus stays where it is."""
        on = bool(value)
        if self._focus.on and not on:
            self.added_um(*self._here_and_now())
        turned_on = on and not self._focus.on
        if turned_on:
            self._focus.zero_um = self._stand.z.where_um()
        self._focus.on = on
        if turned_on:
            self._search(None)

    def get_locked(self) -> int:
        """Return 1 if it holds the focus."""
        return int(self._state() == "locked")

    def get_status(self) -> str:
        """Return ``"off"``, ``"searching"``, ``"locked"`` or ``"lost in <area>"``."""
        state = self._state()
        if state != "lost":
            return state
        return f"lost in {self._focus.lost_in(*self._here_and_now())}"

    def get_offset(self) -> float:
        """Return how far above the plane it holds the focus, in µm."""
        return self._focus.offset_um

    def set_offset(self, value: float) -> None:
        """Set how far above the plane it holds the focus, in µm."""
        self._focus.offset_um = float(value)

    def find_once(self) -> None:
        """Look for the plane once.

        If it was off before, the focus drive is moved to the plane and says so; where
        it cannot lock, all is as before.

        Raises
        ------
        RuntimeError
            If it cannot lock here.
        """
        was_on = self._focus.on
        before_um = self.added_um(*self._here_and_now())
        if not was_on:
            self._focus.zero_um = self._stand.z.where_um()
        self._focus.on = True
        self._search(None)
        self._stand.wait(self._until)
        status = self.get_status()
        self.set_state(int(was_on))
        if not was_on and status == "locked":
            self._stand.z.carry(self._focus.take_over())
        elif not was_on:
            self._focus.leave_um(before_um)
        if status != "locked":
            raise RuntimeError(f"The autofocus cannot lock: {status}.")

    def shutdown(self) -> None:
        """Leave the focus where it is."""
        self._focus.on = False

    def _state(self) -> str:
        return self._focus.state(*self._here_and_now(), self.busy())

    def _here_and_now(self) -> tuple[Spot, float]:
        return self._stand.xy.where_um(), self._stand.clock.now_s()

    def _search(self, after: float | None) -> None:
        self._focus.relock()
        lock_s = self._focus.settings.lock_ms / 1000
        self._until = self._stand.takes(lock_s, after)
