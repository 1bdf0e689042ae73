"""One experiment as the user writes it, and how it is read.

It composes the settings of the stages; what a setting means stands in the stage that
obeys it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    PositiveFloat,
    ValidationError,
)

from smartscope.acquisition import Frame, Limits
from smartscope.errors import Refused
from smartscope.inference import DenoiseSettings, DetectSettings, shipped_models
from smartscope.recognition import (
    Feature,
    OccurrenceSettings,
    RatioSettings,
    ShapeName,
    TrackSettings,
    slot_of,
)
from smartscope.response import (
    AutofocusPolicySettings,
    FocusSettings,
    FollowSettings,
    OwnPolicySettings,
    PolicySettings,
)
from smartscope.settings.controls import (
    ControlsSettings,
    control_policies,
    dark_places,
    places_of,
    sham_policies,
)
from smartscope.settings.mistakes import all_told
from smartscope.settings.pairs import PairsSettings
from smartscope.settings.policies import AnyPolicySettings
from smartscope.settings.survey import Survey, has_autofocus_plan
from smartscope.settings.yaml_file import read_yaml
from smartscope.simulation import SpecimenSettings
from smartscope.storage import StorageSettings

SCHEMA_HINT = "'smartscope schema' prints every key with its type and meaning."

if TYPE_CHECKING:
    Specimen = dict[str, Any]
else:
    # checked like the settings they are; kept as the keys that were given, because
    # they replace those of the microscope key by key
    Specimen = Annotated[
        SpecimenSettings,
        AfterValidator(lambda s: s.model_dump(mode="json", exclude_unset=True)),
        PlainSerializer(dict),
    ]


def _model(value: Any) -> Any:
    return {"model": value} if isinstance(value, str) else value


def _rival(value: Any) -> Any:
    """Take ``otsu``, ``{model: otsu, …}`` and ``{otsu: {…}}`` for the same."""
    if isinstance(value, Mapping) and len(value) == 1:
        ((name, rest),) = value.items()
        if name not in DetectSettings.model_fields and isinstance(rest, Mapping):
            return {"model": name, **rest}
    return _model(value)


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, str | Mapping) else value


def _channels(value: Any) -> Any:
    names = value if isinstance(value, list | tuple) else [value]
    if value is not None and not all(isinstance(name, str) for name in names):
        raise ValueError(f"is a preset or a list of presets, got {value!r}")
    if not names or len(set(names)) < len(names):
        raise ValueError(f"names each channel once, got {list(names)}")
    return value


_Channels = Annotated[
    str | tuple[str, ...] | None,
    BeforeValidator(_channels, json_schema_input_type=str | tuple[str, ...] | None),
]


class _Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class AnalysisSettings(_Settings):
    """What looks at the frames, and what it takes for an occurrence."""

    channel: _Channels = Field(
        None,
        description="Preset, or camera, whose frames are analysed; default: all "
        "frames. Several are the channels of one model in its order: it looks when the "
        "last of a visit has come.",
    )
    correct: bool = Field(
        True,
        description="Dark and flat field of the microscope, where its file has them, "
        "are taken out of what models see; raw frames are kept as they are.",
    )
    denoise: Annotated[
        DenoiseSettings | None,
        BeforeValidator(_model, json_schema_input_type=DenoiseSettings | str | None),
    ] = Field(None, description="A model that restores frames, or its name.")
    detect: Annotated[
        DetectSettings,
        BeforeValidator(_model, json_schema_input_type=DetectSettings | str),
    ] = Field(
        DetectSettings(model="dog"), description="What finds things, or its name."
    )
    track: TrackSettings = Field(
        TrackSettings(), description="How detections become tracks."
    )
    occurrences: dict[str, OccurrenceSettings] = Field(
        default_factory=dict, description="What may happen, under names of your own."
    )
    features: tuple[ShapeName, ...] = Field(
        (),
        description="Measured of every thing besides area, brightness, speed and score "
        "and kept in its track, for policies of one's own and the journal; what an "
        "occurrence asks for is measured anyway.",
    )
    ratio: RatioSettings | None = Field(
        None,
        description="Two channels of a visit whose ratio is measured over each thing, "
        "less the local background and per light; the other channel is taken before "
        "the one that is looked at.",
    )
    rivals: Annotated[
        tuple[
            Annotated[
                DetectSettings,
                BeforeValidator(_rival, json_schema_input_type=DetectSettings | str),
            ],
            ...,
        ],
        BeforeValidator(_listed),
    ] = Field(
        (),
        description="Other detectors, each as in 'detect': at the end they look at "
        "what was stored, and the summary tells whether they would have done. They "
        "steer nothing.",
    )
    rivals_frames: int = Field(
        200, ge=1, description="So many frames they look at, spread over the places."
    )
    unverified: bool = Field(
        False,
        description="Take models whose packages do not reproduce their own test "
        "tensors; the run says so for ever.",
    )
    bursts: bool = Field(False, description="Analyse the frames of bursts too.")
    timeout_s: PositiveFloat = Field(
        10.0, description="An analysis that takes longer is killed and started again."
    )
    restarts: int = Field(
        3,
        ge=0,
        description="How often in a run; not counted where one policy hangs or dies, "
        "which is switched off for the rest of the run.",
    )
    on_failure: Literal["stand_off", "fall_back"] = Field(
        "stand_off",
        description="When it fails for good: no more reactions, or also the survey's "
        "exposures, positions and intervals as they were at the start.",
    )

    def looks_at(self, frame: Frame) -> bool:
        """Return whether a frame is analysed: by its channel and by who ordered it."""
        if frame.origin in ("focus", "visit"):
            return False
        if frame.origin == "burst" and not self.bursts:
            return False
        # through a pattern most of the field is dark
        if frame.origin == "stimulation":
            return False
        return self.finds_in(frame) or (
            self.ratio is not None
            and slot_of(self.ratio.channels, frame.state.channel, frame.camera)
            is not None
        )

    def finds_in(self, frame: Frame) -> bool:
        """Return whether things are found in a frame; others lend it their counts."""
        return slot_of(self.channels, frame.state.channel, frame.camera) is not None

    @property
    def measured(self) -> frozenset[str]:
        """What is measured of the pixels of things: as asked, and for occurrences."""
        asked = {o.value for o in self.occurrences.values() if isinstance(o, Feature)}
        return frozenset(self.features) | (asked & set(get_args(ShapeName)))

    @property
    def channels(self) -> tuple[str, ...]:
        """Presets or cameras that are looked at, in the model's order; none is all."""
        if self.channel is None:
            return ()
        return (self.channel,) if isinstance(self.channel, str) else self.channel


