"""What the microscope may be told: limits of its file, tightened by a run."""

from __future__ import annotations

import math
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PositiveFloat

from smartscope.acquisition.declared import (
    Properties,
    allows,
    look_up,
    tightened,
    told,
)
from smartscope.errors import LimitBroken


def _ordered(span: tuple[float, float]) -> tuple[float, float]:
    if not span[0] <= span[1]:
        raise ValueError(f"must be [lowest, highest], got {list(span)}")
    return span


Span = Annotated[tuple[float, float], AfterValidator(_ordered)]


class Limits(BaseModel):
    """Ranges that no order to the hardware may leave; both ends are allowed.

    ``None`` means no limit. An experiment may tighten what the microscope's file gives
    and never widen it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    x_um: Span | None = Field(None, description="Of the stage: [lowest, highest].")
    y_um: Span | None = Field(None, description="Of the stage: [lowest, highest].")
    z_um: Span | None = Field(None, description="Of the focus: [lowest, highest].")
    exposure_ms: Span | None = Field(None, description="[shortest, longest].")
    power_percent: Span | None = Field(
        None, description="Of the light source: [lowest, highest]."
    )
    max_step_um: PositiveFloat | None = Field(
        None, description="Largest single move in x, y; longer ones are refused."
    )
    moves_per_s: PositiveFloat | None = Field(
        None, description="More moves a second (of wall time) are refused."
    )
    burst_frames: int | None = Field(
        None, ge=1, description="Longest burst; longer ones are clipped."
    )
    light_ms_percent: PositiveFloat | None = Field(
        None, description="Light a place may get in a run, ms × % (uncalibrated)."
    )
    track_light_ms_percent: PositiveFloat | None = Field(
        None, description="Light a track may get in a run, ms × % (uncalibrated)."
    )

    properties: Properties = Field(
        default_factory=dict,
        description="By device and property, what policies may set it to: [lowest, "
        "highest], or a list of values. Others may not be set by policies; nobody sets "
        "one of these to anything else.",
    )

    def tightened(self, other: Limits) -> Limits:
        """Return the stricter of both, limit by limit.

        Raises
        ------
        LimitBroken
            If ``other`` has a range with no point in common with this one, or declares
            a property that this one does not.
        """
        merged: dict[str, object] = {
            "properties": tightened(self.properties, other.properties)
        }
        for name in type(self).model_fields:
            if name in merged:
                continue
            mine, theirs = getattr(self, name), getattr(other, name)
            if mine is None or theirs is None:
                merged[name] = mine if theirs is None else theirs
            elif isinstance(mine, tuple):
                low, high = max(mine[0], theirs[0]), min(mine[1], theirs[1])
                if low > high:
                    raise LimitBroken(
                        f"limits.{name} {list(theirs)} lies outside the microscope's "
                        f"{list(mine)}.",
                        rule="An experiment may only tighten the microscope's limits.",
                        way_out=f"Choose a range within {list(mine)}.",
                    )
                merged[name] = (low, high)
            else:
                merged[name] = min(mine, theirs)
        return Limits.model_validate(merged)

    def check(self, name: str, value: float) -> None:
        """Raise LimitBroken if ``value`` is outside the range called ``name``.

        What is not a finite number is refused even where there is no range.
        """
        if not math.isfinite(value):
            raise LimitBroken(
                f"{name} = {value} is not a finite number.",
                rule="Orders to the hardware are finite numbers.",
                way_out="Change the order.",
                state="The order was not carried out.",
            )
        span = getattr(self, name)
        if span is None:
            return
        low, high = span
        if not low <= value <= high:
            raise LimitBroken(
                f"{name} = {value:g} is outside the limits {low:g} to {high:g}.",
                rule="No order may leave the limits of the microscope.",
                way_out="Change the order, or the limits in the microscope's file.",
                state="The order was not carried out.",
            )

    def check_property(self, device: str, name: str, value: Any) -> None:
        """Raise LimitBroken if a declared property may not have this value."""
        declared = look_up(self.properties, device, name)
        if declared is not None and not allows(declared, value):
            raise LimitBroken(
                f"'{name}' of '{device}' may not be {value}.",
                rule=f"limits.properties allows {told(declared)}.",
                way_out="Change the order, or the limits in the microscope's file.",
                state="The order was not carried out.",
            )

    def check_declared(self, device: str, name: str) -> None:
        """Raise LimitBroken if a property is not declared."""
        if look_up(self.properties, device, name) is None:
            known = [f"{d} {p}" for d, ps in self.properties.items() for p in ps]
            raise LimitBroken(
                f"'{name}' of '{device}' is not declared.",
                rule="Policies set the properties that limits.properties declares: "
                f"{', '.join(known) or 'none'}.",
                way_out="Declare it with its range in the microscope's file.",
                state="The order was not carried out.",
            )

    def clip(self, name: str, value: float) -> float:
        """Return ``value`` moved into the range called ``name``."""
        span = getattr(self, name)
        return value if span is None else min(max(value, span[0]), span[1])
