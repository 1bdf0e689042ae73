"""Settings of occurrences that are about the microscope: its focus and its devices."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from pydantic import Field

from smartscope.acquisition import LOCKED, reading_of
from smartscope.recognition.occurrence_base import BoundedBase, CountedBase


class AutofocusUnlocked(CountedBase):
    """The autofocus device does not hold the focus at a place."""

    kind: Literal["autofocus_unlocked"] = "autofocus_unlocked"

    def reading(self) -> str:
        """Its name among what was measured."""
        return LOCKED


class Property(BoundedBase):
    """A property of a device is above, or below, a bound."""

    kind: Literal["property"] = "property"
    device: str = Field(description="Label of the device.")
    property: str = Field(description="One that is a number.")

    def reading(self) -> str:
        """Its name among what was measured."""
        return reading_of(self.device, self.property)


class FocusTrend(CountedBase):
    """The field of a place gets steadily less sharp: told before it is lost."""

    kind: Literal["focus_trend"] = "focus_trend"
    looks: int = Field(
        8, ge=4, description="A line is laid through its last so many looks."
    )
    fall: float = Field(
        0.15,
        gt=0,
        lt=1,
        description="The line falls by at least this share of where it begins.",
    )
    sigmas: float = Field(
        5.0, gt=0, description="And by so many times its own standard error."
    )


DeviceKind = AutofocusUnlocked | Property | FocusTrend
"""All of them."""


def watched(occurrences: Iterable[object]) -> tuple[tuple[tuple[str, str], ...], bool]:
    """Return what of the devices must be read with each frame for some occurrences.

    Returns
    -------
    tuple
        Devices and their properties, and whether the autofocus is locked, too.
    """
    kinds = list(occurrences)
    properties = dict.fromkeys(
        (kind.device, kind.property) for kind in kinds if isinstance(kind, Property)
    )
    return tuple(properties), any(isinstance(k, AutofocusUnlocked) for k in kinds)
