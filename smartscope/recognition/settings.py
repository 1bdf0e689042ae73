"""Settings of recognition in the experiment file: tracking and occurrences."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeInt,
    PositiveFloat,
)

from smartscope.recognition.device_kinds import DeviceKind
from smartscope.recognition.ending_kinds import EndingKind, Hotspot
from smartscope.recognition.feature_kinds import Feature
from smartscope.recognition.field_kinds import FieldKind
from smartscope.recognition.occurrence_base import CountedBase, OccurrenceBase
from smartscope.recognition.track_kinds import (
    ClassChange,
    Dim,
    Displacement,
    Enter,
    Flash,
    Leave,
    Merge,
    RoundUp,
    Speed,
)


class _Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class TrackSettings(_Settings):
    """How detections of one place become tracks."""

    max_distance_um: PositiveFloat = Field(
        15.0, description="Farthest step of a thing between two frames of its place."
    )
    max_missed: NonNegativeInt = Field(
        2, description="Frames a track may be missed before it ends."
    )


class Appear(OccurrenceBase):
    """A thing is there that was not there before."""

    kind: Literal["appear"] = "appear"
    frames: int = Field(2, ge=1, description="Seen in this many frames in a row.")
    edge_um: float = Field(5.0, ge=0, description="Not this near to the field's edge.")


class Disappear(OccurrenceBase):
    """A thing is not there any more."""

    kind: Literal["disappear"] = "disappear"
    min_age: int = Field(3, ge=1, description="Only tracks seen in this many frames.")
    edge_um: float = Field(5.0, ge=0, description="Not this near to the field's edge.")


class Split(OccurrenceBase):
    """One thing becomes two: a second one appears near a track or in its place."""

    kind: Literal["split"] = "split"
    max_distance_um: PositiveFloat = Field(
        12.0, description="Farthest daughter from where the mother was."
    )
    min_age: int = Field(3, ge=1, description="Frames the mother was seen in before.")
    after: str | None = Field(
        None,
        description="Name of an occurrence that the mother must have had shortly "
        "before, such as a brighten or round_up; fewer false ones.",
    )
    within_s: PositiveFloat = Field(
        3600.0, description="How long before, with 'after'."
    )
    max_brightness_ratio: float = Field(
        3.0, ge=1, description="Largest ratio of the daughters' intensities."
    )
    edge_um: float = Field(5.0, ge=0, description="Not this near to the field's edge.")
    max_asymmetry: float = Field(
        0.4,
        gt=0,
        le=0.5,
        description="Distance of the daughters' midpoint from the mother over their "
        "own distance: 0 if she was between them, 0.5 if one is where she was.",
    )


class Brighten(CountedBase):
    """A thing gets brighter than its own running baseline.

    Intensities are compared per light received (exposure × power).
    """

    kind: Literal["brighten"] = "brighten"
    factor: float = Field(1.5, gt=1, description="Times its baseline.")
    baseline_frames: int = Field(4, ge=2, description="Frames before it can fire.")
    edge_um: float = Field(
        5.0, ge=0, description="Not this near to the field's edge, where it is cut off."
    )


OF_TRACKS = (
    Brighten
    | Dim
    | Flash
    | RoundUp
    | Speed
    | Displacement
    | Enter
    | Leave
    | ClassChange
    | Feature
)
"""Kinds that are about one track, which a split may come after."""

OccurrenceSettings = Annotated[
    Appear
    | Disappear
    | Split
    | Merge
    | OF_TRACKS
    | EndingKind
    | Hotspot
    | FieldKind
    | DeviceKind,
    Field(discriminator="kind"),
]
