"""The card of a model: what an ONNX graph cannot say about itself.

A bare ``name.onnx`` has it beside it as ``name.yaml``; a bioimage.io package may hold
the part about the head under ``config: smartscope:``.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PositiveFloat,
    PositiveInt,
    ValidationError,
    field_validator,
)

from smartscope.errors import Refused, nearest
from smartscope.inference.tensor import AXES, Step

HeadName = Literal["peaks", "components"]


class HeadCard(BaseModel):
    """How the output of a detecting model is read."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    head: HeadName | None = Field(None, description="peaks or components.")
    threshold: float | None = Field(None, gt=0, lt=1, description="Of the output map.")
    classes: tuple[str, ...] = Field(("object",), min_length=1, max_length=1)
    channel: int | None = Field(None, ge=0, description="Channel that is the map.")
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
    output_axes: str | None = Field(None, description="Default: as the input.")
    pixel_size_um: PositiveFloat | None = Field(
        None, description="Of the images it was trained on."
    )
    step: PositiveInt = Field(1, description="Free sizes must be a multiple of it.")
    stride: PositiveInt = Field(1, description="Input pixels per output pixel.")
    normalisation: tuple[StepCard, ...] = Field(
        (), description="Steps before the graph, named as bioimage.io names them."
    )
    postprocessing: tuple[StepCard, ...] = Field((), description="Steps after it.")

    @field_validator("axes", "output_axes")
    @classmethod
    def _known_axes(cls, value: str | None) -> str | None:
        if value is not None and (
            set(value) - set(AXES)
            or len(set(value)) != len(value)
            or not {"y", "x"} <= set(value)
        ):
            raise ValueError(
                f"axes are letters of '{AXES}', each once, y and x among them; "
                f"got '{value}'"
            )
        return value

    @field_validator("normalisation", "postprocessing", mode="before")
    @classmethod
    def _bare_names(cls, value: Any) -> Any:
        """A step without arguments may be its bare name."""
        steps = [value] if isinstance(value, (str, Mapping)) else value
        if not isinstance(steps, (list, tuple)):
            return steps
        return tuple({"id": s} if isinstance(s, str) else s for s in steps)


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
