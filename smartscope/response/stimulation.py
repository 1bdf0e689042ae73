"""The wish to light chosen objects through a pattern."""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, PositiveInt

from smartscope.response.action_base import ActionBase

Corner = tuple[float, float]


class Spot(BaseModel):
    """One object that is lit: all that lies in its outline, or near it."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    track_id: int = Field(-1, description="Its track, or -1.")
    outline_um: Annotated[tuple[Corner, ...], Field(min_length=1)] = Field(
        description="Corners on the stage, x and y; a single one makes a disc."
    )
    grown_um: float = Field(0.0, ge=0, description="So far beyond the outline.")

    @property
    def area_um2(self) -> float:
        """What it covers.

        Of an outline of area A and length L, grown by d: A + L d + π d² (Steiner's
        formula, exact for convex ones).
        """
        corners = self.outline_um
        after = (*corners[1:], corners[0])
        pairs = list(zip(corners, after, strict=True))
        area = abs(sum(x0 * y1 - x1 * y0 for (x0, y0), (x1, y1) in pairs)) / 2
        length = sum(math.dist(one, other) for one, other in pairs)
        return area + length * self.grown_um + math.pi * self.grown_um**2


class Stimulate(ActionBase):
    """Light chosen objects through a light modulator, and take a frame of each pulse.

    The stage stands where it stood in the frame that was decided from.
    """

    kind: Literal["stimulate"] = "stimulate"
    x_um: float = Field(description="Where the stage stands.")
    y_um: float
    targets: Annotated[tuple[Spot, ...], Field(min_length=1)] = Field(
        description="What is lit."
    )
    share: float = Field(
        gt=0, le=1, description="Of the field that is lit: its place is charged so."
    )
    channel: str = Field(description="Preset that opens the modulator's light path.")
    exposure_ms: PositiveFloat = Field(description="Of each pulse, and of its frame.")
    power_percent: float | None = Field(
        None, gt=0, le=100, description="None: as channel and setup say."
    )
    pulses: PositiveInt = 1
    interval_s: float = Field(
        0.0, ge=0, description="From pulse to pulse; 0: one after the other."
    )

    @property
    def track_ids(self) -> frozenset[int]:
        """Tracks of what is lit."""
        return frozenset(t.track_id for t in self.targets if t.track_id >= 0)

    def light_ms_percent(self, power_percent: float) -> float:
        """Return the light of one pulse where the pattern is on.

        Parameters
        ----------
        power_percent : float
            Of the light, where the wish has none of its own.
        """
        return self.exposure_ms * (self.power_percent or power_percent)
