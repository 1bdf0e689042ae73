"""``pairs.json``: what 'smartscope pairs' has taken, where it lies, what was done."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from smartscope.errors import Refused
from smartscope.pairs.example import Split

MANIFEST = "pairs.json"
FORMAT = 1


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class TakenPair(_Record):
    """What was taken at one place."""

    name: str = Field(description="Of the place.")
    group: str = Field("", description="Places whose fields overlap share it.")
    split: Split | None = Field(description="None: it is not used.")
    left_out: str = Field("", description="Why it is not used.")
    noisy: str = Field("", description="Path of the OME-Zarr image in the folder.")
    clean: str | None = Field(None, description="The same of the clean one.")
    x_um: float = 0.0
    y_um: float = 0.0
    sha256: str = Field("", description="Of the noisy pixels.")
    shift_px: tuple[float, float] | None = Field(
        None, description="Rows, columns of the clean image against the noisy one."
    )
    shift_known: bool = True
    saturated_share: float = 0.0
    brightness: tuple[float, ...] = Field(
        (), description="Of each noisy frame, over that of the first."
    )
    frames: tuple[int, ...] = Field((), description="frame_id in the run.")


class Manifest(_Record):
    """All that is known of a folder of pairs."""

    format: int = FORMAT
    made: str = ""
    experiment: dict[str, Any] = Field(default_factory=dict)
    microscope: str = ""
    objective: str = ""
    channel: str = ""
    pixel_size_um: float
    method: str = Field(description="pairs, repeats or series.")
    low: dict[str, float] = Field(default_factory=dict)
    high: dict[str, float] | None = None
    offset: float | None = Field(None, description="Counts without light, measured.")
    bleaching: dict[str, Any] = Field(default_factory=dict)
    seed: int = 0
    run: str = Field("", description="Folder of the run, in this one.")
    says: tuple[str, ...] = ()
    pairs: tuple[TakenPair, ...] = ()

    @classmethod
    def read(cls, folder: Path) -> Manifest | None:
        """Return the manifest of a folder; None if it has none.

        Raises
        ------
        smartscope.errors.Refused
            If it is broken or of a later format.
        """
        path = folder / MANIFEST
        if not path.is_file():
            return None
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            if isinstance(content, dict) and content.get("format") != FORMAT:
                raise ValueError(
                    f"it is of the format {content.get('format')}, known is {FORMAT}"
                )
            return cls.model_validate(content)
        except (OSError, ValueError, ValidationError) as e:
            raise Refused(
                f"{path} cannot be read: {str(e).splitlines()[0]:.200}.",
                rule="It is as 'smartscope pairs' has written it.",
                way_out="Bring it back from a copy, or take the pairs again.",
            ) from e
