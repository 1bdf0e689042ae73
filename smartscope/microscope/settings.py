"""A microscope's file: what it may hold, where it is found, how a mistake is told."""

from __future__ import annotations

import importlib.resources
import math
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PositiveFloat,
    ValidationError,
)

from smartscope.acquisition import Limits, Span
from smartscope.errors import Refused, nearest
from smartscope.simulation import SimulationSettings

T = TypeVar("T", bound=BaseModel)


def _turned(
    matrix: tuple[tuple[float, float], tuple[float, float]],
) -> tuple[tuple[float, float], tuple[float, float]]:
    (a, b), (c, d) = matrix
    lengths = math.hypot(a, c), math.hypot(b, d)
    if max(abs(v - 1) for v in (*lengths, abs(a * d - b * c))) > _LEAST_SQUARE:
        raise ValueError(
            "turns and mirrors, and does not stretch: the pixel size is the scale; "
            f"got {[list(row) for row in matrix]}"
        )
    return matrix


# a camera is never quite square to its stage, and calibrations are rounded
_LEAST_SQUARE = 0.05

Orientation = Annotated[
    tuple[tuple[float, float], tuple[float, float]], AfterValidator(_turned)
]
Setting = tuple[str, str, str]
Affine = tuple[tuple[float, float, float], tuple[float, float, float]]


class _Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class LightSettings(_Settings):
    """The light: how its power is set and what puts it out."""

    power_property: tuple[str, str] | None = Field(
        None, description="Device and property that set the power, in percent."
    )
    off: tuple[Setting, ...] = Field(
        (), description="Device, property, value that put light out besides shutters."
    )
    table: None = Field(
        None, description="Power table; there is none yet: light is ms × %."
    )


class CameraSettings(_Settings):
    """The camera and the core's ring buffer."""

    buffer_mb: Annotated[int, Field(ge=16, le=65_536)] = 256
    dark: Path | None = Field(
        None,
        description="Picture of the camera without light, relative to this file; it is "
        "subtracted from what models see.",
    )
    flat: Path | dict[str, Path] | None = Field(
        None,
        description="Picture of an even specimen, relative to this file, or one for "
        "each channel; what models see is divided by it. Of whole numbers: counts, "
        "less the dark field.",
    )


# pixels of the modulator that a pixel of the camera covers; fewer make no pattern
_LEAST_AREA = 1e-4


def _invertible(affine: Affine) -> Affine:
    (a, b, _), (c, d, _) = affine
    if abs(a * d - b * c) < _LEAST_AREA:
        raise ValueError(
            "must be invertible: two different points of the camera are two different "
            f"points of the modulator, got {[list(row) for row in affine]}"
        )
    return affine


class SlmSettings(_Settings):
    """A light modulator (SLM, DMD) and how the camera sees it.

    It has a light path of its own, which only the stimulation's preset opens: it is
    dark whenever nobody stimulates.
    """

    device: str = Field(description="Its label.")
    affine: Annotated[Affine, AfterValidator(_invertible)] = Field(
        description="2×3, from camera pixel (column, row) of the whole, unbinned chip "
        "to its own pixel (column, row); pixel centres are integers."
    )
    intensity: int = Field(
        255, ge=1, le=255, description="Value of a pixel that is on."
    )


class TurretSettings(_Settings):
    """When the turret of objectives may turn."""

    may_turn: bool = Field(
        False, description="Whether it is turned at all; an objective could hit."
    )
    safe_z_um: float | None = Field(
        None,
        description="The focus goes there, or stays farther away, while it turns; it "
        "is asked for where it may turn.",
    )


class ObjectiveSettings(_Settings):
    """How an objective differs from the one at the start."""

    parfocal_um: float = Field(
        0.0,
        description="How far the focus drive goes from where the start objective is in "
        "focus, to be in focus with this one.",
    )
    parcentric_um: tuple[float, float] = Field(
        (0.0, 0.0),
        description="How far the stage goes in x, y to have the point in the middle "
        "that the start objective had there.",
    )
    x_um: Span | None = Field(None, description="Tighter limits of the stage.")
    y_um: Span | None = Field(None, description="Tighter limits of the stage.")
    z_um: Span | None = Field(None, description="Tighter limits of the focus drive.")


