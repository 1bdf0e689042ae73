"""A thing over frames, at one place, as policies and the journal see it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

_MEASURED = (
    "area_um2",
    "speed_um_per_min",
    "score",
    "label",
    "elongation",
    "solidity",
    "texture",
    "ratio",
)


@dataclass(frozen=True, slots=True)
class Track:
    """One track as it stands after a frame.

    Attributes
    ----------
    track_id : int
        Unique within a run.
    place : str
        The place it lives at.
    x_um, y_um : float
        Where it was last seen, stage µm.
    first_seen_s, last_seen_s : float
        Time of its first and last detection.
    frames : int
        How many frames it was seen in.
    missed : int
        How many frames of its place have passed since; 0 if the last one shows it.
    intensity : float
        Of the last detection, counts per ms × 100 % light.
    baseline : float
        Running baseline of the intensity; NaN while too young.
    parent_id : int
        The track it split from, or -1.
    light_ms_percent : float
        Light it has received since it was first seen, ms × %.
    detection : int
        Its row in the detections of this frame; -1 if it was missed.
    area_um2, score, label : float, float, str
        Of the last detection; the label is its class.
    speed_um_per_min : float
        Path over its last three positions, over the time they took; NaN before.
    elongation, solidity, texture, ratio : float
        Of the last detection (see `Shapes`); NaN where nobody asked for them.
    """

    track_id: int
    place: str
    x_um: float
    y_um: float
    first_seen_s: float
    last_seen_s: float
    frames: int
    missed: int
    intensity: float
    baseline: float
    parent_id: int = -1
    light_ms_percent: float = 0.0
    detection: int = -1
    area_um2: float = math.nan
    speed_um_per_min: float = math.nan
    score: float = math.nan
    label: str = ""
    elongation: float = math.nan
    solidity: float = math.nan
    texture: float = math.nan
    ratio: float = math.nan

    def to_record(self) -> dict[str, Any]:
        """Return plain values; NaN becomes None, what may be unknown is left out."""
        # dataclasses.asdict copies deeply, which is slow and of no use to plain values
        record: dict[str, Any] = {name: getattr(self, name) for name in self.__slots__}
        for name in _MEASURED:
            value = record[name]
            if value != value or value == "":
                del record[name]
            elif name != "label":
                record[name] = round(value, 4)
        return {k: (None if v != v else v) for k, v in record.items()}
