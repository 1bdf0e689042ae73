"""What all actions have."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class ActionBase(BaseModel):
    """What a policy may wish for, about a place and often a track."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    place: str = Field(description="The survey place it is about.")
    track_id: int = Field(-1, description="The track it is about, or -1.")
