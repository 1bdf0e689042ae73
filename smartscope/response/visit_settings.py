"""Settings of ``visit``: hits are collected and revisited with another objective."""

from __future__ import annotations

from collections.abc import Mapping
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

from smartscope.response.policy_base import Names, PolicyBase


class AfterHits(BaseModel):
    """A tour begins when so many hits wait."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    hits: PositiveInt


def _some(value: object) -> object:
    return (value,) if isinstance(value, str) else value


def _begins(value: object) -> object:
    if isinstance(value, Mapping) and set(value) != {"hits"}:
        raise ValueError(f"is {{hits: n}}, round or end, got {dict(value)}")
    if isinstance(value, str) and value not in ("round", "end"):
        raise ValueError(f"is {{hits: n}}, round or end, got '{value}'")
    return value


_When = Annotated[AfterHits | Literal["round", "end"], BeforeValidator(_begins)]
_Places = Annotated[
    tuple[str, ...],
    BeforeValidator(_some, json_schema_input_type=str | tuple[str, ...]),
]


class VisitSettings(PolicyBase):
    """Collect hits, and revisit them in tours with another objective."""

    policy: Literal["visit"] = "visit"
    on: Names = Field(description="Occurrences whose places are revisited.")
    objective: str | None = Field(
        None,
        description="Label of the objective, which the microscope's file must permit; "
        "default: that of the survey.",
    )
    channels: tuple[str, ...] = Field(
        (), description="Presets of each visit; default: that of the analysis."
    )
    exposure_ms: PositiveFloat | None = Field(
        None, description="Default: the exposure of the frame it was seen in."
    )
    z_planes: PositiveInt = Field(
        1, description="Planes about the z of the frame it was seen in."
    )
    z_step_um: PositiveFloat = Field(1.0, description="Between them.")
    frames: PositiveInt = Field(1, description="Of each channel and plane.")
    interval_s: float = Field(0.0, ge=0, description="Between these.")
    when: _When = Field(
        "round",
        description="A tour begins when {hits: n} wait, or a round of the survey has "
        "ended, or the survey has; what still waits then is visited in any case.",
    )
    most: PositiveInt | None = Field(None, description="Visits in the run, at most.")
    per_tour: PositiveInt | None = Field(
        None, description="Of one tour; what is left waits for the next."
    )
    per_place: PositiveInt | None = Field(
        None, description="In the run, of each well of a plate or else each place."
    )
    per_group: PositiveInt | None = Field(None, description="In the run, of each.")
    groups: dict[str, _Places] = Field(
        default_factory=dict,
        description="Conditions: of each the wells, names of positions, or places "
        "(p0). Hits elsewhere are not visited. Default: each well or place is its own.",
    )
    choose: Literal["first", "random"] = Field(
        "random",
        description="Of more hits than quotas allow: those that came first, or such "
        "that groups and places get equal shares, drawn within them.",
    )
    radius_um: float = Field(
        0.0, ge=0, description="No visit so near to an earlier one of the run."
    )
    max_wait_s: PositiveFloat = Field(
        900.0,
        description="A hit that has waited longer (specimen time) when its turn comes "
        "is stale; in the place of max_age_ms.",
    )
    field_um: PositiveFloat | None = Field(
        None,
        description="Longer edge of what the objective lights, for the accounts of "
        "light; default: as the microscope's file says.",
    )

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.max_age_ms is not None:
            raise ValueError(
                "visits wait by design: give max_wait_s in the place of max_age_ms"
            )
        if self.per_group is not None and not self.groups:
            raise ValueError("per_group is for 'groups', and there are none")
        taken: dict[str, str] = {}
        for group, places in self.groups.items():
            if not places:
                raise ValueError(f"the group '{group}' has no place")
            for place in places:
                if (other := taken.setdefault(place, group)) != group:
                    raise ValueError(f"'{place}' is in two groups, {other} and {group}")
        quotas = {
            name: value
            for name in ("most", "per_group", "per_place")
            if (value := getattr(self, name)) is not None
        }
        for wider, narrower in (
            ("most", "per_group"),
            ("most", "per_place"),
            ("most", "per_tour"),
            ("per_group", "per_place"),
        ):
            few, many = getattr(self, narrower), quotas.get(wider)
            if few is not None and many is not None and few > many:
                raise ValueError(
                    f"{narrower} {few} can never be reached: {wider} {many}"
                )
        return self
