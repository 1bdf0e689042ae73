"""Settings of storage in the experiment file."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PositiveInt


class EveryNth(BaseModel):
    """Of each place every nth visit of the survey, beginning with the first."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    every_nth: int = Field(ge=2, description="2: every other visit.")


def _stored(value: Any) -> Any:
    if value in ("all", "on_hit") or isinstance(value, EveryNth):
        return value
    n = value.get("every_nth") if isinstance(value, dict) and len(value) == 1 else None
    if isinstance(n, int) and not isinstance(n, bool) and n >= 2:
        return EveryNth(every_nth=n)
    raise ValueError(
        "must be 'all', 'on_hit' or {every_nth: n} with n from 2 on, "
        f"got {value!r:.60}"
    )


class StorageSettings(BaseModel):
    """How frames are written; raw frames are never dropped."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    survey: Annotated[
        Literal["all", "on_hit"] | EveryNth,
        BeforeValidator(
            _stored, json_schema_input_type=Literal["all", "on_hit"] | EveryNth
        ),
    ] = Field(
        "all",
        description="Which frames of the survey are stored: all, {every_nth: n} of the "
        "visits to each place, or on_hit: those that a policy 'pre_trigger' asks for. "
        "The others wait in memory for a hit, then go; they are counted.",
    )
    history_frames: PositiveInt = Field(
        200, description="Frames of each place that wait in memory for a hit."
    )
    history_mb: PositiveInt = Field(
        512, description="Of all places together; beyond it the oldest go."
    )
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

    @property
    def nth(self) -> int:
        """Every how manieth visit is stored whatever happens; 1: all, 0: none."""
        if isinstance(self.survey, EveryNth):
            return self.survey.every_nth
        return 1 if self.survey == "all" else 0
