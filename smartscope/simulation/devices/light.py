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
            getter=type(self)._get_power,
            setter=type(self)._set_power,
        )

    def _get_power(self) -> float:
        return self.power_percent

    def _set_power(self, value: float) -> None:
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
        self._until = 0.0
        for name, getter, setter in (
            ("State", type(self)._get_state, type(self)._set_state),
            ("Current", type(self)._get_current, type(self)._set_current),
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
        return self._stand.busy(self._until)

    def lets_light_through(self) -> bool:
        """Return True if it is open and has had the time to open."""
        return self._open and not self.busy()

    def get_open(self) -> bool:
        """Return True if it is open."""
        return self._open

    def set_open(self, open: bool) -> None:  # noqa: A002 name given by unicore
        """Open or close it; it is busy for its delay."""
        if bool(open) != self._open:
            self._open = bool(open)
            self._until = self._stand.takes(
                self._stand.settings.ugliness.shutter_ms / 1000
            )

    def shutdown(self) -> None:
        """Close it."""
        self._open = False

    def _get_state(self) -> int:
        return int(self._open)

    def _set_state(self, value: int) -> None:
        self.set_open(bool(value))

    def _get_current(self) -> int:
        core = self._stand.core
        return int(core is not None and core.getShutterDevice() == self.get_label())

    def _set_current(self, value: int) -> None:
        core = self._stand.core
        if value and core is not None:
            core.setShutterDevice(self.get_label())
