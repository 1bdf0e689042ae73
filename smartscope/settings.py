"""The experiment file: composes the stages' own settings and the microscope.

It knows where YAML comes from and how a mistake in it is told; what a setting means
stands in the stage that obeys it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import useq
import yaml
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PositiveFloat,
    TypeAdapter,
    ValidationError,
)

from smartscope.acquisition import Limits
from smartscope.errors import Refused, nearest
from smartscope.inference import DenoiseSettings, DetectSettings
from smartscope.recognition import OccurrenceSettings, TrackSettings
from smartscope.response import (
    BUILT_IN,
    BuiltInPolicySettings,
    OwnPolicySettings,
    PolicySettings,
)
from smartscope.storage import StorageSettings

_BUILT_IN: TypeAdapter[Any] = TypeAdapter(BuiltInPolicySettings)


def _model(value: Any) -> Any:
    return {"model": value} if isinstance(value, str) else value


def _policy(value: Any) -> Any:
    if not isinstance(value, Mapping) or value.get("policy") not in BUILT_IN:
        return value
    return _BUILT_IN.validate_python(value)


class _Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class AnalysisSettings(_Settings):
    """What looks at the frames, and what it takes for an occurrence."""

    channel: str | None = Field(
        None, description="Preset whose frames are analysed; default: all frames."
    )
    denoise: Annotated[DenoiseSettings | None, BeforeValidator(_model)] = None
    detect: Annotated[DetectSettings, BeforeValidator(_model)] = DetectSettings(
        model="dog"
    )
    track: TrackSettings = TrackSettings()
    occurrences: dict[str, OccurrenceSettings] = Field(default_factory=dict)
    bursts: bool = Field(False, description="Analyse the frames of bursts too.")
    timeout_s: PositiveFloat = Field(
        10.0, description="An analysis that takes longer is killed and started again."
    )
    restarts: int = Field(3, ge=0, description="How often in a run.")
    on_failure: Literal["stand_off", "fall_back"] = Field(
        "stand_off",
        description="When it fails for good: no more reactions, or also the survey's "
        "exposures, positions and intervals as they were at the start.",
    )


class Experiment(_Settings):
    """One experiment: what shall be looked at, recognised and done about it.

    Raises
    ------
    pydantic.ValidationError
        If something is unknown or has a wrong type; ``load`` tells it kindly.
    """

    name: str = Field("experiment", pattern=r"^[\w\-. ]+$")
    microscope: str = Field(
        "simulated", description="Name of a shipped microscope, or path of its .toml."
    )
    specimen: dict[str, Any] = Field(
        default_factory=dict,
        description="What lies under a simulated microscope (see SpecimenSettings); a "
        "real microscope ignores it with a notice.",
    )
    survey: useq.MDASequence
    analysis: AnalysisSettings = AnalysisSettings()
    response: tuple[Annotated[PolicySettings, BeforeValidator(_policy)], ...] = ()
    limits: Limits = Limits()
    storage: StorageSettings = StorageSettings()
    mode: Literal["free_run", "synchronized"] = "free_run"
    max_wait_ms: PositiveFloat = Field(
        2000.0, description="Synchronized: longest wait of the survey for a decision."
    )
    max_age_ms: PositiveFloat = Field(
        5000.0, description="A decision older than this is stale (wall time)."
    )
    shadow: bool = Field(False, description="Decide and record, react to nothing.")
    seed: int = 0

    @classmethod
    def load(cls, path: str | Path) -> Experiment:
        """Read an experiment file; paths in it are relative to it.

        Raises
        ------
        smartscope.errors.Refused
            If it cannot be read, has unknown keys or wrong types.
        """
        path = Path(path)
        try:
            text = path.read_text(encoding="utf-8")
        except OSError as e:
            raise Refused(
                f"The experiment file {path} cannot be read: {e.strerror}.",
                way_out="Check the path; 'smartscope schema' prints what it may hold.",
            ) from e
        try:
            content = yaml.safe_load(text)
        except yaml.YAMLError as e:
            raise Refused(
                f"{path} is not YAML: {e}", rule="An experiment file is YAML."
            ) from e
        if not isinstance(content, dict):
            raise Refused(
                f"{path} holds {type(content).__name__}, not keys and values.",
                rule="An experiment file has at least the key 'survey'.",
            )
        return cls.parse(content, base=path.parent)

    @classmethod
    def parse(cls, content: Mapping[str, Any], base: Path | None = None) -> Experiment:
        """Build an experiment from plain values.

        Parameters
        ----------
        content : Mapping
            As in the file.
        base : Path, optional
            What relative paths are relative to; default: the working directory.

        Raises
        ------
        smartscope.errors.Refused
            If keys are unknown or values have wrong types; all are told at once.
        """
        content = _with_paths(dict(content), base or Path())
        try:
            return cls.model_validate(content)
        except ValidationError as e:
            raise Refused(
                "The experiment has mistakes:\n" + "\n".join(_told(e)) + "\n",
                rule="'smartscope schema' prints every key with its type and meaning.",
            ) from e


def _with_paths(content: dict[str, Any], base: Path) -> dict[str, Any]:
    survey = content.get("survey")
    if isinstance(survey, str):
        path = base / survey
        try:
            content["survey"] = yaml.safe_load(path.read_text(encoding="utf-8"))
        except (OSError, yaml.YAMLError) as e:
            raise Refused(f"The survey {path} cannot be read: {e}") from e
    specimen = content.get("specimen")
    if isinstance(specimen, Mapping):
        content["specimen"] = specimen = dict(specimen)
        for key in ("movie", "truth"):
            value = specimen.get(key)
            if isinstance(value, str):
                specimen[key] = str(base / value)
            elif isinstance(value, Mapping):
                specimen[key] = {k: str(base / str(v)) for k, v in value.items()}
    microscope = content.get("microscope")
    if isinstance(microscope, str) and microscope.endswith(".toml"):
        content["microscope"] = str(base / microscope)
    analysis = content.get("analysis")
    if isinstance(analysis, Mapping):
        content["analysis"] = analysis = dict(analysis)
        for key in ("denoise", "detect"):
            analysis[key] = _with_model_path(analysis[key], base) if key in analysis else None
            if analysis[key] is None:
                del analysis[key]
    return content


def _with_model_path(value: Any, base: Path) -> Any:
    """A model that names an existing file or folder beside the experiment is a path."""
    if isinstance(value, Mapping):
        return {**value, "model": _with_model_path(value.get("model"), base)}
    if isinstance(value, str) and (base / value).exists() and ("/" in value or "." in value):
        return str(base / value)
    return value


def _told(error: ValidationError) -> list[str]:
    lines = []
    for e in error.errors(include_url=False):
        where = ".".join(str(part) for part in e["loc"])
        if e["type"] == "extra_forbidden":
            known = _known_keys(e["loc"][:-1])
            lines.append(
                f"  {where}: unknown key.{nearest(str(e['loc'][-1]), known)}"
            )
        else:
            got = "" if e["type"] == "missing" else f", got {e['input']!r:.80}"
            lines.append(f"  {where}: {e['msg']}{got}")
    return lines


def _known_keys(loc: tuple[int | str, ...]) -> set[str]:
    """Return the keys allowed at a location: from all models that may stand there."""
    models: list[type[BaseModel]] = [Experiment]
    for part in loc:
        found: list[type[BaseModel]] = []
        for model in models:
            if part in model.model_fields:
                found += _models_in(model.model_fields[part].annotation)
            elif part == model.__name__ or part in _tags(model):
                found.append(model)
        models = found or models
    return {key for model in models for key in model.model_fields}


def _tags(model: type[BaseModel]) -> set[str]:
    return {
        str(field.default)
        for name, field in model.model_fields.items()
        if name in ("kind", "policy")
    }


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    found = []
    for arg in getattr(annotation, "__args__", ()):
        found += _models_in(arg)
    return found


__all__ = ["AnalysisSettings", "Experiment", "OwnPolicySettings"]
