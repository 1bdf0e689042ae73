"""Numbers as properties: Micro-Manager sends text, Python devices compare numbers."""

from __future__ import annotations

from typing import Any

from pymmcore_plus import PropertyType
from pymmcore_plus.experimental.unicore.devices._device_base import Device


class NumberProperties(Device):
    """Mixin: ``"2"`` is 2 where the property is a number, as with C++ devices."""

    def set_property_value(self, prop_name: str, value: Any) -> None:
        """Set a property, given as a number or as text.

        Raises
        ------
        ValueError
            If it is not a number, or not an allowed one.
        """
        if isinstance(value, str):
            kind = self.get_property_info(prop_name).type
            if kind == PropertyType.Integer:
                value = int(float(value))
            elif kind == PropertyType.Float:
                value = float(value)
        super().set_property_value(prop_name, value)
