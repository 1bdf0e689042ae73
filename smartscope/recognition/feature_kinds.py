"""Settings of what is measured of things, and of occurrences that such values make."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from smartscope.recognition.occurrence_base import BoundedBase

ShapeName = Literal["elongation", "solidity", "texture"]
"""What is measured on the pixels of a thing, where somebody asks for it."""

FeatureName = ShapeName | Literal["area", "ratio", "speed", "intensity", "score"]


class RatioSettings(BaseModel):
    """Two channels of a visit, one over the other, thing by thing."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    numerator: str = Field(description="Preset or camera above the line.")
    denominator: str = Field(description="Preset or camera below the line.")

    @model_validator(mode="after")
    def _two(self) -> Self:
        if self.numerator == self.denominator:
            raise ValueError(
                f"numerator and denominator are both '{self.numerator}': name two "
                "channels"
            )
        return self

    @property
    def channels(self) -> tuple[str, str]:
        """Both of them, the numerator first."""
        return self.numerator, self.denominator


class Feature(BoundedBase):
    """A measured value of a thing lies above, or below, a bound.

    With ``relative`` the bound is a factor of the thing's own running baseline, the
    median of up to 15 earlier values.
    """

    kind: Literal["feature"] = "feature"
    value: FeatureName = Field(
        description="area (µm²), elongation (long over short axis), solidity (share of "
        "its convex hull), texture (deviation over mean of its pixels), ratio (of "
        "analysis.ratio), speed (µm per minute), intensity (per light) or score."
    )
    relative: bool = Field(
        False, description="'above' and 'below' are times its own running baseline."
    )
    baseline_frames: int = Field(
        4, ge=2, le=15, description="With 'relative': frames before it can fire."
    )
    edge_um: float = Field(
        5.0, ge=0, description="Not this near to the field's edge, where it is cut off."
    )

    @model_validator(mode="after")
    def _other_than_usual(self) -> Self:
        if not self.relative:
            return self
        if self.above is not None and self.above <= 1:
            raise ValueError("with 'relative', above must be more than 1")
        if self.below is not None and not 0 < self.below < 1:
            raise ValueError("with 'relative', below must lie between 0 and 1")
        return self
