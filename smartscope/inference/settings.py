"""Settings of inference in the experiment file: which models look at the frames."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PositiveFloat,
    model_validator,
)

HeadName = Literal["peaks", "components", "labels", "boxes", "stardist", "classes"]
BoxLayout = Literal["yolo8", "yolo8_rows", "yolo5", "nms_inside"]
_DEVICE = r"^(auto|cpu|(cuda|tensorrt)(:[0-9]+)?)$"


def _device(value: str) -> str:
    if re.fullmatch(_DEVICE, value) is None:
        raise ValueError("a device is auto, cpu, cuda, cuda:N, tensorrt or tensorrt:N")
    return value


Device = Annotated[
    str, AfterValidator(_device), Field(json_schema_extra={"pattern": _DEVICE})
]
"""``auto``, ``cpu``, ``cuda`` or ``tensorrt``; ``cuda:1`` is the second GPU."""


class _Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class NormalisationSettings(_Settings):
    """Over what a model's normalising step takes its statistics."""

    over: Literal["frame", "series", "running", "fixed"] = Field(
        description="frame: each for itself; series: of the first frames of each "
        "channel, then frozen; running: a mean over about the last frames; fixed: "
        "'values'."
    )
    frames: int = Field(
        20, ge=1, le=10_000, description="Of series and running: how many."
    )
    values: tuple[float, float] | tuple[tuple[float, float], ...] | None = Field(
        None,
        description="Of fixed: mean and standard deviation, or the two counts that "
        "become 0 and 1, as the model's step has it; one pair for each of its channels "
        "where they differ.",
    )

    @model_validator(mode="after")
    def _values_where_fixed(self) -> Self:
        if (self.over == "fixed") != (self.values is not None):
            raise ValueError(
                "'values' are given with 'over: fixed' and only there, as in "
                "{over: fixed, values: [120, 15]}"
            )
        return self


def _over(value: Any) -> Any:
    return {"over": value} if isinstance(value, str) else value


class _ModelSettings(_Settings):
    """What every model in an experiment may be given."""

    device: Device = Field(
        "auto", description="'auto' takes the best there is and says which."
    )
    precision: Literal["float32", "float16"] = Field(
        "float32",
        description="float16 runs the net in half precision; how far that is from "
        "float32 is measured before the run and recorded.",
    )
    normalisation: Annotated[
        NormalisationSettings | None,
        BeforeValidator(_over, json_schema_input_type=NormalisationSettings | str),
    ] = Field(
        None,
        description="Over what its statistics are taken: frame, series, running or "
        "fixed; default: as the package says.",
    )
    resample: bool = Field(
        True,
        description="Frames whose pixel size differs from the model's by more than a "
        "tenth are brought to it, and what is found is mapped back.",
    )
    tile_px: int | None = Field(
        None,
        ge=64,
        description="Cut larger frames into tiles of this many pixels, to save memory; "
        "default: only where the model's size is fixed.",
    )


class DenoiseSettings(_ModelSettings):
    """A model that restores the frame before detection; raw frames are always kept."""

    model: str = Field(
        description="Name of a shipped model, path of a .onnx file or of a package."
    )
    store: bool = Field(
        False,
        description="Keep the restored images in the run's folder, beside the raw "
        "ones; otherwise they never leave the graph.",
    )


class DetectSettings(_ModelSettings):
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
        "yolo8_rows (the same, one row a box), yolo5 (one row a box: 4, objectness, "
        "classes), nms_inside (one row a box: corners, score, class); default: the "
        "card's, or the output's shape where it is clear.",
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
    window: int | None = Field(
        None,
        ge=1,
        le=64,
        description="Frames that go in at once, the newest last, for a model with a "
        "free time axis; default: the model's.",
    )
    options: dict[str, Any] = Field(
        default_factory=dict, description="Handed to a detector of one's own."
    )
