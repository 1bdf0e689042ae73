"""The simulated light: a source with power, and shutters."""

from __future__ import annotations

from pymmcore_plus.experimental.unicore import GenericDevice, ShutterDevice

from smartscope.simulation.devices.number_properties import NumberProperties
from smartscope.simulation.stand import Stand


class Light(NumberProperties, GenericDevice):
    """A source that all colours come from; property ``Power`` in percent."""

    def __init__(self) -> None:
        super().__init__()
        self.power_percent = 100.0
        self.register_property(
            "Power",
            property_type=float,
            limits=(0.0, 100.0),
            getter=type(self).get_power,
            setter=type(self).set_power,
        )

    def get_power(self) -> float:
        """Return the power in percent."""
        return self.power_percent

    def set_power(self, value: float) -> None:
        """Set the power in percent."""
        self.power_percent = float(value)


class Shutter(NumberProperties, ShutterDevice):
    """A shutter that needs its time to open, with the property ``State`` (0, 1).

    The property ``Current`` is 1 for the shutter that autoshutter uses; setting it to 1
    makes it that, which presets need: they cannot set ``Core.Shutter`` to a Python
    device.

    Parameters
    ----------
    stand : Stand
        Whose time it takes.
    """

    def __init__(self, stand: Stand) -> None:
        super().__init__()
        self._stand = stand
        self._open = False
        self.until = 0.0
        for name, getter, setter in (
            ("State", type(self).get_state, type(self).set_state),
            ("Current", type(self).get_current, type(self).set_current),
        ):
            self.register_property(
                name,
                property_type=int,
                allowed_values=(0, 1),
                getter=getter,
                setter=setter,
            )

    def busy(self) -> bool:
        """Return True until it has opened or closed."""
        return self._stand.busy(self.until)

    def lets_light_through(self) -> bool:
        """Return True if it is open and has had the time to open."""
        return self._open and not self.busy()

    def get_open(self) -> bool:
        """Return True if it is open."""
        return self._open

    def set_open(self, open: bool) -> None:
        """Open or close it; it is busy for its delay."""
        if bool(open) != self._open:
            self._open = bool(open)
            self.until = self._stand.takes(
                self._stand.settings.ugliness.shutter_ms / 1000
            )

    def shutdown(self) -> None:
        """Close it."""
        self._open = False

    def get_state(self) -> int:
        """Return 1 if it is open."""
        return int(self._open)

    def set_state(self, value: int) -> None:
        """Open it with 1, close it with 0."""
        self.set_open(bool(value))

    def get_current(self) -> int:
        """Return 1 if autoshutter uses it."""
        core = self._stand.core
        return int(core is not None and core.getShutterDevice() == self.get_label())

    def set_current(self, value: int) -> None:
        """Make it the one autoshutter uses with 1; 0 does nothing."""
        core = self._stand.core
        if value and core is not None:
            core.setShutterDevice(self.get_label())
