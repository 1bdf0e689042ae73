"""Settings of the controls: what tells whether the smart part did good or harm.

What a control does stands in the stage that does it: dark fields in the survey, placebo
bursts and audit looks among the policies, sham in the arbiter.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PositiveFloat,
    PositiveInt,
    model_validator,
)

from smartscope.acquisition import EventTag
from smartscope.response import (
    AuditPolicySettings,
    BurstSettings,
    PlaceboPolicySettings,
    PolicySettings,
    SeriesSettings,
    StimulateSettings,
    drawn,
    names_of,
)

if TYPE_CHECKING:
    import useq

NoneOrNames = Annotated[
    tuple[str, ...],
    BeforeValidator(
        lambda v: (v,) if isinstance(v, str) else v,
        json_schema_input_type=str | tuple[str, ...],
    ),
]
Share = Annotated[float, Field(gt=0, lt=1)]


class _Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class DarkSettings(_Settings):
    """Fields that get no light before the survey's last round."""

    places: tuple[str, ...] = Field((), description="Their names: p0, p1, p2g3.")
    share: Share | None = Field(
        None, description="Or a share of all places, drawn from the seed; at least 1."
    )

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if bool(self.places) == (self.share is not None):
            raise ValueError("give either 'places' or 'share'")
        return self


class PlaceboSettings(_Settings):
    """Bursts at random times and places without a hit, to compare the real ones with.

    They have all settings of the burst policy they belong to.
    """

    share: Share = Field(
        description="Of the survey's analysed frames without a hit, drawn from the "
        "seed: each of them gets a burst all the same."
    )
    of: NoneOrNames = Field((), description="Burst policies; default: all.")


class ShamSettings(_Settings):
    """Bursts and stimulations that are granted and not done: what the light does."""

    share: Share = Field(
        description="Of those that could be granted, drawn from the seed."
    )
    of: NoneOrNames = Field(
        (), description="Policies that burst or stimulate; default: all."
    )
    answer: str | None = Field(
        None,
        description="Occurrence by which stimulated cells answer; the summary then "
        "tells how many did, and how many of those that were withheld.",
    )
    within_s: PositiveFloat | None = Field(
        None, description="How soon an answer counts; default: that of the controls."
    )


class AuditSettings(_Settings):
    """Short quick looks at random times and places, to find what the survey misses."""

    share: Share = Field(
        0.05,
        description="Of the survey's analysed frames, drawn from the seed: after each "
        "of them its place is looked at.",
    )
    frames: PositiveInt = Field(12, description="Of one look.")
    interval_s: float = Field(5.0, ge=0, description="Between them.")
    spread_s: float = Field(
        60.0,
        ge=0,
        description="A look begins at a random time within so long; give the interval "
        "of the survey.",
    )
    exposure_ms: PositiveFloat | None = Field(
        None, description="Default: that of the survey's frame."
    )
    tolerance_s: PositiveFloat = Field(
        60.0,
        description="The survey has it too if its onset lies so near, or so soon after "
        "its next visit; shorter than the time between two at the same spot.",
    )
    tolerance_um: PositiveFloat = Field(15.0, description="And so near in space.")


class EqualLightSettings(_Settings):
    """When an event counts as caught with baseline, for the comparison at equal light.

    The comparison itself is made wherever the truth is known: of simulated cells, and
    of movies with a truth.
    """

    frames: PositiveInt = Field(
        10, description="So many frames show its place from its onset on"
    )
    within_s: PositiveFloat = Field(180.0, description="within so long,")
    baseline_frames: int = Field(
        3, ge=0, description="and so many before its onset, its baseline,"
    )
    baseline_s: PositiveFloat = Field(600.0, description="within so long.")
    of: NoneOrNames = Field(
        (),
        description="Occurrences whose true events count; default: those that bursts "
        "and series answer.",
    )


def _share(value: Any) -> Any:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return {"share": value} if number else value


def _dark(value: Any) -> Any:
    if isinstance(value, str):
        return {"places": [value]}
    if isinstance(value, int | float) and not isinstance(value, bool):
        return {"share": value}
    return value if isinstance(value, Mapping | BaseModel) else {"places": value}


