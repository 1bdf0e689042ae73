"""Reads what happens in a movie, as people have annotated it.

JSON: ``{"events": [{"type", "frame", "x", "y"}], "tolerance_frames", "tolerance_px",
"ignore": [{"frames": [first, last], "x", "y", "radius_px"}]}``, as in the shared data;
all but ``events`` may be missing. CSV: a header line with ``t,x,y,type`` in any order,
more columns are passed over; separated by commas, semicolons or tabs.
In both, times are frames from 0, x and y are columns and rows in pixels from 0.
"""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from smartscope.errors import Refused, nearest
from smartscope.simulation.settings import SpecimenSettings
from smartscope.simulation.truth import Truth, TruthEvent

_RULE = (
    "A truth is JSON with 'events' (type, frame, x, y), or CSV with the header "
    "t,x,y,type."
)
_TOLERANCE_UM = 10.0


def read_truth(
    path: Path,
    settings: SpecimenSettings,
    *,
    shape: tuple[int, int],
    pixel_size_um: float,
    frame_interval_s: float,
    frames: int,
) -> Truth:
    """Read the truth of a movie into seconds and stage µm.

    Parameters
    ----------
    path : Path
        The file, ``.csv`` or JSON.
    settings : SpecimenSettings
        ``truth_map`` and tolerances.
    shape : tuple of int
        Rows and columns of the movie, whose middle is stage 0, 0.
    pixel_size_um, frame_interval_s : float
        Of the movie.
    frames : int
        How many it has.

    Raises
    ------
    smartscope.errors.Refused
        If it cannot be read, or ``truth_map`` names a type that does not occur.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")  # spreadsheets write a mark
        content = _from_csv(text) if path.suffix.lower() == ".csv" else json.loads(text)
        rows = [_event(row) for row in content["events"]]
        ignore = [_ignored(region) for region in content.get("ignore", [])]
        tolerance_px = content.get("tolerance_px")
        tolerance_frames = float(content.get("tolerance_frames", 1.0))
    except (OSError, UnicodeDecodeError, ValueError, KeyError, TypeError) as e:
        reason = f"no '{e.args[0]}'" if isinstance(e, KeyError) else str(e)
        raise Refused(
            f"The truth {path} cannot be read: {reason}.",
            rule=_RULE,
            way_out="Check the path and the file.",
        ) from e
    kinds = {kind for kind, *_ in rows}
    for kind in settings.truth_map:
        if kind not in kinds:
            raise Refused(
                f"truth_map names '{kind}', which {path} does not hold."
                f"{nearest(kind, kinds)}",
                rule=f"Its types are: {', '.join(sorted(kinds)) or 'none'}.",
                way_out="Correct truth_map.",
            )
    centre_x, centre_y = (shape[1] - 1) / 2, (shape[0] - 1) / 2

    def x_um(x_px: float) -> float:
        return (x_px - centre_x) * pixel_size_um

    def y_um(y_px: float) -> float:
        return (y_px - centre_y) * pixel_size_um

    default_um = _TOLERANCE_UM if tolerance_px is None else tolerance_px * pixel_size_um
    if settings.tolerance_frames is not None:
        tolerance_frames = settings.tolerance_frames
    tolerance_um = settings.tolerance_um or default_um
    events = (
        TruthEvent(kind, frame * frame_interval_s, x_um(x), y_um(y))
        for kind, frame, x, y in rows
    )
    return Truth(
        events=tuple(sorted(events, key=lambda e: e.t_s)),
        names={kind: settings.truth_map.get(kind, kind) for kind in sorted(kinds)},
        tolerance_s=tolerance_frames * frame_interval_s,
        tolerance_um=tolerance_um,
        ignore=tuple(
            (
                first * frame_interval_s,
                (last + 1) * frame_interval_s,
                x_um(x),
                y_um(y),
                tolerance_um if radius is None else radius * pixel_size_um,
            )
            for first, last, x, y, radius in ignore
        ),
        duration_s=frames * frame_interval_s,
    )


def _event(row: Mapping[str, Any]) -> tuple[str, float, float, float]:
    where = (float(row["frame"]), float(row["x"]), float(row["y"]))
    if not all(math.isfinite(value) for value in where):
        raise ValueError(f"an event is at frame, x, y = {where}")
    return (str(row["type"]), *where)


def _ignored(
    region: Mapping[str, Any],
) -> tuple[float, float, float, float, float | None]:
    first, last = region["frames"]
    radius = region.get("radius_px")
    return (
        float(first),
        float(last),
        float(region["x"]),
        float(region["y"]),
        None if radius is None else float(radius),
    )


def _from_csv(text: str) -> dict[str, Any]:
    lines = text.splitlines()
    header = lines[0] if lines else ""
    separator = next((mark for mark in ";\t" if mark in header), ",")
    reader = csv.DictReader(lines, delimiter=separator, skipinitialspace=True)
    columns = [name.strip() for name in reader.fieldnames or ()]
    if missing := [name for name in ("t", "x", "y", "type") if name not in columns]:
        raise ValueError(f"its header has no {', '.join(missing)}")
    reader.fieldnames = columns
    events = []
    for row in reader:
        if any(not (row[name] or "").strip() for name in ("t", "x", "y", "type")):
            raise ValueError(f"line {reader.line_num} has no t, x, y and type")
        event = {"type": row["type"].strip(), "frame": row["t"]}
        events.append({**event, "x": row["x"], "y": row["y"]})
    return {"events": events}
