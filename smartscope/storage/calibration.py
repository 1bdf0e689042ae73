"""Dark and flat field in the folder of a run: as they were used, so that replays can.

Written before the run, read by the analysis process and by replays.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from smartscope.errors import Refused
from smartscope.inference import Corrections

_DARK, _FLAT = "dark", "flat"


def write_calibration(
    folder: Path, corrections: Corrections, sources: Mapping[str, Path]
) -> list[dict[str, Any]]:
    """Write dark and flat fields, float32, and say what was written.

    Parameters
    ----------
    folder : Path
        Of the run; they go into ``calibration`` in it.
    corrections : Corrections
        As they are used: dark in counts, flats of mean 1.
    sources : Mapping of str to Path
        Where ``dark``, ``flat`` and ``flat CHANNEL`` came from.

    Returns
    -------
    list of dict
        Of each ``is`` (dark or flat), ``channel``, ``file`` (relative to the folder),
        ``sha256`` and ``source``.
    """
    import tifffile

    (folder / "calibration").mkdir()
    fields = [(_FLAT, channel, flat) for channel, flat in corrections.flats.items()]
    if corrections.dark is not None:
        fields.insert(0, (_DARK, "", corrections.dark))
    written = []
    for i, (kind, channel, field) in enumerate(fields):
        safe = re.sub(r"[^0-9A-Za-z.-]+", "_", channel)
        name = "_".join(filter(None, (kind, safe)))
        if (folder / "calibration" / f"{name}.tif").exists():
            name += f"_{i}"
        path = folder / "calibration" / f"{name}.tif"
        tifffile.imwrite(path, field, photometric="minisblack")
        written.append(
            {
                "is": kind,
                "channel": channel,
                "file": f"calibration/{path.name}",
                "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
                "source": str(sources.get(f"{kind} {channel}".strip(), "")),
            }
        )
    return written


def read_calibration(
    folder: Path, written: list[dict[str, Any]] | None
) -> Corrections | None:
    """Read back what `write_calibration` has written; None if that was nothing.

    Raises
    ------
    smartscope.errors.Refused
        If a file is not there or not the one that was written.
    """
    import tifffile

    if not written:
        return None
    dark, flats = None, {}
    for line in written:
        path = folder / line["file"]
        try:
            same = hashlib.sha256(path.read_bytes()).hexdigest() == line["sha256"]
        except OSError as e:
            raise _refused(path, f"cannot be read: {e.strerror}") from e
        if not same:
            raise _refused(path, "is not the one that the run was made with")
        field = np.asarray(tifffile.imread(path), np.float32)
        if line["is"] == _DARK:
            dark = field
        else:
            flats[line["channel"]] = field
    return Corrections(dark, flats)


def _refused(path: Path, what: str) -> Refused:
    return Refused(
        f"The calibration {path} {what}.",
        rule="A run is analysed with the dark and flat field that it was made with.",
        way_out="Bring it back from a copy of the run.",
        state="",
    )
