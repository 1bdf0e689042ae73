"""What is done to frames around the nets, for the user and for the run's record."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from smartscope.inference.correction import told_of
from smartscope.inference.model import Model
from smartscope.inference.planes import Corrections


def notices_of(
    models: Mapping[str, Model], resampled: Mapping[str, str]
) -> tuple[str, ...]:
    """Return what is not as usual, in sentences.

    Parameters
    ----------
    models : Mapping of str to Model
        By role.
    resampled : Mapping of str to str
        By role, pixel sizes and shapes before and after, where frames are resampled.
    """
    names = {role: model.package.name for role, model in models.items()}
    told = [f"Frames are resampled for {names[r]}: {s}." for r, s in resampled.items()]
    told += [
        f"{names[role]} does not say for which pixel size it was made: frames go in as "
        "they are."
        for role, model in models.items()
        if model.resample and model.package.pixel_size_um is None
    ]
    for role, model in models.items():
        if model.scaling.active:
            told.append(f"Normalisation of {names[role]}: {model.scaling.told}.")
    for role, model in models.items():
        if model.half is not None:
            told.append(f"{names[role]}: {model.half.notice}")
    return tuple(told)


def facts_of(
    models: Mapping[str, Model],
    resampled: Mapping[str, str],
    corrections: Corrections | None,
) -> dict[str, dict[str, Any]]:
    """Return the same and more as plain values by role; see `Pipeline.facts`."""
    record: dict[str, dict[str, Any]] = {}
    for role, model in models.items():
        half, first = model.half, not record
        record[role] = {
            "normalisation": model.scaling.told,
            "precision": "float32" if half is None else "float16",
            "deviation": None if half is None else half.deviation,
            "resampled": resampled.get(role, ""),
            "corrected": told_of(corrections) if first else "",
        }
    return record
