"""What the settings of all occurrences have."""

from __future__ import annotations

from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator


class OccurrenceBase(BaseModel):
    """What every occurrence may be given."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    refractory_s: float = Field(
        0.0, ge=0, description="Silence after one, at the same track or place."
    )


class CountedBase(OccurrenceBase):
    """One that must hold in n of the last m frames."""

    frames: int = Field(2, ge=1, description="In this many of the last 'of' frames.")
    of: int = Field(3, ge=1, description="How many of the last frames are looked at.")

    @model_validator(mode="after")
    def _can_fire(self) -> Self:
        if self.frames > self.of:
            raise ValueError(
                "frames must not be more than of, got "
                f"frames {self.frames} and of {self.of}"
            )
        return self


class BoundedBase(CountedBase):
    """One of a value that lies above or below a bound."""

    above: float | None = Field(None, description="It is told above this, or")
    below: float | None = Field(None, description="below this; one of the two.")
    hysteresis: float = Field(
        0.1,
        ge=0,
        lt=1,
        description="Told again only after the value has come back by this share of "
        "the bound.",
    )

    @model_validator(mode="after")
    def _one_bound(self) -> Self:
        if (self.above is None) == (self.below is None):
            raise ValueError("give one of 'above' and 'below'")
        return self

    def beyond(self, value: float) -> bool:
        """Return whether a value is beyond the bound."""
        if self.above is not None:
            return value > self.above
        return self.below is not None and value < self.below

    def back(self, value: float) -> bool:
        """Return whether it has come back far enough to be told again."""
        if self.above is not None:
            return value <= self.above - self.hysteresis * abs(self.above)
        return self.below is not None and (
            value >= self.below + self.hysteresis * abs(self.below)
        )
