"""Where a person has pointed at."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class Target(BaseModel):
    """A point that a person has chosen, in stage µm.

    It is an input of the run: journalled, and given to a replay again.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    place: str = Field(description="The survey place it is at.")
    x_um: float
    y_um: float
    time_s: float = Field(0.0, description="When, on the run's clock.")


def target_of(record: Mapping[str, Any]) -> Target:
    """Rebuild a target from an input of a run, whose other keys are passed over."""
    return Target.model_validate({k: record[k] for k in Target.model_fields})
