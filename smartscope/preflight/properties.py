"""Properties that policies may set: declared as the microscope has them, and harmless.

What has a way of its own, with checks of its own, is not set as a property: moves,
exposure, power, channels and the size of the frames.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from smartscope.acquisition import allows, is_range, look_up, told
from smartscope.response import SetPropertySettings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from smartscope.preflight.orders import Orders
    from smartscope.settings import Experiment

# what changes the frames of a camera; a store of one shape could not take them
_SHAPING = (
    "Binning",
    "BitDepth",
    "OnCameraCCDXSize",
    "OnCameraCCDYSize",
    "PixelType",
    "ROI",
    "ScanMode",
)


def wrong_properties(experiment: Experiment, orders: Orders) -> Iterator[str]:
    """Yield declared properties that cannot be set, and policies that set others."""
    for device, declared in orders.limits.properties.items():
        for name in declared:
            where = f"limits.properties.{device}.{name}"
            if wrong := orders.property(device, name):
                yield f"{where}: {wrong}"
            elif wrong := orders.settable(device, name) or _reserved(
                orders, device, name
            ):
                yield f"{where}: {wrong}"
    for i, policy in enumerate(experiment.response):
        if isinstance(policy, SetPropertySettings):
            yield from _wrong_policy(policy, f"response.{i}", orders)


def _wrong_policy(
    policy: SetPropertySettings, where: str, orders: Orders
) -> Iterator[str]:
    if wrong := orders.property(policy.device, policy.property):
        yield f"{where}: {wrong}"
        return
    declared = look_up(orders.limits.properties, policy.device, policy.property)
    which = f"'{policy.property}' of '{policy.device}'"
    if declared is None:
        yield (
            f"{where}.property: {which} is not declared. Declare it with its range "
            "under [limits.properties] of the microscope's file."
        )
    elif not allows(declared, policy.value):
        yield (
            f"{where}.value: {which} may be {told(declared)} by limits.properties, not "
            f"{policy.value}."
        )
    elif wrong := orders.cannot_be(policy.device, policy.property, policy.value):
        yield f"{where}.value: {wrong}"
    elif is_range(declared) and isinstance(policy.value, str):
        # allowed, as it reads as a number; say it as one, so that it can be clipped
        yield f"{where}.value: give a number, not the text '{policy.value}'."


def _reserved(orders: Orders, device: str, name: str) -> str | None:
    """Return how a property is changed in another way, or None."""
    if orders.sets_power(device, name):
        return (
            "it is the power of the light. Let adapt_exposure change it, with 'prefer: "
            "power'."
        )
    if device in (orders.camera, *orders.cameras) and name in (*_SHAPING, "Exposure"):
        return "the frames of a run have one size and kind, and their own exposure."
    if device in orders.turrets:
        return "a turning objective could hit the sample."
    if device == "Core" or name == "Position":
        return (
            "stages and the core's roles are not set as properties. Let the survey or "
            "the policies move."
        )
    return None
