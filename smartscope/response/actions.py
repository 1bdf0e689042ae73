"""What a policy may wish for."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import (
    Field,
    PositiveFloat,
    PositiveInt,
    TypeAdapter,
)

from smartscope.response.action_base import ActionBase as _Action
from smartscope.response.focus_settings import FocusHow
from smartscope.response.stimulation import Stimulate
from smartscope.response.visiting import Visit


class MoveStage(_Action):
    """Centre the survey's visits to a place on a point, from its next visit on."""

    kind: Literal["move_stage"] = "move_stage"
    x_um: float
    y_um: float
    z_um: float | None = Field(
        None,
        description="Where the middle of the planes of its visits shall be; None: as "
        "they are.",
    )
    z_span_um: float = Field(
        0.0, ge=0, description="From their lowest to their highest."
    )


class Burst(_Action):
    """Take frames as fast as the camera can, centred on a point.

    Each of its times takes every channel, and of each every plane, the planes about
    the z that the survey has at the place.
    """

    kind: Literal["burst"] = "burst"
    x_um: float
    y_um: float
    frames: PositiveInt = Field(description="Times.")
    exposure_ms: PositiveFloat
    channel: str | None = Field(None, description="None: the channel of the analysis.")
    channels: tuple[str, ...] = Field(
        (), description="Presets of each time; none: 'channel' alone."
    )
    z_planes: PositiveInt = 1
    z_step_um: PositiveFloat = 1.0
    interval_s: float = Field(
        0.0, ge=0, description="0: as fast as the camera can, as one hardware sequence."
    )
    roi_um: PositiveFloat | None = Field(
        None,
        description="Edge of a square about the point that the camera reads; None: all "
        "that it reads for the survey. The whole field is lit all the same.",
    )

    @property
    def presets(self) -> tuple[str | None, ...]:
        """Presets of each time; None: the one that is set."""
        return self.channels or (self.channel,)

    @property
    def frames_each(self) -> int:
        """Frames of each time."""
        return len(self.presets) * self.z_planes


class AuditLook(Burst):
    """Look at a field often for some time, to find what the survey misses.

    Its frames are analysed on their own: they steer nothing.
    """

    # pydantic tells actions apart by it
    kind: Literal["audit_look"] = "audit_look"  # type: ignore[assignment]
    delay_s: float = Field(0.0, ge=0, description="Until its first frame.")


class SetExposure(_Action):
    """Change the exposure of the survey's frames at a place and channel."""

    kind: Literal["set_exposure"] = "set_exposure"
    exposure_ms: PositiveFloat
    channel: str


class SetPower(_Action):
    """Change the light's power for the survey's frames at a place and channel.

    Bursts and series there have it too, in this channel, once a visit has had it.
    """

    kind: Literal["set_power"] = "set_power"
    power_percent: float = Field(gt=0, le=100)
    channel: str


class SetProperty(_Action):
    """Set a property of a device, between two events; for a time or to stay.

    Only properties that ``limits.properties`` declares are set. A channel whose preset
    names the property sets it again with its next event.
    """

    kind: Literal["set_property"] = "set_property"
    device: str
    property: str
    value: float | str
    back_after_s: PositiveFloat | None = Field(
        None, description="Then it has its old value again; None: it stays."
    )


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
    roi_um: PositiveFloat | None = Field(
        None,
        description="Edge of a square about the point that the camera reads; None: all "
        "that it reads for the survey. The whole field is lit all the same.",
    )

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


class Refocus(_Action):
    """Look for the focus of a place: what is found holds for all that is done there."""

    kind: Literal["refocus"] = "refocus"
    x_um: float
    y_um: float
    exposure_ms: PositiveFloat = Field(description="Of images.")
    channel: str | None = Field(None, description="Of images; None: as it is.")
    how: FocusHow = FocusHow()

    @property
    def frames(self) -> int:
        """Images it takes at most, all tries together."""
        tries = 1 + self.how.retries * ("retry" in self.how.on_failure)
        return tries * self.how.order.frames


class KeepFrames(_Action):
    """Store the survey's visits to a place about a hit, where they are not anyway.

    A visit is what the survey takes at a place in one round, all channels and planes.
    """

    kind: Literal["keep_frames"] = "keep_frames"
    before: int = Field(ge=0, description="Visits before that of the onset.")
    after: int = Field(ge=0, description="Visits after that of the hit.")
    onset_s: float | None = Field(
        None, description="When it began, run's clock; None: when it was seen."
    )


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
    | AuditLook
    | SetExposure
    | SetPower
    | SetProperty
    | SetInterval
    | Series
    | MoveSeries
    | EndSeries
    | Stimulate
    | Visit
    | Pause
    | EndSurvey
    | Refocus
    | KeepFrames
    | Bookmark
    | Notify,
    Field(discriminator="kind"),
]
ACTIONS = (
    MoveStage,
    Burst,
    AuditLook,
    SetExposure,
    SetPower,
    SetProperty,
    SetInterval,
    Series,
    MoveSeries,
    EndSeries,
    Stimulate,
    Visit,
    Pause,
    EndSurvey,
    Refocus,
    KeepFrames,
    Bookmark,
    Notify,
)

_ADAPTER: TypeAdapter[Action] = TypeAdapter(Action)


def parse_action(record: dict[str, Any]) -> Action:
    """Rebuild an action from its ``model_dump``; raises pydantic.ValidationError."""
    return _ADAPTER.validate_python(record)
