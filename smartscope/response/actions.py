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


class Series(_Action):
    """Come back to a point at an interval, between the survey's visits.

    One visit takes every channel, and of each every plane, the planes about the z that
    the survey has at the place.
    """

    kind: Literal["series"] = "series"
    x_um: float
    y_um: float
    interval_s: PositiveFloat
    visits: PositiveInt = Field(description="At most.")
    exposure_ms: PositiveFloat
    channels: tuple[str, ...] = Field(
        (), description="Presets of each visit; none: the one that is set."
    )
    z_planes: PositiveInt = 1
    z_step_um: PositiveFloat = 1.0

    @property
    def frames_per_visit(self) -> int:
        """Frames of one visit."""
        return max(1, len(self.channels)) * self.z_planes


class MoveSeries(_Action):
    """Go on with a series at another point, from its next visit on."""

    kind: Literal["move_series"] = "move_series"
    series: str = Field(description="Id of the decision that began it.")
    x_um: float
    y_um: float


class EndSeries(_Action):
    """End a series before its last visit."""

    kind: Literal["end_series"] = "end_series"
    series: str = Field(description="Id of the decision that began it.")
    why: str


class Pause(_Action):
    """Hold the survey for some time; bursts and series go on."""

    kind: Literal["pause"] = "pause"
    for_s: PositiveFloat


class EndSurvey(_Action):
    """End the survey in order; what was granted before is still done."""

    kind: Literal["end_survey"] = "end_survey"
    why: str


class Bookmark(_Action):
    """Note a point for whoever looks at the run later."""

    kind: Literal["bookmark"] = "bookmark"
    x_um: float
    y_um: float
    text: str = ""


class Notify(_Action):
    """Call a function of the user's, in a process of its own."""

    kind: Literal["notify"] = "notify"
    call: str = Field(description="'module:function'; it is given one dict.")
    x_um: float
    y_um: float
    text: str = ""


Action = Annotated[
    MoveStage
    | Burst
    | SetExposure
    | SetInterval
    | Series
    | MoveSeries
    | EndSeries
    | Pause
    | EndSurvey
    | Bookmark
    | Notify,
    Field(discriminator="kind"),
]
ACTIONS = (
    MoveStage,
    Burst,
    SetExposure,
    SetInterval,
    Series,
    MoveSeries,
    EndSeries,
    Pause,
    EndSurvey,
    Bookmark,
    Notify,
)

_ADAPTER: TypeAdapter[Action] = TypeAdapter(Action)


def parse_action(record: dict[str, Any]) -> Action:
    """Rebuild an action from its ``model_dump``; raises pydantic.ValidationError."""
    return _ADAPTER.validate_python(record)
