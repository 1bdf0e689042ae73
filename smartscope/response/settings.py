"""Settings of response in the experiment file: the policies."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import (
    Field,
    PositiveFloat,
    PositiveInt,
    model_validator,
)

from smartscope.response.focus_settings import AutofocusPolicySettings
from smartscope.response.follow_settings import FollowSettings
from smartscope.response.policy_base import Edge, Names, PolicyBase
from smartscope.response.stimulate_settings import StimulateSettings
from smartscope.response.visit_settings import VisitSettings


class BurstSettings(PolicyBase):
    """Take a burst at a hit."""

    policy: Literal["burst"] = "burst"
    on: Names = Field(description="Occurrences that it answers.")
    frames: PositiveInt = Field(
        20, description="Times of one burst; each takes all channels and planes."
    )
    exposure_ms: PositiveFloat | None = Field(
        None, description="Default: the exposure of the frame it was seen in."
    )
    channel: str | None = Field(None, description="Default: that of the analysis.")
    channels: tuple[str, ...] = Field(
        (), description="Presets of each time, in place of 'channel'."
    )
    z_planes: PositiveInt = Field(1, description="Planes about the survey's z.")
    z_step_um: PositiveFloat = Field(1.0, description="Between them.")
    interval_s: float = Field(0.0, ge=0, description="0: as fast as the camera can.")
    roi_um: Edge = None

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if self.channel is not None and self.channels:
            raise ValueError("give one of 'channel' and 'channels'")
        return self

    @property
    def frames_each(self) -> int:
        """Frames of each time."""
        return max(1, len(self.channels)) * self.z_planes


class PlaceboPolicySettings(PolicyBase):
    """Bursts at chance, beside those of a burst policy; made from ``controls``."""

    policy: Literal["placebo"] = "placebo"
    burst: BurstSettings = Field(description="The policy whose bursts these are like.")
    share: float = Field(gt=0, lt=1, description="Of the looks without a hit.")
    seed: int = Field(ge=0, description="Of the experiment.")


class AuditPolicySettings(PolicyBase):
    """Looks at random times and places; made from ``controls``."""

    policy: Literal["audit"] = "audit"
    share: float = Field(gt=0, lt=1, description="Of the survey's looks.")
    frames: PositiveInt = Field(description="Of one look.")
    interval_s: float = Field(ge=0, description="Between them.")
    spread_s: float = Field(ge=0, description="A look begins within so long.")
    exposure_ms: PositiveFloat | None = Field(description="Default: as the survey.")
    seed: int = Field(ge=0, description="Of the experiment.")


class AdaptExposureSettings(PolicyBase):
    """Keep the signal-to-noise ratio of the detected things, guard saturation."""

    policy: Literal["adapt_exposure"] = "adapt_exposure"
    target_snr: PositiveFloat = Field(
        10.0, description="Median of (signal over background) / noise of things."
    )
    exposure_ms: tuple[PositiveFloat, PositiveFloat] = Field(
        (5.0, 200.0), description="Shortest and longest."
    )
    prefer: Literal["exposure", "power"] = Field(
        "exposure",
        description="What is changed; with 'power' the exposure only where the power's "
        "range ends, so that what moves is blurred alike in all frames.",
    )
    power_percent: tuple[
        Annotated[float, Field(gt=0, le=100)], Annotated[float, Field(gt=0, le=100)]
    ] = Field((5.0, 100.0), description="With prefer: power, lowest and highest.")
    saturation: float = Field(
        0.9, gt=0, le=1, description="Brightest pixels stay under this share of full."
    )
    dead_band: float = Field(0.2, ge=0, description="Smaller relative changes: none.")
    max_change: float = Field(2.0, gt=1, description="Largest factor at a time.")


class IntervalSettings(PolicyBase):
    """Survey fast while something happens, slow otherwise, with hysteresis."""

    policy: Literal["interval"] = "interval"
    on: Names = Field(description="Occurrences that make it fast.")
    slow_s: float = Field(ge=0, description="Interval while nothing happens.")
    fast_s: float = Field(ge=0, description="Interval while something happens.")
    stay_s: float = Field(
        60.0, ge=0, description="Fast for at least this long after the last one."
    )
    calm: tuple[str, ...] = Field(
        (),
        description="Occurrences that let it be slow again, place by place, such as a "
        "count below a lower threshold; default: the time alone.",
    )

    @model_validator(mode="after")
    def _fast_is_faster(self) -> Self:
        if self.fast_s > self.slow_s:
            raise ValueError(
                "fast_s must not be longer than slow_s, got "
                f"fast_s {self.fast_s:g} and slow_s {self.slow_s:g}"
            )
        return self


class SeriesSettings(PolicyBase):
    """A time lapse of each hit, interleaved with the survey."""

    policy: Literal["series"] = "series"
    on: Names = Field(description="Occurrences that begin one.")
    interval_s: PositiveFloat = Field(10.0, description="Between its visits.")
    visits: PositiveInt = Field(150, description="At most.")
    until: tuple[str, ...] = Field(
        (), description="Occurrences of the cell that end it, besides its loss."
    )
    lost_after: PositiveInt = Field(5, description="Missed frames until it is lost.")
    parallel: PositiveInt = Field(1, description="How many at the same time.")
    channels: tuple[str, ...] = Field(
        (), description="Presets of each visit; default: that of the analysis."
    )
    exposure_ms: PositiveFloat | None = Field(
        None, description="Default: the exposure of the frame it was seen in."
    )
    z_planes: PositiveInt = Field(1, description="Planes about the survey's z.")
    z_step_um: PositiveFloat = Field(1.0, description="Between them.")
    roi_um: Edge = None
    dead_band_um: float = Field(
        2.0, ge=0, description="Smaller offsets of the cell are left alone."
    )


class PauseSettings(PolicyBase):
    """Hold the survey at a hit, such as a light that has gone."""

    policy: Literal["pause"] = "pause"
    on: Names = Field(description="Occurrences that hold it.")
    for_s: PositiveFloat = Field(60.0, description="How long.")


class SetPropertySettings(PolicyBase):
    """Set a property of a device at a hit, for a time or to stay."""

    policy: Literal["set_property"] = "set_property"
    on: Names = Field(description="Occurrences that it answers.")
    device: str = Field(description="Label of the device.")
    property: str = Field(description="One that limits.properties declares.")
    value: float | str = Field(description="What it is set to.")
    back_after_s: PositiveFloat | None = Field(
        None,
        description="Then it has its old value again; the end of the survey waits for "
        "it, a run that is broken off sets it back at once. Default: it stays.",
    )


class EndSurveySettings(PolicyBase):
    """End the survey once enough has been seen."""

    policy: Literal["end_survey"] = "end_survey"
    on: Names = Field(description="Occurrences that are counted.")
    after: PositiveInt = Field(1, description="How many of them, at all places.")


class PreTriggerSettings(PolicyBase):
    """Store the survey's frames about each hit, where it is not stored anyway."""

    policy: Literal["pre_trigger"] = "pre_trigger"
    on: Names = Field(description="Occurrences whose frames are stored.")
    before: int = Field(
        10, ge=0, description="Visits to the place before the onset: baseline."
    )
    after: int = Field(10, ge=0, description="Visits to the place after the hit.")


