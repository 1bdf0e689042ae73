"""Shipped models (bioimage.io packages of ONNX weights, made by scripts of ours)."""

from __future__ import annotations

from pathlib import Path

from smartscope.errors import Refused, nearest
from smartscope.inference import shipped_models

__all__ = ["CLASSICAL", "zoo_names", "zoo_path"]

CLASSICAL = frozenset({"dog", "gaussian"})
"""Shipped filters that nothing was learned for: they invent nothing."""


def zoo_names() -> tuple[str, ...]:
    """Return the names of the shipped models."""
    return tuple(shipped_models())


def zoo_path(name: str) -> Path:
    """Return the package folder of a shipped model.

    Raises
    ------
    smartscope.errors.Refused
        If there is none of that name.
    """
    models = shipped_models()
    if name not in models:
        raise Refused(
            f"There is no shipped model '{name}'.{nearest(name, models)}",
            rule=f"Shipped models: {', '.join(models)}.",
            way_out="Name one of them.",
        )
    return models[name]
