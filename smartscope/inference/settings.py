"""Settings of inference in the experiment file: which models look at the frames."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat

HeadName = Literal["peaks", "components", "labels", "boxes", "stardist", "classes"]
BoxLayout = Literal["yolo8", "yolo5", "nms_inside"]
Device = Annotated[str, Field(pattern=r"^(auto|cpu|(cuda|tensorrt)(:[0-9]+)?)$")]
"""``auto``, ``cpu``, ``cuda`` or ``tensorrt``; ``cuda:1`` is the second GPU."""


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
    head: HeadName | None = Field(
        None,
        description="How the output is read: peaks, components, labels, boxes, "
        "stardist or classes; default: what the model's card says, or the output where "
        "it is clear.",
    )
    threshold: float | None = Field(
        None,
        gt=0,
        lt=1,
        description="A thing's score is above it; default: the card's, else 0.5.",
    )
    nms_overlap: float | None = Field(
        None,
        gt=0,
        le=1,
        description="Of two things that overlap by more than this share the better one "
        "stays: of boxes the shared area over their union (default 0.45), of stardist "
        "the shared area over the smaller one (default 0.4).",
    )
    layout: BoxLayout | None = Field(
        None,
        description="Of the boxes head: yolo8 (4 + classes rows, one column a box), "
        "yolo5 (one row a box: 4, objectness, classes), nms_inside (one row a box: "
        "corners, score, class); default: the card's, or the output's shape where it "
        "is clear.",
    )
    classes: tuple[str, ...] | None = Field(
        None,
        min_length=1,
        description="Names of the classes in the order of the output; default: the "
        "card's.",
    )
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
