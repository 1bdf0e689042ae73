"""Whether a model has been shown to be good on a microscope, and where that is kept.

One file for each model and microscope in the user's own folder: a verdict is of the
person's microscope, not of a run and not of the package.
"""

from __future__ import annotations

import json
import os
import re
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

ENVIRONMENT = "SMARTSCOPE_VERDICTS"


class ModelVerdict(BaseModel):
    """What a model made of truths that were taken on one microscope.

    Attributes
    ----------
    model : str
        Its name.
    sha256, described_sha256 : str
        Of its weights and of its description: with another one of either it is another
        model.
    role : {"denoise", "detect"}
        What it does.
    microscope : str
        On which the truths were taken.
    passed : bool
        Whether it has brought the data nearer to the truth.
    says : str
        In a sentence, with numbers.
    figures : dict
        These numbers.
    data, report : str
        Where truths and report lie.
    made : str
        When, ISO 8601.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    described_sha256: str = ""
    role: Literal["denoise", "detect"]
    microscope: str
    passed: bool
    says: str
    figures: dict[str, Any] = Field(default_factory=dict)
    data: str = ""
    report: str = ""
    made: str = Field(
        default_factory=lambda: datetime.now().astimezone().isoformat("T", "seconds")
    )


def verdict_folder() -> Path:
    """Return where verdicts are kept; need not exist.

    ``SMARTSCOPE_VERDICTS`` names another folder, for several users of one microscope.
    """
    import platformdirs

    if named := os.environ.get(ENVIRONMENT):
        return Path(named)
    return platformdirs.user_data_path("smartscope", appauthor=False) / "verdicts"


def store_verdict(verdict: ModelVerdict, folder: Path | None = None) -> Path:
    """Keep a verdict; an earlier one of the same model and microscope is replaced.

    Returns
    -------
    Path
        Of the file.

    Raises
    ------
    OSError
        If it cannot be written.
    """
    path = _path(verdict.sha256, verdict.microscope, folder)
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_suffix(f".{os.getpid()}.new")
    beside.write_text(verdict.model_dump_json(indent=1) + "\n", encoding="utf-8")
    beside.replace(path)
    return path


def find_verdict(
    sha256: str, microscope: str, folder: Path | None = None
) -> ModelVerdict | None:
    """Return what is known of a model on a microscope; None if nothing is."""
    try:
        text = _path(sha256, microscope, folder).read_text(encoding="utf-8")
        verdict = ModelVerdict.model_validate(json.loads(text))
    except (OSError, ValueError, ValidationError):
        return None
    same = verdict.sha256 == sha256 and verdict.microscope == microscope
    return verdict if same else None


def _path(sha256: str, microscope: str, folder: Path | None) -> Path:
    safe = re.sub(r"[^\w.-]+", "_", microscope) or "_"
    return (folder or verdict_folder()) / safe / f"{sha256}.json"
