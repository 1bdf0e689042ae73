"""What a policy may wish for."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PositiveFloat,
    PositiveInt,
    TypeAdapter,
)


class _Action(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    place: str = Field(description="The survey place it is about.")
    track_id: int = Field(-1, description="The track it is about, or -1.")


class MoveStage(_Action):
    """Centre the survey's visits to a place on a point, from its next visit on."""

    kind: Literal["move_stage"] = "move_stage"
    x_um: float
    y_um: float


class Burst(_Action):
    """Take frames as fast as the camera can, centred on a point."""

    kind: Literal["burst"] = "burst"
    x_um: float
    y_um: float
    frames: PositiveInt
    exposure_ms: PositiveFloat
    channel: str | None = Field(None, description="None: the channel of the analysis.")
    interval_s: float = Field(
        0.0, ge=0, description="0: as fast as the camera can, as one hardware sequence."
    )


class SetExposure(_Action):
    """Change the exposure of the survey's frames at a place and channel."""

    kind: Literal["set_exposure"] = "set_exposure"
    exposure_ms: PositiveFloat
    channel: str


class SetInterval(_Action):
    """Change the interval between the survey's rounds, from the next round on."""

    kind: Literal["set_interval"] = "set_interval"
    interval_s: float = Field(ge=0)


Action = Annotated[
    MoveStage | Burst | SetExposure | SetInterval, Field(discriminator="kind")
]

_ADAPTER: TypeAdapter[Action] = TypeAdapter(Action)


def parse_action(record: dict[str, Any]) -> Action:
    """Rebuild an action from its ``model_dump``; raises pydantic.ValidationError."""
    return _ADAPTER.validate_python(record)