class BookmarkSettings(PolicyBase):
    """Note each hit in the record, and do nothing."""

    policy: Literal["bookmark"] = "bookmark"
    on: Names = Field(description="Occurrences that are noted.")
    text: str = Field("", description="What is noted; default: the occurrence's name.")


class NotifySettings(PolicyBase):
    """Call a function of one's own at each hit, in a process of its own."""

    policy: Literal["notify"] = "notify"
    on: Names = Field(description="Occurrences that are told.")
    call: str = Field(
        pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$",
        description="'module:function'; it is given one dict: place, x_um, y_um, text, "
        "time_s, policy, decision_id, occurrence_ids.",
    )
    text: str = Field("", description="What is told; default: the occurrence's name.")


class OwnPolicySettings(PolicyBase):
    """A policy of one's own: 'module:Class' or the name of an entry point."""

    policy: str = Field(description="'module:Class', or an entry point's name.")
    options: dict[str, Any] = Field(
        default_factory=dict, description="Keyword arguments of the class."
    )


BuiltInPolicySettings = Annotated[
    FollowSettings
    | BurstSettings
    | AdaptExposureSettings
    | IntervalSettings
    | SeriesSettings
    | PauseSettings
    | SetPropertySettings
    | StimulateSettings
    | VisitSettings
    | EndSurveySettings
    | PreTriggerSettings
    | BookmarkSettings
    | NotifySettings
    | AutofocusPolicySettings,
    Field(discriminator="policy"),
]
PolicySettings = (
    FollowSettings
    | BurstSettings
    | AdaptExposureSettings
    | IntervalSettings
    | SeriesSettings
    | PauseSettings
    | SetPropertySettings
    | StimulateSettings
    | VisitSettings
    | EndSurveySettings
    | PreTriggerSettings
    | BookmarkSettings
    | NotifySettings
    | AutofocusPolicySettings
    | OwnPolicySettings
    | PlaceboPolicySettings
    | AuditPolicySettings
)
BUILT_IN = (
    "follow",
    "burst",
    "adapt_exposure",
    "interval",
    "series",
    "pause",
    "set_property",
    "stimulate",
    "visit",
    "end_survey",
    "pre_trigger",
    "bookmark",
    "notify",
    "autofocus",
)
