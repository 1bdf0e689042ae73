"""The folder of a run: where its parts lie, and that it can be made.

What is written into the parts stands with those who write them.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from smartscope.errors import Refused
from smartscope.storage.journal import encode


@dataclass(frozen=True, slots=True)
class RunFolder:
    """The folder of one run and the paths in it.

    Attributes
    ----------
    path : Path
        The folder itself.
    stood : Path or None
        The nearest folder above it that was there before it was made.
    """

    path: Path
    stood: Path | None = None

    @classmethod
    def create(cls, out: Path | None, name: str, *, need_mb: float) -> RunFolder:
        """Make the folder of a new run.

        Parameters
        ----------
        out : Path or None
            The folder; None: ``runs/<time>_<name>`` in the working directory.
        name : str
            Name of the experiment.
        need_mb : float
            Free disk space the run needs, reserve included.

        Raises
        ------
        smartscope.errors.Refused
            If it exists, cannot be written, or the disk has too little free; nothing
            is left behind.
        """
        path = Path(out) if out is not None else _default(name)
        # tensorstore refuses '..'; the name itself may be a link, and is seen as one
        path = path.parent.resolve() / path.name
        # os.path: a name too long for the disk is no error here, but when it is made
        if os.path.lexists(path):
            raise Refused(
                f"The output folder {path} exists.",
                rule="A run is written into a new folder; none is overwritten.",
                way_out="Name another with --out, or move this one away.",
            )
        parent = next(p for p in path.parents if os.path.exists(p))
        _check_space(parent, path, need_mb)
        try:
            path.mkdir(parents=True)
        except OSError as e:
            _remove_empty(path, parent)
            raise Refused(
                f"The output folder {path} cannot be made: {e.strerror or e}.",
                rule="A run needs a folder it can write to.",
                way_out="Name another with --out, or change its permissions.",
            ) from e
        return cls(path, parent)

    def discard(self) -> None:
        """Remove the folder of a run that was refused, and the folders made for it."""
        shutil.rmtree(self.path, ignore_errors=True)
        if self.stood is not None:
            _remove_empty(self.path.parent, self.stood)

    @property
    def raw(self) -> Path:
        """The OME-Zarr collection of all acquired frames."""
        return self.path / "raw.ome.zarr"

    @property
    def restored(self) -> Path:
        """The OME-Zarr collection of the images that a model restored."""
        return self.path / "restored.ome.zarr"

    @property
    def restored_journal(self) -> Path:
        """One JSON line for each plane of ``restored``."""
        return self.path / "restored.jsonl"

    @property
    def journal(self) -> Path:
        """One JSON line for everything that happened."""
        return self.path / "journal.jsonl"

    @property
    def run_json(self) -> Path:
        """Settings, versions, hardware, outcome, scores."""
        return self.path / "run.json"

    @property
    def truth(self) -> Path:
        """What truly happened, where the specimen knows it."""
        return self.path / "truth.json"

    @property
    def log(self) -> Path:
        """What the program said."""
        return self.path / "smartscope.log"

    @property
    def picture(self) -> Path:
        """The summary as a picture."""
        return self.path / "summary.png"

    def write_run_json(self, content: Mapping[str, Any]) -> None:
        """Write or replace run.json; whoever reads sees the old or the new one."""
        replace_json(self.run_json, content)

    def read_run_json(self) -> dict[str, Any]:
        """Return the content of run.json; ``{}`` if there is none or it is broken."""
        return _read_json(self.run_json)

    def write_truth(self, content: Mapping[str, Any]) -> None:
        """Write or replace truth.json."""
        replace_json(self.truth, content)

    def read_truth(self) -> dict[str, Any]:
        """Return the content of truth.json; ``{}`` if there is none."""
        return _read_json(self.truth)


def replace_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write JSON beside ``path``, then put it in its place at once.

    Raises
    ------
    OSError
        If it cannot be written; what was there before is still there.
    """
    text = json.dumps(json.loads(encode(content)), indent=1, ensure_ascii=False)
    beside = path.with_name(path.name + ".new")
    try:
        beside.write_text(text + "\n", encoding="utf-8")
        beside.replace(path)
    except OSError:
        beside.unlink(missing_ok=True)
        raise


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _default(name: str) -> Path:
    # dashes in the time: a colon is no part of a file name everywhere
    time = datetime.now().astimezone().strftime("%Y-%m-%dT%H-%M-%S")
    base = Path("runs") / f"{time}_{re.sub(r'[^0-9A-Za-z.-]+', '_', name)}"
    path, number = base, 2
    while path.exists():  # two runs begun in one second
        path, number = base.with_name(f"{base.name}_{number}"), number + 1
    return path


def _check_space(parent: Path, path: Path, need_mb: float) -> None:
    if not parent.is_dir() or not os.access(parent, os.W_OK | os.X_OK):
        raise Refused(
            f"The output folder {path} cannot be made: {parent} cannot be written to.",
            rule="A run needs a folder it can write to.",
            way_out="Name another with --out, or change its permissions.",
        )
    free_mb = shutil.disk_usage(parent).free / 1e6
    if free_mb < need_mb:
        raise Refused(
            f"The disk of {path} has {free_mb:.0f} MB free; the run needs "
            f"{need_mb:.0f} MB.",
            rule="A run that would fill the disk is not started.",
            way_out="Free some space, name a folder on another disk with --out, or "
            "survey less.",
        )


def _remove_empty(path: Path, parent: Path) -> None:
    """Take back the folders that ``mkdir`` made before it failed."""
    while path != parent:
        if os.path.isdir(path):
            if any(path.iterdir()):
                return  # somebody else has begun to use it
            path.rmdir()
        path = path.parent
