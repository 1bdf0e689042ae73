"""A core for Python devices that has a hardware autofocus.

``UniMMCore`` knows no Python autofocus: what Micro-Manager's calls say of one is added
here. As a base of a guarded core it stands behind the guard.
"""

from __future__ import annotations

from typing import Any

from pymmcore_plus.experimental.unicore import UniMMCore

from smartscope.simulation import demo_names
from smartscope.simulation.devices import Autofocus


class AutofocusCore(UniMMCore):
    """A core whose autofocus is the simulated one, if that was loaded."""

    _autofocus: Autofocus | None = None

    def loadPyDevice(self, label: str, device: Any) -> None:
        """Load a Python device; an autofocus becomes the core's."""
        super().loadPyDevice(label, device)
        if isinstance(device, Autofocus):
            self._autofocus = device

    def unloadAllDevices(self) -> None:
        """Unload all devices, the autofocus too."""
        self._autofocus = None
        super().unloadAllDevices()

    def getAutoFocusDevice(self) -> Any:
        """Return the label of the autofocus; ``""`` without one."""
        return "" if self._autofocus is None else demo_names.AUTOFOCUS

    def enableContinuousFocus(self, enable: bool, /) -> None:
        """Switch the autofocus on or off."""
        self._there().set_state(int(enable))

    def isContinuousFocusEnabled(self) -> bool:
        """Return whether the autofocus is on."""
        return self._autofocus is not None and bool(self._autofocus.get_state())

    def isContinuousFocusLocked(self) -> bool:
        """Return whether the autofocus holds the focus."""
        return self._autofocus is not None and bool(self._autofocus.get_locked())

    def fullFocus(self) -> None:
        """Let the autofocus find the plane once; RuntimeError if it cannot."""
        self._there().find_once()

    def incrementalFocus(self) -> None:
        """Let the autofocus find the plane once; RuntimeError if it cannot."""
        self._there().find_once()

    def setAutoFocusOffset(self, offset: float, /) -> None:
        """Set how far above the plane the autofocus holds the focus, in µm."""
        self._there().set_offset(offset)

    def getAutoFocusOffset(self) -> float:
        """Return how far above the plane the autofocus holds the focus, in µm."""
        return self._there().get_offset()

    def _there(self) -> Autofocus:
        if self._autofocus is None:
            raise RuntimeError("There is no autofocus on this microscope.")
        return self._autofocus
