"""Whether the run's folder can be made, without making it."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


def wrong_output(out: Path | None, need_mb: float) -> Iterator[str]:
    """Yield why a run could not be written.

    Parameters
    ----------
    out : Path or None
        The folder to be made; None: one under ``runs`` in the working directory.
    need_mb : float
        Free disk space the run needs.
    """
    path = (Path("runs") / "new" if out is None else out).absolute()
    # os.path: a name too long for the disk is told when the folder is made
    if os.path.lexists(path):
        yield (
            f"The output folder {path} exists; a run is written into a new one. Name "
            "another with --out, or move it away."
        )
        return
    parent = next(p for p in path.parents if os.path.exists(p))
    try:
        # a nameless file leaves no trace, and says more than permissions do
        with tempfile.TemporaryFile(dir=parent):
            pass
    except OSError as e:
        yield (
            f"The output folder {path} cannot be made: {parent} cannot be written to "
            f"({e.strerror}). Name another with --out."
        )
        return
    free_mb = shutil.disk_usage(parent).free / 1e6
    if free_mb < need_mb:
        yield (
            f"The disk of {path} has {free_mb:.0f} MB free, and the run needs "
            f"{need_mb:.0f} MB (storage.reserve_mb included). Name a folder on another "
            "disk with --out, or survey less."
        )