class ControlsSettings(_Settings):
    """Controls of a run; what they tell stands in its summary."""

    dark: Annotated[
        DarkSettings | None,
        BeforeValidator(
            lambda v: None if v is None else _dark(v),
            json_schema_input_type=DarkSettings | tuple[str, ...] | str | float | None,
        ),
    ] = Field(None, description="Dark fields: their names, or a share of all.")
    placebo: Annotated[
        PlaceboSettings | None,
        BeforeValidator(_share, json_schema_input_type=PlaceboSettings | float | None),
    ] = Field(None, description="Bursts without a hit, or just their share.")
    sham: Annotated[
        ShamSettings | None,
        BeforeValidator(_share, json_schema_input_type=ShamSettings | float | None),
    ] = Field(None, description="Bursts that are withheld, or just their share.")
    audit: Annotated[
        AuditSettings | None,
        BeforeValidator(_share, json_schema_input_type=AuditSettings | float | None),
    ] = Field(None, description="Looks at random times, or just their share.")
    equal_light: EqualLightSettings = Field(
        EqualLightSettings(),
        description="When an event is caught with baseline: what the run and a fixed "
        "interval with the same light are compared by, where the truth is known.",
    )
    signs: NoneOrNames = Field(
        (),
        description="Occurrences that count as something happening after a burst, a "
        "placebo or a sham; default: all. What a burst answers is before it.",
    )
    within_s: PositiveFloat = Field(
        300.0, description="How long after its decision they count."
    )
    within_um: PositiveFloat | None = Field(
        None,
        description="How near to the middle of the burst they count; default: in all "
        "of its field.",
    )


def burst_policies(
    of: Sequence[str], policies: Sequence[PolicySettings]
) -> dict[str, BurstSettings]:
    """Return the burst policies that are named, or all, by their names in the records.

    Names that no burst policy has are left out; preflight tells them.
    """
    return {
        name: policy
        for name, policy in zip(names_of(policies), policies, strict=True)
        if isinstance(policy, BurstSettings) and (not of or name in of)
    }


def names_to_catch(
    settings: EqualLightSettings, policies: Sequence[PolicySettings]
) -> frozenset[str]:
    """Return the occurrences whose true events the comparison at equal light is about.

    Those that are named, or those that bursts and series answer; none: all count.
    """
    if settings.of:
        return frozenset(settings.of)
    return frozenset(
        name
        for policy in policies
        if isinstance(policy, BurstSettings | SeriesSettings)
        for name in policy.on
    )


def sham_policies(
    of: Sequence[str], policies: Sequence[PolicySettings]
) -> dict[str, BurstSettings | StimulateSettings]:
    """Return the policies of which a share can be withheld, by their names.

    Those that are named, or all that burst or stimulate; names that none of them has
    are left out, and preflight tells them.
    """
    return {
        name: policy
        for name, policy in zip(names_of(policies), policies, strict=True)
        if isinstance(policy, BurstSettings | StimulateSettings)
        and (not of or name in of)
    }


def control_policies(
    settings: ControlsSettings, policies: Sequence[PolicySettings], seed: int
) -> dict[str, PolicySettings]:
    """Return the policies that controls add, by the names of those they belong to.

    Audit looks belong to none: ``""``.
    """
    added: dict[str, PolicySettings] = {}
    if settings.placebo is not None:
        for name, burst in burst_policies(settings.placebo.of, policies).items():
            added[name] = PlaceboPolicySettings(
                name=f"placebo of {name}",
                priority=burst.priority,
                cool_down_s=burst.cool_down_s,
                max_age_ms=burst.max_age_ms,
                burst=burst,
                share=settings.placebo.share,
                seed=seed,
            )
    if (audit := settings.audit) is not None:
        added[""] = AuditPolicySettings(
            name="audit",
            # before the survey's visits, and behind everything that has a hit
            priority=-1,
            # of one place one look at a time
            cool_down_s=audit.spread_s + audit.frames * audit.interval_s,
            share=audit.share,
            frames=audit.frames,
            interval_s=audit.interval_s,
            spread_s=audit.spread_s,
            exposure_ms=audit.exposure_ms,
            seed=seed,
        )
    return added


def places_of(survey: useq.MDASequence) -> list[str]:
    """Return the names of a survey's places, in the order of its first round."""
    names: dict[str, None] = {}
    rounds = survey.axis_order[:1] == ("t",)
    for event in survey:
        if rounds and event.index.get("t", 0) > 0:
            break
        names.setdefault(EventTag.of_survey(event).place)
    return list(names)


def dark_places(
    settings: DarkSettings | None, places: Sequence[str], seed: int
) -> frozenset[str]:
    """Return the dark ones of a survey's places.

    Parameters
    ----------
    settings : DarkSettings or None
        Names, or a share that is drawn.
    places : sequence of str
        All of the survey.
    seed : int
        Of the experiment.
    """
    if settings is None:
        return frozenset()
    if settings.share is None:
        return frozenset(settings.places)
    number = max(1, math.floor(settings.share * len(places) + 0.5))
    chosen = sorted(places, key=lambda place: drawn(seed, "dark", place))
    return frozenset(chosen[:number])