class ApproveSettings(_Settings):
    """A person says yes to what would be done, or nobody does in time."""

    within_s: PositiveFloat = Field(30.0, description="How long is waited (wall time).")
    otherwise: Literal["refuse", "grant"] = Field(
        "refuse", description="What holds if nobody answers."
    )
    no_holds_s: float = Field(
        60.0,
        ge=0,
        description="A no holds for the same policy, place, kind and track so long.",
    )
    policies: tuple[str, ...] = Field(
        (), description="Names of the policies that ask; default: all."
    )


class Experiment(_Settings):
    """One experiment: what shall be looked at, recognised and done about it.

    ``model_dump(mode="json")`` gives plain values from which ``parse`` builds an equal
    experiment again.

    Raises
    ------
    pydantic.ValidationError
        If something is unknown or has a wrong type; ``load`` and ``parse`` tell it
        kindly.
    """

    name: str = Field(
        "experiment", pattern=r"^[\w\-. ]+$", description="Part of the run's folder."
    )
    microscope: str = Field(
        "simulated", description="Name of a shipped microscope, or path of its .toml."
    )
    specimen: Specimen = Field(
        default_factory=dict,
        description="What lies under a simulated microscope, replacing what its file "
        "says key by key; a real microscope ignores it with a notice.",
    )
    survey: Survey = Field(
        description="What runs when nothing happens: a useq MDASequence, or the path "
        "of one."
    )
    focus: FocusSettings | None = Field(
        None,
        description="How and when the survey's places are focused; default: only where "
        "the survey has an autofocus_plan, or a policy wishes it.",
    )
    analysis: AnalysisSettings = Field(
        AnalysisSettings(), description="What looks at the frames."
    )
    response: tuple[AnyPolicySettings, ...] = Field(
        (), description="Policies: what is done about what was seen."
    )
    limits: Limits = Field(
        Limits(), description="Tighter ones than the microscope's, never wider."
    )
    storage: StorageSettings = Field(
        StorageSettings(), description="How frames are written."
    )
    mode: Literal["free_run", "synchronized"] = Field(
        "free_run",
        description="The survey goes on while a frame is analysed, or waits for the "
        "decision.",
    )
    hardware_sequencing: bool = Field(
        True,
        description="Take frames of the survey as one triggered sequence where the "
        "hardware can; never in 'synchronized'.",
    )
    longest_wait_s: PositiveFloat | None = Field(
        None,
        description="The visits of a round that are due wait together at most so "
        "long for bursts and series, and for the one that runs then; after that they "
        "go first. Default: as long as they take.",
    )
    max_wait_ms: PositiveFloat = Field(
        2000.0, description="Synchronized: longest wait of the survey for a decision."
    )
    max_age_ms: PositiveFloat = Field(
        5000.0, description="A decision older than this is stale (wall time)."
    )
    shadow: bool = Field(False, description="Decide and record, react to nothing.")
    approve: ApproveSettings | None = Field(
        None, description="A person says yes to each reaction; default: nobody asks."
    )
    controls: ControlsSettings = Field(
        ControlsSettings(), description="Controls: what tells good from harm."
    )
    pairs: PairsSettings = Field(
        PairsSettings(),
        description="What 'smartscope pairs' takes; a run takes none of it.",
    )
    seed: int = Field(0, ge=0, description="Of everything that is drawn.")

    @property
    def policies(self) -> tuple[PolicySettings, ...]:
        """All policies: the responses, then those that the controls add.

        What draws at random and has no seed of its own has the experiment's.
        """
        added = control_policies(self.controls, self.response, self.seed)
        return (*map(self._seeded, self.response), *added.values())

    def _seeded(self, policy: PolicySettings) -> PolicySettings:
        if isinstance(policy, FollowSettings) and policy.seed is None:
            return policy.model_copy(update={"seed": self.seed})
        return policy

    @property
    def follows_clicks(self) -> bool:
        """Whether a policy may want to know where a person points at."""
        return any(
            isinstance(policy, OwnPolicySettings)
            or (isinstance(policy, FollowSettings) and policy.choose == "click")
            for policy in self.response
        )

    @property
    def sham_shares(self) -> dict[str, float]:
        """By the name of a policy, the share of its bursts or stimulations withheld."""
        sham = self.controls.sham
        if sham is None:
            return {}
        return dict.fromkeys(sham_policies(sham.of, self.response), sham.share)

    @property
    def looks_for_focus(self) -> bool:
        """Whether anything in it may move the focus by what it finds."""
        return (
            self.focus is not None
            or has_autofocus_plan(self.survey)
            or any(
                isinstance(policy, AutofocusPolicySettings) for policy in self.response
            )
        )

    def dark_places(self) -> frozenset[str]:
        """Return the names of the places that only the last round of the survey shows.

        A grid has its places only once its fields of view are known.
        """
        if self.controls.dark is None:
            return frozenset()
        return dark_places(self.controls.dark, places_of(self.survey), self.seed)

    @classmethod
    def load(cls, path: str | Path) -> Experiment:
        """Read an experiment file; paths in it are relative to it.

        Raises
        ------
        smartscope.errors.Refused
            If it cannot be read, has unknown keys or wrong types.
        """
        path = Path(path)
        return cls.parse(
            read_yaml(path, what="experiment file"), base=path.parent, name=str(path)
        )

    @classmethod
    def parse(
        cls,
        content: Mapping[str, Any],
        base: Path | None = None,
        *,
        name: str = "The experiment",
    ) -> Experiment:
        """Build an experiment from plain values.

        Parameters
        ----------
        content : Mapping
            As in the file.
        base : Path, optional
            What relative paths are relative to; default: the working directory.
        name : str
            What the content is called in the error.

        Raises
        ------
        smartscope.errors.Refused
            If keys are unknown or values have wrong types; all are told at once.
        """
        content = _with_paths(dict(content), (base or Path()).absolute())
        try:
            return cls.model_validate(content)
        except ValidationError as e:
            lines = "\n".join(f"  {line}" for line in all_told(e, cls))
            raise Refused(
                f"{name} has mistakes:\n{lines}\n",
                rule="Every key is known and has a value of its type.",
                way_out=SCHEMA_HINT,
            ) from e


