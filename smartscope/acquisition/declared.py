"""Which values a property may be given: a range of numbers, or a list of values."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator

from smartscope.errors import LimitBroken

Range = tuple[float, float]
Choice = tuple[str, ...]


def _declared(value: Any) -> Range | Choice:
    if not isinstance(value, (list, tuple)) or not value:
        raise ValueError("must be [lowest, highest] or a list of values")
    if len(value) == 2 and all(_is_number(v) for v in value):
        low, high = float(value[0]), float(value[1])
        if not low <= high or not math.isfinite(low) or not math.isfinite(high):
            raise ValueError(f"must be [lowest, highest], got {list(value)}")
        return low, high
    if not all(_is_number(v) or isinstance(v, str) for v in value):
        raise ValueError(f"holds numbers and texts only, got {list(value)}")
    return tuple(dict.fromkeys(written(v) for v in value))


Declared = Annotated[
    Range | Choice,
    BeforeValidator(_declared, json_schema_input_type=list[float | str]),
]
"""``[lowest, highest]`` of two numbers, else each value that is allowed."""

Properties = dict[str, dict[str, Declared]]
"""By device, by property."""


def written(value: Any) -> str:
    """Return a value as the core is told it: 1 and 1.0 are the same."""
    if isinstance(value, str):
        return value
    return f"{value:g}" if float(f"{value:g}") == value else repr(value)


def told(declared: Range | Choice) -> str:
    """Return what is allowed, in words."""
    if is_range(declared):
        return f"{declared[0]:g} to {declared[1]:g}"
    return ", ".join(map(str, declared))


def is_range(declared: Range | Choice) -> bool:
    """Whether numbers between two ends are allowed, ends included."""
    return not isinstance(declared[0], str)


def allows(declared: Range | Choice, value: Any) -> bool:
    """Whether a value is allowed; of numbers the value counts, not how it is written.

    What is no number, or not a finite one, lies in no range.
    """
    number = _number(value)
    if is_range(declared):
        low, high = declared
        return number is not None and float(low) <= number <= float(high)
    return any(
        written(value) == each or (number is not None and number == _number(each))
        for each in declared
    )


def tightened(mine: Properties, theirs: Properties) -> Properties:
    """Return what both allow: all that ``theirs`` declares ``mine`` must declare too.

    Raises
    ------
    LimitBroken
        If it declares a property that is not declared here, or none of its values is
        allowed here.
    """
    merged = {device: dict(declared) for device, declared in mine.items()}
    for device, declared in theirs.items():
        for name, wanted in declared.items():
            here = mine.get(device, {}).get(name)
            if here is None:
                raise LimitBroken(
                    f"limits.properties declares '{name}' of '{device}', and the "
                    "microscope's file does not.",
                    rule="An experiment may only tighten the microscope's limits.",
                    way_out="Declare it under [limits.properties] of the microscope's "
                    "file first.",
                )
            merged[device][name] = _both(here, wanted, f"'{name}' of '{device}'")
    return merged


def _both(mine: Range | Choice, theirs: Range | Choice, which: str) -> Range | Choice:
    common: Range | Choice
    if is_range(mine) and is_range(theirs):
        low = max(float(mine[0]), float(theirs[0]))
        high = min(float(mine[1]), float(theirs[1]))
        common = (low, high) if low <= high else ()
    elif is_range(mine):
        common = tuple(str(v) for v in theirs if allows(mine, v))
    else:
        common = tuple(str(v) for v in mine if allows(theirs, v))
    if not common:
        raise LimitBroken(
            f"limits.properties of {which}: {told(theirs)} lies outside the "
            f"microscope's {told(mine)}.",
            rule="An experiment may only tighten the microscope's limits.",
            way_out=f"Choose from {told(mine)}.",
        )
    return common


def look_up(
    properties: Mapping[str, Mapping[str, Range | Choice]], device: str, name: str
) -> Range | Choice | None:
    """Return what is allowed of a property, or None if it is not declared."""
    return properties.get(device, {}).get(name)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _number(value: Any) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None
