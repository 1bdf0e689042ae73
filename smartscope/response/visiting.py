"""What a policy may wish for: a later visit to a point, with another objective."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, PositiveFloat, PositiveInt

from smartscope.response.action_base import ActionBase


class Visit(ActionBase):
    """Come back to a point once, with others in a tour, and look at it closely.

    Positions are those of the survey's objective. Whether it is made, and when, is
    settled when the tour begins: quotas, shares, age. Its outcome says so.
    """

    kind: Literal["visit"] = "visit"
    x_um: float
    y_um: float
    z_um: float = Field(description="Middle of its planes.")
    objective: str | None = Field(None, description="None: that of the survey.")
    exposure_ms: PositiveFloat
    channels: tuple[str, ...] = Field(
        (), description="Presets of each visit; none: the one that is set."
    )
    z_planes: PositiveInt = 1
    z_step_um: PositiveFloat = 1.0
    frames: PositiveInt = Field(1, description="Of each channel and plane.")
    interval_s: float = Field(0.0, ge=0, description="Between these.")
    max_wait_s: PositiveFloat = Field(
        900.0, description="When it has waited longer it is stale (specimen time)."
    )
    field_um: PositiveFloat | None = Field(
        None, description="Longer edge of what is lit; None: not known."
    )

    @property
    def frames_per_time(self) -> int:
        """Frames of all channels and planes."""
        return max(1, len(self.channels)) * self.z_planes
