"""Settings of occurrences that are about one track and its own past."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, PositiveFloat, model_validator

from smartscope.recognition.occurrence_base import (
    BoundedBase,
    CountedBase,
    OccurrenceBase,
)

Corner = tuple[float, float]


class _OfBaseline(CountedBase):
    baseline_frames: int = Field(4, ge=2, description="Frames before it can fire.")
    edge_um: float = Field(
        5.0, ge=0, description="Not this near to the field's edge, where it is cut off."
    )


class Dim(_OfBaseline):
    """A thing gets darker than its own running baseline."""

    kind: Literal["dim"] = "dim"
    factor: float = Field(0.6, gt=0, lt=1, description="Times its baseline.")


class Flash(_OfBaseline):
    """A thing becomes bright at once, against how it was a moment before.

    It is told at its rise, and again only after it has decayed to half of it.
    """

    kind: Literal["flash"] = "flash"
    factor: float = Field(2.0, gt=1, description="Times its baseline.")
    rise_s: PositiveFloat = Field(
        10.0, description="It was at its baseline at most this long before."
    )
    frames: int = Field(1, ge=1, description="In this many of the last 'of' frames.")
    of: int = Field(1, ge=1, description="How many of the last frames are looked at.")


class RoundUp(_OfBaseline):
    """A thing shrinks without getting darker, as a cell that rounds up does."""

    kind: Literal["round_up"] = "round_up"
    area_factor: float = Field(
        0.7, gt=0, lt=1, description="Its area falls below this share of its baseline."
    )
    intensity_factor: float = Field(
        1.0, ge=0, description="Its intensity is at least this times its baseline."
    )


class Speed(BoundedBase):
    """A thing moves faster, or slower, than a bound, in µm per minute."""

    kind: Literal["speed"] = "speed"
    over: int = Field(
        3, ge=2, le=8, description="Measured over its last so many positions."
    )


class Displacement(BoundedBase):
    """A thing has gone farther from where it was first seen than a bound, in µm."""

    kind: Literal["displacement"] = "displacement"


class _Region(CountedBase):
    x_um: tuple[float, float] | None = Field(None, description="A box: from, to; or")
    y_um: tuple[float, float] | None = Field(None, description="with x_um.")
    polygon_um: Annotated[tuple[Corner, ...], Field(min_length=3)] | None = Field(
        None, description="corners [x, y] on the stage."
    )

    @model_validator(mode="after")
    def _one_shape(self) -> Self:
        box = self.x_um is not None and self.y_um is not None
        if box == (self.polygon_um is not None) or (
            (self.x_um is None) != (self.y_um is None)
        ):
            raise ValueError("give a box, 'x_um' and 'y_um', or 'polygon_um'")
        for name in ("x_um", "y_um"):
            span = getattr(self, name)
            if span is not None and span[0] >= span[1]:
                raise ValueError(f"{name} must rise, got {list(span)}")
        return self

    @property
    def corners(self) -> tuple[Corner, ...]:
        """Corners of the region, in order."""
        if self.polygon_um is not None:
            return self.polygon_um
        assert self.x_um is not None
        assert self.y_um is not None
        (left, right), (low, high) = self.x_um, self.y_um
        return ((left, low), (right, low), (right, high), (left, high))


class Enter(_Region):
    """A thing that was outside a region of the stage is inside."""

    kind: Literal["enter"] = "enter"


class Leave(_Region):
    """A thing that was inside a region of the stage is outside."""

    kind: Literal["leave"] = "leave"


class ClassChange(OccurrenceBase):
    """A thing goes through classes of the detector in an order."""

    kind: Literal["class_change"] = "class_change"
    through: tuple[str, ...] = Field(
        min_length=2, description="Names of the classes, the last one is the hit."
    )
    frames: int = Field(
        2, ge=1, description="A class counts after so many frames in a row."
    )

    @model_validator(mode="after")
    def _changes(self) -> Self:
        for one, other in zip(self.through, self.through[1:], strict=False):
            if one == other:
                raise ValueError(f"'through' names '{one}' twice in a row")
        return self


class Merge(OccurrenceBase):
    """Two things become one: one is lost beside another, which has grown by it."""

    kind: Literal["merge"] = "merge"
    max_distance_um: PositiveFloat = Field(
        12.0, description="Farthest lost thing from the one that is left."
    )
    min_age: int = Field(3, ge=1, description="Frames both were seen in before.")
    growth: float = Field(
        0.5,
        gt=0,
        description="The one left has grown by at least this share of the lost area.",
    )
    edge_um: float = Field(5.0, ge=0, description="Not this near to the field's edge.")
