"""Settings of the policy that lights chosen objects through a light modulator."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, PositiveFloat, PositiveInt, model_validator

from smartscope.response.policy_base import PolicyBase


class StimulateSettings(PolicyBase):
    """Light chosen objects through a light modulator (SLM, DMD)."""

    policy: Literal["stimulate"] = "stimulate"
    on: Annotated[
        tuple[str, ...],
        BeforeValidator(
            lambda v: (v,) if isinstance(v, str) else v,
            json_schema_input_type=str | tuple[str, ...],
        ),
    ] = Field((), description="Occurrences that it answers, with choose: hit.")
    choose: Literal["hit", "class", "brightest", "first"] = Field(
        "hit",
        description="Whom it is about: the cell of a hit; each thing of 'of_class'; of "
        "a place the brightest one, or the one that was found first.",
    )
    of_class: str | None = Field(
        None, description="Only things that the detector gives this class."
    )
    target: Literal["hit", "all", "others"] = Field(
        "hit",
        description="What is lit then: it alone, all things in the field, or all but "
        "it.",
    )
    radius_um: PositiveFloat | None = Field(
        None, description="A disc of this radius; default: its outline as detected,"
    )
    margin_um: float = Field(1.0, ge=0, description="grown by so much.")
    most: PositiveInt = Field(
        50, description="Things that are lit together, the surest first."
    )
    again_after_s: PositiveFloat | None = Field(
        None,
        description="A cell that it was about is left alone so long; default: for "
        "ever.",
    )
    channel: str = Field(description="Preset that opens the modulator's light path.")
    exposure_ms: PositiveFloat = Field(description="Of each pulse, and of its frame.")
    power_percent: float | None = Field(
        None, gt=0, le=100, description="Default: as channel and setup say."
    )
    pulses: PositiveInt = Field(1, description="How many, each with a frame.")
    interval_s: float = Field(
        0.0, ge=0, description="From pulse to pulse; 0: one after the other."
    )

    @model_validator(mode="after")
    def _starts(self) -> Self:
        if (self.choose == "hit") != bool(self.on):
            raise ValueError(
                "'on' must name at least one occurrence"
                if self.choose == "hit"
                else f"'on' is for 'choose: hit', and choose is '{self.choose}'"
            )
        if self.choose == "class" and self.of_class is None:
            raise ValueError("'choose: class' needs 'of_class'")
        return self
