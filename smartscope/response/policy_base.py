"""What the settings of all policies have."""

from __future__ import annotations

from typing import Annotated

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PositiveFloat,
    PositiveInt,
)


def _some(names: tuple[str, ...]) -> tuple[str, ...]:
    if not names:
        raise ValueError("name at least one occurrence")
    return names


Names = Annotated[
    tuple[str, ...],
    AfterValidator(_some),
    BeforeValidator(
        lambda v: (v,) if isinstance(v, str) else v,
        json_schema_input_type=str | tuple[str, ...],
    ),
]


Edge = Annotated[
    PositiveFloat | None,
    Field(
        description="Edge of a square about the hit that the camera reads, or a little "
        "more as its steps allow; default: all that it reads for the survey."
    ),
]


class PolicyBase(BaseModel):
    """What every policy may be given."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    name: str = Field(
        "", description="Name in the records; default: the policy's word."
    )
    priority: int = Field(0, description="Higher wins a conflict.")
    cool_down_s: float = Field(
        0.0, ge=0, description="Least time between two granted wishes at one place."
    )
    max_age_ms: PositiveFloat | None = Field(
        None,
        description="A decision older than this when it would start is stale; default: "
        "the experiment's max_age_ms.",
    )
    off_after: PositiveInt = Field(
        10,
        description="Frames in a row on which it fails (raises, or wishes what is no "
        "action) until it is switched off; the others go on.",
    )

    @property
    def label(self) -> str:
        """The name it has in the records."""
        return self.name or str(getattr(self, "policy", ""))
