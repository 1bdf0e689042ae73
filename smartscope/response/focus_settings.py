"""How the focus is looked for, when, and what is done where it is not found."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PositiveFloat,
    PositiveInt,
    model_validator,
)

from smartscope.acquisition import FocusMethod, FocusOrder
from smartscope.response.policy_base import Names, PolicyBase

Rung = Literal["retry", "neighbour", "skip"]


def _once(rungs: tuple[Rung, ...]) -> tuple[Rung, ...]:
    if len(set(rungs)) < len(rungs):
        raise ValueError(f"names each step once, got {list(rungs)}")
    if "skip" in rungs[:-1]:
        raise ValueError("after 'skip' nothing else is tried; put it last")
    return rungs


class FocusHow(BaseModel):
    """How the focus is looked for at a place, and what is done if it is not found."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    method: FocusMethod = Field(
        "image",
        description="By the autofocus device of the microscope, or by a sweep of "
        "images: coarse, then fine about the sharpest.",
    )
    range_um: PositiveFloat = Field(
        10.0, description="Of images: how far the sweep goes up and down."
    )
    step_um: PositiveFloat = Field(
        2.0, description="Of images: between coarse planes; fine ones have a third."
    )
    channel: str | None = Field(
        None, description="Of images; default: that of the survey, or of the hit."
    )
    exposure_ms: PositiveFloat | None = Field(
        None, description="Of images; default: that of the survey, or of the hit."
    )
    on_failure: Annotated[
        tuple[Rung, ...],
        AfterValidator(_once),
        BeforeValidator(
            lambda v: (v,) if isinstance(v, str) else v,
            json_schema_input_type=Rung | tuple[Rung, ...],
        ),
    ] = Field(
        ("retry", "neighbour", "skip"),
        description="What is done if it fails, one after the other: look again, take "
        "over the correction of neighbouring places, keep the z of before.",
    )
    retries: PositiveInt = Field(1, description="How often 'retry' looks again.")

    @model_validator(mode="after")
    def _has_planes(self) -> Self:
        if self.step_um > self.range_um:
            raise ValueError(
                "step_um must not be longer than range_um, got "
                f"step_um {self.step_um:g} and range_um {self.range_um:g}"
            )
        return self

    @property
    def order(self) -> FocusOrder:
        """The order to the engine."""
        return FocusOrder(self.method, self.range_um, self.step_um)


class EveryRounds(BaseModel):
    """At every so many rounds of the survey, from the first on."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rounds: PositiveInt = Field(description="Between two of them, at each place.")


class FocusSettings(FocusHow):
    """The focus of the survey's places, looked for as the survey goes on."""

    every: Literal["visit"] | EveryRounds = Field(
        EveryRounds(rounds=10),
        description="Before each visit to a place, or every so many rounds.",
    )

    @property
    def rounds(self) -> int:
        """Rounds between two of them."""
        return 1 if self.every == "visit" else self.every.rounds


class AutofocusPolicySettings(FocusHow, PolicyBase):
    """Look for the focus of a place at a hit, such as one that is lost."""

    policy: Literal["autofocus"] = "autofocus"
    on: Names = Field(description="Occurrences that it answers.")
