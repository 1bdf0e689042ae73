"""The survey: a useq.MDASequence that is read strictly and told kindly.

useq ignores keys it does not know, and tells a plan that fits no form once per form;
here an unknown key is refused with the nearest known one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any

import useq
from pydantic import (
    BaseModel,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
)
from pydantic_core import PydanticCustomError

from smartscope.errors import nearest
from smartscope.settings.mistakes import Place, models_in, told

MOST_POINTS = 1_000_000

# keys that useq takes besides its fields
_ALSO = {useq.AbsolutePosition: {"row", "col"}, useq.RelativePosition: {"row", "col"}}


def _fields(model: type[BaseModel]) -> set[str]:
    return {*model.model_fields, *_ALSO.get(model, ())}


def _tuples(content: Any) -> Any:
    """Positions written as lists, which useq takes as tuples only."""
    if not isinstance(content, Mapping):
        return content
    content = dict(content)
    positions = content.get("stage_positions")
    if isinstance(positions, list):
        content["stage_positions"] = [
            tuple(p)
            if isinstance(p, list)
            else {**p, "sequence": _tuples(p["sequence"])}
            if isinstance(p, Mapping) and "sequence" in p
            else p
            for p in positions
        ]
    return content


def _never_known(
    value: Any, models: Sequence[type[BaseModel]], loc: Place
) -> Iterator[tuple[Place, set[str]]]:
    """Yield keys that none of the models that may stand there knows."""
    if isinstance(value, Mapping) and models:
        known = set().union(*(_fields(m) for m in models))
        for key, held in value.items():
            if key not in known:
                yield (*loc, key), known
                continue
            below = [
                b
                for m in models
                if key in m.model_fields
                for b in models_in(m.model_fields[key].annotation)
            ]
            yield from _never_known(held, below, (*loc, key))
    elif isinstance(value, (list, tuple)):
        for i, held in enumerate(value):
            yield from _never_known(held, models, (*loc, i))


def _not_used(value: Any, parsed: Any, loc: Place) -> Iterator[tuple[Place, str]]:
    """Yield keys that the form which was taken does not know."""
    if isinstance(parsed, BaseModel) and isinstance(value, Mapping):
        known = _fields(type(parsed))
        for key, held in value.items():
            if key not in known:
                beside = ", ".join(sorted(k for k in value if k in known))
                yield (*loc, key), f"has no meaning beside {beside}."
            else:
                yield from _not_used(held, getattr(parsed, key, None), (*loc, key))
    elif isinstance(value, (list, tuple)):
        if isinstance(parsed, useq.MultiPhaseTimePlan):
            parsed = parsed.phases
        if isinstance(parsed, (list, tuple)):
            for i, pair in enumerate(zip(value, parsed, strict=False)):
                yield from _not_used(*pair, (*loc, i))


def _unknown(found: Iterator[tuple[Place, set[str]]]) -> dict[Place, str]:
    return {loc: f"unknown key.{nearest(str(loc[-1]), known)}" for loc, known in found}


def _cut(loc: Place) -> Place:
    """Return the location without the names of the forms useq tried."""
    models: list[type[BaseModel]] = [useq.MDASequence]
    for i, part in enumerate(loc):
        if isinstance(part, int):
            continue
        here = [m for m in models if part in m.model_fields]
        if not here:
            return loc[:i]
        models = [b for m in here for b in models_in(m.model_fields[part].annotation)]
    return loc


def _forms(loc: Place) -> str:
    models: list[type[BaseModel]] = [useq.MDASequence]
    for part in loc:
        if isinstance(part, str):
            models = [
                b
                for m in models
                if part in m.model_fields
                for b in models_in(m.model_fields[part].annotation)
            ]
    forms = (
        " + ".join(k for k, f in m.model_fields.items() if f.is_required())
        for m in models
    )
    return "; or ".join(dict.fromkeys(f for f in forms if f))


def _keys(loc: Place) -> Place:
    """Return the location without list indices, which useq loses."""
    return tuple(part for part in loc if isinstance(part, str))


def _mistakes(error: ValidationError, unknown: dict[Place, str]) -> dict[Place, str]:
    by_place: dict[Place, list[Any]] = {}
    for e in error.errors(include_url=False):
        by_place.setdefault(_cut(e["loc"]), []).append(e)
    lines: dict[Place, str] = {}
    for loc, errors in by_place.items():
        if len(errors) == 1 or all(_cut(e["loc"]) == e["loc"] for e in errors):
            lines[loc] = told(errors[0])
        elif any(_keys(key)[: len(_keys(loc))] == _keys(loc) for key in unknown):
            continue  # a misspelt key is why no form fits
        else:
            # a wrong value tells more than a missing key of another form
            wrong = [e for e in errors if e["type"] not in ("missing", "model_type")]
            lines[loc] = told(wrong[0]) if wrong else f"needs {_forms(loc)}."
    return lines


def _endless(survey: useq.MDASequence, loc: Place) -> Iterator[tuple[Place, str]]:
    """Yield plans that useq, which makes lists of them, could not hold."""
    plan = survey.time_plan
    phases = plan.phases if isinstance(plan, useq.MultiPhaseTimePlan) else [plan]
    try:
        points = sum(phase.num_timepoints() for phase in phases if phase is not None)
        intervals = [phase.interval for phase in phases if phase is not None]
    except ZeroDivisionError:
        yield (
            (*loc, "time_plan"),
            "an interval of 0 lasts for ever: give 'loops', and at least 2 of them "
            "with 'duration'.",
        )
    else:
        if points > MOST_POINTS:
            yield (*loc, "time_plan"), _too_many(points)
        if any(interval < timedelta(0) for interval in intervals):
            yield (*loc, "time_plan"), "time does not run backwards; give 0 or more."
    if survey.z_plan is not None:
        try:
            points = survey.z_plan.num_positions()
        except (OverflowError, ValueError):  # no number of steps at all
            points = 0
        if not 0 < points <= MOST_POINTS:
            yield (*loc, "z_plan"), _too_many(points)
    if not isinstance(survey.stage_positions, useq.WellPlatePlan):
        for i, position in enumerate(survey.stage_positions):
            if position.sequence is not None:
                below = (*loc, "stage_positions", i, "sequence")
                yield from _endless(position.sequence, below)


def has_autofocus_plan(survey: useq.MDASequence) -> bool:
    """Whether a survey, or a part of it at a position, has an autofocus_plan."""
    return survey.autofocus_plan is not None or any(
        position.sequence is not None and has_autofocus_plan(position.sequence)
        for position in survey.stage_positions
    )


def _too_many(points: int) -> str:
    return f"has {points} points; between 1 and {MOST_POINTS} are possible."


def _strictly(value: Any, handler: ValidatorFunctionWrapHandler) -> useq.MDASequence:
    lines: dict[Place, str] = {}
    parsed: useq.MDASequence | None = None
    if isinstance(value, Mapping):
        value = _tuples(value)
        lines = {
            loc: f"unknown key.{nearest(str(loc[-1]), known)}"
            for loc, known in _never_known(value, [useq.MDASequence], ())
        }
    try:
        parsed = handler(value)
        lines.update(_endless(parsed, ()))
        if isinstance(value, Mapping):
            lines = {**dict(_not_used(value, parsed, ())), **lines}
    except ValidationError as e:
        lines = {**lines, **_mistakes(e, lines)}
    if lines or parsed is None:
        raise PydanticCustomError("survey", "{told}", {"told": lines})
    return parsed


if TYPE_CHECKING:
    Survey = useq.MDASequence
else:
    Survey = Annotated[
        useq.MDASequence,
        WrapValidator(_strictly, json_schema_input_type=useq.MDASequence | str),
    ]
