"""What is told of a trained model: figures, limits, data, settings, versions."""

from __future__ import annotations

import math
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from smartscope.inference import check_license

if TYPE_CHECKING:
    from smartscope.training.learning import Course
    from smartscope.training.settings import LearnSettings

_LIBRARIES = ("torch", "onnx", "numpy", "smartscope")
_NOBODY = ("unknown",)
HASH_DIGITS = 16
_PACKED = ("data", "images", "settings", "versions", "figures")
_OF_COURSE = ("step", "seconds", "best", "ended", "overfits")


@dataclass(frozen=True)
class Imprint:
    """What a package says of who made it; said when a training begins.

    Attributes
    ----------
    name : str
        Of the model; ``""``: that of the data.
    authors : tuple of str
        Their names.
    license_id : str or None
        Of the SPDX list.

    Raises
    ------
    smartscope.errors.Refused
        If there is no such license: before the training, not after it.
    """

    name: str = ""
    authors: tuple[str, ...] = _NOBODY
    license_id: str | None = None

    def __post_init__(self) -> None:
        if self.license_id:
            check_license(self.license_id)

    def or_that_of(self, record: Mapping[str, Any]) -> Imprint:
        """Return it, with what it does not say from the record of the beginning."""
        held = record.get("imprint", {})
        return Imprint(
            self.name or held.get("name", ""),
            self.authors
            if self.authors != _NOBODY
            else tuple(held.get("authors", _NOBODY)),
            self.license_id or held.get("license_id"),
        )

    def plain(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {
            "name": self.name,
            "authors": list(self.authors),
            "license_id": self.license_id,
        }


def library_versions() -> dict[str, str]:
    """Return the versions of Python and of the libraries that make a model."""
    return {
        "python": platform.python_version(),
        **{name: version(name) for name in _LIBRARIES},
    }


def record_of(
    data: Path,
    images: Mapping[str, int],
    learned_from: Sequence[str],
    settings: LearnSettings,
    course: Course,
    imprint: Imprint,
    **more: Any,
) -> dict[str, Any]:
    """Return what a training has been, as plain values.

    Parameters
    ----------
    data : Path
        What it was made of.
    images : Mapping
        How many of each part.
    learned_from : sequence of str
        Hashes of the images that it has seen: they judge nothing, and
        'smartscope validate' refuses them.
    settings : LearnSettings
        How.
    course : Course
        How it went.
    imprint : Imprint
        For the package.
    **more
        Kept as it is.
    """
    return {
        "data": data.name,
        "source": str(data.resolve()),
        "images": dict(images),
        "images_sha256": list(learned_from),
        "settings": settings.model_dump(mode="json"),
        "imprint": imprint.plain(),
        "versions": library_versions(),
        "course": {
            **vars(course),
            "best": course.best if math.isfinite(course.best) else None,
            "overfits": course.overfits,
        },
        **more,
    }


def packed_record(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return the part of a record that goes with a package: nothing of this disk.

    What was learned from is told by the first digits of hashes, so that
    'smartscope validate' refuses these images wherever the package goes.
    """
    course = {key: record["course"][key] for key in _OF_COURSE}
    return {
        **{key: record[key] for key in _PACKED if key in record},
        "learned_from": [one[:HASH_DIGITS] for one in record["images_sha256"]],
        "course": course,
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
    settings = "\n".join(
        f"| {k} | {v} |" for k, v in record["settings"].items() if v is not None
    )
    versions = ", ".join(f"{k} {v}" for k, v in record["versions"].items())
    over = " Validation got worse at the end while training got better: the weights "
    over += "are those of before."
    return (
        f"# {name}\n\n{figures}\n\n## Limits\n\n{limits}\n\n## Training\n\n"
        f"Data: {record['data']} ({images}). {course['step']} steps in "
        f"{course['seconds'] / 60:.0f} min; best validation loss {course['best']:.4f}. "
        f"It ended: {course['ended']}.{over if course.get('overfits') else ''}\n\n"
        f"| setting | value |\n|---|---|\n{settings}\n\nMade with {versions}. The "
        "test tensors come from running it on a made-up image: they show that it does "
        "the same elsewhere, not that it is right.\n"
    )
