"""What the microscope can be told: its channels, devices, limits and present state."""

from __future__ import annotations

import math
from functools import cached_property
from typing import TYPE_CHECKING

from smartscope.acquisition import allows, camera_labels
from smartscope.errors import LimitBroken, nearest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from smartscope.microscope import Microscope


class Orders:
    """Says what is wrong with an order, without giving it.

    Parameters
    ----------
    microscope : Microscope
        Open; it is only asked.
    """

    def __init__(self, microscope: Microscope) -> None:
        self._scope = microscope
        self._core = microscope.core
        self.limits = microscope.limits

    @cached_property
    def presets(self) -> dict[str, tuple[str, ...]]:
        """The presets of each config group."""
        return {
            str(group): tuple(str(p) for p in self._core.getAvailableConfigs(group))
            for group in self._core.getAvailableConfigGroups()
        }

    @cached_property
    def channels(self) -> tuple[str, ...]:
        """The presets of the channel group."""
        return self.presets.get(self._scope.channel_group, ())

    @cached_property
    def channel_now(self) -> str:
        """The preset that is set; ``""`` if none is."""
        group = self._scope.channel_group
        return str(self._core.getCurrentConfig(group)) if self.channels else ""

    @cached_property
    def position_um(self) -> tuple[float, float, float]:
        """Where the stages are now; 0 where there is none."""
        x, y = self._core.getXYPosition() if self._core.getXYStageDevice() else (0, 0)
        z = self._core.getPosition() if self._core.getFocusDevice() else 0.0
        return float(x), float(y), float(z)

    @cached_property
    def camera(self) -> str:
        """The device that frames come from."""
        return str(self._core.getCameraDevice())

    @cached_property
    def cameras(self) -> tuple[str, ...]:
        """The cameras that give a frame at every exposure."""
        return camera_labels(self._core)

    @cached_property
    def turrets(self) -> tuple[str, ...]:
        """The devices that turn objectives."""
        return tuple(str(d) for d in self._core.guessObjectiveDevices())

    @cached_property
    def preset(self) -> str:
        """The preset of the channel group that is set now; ``""`` if none is."""
        return str(self._core.getCurrentConfig(self._scope.channel_group))

    @cached_property
    def exposure_ms(self) -> float:
        """The camera's exposure now."""
        return float(self._core.getExposure())

    @cached_property
    def bytes_per_frame(self) -> int:
        """Of one image as it comes now, uncompressed."""
        return self.pixels_per_frame * int(self._core.getBytesPerPixel())

    @cached_property
    def pixels_per_frame(self) -> int:
        """Of one image as it comes now."""
        rows, columns = self._scope.camera_shape()
        return rows * columns

    @cached_property
    def field_um(self) -> tuple[float, float]:
        """Width and height of the field of view."""
        rows, columns = self._scope.camera_shape()
        pixel_um = float(self._core.getPixelSizeUm())
        return columns * pixel_um, rows * pixel_um

    @property
    def has_power(self) -> bool:
        """Whether the power of the light is known; else it is counted as 100 %."""
        return self._scope.settings.light.power_property is not None

    def light_limits_below(self, light: float) -> Iterator[str]:
        """Yield the limits, in words, that so much light at once breaks.

        Parameters
        ----------
        light : float
            ms × %.
        """
        for name in ("light_ms_percent", "track_light_ms_percent"):
            most = getattr(self.limits, name)
            if most is not None and light > most:
                yield f"limits.{name} {most:g}"

    def power_percent(self, group: str, preset: str) -> float:
        """Return the power of the light in a channel, as presets and devices say."""
        wanted = self._scope.settings.light.power_property
        if wanted is None:
            return 100.0
        if preset in self.presets.get(group, ()):
            for device, prop, value in self._core.getConfigData(group, preset):
                if (device, prop) == wanted:
                    return float(value)
        return float(self._core.getProperty(*wanted))

    def channel(self, preset: str, group: str | None = None) -> str | None:
        """Return what is wrong with a channel, or None."""
        group = group or self._scope.channel_group
        if group not in self.presets:
            return (
                f"'{self._scope.name}' has no config group '{group}'."
                f"{nearest(group, self.presets)} It has: {', '.join(self.presets)}."
            )
        if preset not in (known := self.presets[group]):
            return (
                f"'{self._scope.name}' has no preset '{preset}' in the group '{group}'."
                f"{nearest(preset, known)} It has: {', '.join(known)}."
            )
        return None

    def device(self, label: str) -> str | None:
        """Return what is wrong with the name of a device, or None."""
        if label in (known := [str(d) for d in self._core.getLoadedDevices()]):
            return None
        return f"'{self._scope.name}' has no device '{label}'.{nearest(label, known)}"

    def property(self, label: str, prop: str) -> str | None:
        """Return what is wrong with the name of a property, or None."""
        if wrong := self.device(label):
            return wrong
        known = [str(p) for p in self._core.getDevicePropertyNames(label)]
        if prop in known:
            return None
        return f"The device '{label}' has no property '{prop}'.{nearest(prop, known)}"

    def settable(self, label: str, prop: str) -> str | None:
        """Return why a property cannot be set at all, or None."""
        if self._core.isPropertyReadOnly(label, prop):
            return f"The property '{prop}' of '{label}' can only be read."
        return None

    def cannot_be(self, label: str, prop: str, value: float | str) -> str | None:
        """Return why the device itself would not take a value, or None."""
        core = self._core
        allowed = [str(v) for v in core.getAllowedPropertyValues(label, prop)]
        if allowed and not allows(tuple(allowed), value):
            return (
                f"The property '{prop}' of '{label}' cannot be {value}. It can be: "
                f"{', '.join(allowed)}."
            )
        if core.hasPropertyLimits(label, prop):
            low = float(core.getPropertyLowerLimit(label, prop))
            high = float(core.getPropertyUpperLimit(label, prop))
            if not allows((low, high), value):
                return (
                    f"The property '{prop}' of '{label}' cannot be {value}. It can be "
                    f"{low:g} to {high:g}."
                )
        return None

    def sets_power(self, label: str, prop: str) -> bool:
        """Whether a property is the power of the light."""
        return self._scope.settings.light.power_property == (label, prop)

    def within(self, name: str, value: float) -> str | None:
        """Return what is wrong with a value for one of the limits, or None."""
        try:
            self.limits.check(name, value)
        except LimitBroken as e:
            return e.what
        return None

    def xy(self) -> str | None:
        """Return what is wrong with moving in x, y at all, or None."""
        return None if self._core.getXYStageDevice() else "There is no XY stage."

    def z(self) -> str | None:
        """Return what is wrong with moving in z at all, or None."""
        if not self._core.getFocusDevice():
            return "There is no focus drive."
        if self._scope.settings.focus_direction is None:
            return (
                "The focus direction of this microscope is not known, and without it Z "
                "does not move. Set focus_direction in its file."
            )
        return None

    def autofocus(self) -> str | None:
        """Return what is wrong with hardware autofocus, or None."""
        if self._core.getAutoFocusDevice():
            return None
        return f"'{self._scope.name}' has no autofocus device."

    def not_a_number(self, label: str, prop: str) -> str | None:
        """Return what a property says now if that is no finite number, or None."""
        said = str(self._core.getProperty(label, prop))
        try:
            if math.isfinite(float(said)):
                return None
        except ValueError:
            pass
        return f"The property '{prop}' of '{label}' is no number: it says '{said}'."
