"""Settings of occurrences that are about the whole field at a place."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, PositiveFloat

from smartscope.recognition.occurrence_base import BoundedBase, CountedBase


class Count(BoundedBase):
    """More, or fewer, things in the field than a bound."""

    kind: Literal["count"] = "count"
    of_class: str | None = Field(None, description="Only of this class; default: all.")


class Confluence(BoundedBase):
    """A larger, or smaller, share of the field is covered than a bound, 0 to 1."""

    kind: Literal["confluence"] = "confluence"


class Saturation(BoundedBase):
    """A larger share of the pixels is at the camera's largest count than a bound."""

    kind: Literal["saturation"] = "saturation"


class _OfFieldBaseline(CountedBase):
    baseline_frames: int = Field(
        3, ge=1, description="Frames of the place before it can fire."
    )


class Dropout(_OfFieldBaseline):
    """The light is gone: the field is darker than it has been at this place.

    Compared per light ordered (exposure × power), over the camera's offset.
    """

    kind: Literal["dropout"] = "dropout"
    factor: float = Field(0.5, gt=0, lt=1, description="Times its baseline.")
    offset_counts: float = Field(
        100.0, ge=0, description="What the camera gives without light."
    )


class FocusLost(_OfFieldBaseline):
    """The field is less sharp than it has been at this place."""

    kind: Literal["focus_lost"] = "focus_lost"
    factor: float = Field(0.5, gt=0, lt=1, description="Times its baseline.")


class FieldChange(_OfFieldBaseline):
    """The field as a whole looks unlike before."""

    kind: Literal["field_change"] = "field_change"
    share: PositiveFloat = Field(
        0.3,
        description="Mean difference of 16 x 16 pixel blocks from their running "
        "median, over the mean brightness of these.",
    )


class Overrun(CountedBase):
    """The survey comes back to a place later than it should."""

    kind: Literal["overrun"] = "overrun"
    longer_than_s: PositiveFloat = Field(
        description="Longest time between two frames of a place, channel by channel."
    )
    frames: int = Field(1, ge=1, description="In this many of the last 'of' frames.")
    of: int = Field(1, ge=1, description="How many of the last frames are looked at.")


FieldKind = (
    Count | Confluence | Saturation | Dropout | FocusLost | FieldChange | Overrun
)
"""All of them."""
