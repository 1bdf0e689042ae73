"""Settings of storage in the experiment file."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveInt


class StorageSettings(BaseModel):
    """How frames are written; raw frames are never dropped."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    compression: Literal["lz4", "zstd", "none"] = Field(
        "lz4", description="Of raw and restored images; none of them loses anything."
    )
    queue_mb: PositiveInt = Field(
        256,
        description="Frames waiting for the disk; beyond it the microscope waits. "
        "Restored images have as much of their own; beyond it they are dropped.",
    )
    reserve_mb: int = Field(
        500,
        ge=0,
        description="Disk space that must stay free, checked before and during.",
    )
    slow_disk_ms: float = Field(
        0.0, ge=0, description="Delay of every write, to try what a slow disk does."
    )
