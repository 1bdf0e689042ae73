"""The journal of a run: one JSON object a line, written as it happens.

A line is in the file when ``write`` returns, so a killed process loses none that it
has written. It knows nothing of what the lines mean.
"""

from __future__ import annotations

import json
import math
import os
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from smartscope.errors import BrokenOff


class Journal:
    """An append-only file of JSON lines, safe to use from any thread.

    Parameters
    ----------
    path : Path
        Made if it does not exist, appended to if it does.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._torn = _torn(path)
        self._file: int | None = os.open(
            path,
            os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0),
            0o644,
        )

    def write(self, record: Mapping[str, Any] | bytes) -> None:
        """Append one line.

        Parameters
        ----------
        record : Mapping or bytes
            Plain values, numpy scalars and arrays among them, in which NaN and
            infinity become null; or one JSON object, ready-made, without line ends.

        Raises
        ------
        smartscope.errors.BrokenOff
            If the disk does not take the whole line.
        RuntimeError
            If the journal is closed.
        """
        line = record if isinstance(record, bytes) else encode(record)
        with self._lock:
            if self._file is None:
                raise RuntimeError(f"The journal {self.path} is closed.")
            # after a torn line, a line end keeps the loss to that one
            line = b"\n" + line + b"\n" if self._torn else line + b"\n"
            try:
                written = os.write(self._file, line)
            except OSError as e:
                raise self._broken(str(e.strerror or e)) from e
            self._torn = written != len(line)
            if self._torn:
                raise self._broken(f"only {written} of {len(line)} bytes were taken")

    def _broken(self, why: str) -> BrokenOff:
        return BrokenOff(
            f"The journal {self.path} cannot be written: {why}.",
            rule="What happens in a run is journalled as it happens.",
            way_out="Free or mend the disk and run again.",
            state="Everything journalled so far is kept.",
        )

    def close(self) -> None:
        """Close the file; may be called again."""
        with self._lock:
            if self._file is not None:
                os.close(self._file)
                self._file = None


def _torn(path: Path) -> bool:
    """Return whether an earlier process was killed in the middle of the last line."""
    if not path.exists() or not path.stat().st_size:
        return False
    with path.open("rb") as lines:
        lines.seek(-1, os.SEEK_END)
        return lines.read() != b"\n"


def encode(record: Mapping[str, Any]) -> bytes:
    """Return a record as one JSON line without its end; NaN and infinity are null."""
    try:
        text = json.dumps(
            record, separators=(",", ":"), allow_nan=False, default=_plain
        )
    except ValueError:
        text = json.dumps(_finite(record), separators=(",", ":"), allow_nan=False)
    return text.encode()


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray | set | frozenset):
        return value.tolist() if isinstance(value, np.ndarray) else sorted(value)
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    raise TypeError(f"{type(value).__name__} {value!r:.80} cannot stand in the journal")


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _finite(v) for key, v in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(v) for v in value]
    if isinstance(value, str | bool | int) or value is None:
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return _finite(_plain(value))


@dataclass(frozen=True, slots=True)
class JournalContent:
    """What could be read of a journal.

    Attributes
    ----------
    records : list of dict
        The whole lines, in the order they were written.
    torn : tuple of int
        Numbers (from 1) of the lines that are no JSON objects: cut off by a kill.
    """

    records: list[dict[str, Any]]
    torn: tuple[int, ...] = ()


def read_journal(path: Path) -> JournalContent:
    """Read a journal, whole or torn.

    Raises
    ------
    OSError
        If the file cannot be read.
    """
    records: list[dict[str, Any]] = []
    torn: list[int] = []
    for number, record in iter_journal(path):
        if record is None:
            torn.append(number)
        else:
            records.append(record)
    return JournalContent(records, tuple(torn))


def iter_journal(path: Path) -> Iterator[tuple[int, dict[str, Any] | None]]:
    """Read a journal line by line: its number from 1, and None if it is torn.

    Raises
    ------
    OSError
        If the file cannot be read.
    """
    with path.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                # a line without its end may be a shorter number than was meant
                record = json.loads(line) if line.endswith(b"\n") else None
            except ValueError:
                record = None
            yield number, record if isinstance(record, dict) else None