def _with_paths(content: dict[str, Any], base: Path) -> dict[str, Any]:
    """Make the paths absolute, so that they mean the same in ``run.json``."""
    survey = content.get("survey")
    if isinstance(survey, str | Path):
        content["survey"] = read_yaml(base / survey, what="survey")
    specimen = content.get("specimen")
    if isinstance(specimen, Mapping):
        content["specimen"] = specimen = dict(specimen)
        for key in ("movie", "truth"):
            value = specimen.get(key)
            if isinstance(value, str | Path):
                specimen[key] = str(base / value)
            elif isinstance(value, Mapping):
                specimen[key] = {
                    k: str(base / v) if isinstance(v, str | Path) else v
                    for k, v in value.items()
                }
    microscope = content.get("microscope")
    if isinstance(microscope, str | Path) and str(microscope).endswith(".toml"):
        content["microscope"] = str(base / microscope)
    analysis = content.get("analysis")
    if isinstance(analysis, Mapping):
        content["analysis"] = {
            key: _with_model_path(value, base)
            if key in ("denoise", "detect")
            else [_with_model_path(_rival(each), base) for each in _listed(value)]
            if key == "rivals" and isinstance(value, list | str | Mapping)
            else value
            for key, value in analysis.items()
        }
    return content


def _with_model_path(value: Any, base: Path) -> Any:
    """Make a model's path absolute; shipped names and detectors are none."""
    if isinstance(value, Mapping):
        if "model" not in value:
            return value
        return {**value, "model": _with_model_path(value["model"], base)}
    if isinstance(value, Path):
        return str(base / value)
    if not isinstance(value, str) or not value or value in shipped_models():
        return value
    path = base / value
    named = value.lower().endswith((".onnx", ".zip"))
    if named or ("/" in value and path.exists()) or _is_package(path):
        return str(path)
    return value


def _is_package(folder: Path) -> bool:
    try:
        return any(folder.glob("*.yaml"))
    except (OSError, ValueError):  # no name that a folder can have
        return False
