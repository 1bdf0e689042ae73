"""What is told of a trained model: figures, limits, data, settings, versions."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

_LIBRARIES = ("torch", "onnx", "numpy", "smartscope")


def library_versions() -> dict[str, str]:
    """Return the versions of Python and of the libraries that make a model."""
    return {
        "python": platform.python_version(),
        **{name: version(name) for name in _LIBRARIES},
    }


def model_readme(
    name: str, record: Mapping[str, Any], figures: str, limits: str
) -> str:
    """Return the README of a package, Markdown.

    Parameters
    ----------
    name : str
        Of the model.
    record : Mapping
        With ``data``, ``images``, ``settings``, ``versions`` and ``course``.
    figures, limits : str
        In words.
    """
    course = record["course"]
    images = ", ".join(f"{n} {part}" for part, n in record["images"].items())
    settings = "\n".join(f"| {k} | {v} |" for k, v in record["settings"].items())
    versions = ", ".join(f"{k} {v}" for k, v in record["versions"].items())
    return (
        f"# {name}\n\n{figures}\n\n## Limits\n\n{limits}\n\n## Training\n\n"
        f"Data: {record['data']} ({images}). {course['step']} steps in "
        f"{course['seconds'] / 60:.0f} min; best validation loss {course['best']:.4f}. "
        f"It ended: {course['ended']}.\n\n"
        f"| setting | value |\n|---|---|\n{settings}\n\nMade with {versions}. The "
        "test tensors come from running it on a made-up image: they show that it does "
        "the same elsewhere, not that it is right.\n"
    )
