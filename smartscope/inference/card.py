"""The card of a model: what an ONNX graph cannot say about itself.

A bare ``name.onnx`` has it beside it as ``name.yaml``; a bioimage.io package may hold
the part about the head under ``config: smartscope:``.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self, TypeVar

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    ValidationError,
    field_validator,
    model_validator,
)

from smartscope.errors import Refused, nearest
from smartscope.inference.settings import BoxLayout, HeadName
from smartscope.inference.tensor import AXES, Step

_LARGEST = 4096  # pixels; a larger step would only fill the memory


class HeadCard(BaseModel):
    """How the output of a detecting model is read."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    head: HeadName | None = Field(
        None, description="peaks, components, labels, boxes, stardist or classes."
    )
    threshold: float | None = Field(
        None, gt=0, lt=1, description="A thing's score is above it."
    )
    classes: tuple[str, ...] = Field(
        ("object",),
        min_length=1,
        description="Names of the classes, in the order of the output; one where there "
        "is only one kind of thing.",
    )
    channel: int | None = Field(None, ge=0, description="Channel that is the map.")
    channels_are: Literal["channels", "frames"] = Field(
        "channels",
        description="What the channels of the input are: channels of the specimen, or "
        "its last frames, the newest last.",
    )
    offsets: tuple[int, int] | None = Field(
        None,
        description="Of peaks: the channels that say how many map pixels the "
        "thing lies below and right of the middle of its pixel.",
    )
    nms_overlap: float | None = Field(
        None,
        gt=0,
        le=1,
        description="Of two things that overlap by more than this share the better one "
        "stays.",
    )
    n_rays: int | None = Field(
        None,
        ge=3,
        description="Of stardist: rays of an outline; default: the output's.",
    )
    grid: PositiveInt | None = Field(
        None, description="Of stardist: input pixels per output pixel."
    )
    layout: BoxLayout | None = Field(
        None, description="Of boxes: yolo8, yolo8_rows, yolo5 or nms_inside."
    )
    box_form: Literal["center_size", "corners"] | None = Field(
        None,
        description="Of boxes: x, y, width, height of the middle, or x, y of two "
        "corners; default: corners with nms_inside, else center_size.",
    )
    box_units: Literal["pixels", "share"] = Field(
        "pixels",
        description="Of boxes: pixels of the model's input, or shares of it from 0 to "
        "1.",
    )
    radius_um: PositiveFloat | None = Field(
        None, description="Usual radius of a thing; peaks are measured within it."
    )
    min_distance_um: PositiveFloat | None = Field(
        None, description="Two peaks, or seeds of a split, nearer than this are one."
    )


class StepCard(BaseModel):
    """One step of processing."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    id: str
    kwargs: dict[str, Any] = Field(default_factory=dict)

    def step(self) -> Step:
        """Return it as the rest of inference knows it."""
        return Step(self.id, self.kwargs)


class ModelCard(HeadCard):
    """The card beside a bare ``.onnx`` file."""

    name: str | None = None
    description: str = ""
    axes: str | None = Field(None, description="Of the input, such as bcyx or byxc.")
    output_axes: str | tuple[str, ...] | None = Field(
        None,
        description="Of the first output, or of each in order; default: as the input. "
        "Boxes are bci or bic, classes bc.",
    )
    pixel_size_um: PositiveFloat | None = Field(
        None, description="Of the images it was trained on."
    )
    step: PositiveInt = Field(
        1, le=_LARGEST, description="Free sizes must be a multiple of it."
    )
    stride: PositiveInt = Field(
        1, le=_LARGEST, description="Input pixels per output pixel."
    )
    offset: int = Field(
        0,
        multiple_of=2,
        description="Pixels the output has more than the input over the stride: less "
        "than 0 after convolutions without padding, half of it at either end.",
    )
    halo: NonNegativeInt = Field(
        0,
        description="Output pixels at an edge that saw too little around them: cut off "
        "where tiles meet.",
    )
    normalisation: tuple[StepCard, ...] = Field(
        (), description="Steps before the graph, named as bioimage.io names them."
    )
    postprocessing: tuple[StepCard, ...] = Field((), description="Steps after it.")

    @field_validator("axes")
    @classmethod
    def _axes_of_an_image(cls, value: str | None) -> str | None:
        if value is not None:
            _letters(value, image=True)
        return value

    @model_validator(mode="before")
    @classmethod
    def _grid_is_the_stride(cls, content: Any) -> Any:
        """A grid is what other heads call the stride of the output."""
        if not isinstance(content, Mapping) or content.get("grid") is None:
            return content
        if content.get("stride", content["grid"]) != content["grid"]:
            raise ValueError(
                f"grid ({content['grid']}) and stride ({content['stride']}) say the "
                "same thing, input pixels per output pixel"
            )
        return {**content, "stride": content["grid"]}

    @model_validator(mode="after")
    def _axes_of_outputs(self) -> Self:
        told = self.output_axes
        image = self.head not in {"boxes", "classes"}
        for i, value in enumerate((told,) if isinstance(told, str) else told or ()):
            _letters(value, image=image and i == 0)
        return self

    @field_validator("normalisation", "postprocessing", mode="before")
    @classmethod
    def _bare_names(cls, value: Any) -> Any:
        """A step without arguments may be its bare name."""
        steps = [value] if isinstance(value, (str, Mapping)) else value
        if not isinstance(steps, (list, tuple)):
            return steps
        return tuple({"id": s} if isinstance(s, str) else s for s in steps)


def _letters(value: str, *, image: bool) -> None:
    known = not set(value) - set(AXES) and len(set(value)) == len(value)
    if not known or (image and not {"y", "x"} <= set(value)):
        both = ", y and x among them" if image else ""
        raise ValueError(
            f"axes are letters of '{AXES}', each once{both}; got '{value}'"
        )


_Card = TypeVar("_Card", bound=HeadCard)


def read_card(path: Path) -> ModelCard:
    """Read the card of a bare ONNX file.

    Parameters
    ----------
    path : Path
        The ``.yaml`` file.

    Raises
    ------
    smartscope.errors.Refused
        If it cannot be read or says something that a card does not say.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as e:
        raise Refused(
            f"The card {path} cannot be read: {e}.",
            rule="A model's card is YAML.",
            way_out="Correct it; README of a shipped model shows one.",
        ) from e
    if not isinstance(content, Mapping):
        raise Refused(
            f"The card {path} holds no keys and values.",
            rule="A model's card is YAML with keys and values.",
            way_out=f"Known keys: {', '.join(ModelCard.model_fields)}.",
        )
    return parse_card(ModelCard, content, f"The card {path}")


def parse_card(kind: type[_Card], content: Any, where: str) -> _Card:
    """Check a card.

    Parameters
    ----------
    kind : type
        ``ModelCard`` or ``HeadCard``.
    content : Any
        What the file says.
    where : str
        Begins the error.

    Raises
    ------
    smartscope.errors.Refused
        If a key is unknown or a value is wrong.
    """
    try:
        return kind.model_validate(content)
    except ValidationError as e:
        told = []
        for error in e.errors(include_url=False):
            key = ".".join(map(str, error["loc"]))
            hint = (
                nearest(key, kind.model_fields)
                if error["type"] == "extra_forbidden"
                else ""
            )
            told.append(f"{key}: {error['msg']}.{hint}")
        raise Refused(
            f"{where} is wrong: {' '.join(told)}",
            rule="Every key is known and has a value of its type.",
            way_out=f"Known keys: {', '.join(kind.model_fields)}.",
        ) from e