class MicroscopeSettings(_Settings):
    """A microscope's file, ``<name>.toml``."""

    kind: Literal["simulated", "micromanager"]
    description: str = ""
    cfg: Path | None = Field(
        None, description="Micro-Manager configuration, relative to this file."
    )
    channel_group: str = "Channel"
    focus_direction: Literal["toward", "away"] | None = Field(
        None,
        description="Where a rising Z brings the objective: toward the sample or away "
        "from it. Without it Z does not move.",
    )
    orientation: Orientation = Field(
        ((1.0, 0.0), (0.0, 1.0)),
        description="From camera (column, row) to stage (x, y), without the scale.",
    )
    objective: str | None = Field(
        None,
        description="Label of the objective at the start; a real turret must stand "
        "there, opening the microscope does not turn it.",
    )
    pixel_size_um: dict[str, PositiveFloat] = Field(
        default_factory=dict,
        description="For each label of the objective, unbinned; default: what the "
        "configuration says.",
    )
    untrusted_busy: tuple[str, ...] = Field(
        (), description="Devices whose Busy flag is not waited for."
    )
    turret: TurretSettings = TurretSettings()
    objectives: dict[str, ObjectiveSettings] = Field(
        default_factory=dict,
        description="For labels of the objective, how it differs from the one at the "
        "start.",
    )
    limits: Limits = Limits()
    light: LightSettings = LightSettings()
    camera: CameraSettings = CameraSettings()
    slm: SlmSettings | None = Field(
        None, description="Light modulator for policies of kind 'stimulate'."
    )
    simulation: SimulationSettings = SimulationSettings()


def hardware_folder() -> Path:
    """Return the folder of the shipped microscopes, in a checkout or installed."""
    packaged = Path(str(importlib.resources.files("smartscope"))) / "hardware_configs"
    checkout = Path(__file__).resolve().parents[2] / "hardware_configs"
    return packaged if packaged.is_dir() else checkout


def shipped_microscopes() -> list[str]:
    """Return the names of the shipped microscopes."""
    return sorted(path.stem for path in hardware_folder().glob("*.toml"))


def find_microscope(name_or_path: str | Path) -> Path:
    """Return the file of a microscope, given by name or as the path of its .toml.

    Raises
    ------
    smartscope.errors.Refused
        If there is none.
    """
    text = str(name_or_path)
    if not text.endswith(".toml"):
        path = hardware_folder() / f"{text}.toml"
        if path.is_file():
            return path
        names = shipped_microscopes()
        raise Refused(
            f"There is no microscope '{text}'.{nearest(text, names)}",
            rule=f"Shipped are: {', '.join(names)}.",
            way_out="Give one of them, or the path of a .toml file.",
        )
    if not Path(text).is_file():
        raise Refused(
            f"The microscope's file {text} is not there.",
            rule="A microscope is a name that is shipped, or the path of a .toml file.",
            way_out="Check the path, or give the name of a shipped microscope: "
            f"{', '.join(shipped_microscopes())}.",
        )
    return Path(text)


def read_microscope(path: Path) -> MicroscopeSettings:
    """Read a microscope's file.

    Raises
    ------
    smartscope.errors.Refused
        If it cannot be read, has unknown keys or wrong types; all are told at once.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as e:
        raise Refused(
            f"The microscope's file {path} cannot be read: {e}",
            rule="A microscope is described in TOML.",
            way_out="Take a shipped one as the pattern, such as demo.toml.",
        ) from e
    return validated(MicroscopeSettings, content, f"The microscope's file {path}")


def validated(model: type[T], content: Mapping[str, Any], what: str) -> T:
    """Return the model of plain values; tell all mistakes at once.

    Raises
    ------
    smartscope.errors.Refused
        If keys are unknown or values have wrong types.
    """
    try:
        return model.model_validate(content)
    except ValidationError as e:
        lines = []
        for error in e.errors(include_url=False):
            where = ".".join(str(part) for part in error["loc"])
            if error["type"] == "extra_forbidden":
                known = _known_keys(model, error["loc"][:-1])
                told = f"unknown key.{nearest(str(error['loc'][-1]), known)}"
            elif error["type"] == "missing":
                told = "must be given."
            else:
                message = str(error["msg"]).removeprefix("Value error, ")
                told = (
                    message
                    if " got " in message
                    else f"{message}, got {error['input']!r:.80}"
                )
            lines.append(f"  {where}: {told}")
        raise Refused(
            f"{what} has mistakes:\n" + "\n".join(lines) + "\n",
            rule="Every key is known and has a value of its type.",
            way_out="Correct the keys that are named.",
        ) from e


def _known_keys(model: type[BaseModel], loc: tuple[int | str, ...]) -> list[str]:
    for part in loc:
        field = model.model_fields.get(str(part))
        inner = field.annotation if field is not None else None
        if not (isinstance(inner, type) and issubclass(inner, BaseModel)):
            break
        model = inner
    return list(model.model_fields)
