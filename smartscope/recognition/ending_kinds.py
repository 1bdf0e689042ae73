"""Settings of occurrences at the end of a thing: it dies, or is lost; and of hot spots.

What they have in common: they are looked for after the divisions of a frame.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field, PositiveFloat, PositiveInt

from smartscope.recognition.occurrence_base import CountedBase, OccurrenceBase


class Death(CountedBase):
    """A thing shrinks, and then loses its light without having divided.

    A cell that rounds up to divide shrinks too, but gets brighter by as much: its whole
    light, area times intensity, stays, and a daughter is brighter than her mother was.
    """

    kind: Literal["death"] = "death"
    area_factor: float = Field(
        0.7, gt=0, lt=1, description="It shrinks below this share of its baseline area."
    )
    light_factor: float = Field(
        0.4,
        gt=0,
        lt=1,
        description="Then its whole light falls below this share of its baseline,",
    )
    intensity_factor: float = Field(
        1.3, gt=0, description="while it is at most this many times as bright as before"
    )
    within_s: PositiveFloat = Field(
        3600.0, description="and not later than this after it has begun to shrink."
    )
    baseline_frames: int = Field(
        4, ge=2, le=15, description="Frames before it can fire."
    )
    edge_um: float = Field(
        5.0, ge=0, description="Not this near to the field's edge, where it is cut off."
    )


class Lost(OccurrenceBase):
    """A chosen thing is missed: one that a policy follows, or that has had something.

    Where it is told is where it was last seen.
    """

    kind: Literal["lost"] = "lost"
    after: str | None = Field(
        None,
        description="Name of an occurrence that makes a thing a chosen one; default: "
        "those that policies follow or that have a series.",
    )
    within_s: PositiveFloat = Field(
        3600.0, description="So long after it, with 'after'."
    )
    missed: PositiveInt = Field(
        2, description="Frames in a row; at most track.max_missed + 1."
    )


class Hotspot(CountedBase):
    """A peak of the detector's map that lasts, wherever tracks would break.

    It is told once for a place on the stage and a time: peaks within ``radius_um`` are
    the same one until they have been gone for all of the last 'of' frames.
    """

    kind: Literal["hotspot"] = "hotspot"
    of_class: str | None = Field(
        None, description="Of the detector's classes; default: all."
    )
    threshold: float = Field(
        0.5, ge=0, le=1, description="A peak's score is at least this."
    )
    radius_um: PositiveFloat = Field(
        8.0, description="Farthest that a peak may be from where it was last."
    )
    edge_um: float = Field(0.0, ge=0, description="Not this near to the field's edge.")


EndingKind = Death | Lost
"""Those that are looked for after the divisions of a frame."""
