"""Settings of the policy that keeps a cell in the middle of the field."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PositiveFloat,
    PositiveInt,
    model_validator,
)

from smartscope.response.policy_base import PolicyBase


class FollowZSettings(BaseModel):
    """Keep the plane of the cell in the middle of the survey's z stack."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    planes: int = Field(
        ge=3, description="Planes of one visit, as many as the survey takes."
    )
    by: Literal["sharpest", "brightest"] = Field(
        "sharpest",
        description="What makes a plane the cell's: the sharpest image of it, or the "
        "brightest tenth of the pixels about it.",
    )
    box_um: PositiveFloat = Field(
        25.0, description="Edge of the square about the cell that is judged."
    )
    dead_band_um: float = Field(
        0.5, ge=0, description="Smaller offsets in z are left alone."
    )


class FollowSettings(PolicyBase):
    """Keep a cell in the middle of the field, from a hit on; its brighter daughter."""

    policy: Literal["follow"] = "follow"
    on: Annotated[
        tuple[str, ...],
        BeforeValidator(
            lambda v: (v,) if isinstance(v, str) else v,
            json_schema_input_type=str | tuple[str, ...],
        ),
    ] = Field((), description="Occurrences that start it, with choose: hit.")
    choose: Literal["hit", "brightest", "first", "random", "click"] = Field(
        "hit",
        description="Which cell of a place: that of a hit; from the first frame on the "
        "brightest, the one that was found first, or one at random, drawn from the "
        "experiment's seed; or the one that a person points at.",
    )
    within_um: PositiveFloat = Field(
        15.0, description="With choose: click, farthest cell from the point."
    )
    search: int = Field(
        0,
        ge=0,
        le=8,
        description="Fields about its last position that are looked at, one visit "
        "each, before it is given up.",
    )
    dead_band_um: float = Field(
        2.0, ge=0, description="Smaller offsets are left alone."
    )
    smooth: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="Share of the earlier estimate of its position that is kept at "
        "each frame: against noise of detection, at the price of a lag.",
    )
    lead_s: float = Field(
        0.0,
        ge=0,
        description="A move goes ahead of the cell by what it goes in this time, at "
        "most by half the dead band: fewer moves after a cell that goes straight.",
    )
    z: FollowZSettings | None = Field(
        None,
        description="Follow it in z, too, where the survey takes a z stack; default: "
        "not. It then decides once a visit, after its last plane.",
    )
    alike_um: float = Field(
        10.0,
        ge=0,
        description="A cell nearer than this may be taken for it, which is said; 0: "
        "nothing is said.",
    )
    lost_after: PositiveInt = Field(5, description="Missed frames until it gives up.")
    seed: int | None = Field(
        None, ge=0, description="Of choose: random; default: the experiment's."
    )

    @model_validator(mode="after")
    def _starts(self) -> Self:
        if (self.choose == "hit") != bool(self.on):
            raise ValueError(
                "'on' must name at least one occurrence"
                if self.choose == "hit"
                else f"'on' is for 'choose: hit', and choose is '{self.choose}'"
            )
        return self
