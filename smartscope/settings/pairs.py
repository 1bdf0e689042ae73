"""Settings of pairs: noisy and clean images of the same, taken to learn from."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeFloat,
    PositiveFloat,
    model_validator,
)


class PairsSettings(BaseModel):
    """What 'smartscope pairs' takes at each place of the survey, once."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    method: Literal["pairs", "repeats", "series"] = Field(
        "pairs",
        description="pairs: low and high exposures; repeats: low ones only, at least "
        "two (Noise2Noise); series: low ones only (Noise2Void).",
    )
    channel: str | None = Field(
        None,
        description="Preset; default: the first that is analysed, else the survey's "
        "first.",
    )
    low_ms: PositiveFloat | None = Field(
        None, description="Of the noisy frames; default: the survey's exposure."
    )
    high_ms: PositiveFloat | None = Field(
        None,
        description="Of the clean frame; default: ten times low_ms, or low_ms where "
        "high_percent makes it bright.",
    )
    low_percent: PositiveFloat | None = Field(
        None, le=100, description="Power of the noisy frames; default: as it is set."
    )
    high_percent: PositiveFloat | None = Field(
        None, le=100, description="Power of the clean frame; default: as it is set."
    )
    repeats: int = Field(2, ge=1, le=100, description="Noisy frames before the clean.")
    after: int = Field(
        1,
        ge=0,
        le=100,
        description="Noisy frames after it: what they have lost is bleached.",
    )
    high_frames: int = Field(
        1, ge=1, le=100, description="Frames whose mean is the clean image."
    )
    max_shift_px: PositiveFloat = Field(
        0.5, description="A pair that lies farther apart is left out."
    )
    validation: NonNegativeFloat = Field(
        0.15, le=0.5, description="Share of the places that watches over training."
    )
    test: NonNegativeFloat = Field(
        0.25, le=0.5, description="Share of the places that judges the model."
    )

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.method == "repeats" and self.repeats + self.after < 2:
            raise ValueError("'method: repeats' needs at least 2 frames of a place")
        if self.method != "pairs" and (self.high_ms or self.high_percent):
            raise ValueError(f"'method: {self.method}' takes no high exposure")
        return self
