"""Tracks against true tracks, as the Cell Tracking Challenge judges them.

The measures are those of a library, py-ctcmetrics (extra ``tracking``); nothing of them
is computed here.
"""

from __future__ import annotations

import contextlib
import io
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from smartscope.errors import Refused

MEASURES = ("DET", "TRA", "LNK", "CT", "TF", "CHOTA", "MOTA", "HOTA", "IDF1")


@dataclass(frozen=True, slots=True, eq=False)
class Tracked:
    """A movie of things with identity.

    Attributes
    ----------
    labels : np.ndarray
        Shape ``(T, Y, X)``, whole numbers up to 65535: 0 is background, each other
        number a track.
    parents : Mapping of int to int
        From a track to the one it came from by division.
    """

    labels: npt.NDArray[Any]
    parents: Mapping[int, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        given = np.asarray(self.labels)
        if given.ndim != 3 or given.dtype.kind not in "ui":
            raise ValueError(
                f"labels are whole numbers (T, Y, X), got {given.dtype} {given.shape}"
            )
        if given.size and not 0 <= given.min() <= given.max() <= 65535:
            raise ValueError(
                f"labels lie in 0 to 65535, got {given.min()} to {given.max()}"
            )

    def tracks(self) -> list[tuple[int, int, int, int]]:
        """Return number, first frame, last frame and parent (0: none) of each track."""
        seen: dict[int, list[int]] = {}
        for t, frame in enumerate(self.labels):
            for name in np.unique(frame[frame > 0]):
                seen.setdefault(int(name), []).append(t)
        return [
            (name, times[0], times[-1], int(self.parents.get(name, 0)))
            for name, times in sorted(seen.items())
        ]


def score_tracks(truth: Tracked, found: Tracked) -> dict[str, float]:
    """Return how well tracks reproduce the true ones.

    Parameters
    ----------
    truth, found : Tracked
        Of one shape.

    Returns
    -------
    dict
        ``DET``, ``TRA`` and ``LNK`` (P. Matula et al., PLoS ONE 10 (2015) e0144959),
        ``CT``, ``TF`` (V. Ulman et al., Nature Methods 14 (2017) 1141), ``HOTA``,
        ``CHOTA``, ``MOTA``, ``IDF1``; 1 is best for each.

    Raises
    ------
    smartscope.errors.Refused
        If the library is not there, or finds the tracks invalid.
    ValueError
        If the shapes differ.
    """
    if truth.labels.shape != found.labels.shape:
        raise ValueError(
            f"movies have one shape, got {truth.labels.shape} and {found.labels.shape}"
        )
    try:
        from ctc_metrics import evaluate_sequence  # type: ignore[import-not-found,unused-ignore]  # an extra
    except ImportError as e:
        raise Refused(
            f"Tracks cannot be judged: {e}.",
            rule="The measures of the Cell Tracking Challenge come from py-ctcmetrics.",
            way_out='Run: pip install "smartscope[tracking]".',
        ) from e
    with tempfile.TemporaryDirectory() as folder:
        result, gold = Path(folder) / "01_RES", Path(folder) / "01_GT"
        _write(found, result, "mask", "res_track.txt")
        _write(truth, gold / "TRA", "man_track", "man_track.txt")
        # it prints what it does
        with contextlib.redirect_stdout(io.StringIO()):
            told = evaluate_sequence(
                str(result), str(gold), metrics=["Valid", *MEASURES], threads=1
            )
    if not told.get("Valid"):
        raise Refused(
            "The tracks are not valid: one is there without pixels, or its parent "
            "ends after it begins.",
            rule="A track is seen in its first and last frame, and a parent ends "
            "before its daughters begin.",
            way_out="Correct the tracks.",
        )
    return {name: float(told[name]) for name in MEASURES if told.get(name) is not None}


def _write(tracked: Tracked, folder: Path, stem: str, table: str) -> None:
    import tifffile

    folder.mkdir(parents=True)
    for t, frame in enumerate(tracked.labels):
        tifffile.imwrite(folder / f"{stem}{t:03d}.tif", frame.astype(np.uint16))
    lines = [" ".join(map(str, row)) for row in tracked.tracks()]
    (folder / table).write_text("\n".join(lines) + "\n", encoding="ascii")
