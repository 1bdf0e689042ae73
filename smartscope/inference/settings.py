"""Settings of inference in the experiment file: which models look at the frames."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat

Device = Literal["auto", "cpu", "cuda"]


class _Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class DenoiseSettings(_Settings):
    """A model that restores the frame before detection; raw frames are always kept."""

    model: str = Field(
        description="Name of a shipped model, path of a .onnx file or of a package."
    )
    device: Device = Field(
        "auto", description="'auto' takes the best there is and says which."
    )


class DetectSettings(_Settings):
    """A model, or a detector of one's own, that finds things in a frame."""

    model: str = Field(
        description="Name of a shipped model, path of a .onnx file or of a bioimage.io "
        "package folder, or a detector of one's own as 'module:Class'."
    )
    head: Literal["peaks", "components"] | None = Field(
        None, description="How the output is read; default: what the model's card says."
    )
    threshold: float | None = Field(None, gt=0, lt=1, description="Of the output map.")
    min_distance_um: PositiveFloat | None = Field(
        None,
        description="Two peaks nearer than this are one; with components, touching "
        "things are parted there: about a thing's radius, as half of it cuts long ones "
        "in two. Default: the card's; components are then not parted without one.",
    )
    min_area_um2: float = Field(0.0, ge=0, description="Smaller things are dropped.")
    device: Device = Field(
        "auto", description="'auto' takes the best there is and says which."
    )
    options: dict[str, Any] = Field(
        default_factory=dict, description="Handed to a detector of one's own."
    )
