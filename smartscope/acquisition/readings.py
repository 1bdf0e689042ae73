"""Properties of devices that are read with each event, for whoever watches them."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterable

from smartscope.acquisition.guarded_core import GuardedCore, GuardedUniCore

LOCKED = "autofocus.locked"
"""Name of the core's word whether its autofocus holds the focus: 1, or 0."""


def reading_of(device: str, name: str) -> str:
    """Return the name that a property has among what was measured."""
    return f"{device}.{name}"


class Readings:
    """Reads what was asked for, and nothing else.

    Parameters
    ----------
    core : GuardedCore or GuardedUniCore
        The microscope.
    properties : iterable of tuple of str
        Device and property of each.
    locked : bool
        Whether the autofocus is locked, too.
    """

    def __init__(
        self,
        core: GuardedCore | GuardedUniCore,
        properties: Iterable[tuple[str, str]] = (),
        *,
        locked: bool = False,
    ) -> None:
        self._core = core
        self._properties = tuple(dict.fromkeys(properties))
        self._locked = locked

    def read(self) -> dict[str, float]:
        """Return the values as they are now, by name.

        What a device does not tell, or tells as no finite number, is left out: it is no
        reason to lose a frame.
        """
        values: dict[str, float] = {}
        if self._locked:
            with contextlib.suppress(Exception):
                values[LOCKED] = float(bool(self._core.isContinuousFocusLocked()))
        for device, name in self._properties:
            try:
                value = float(self._core.getProperty(device, name))
            except Exception:  # noqa: BLE001 a device that does not tell
                continue
            if math.isfinite(value):
                values[reading_of(device, name)] = value
        return values
