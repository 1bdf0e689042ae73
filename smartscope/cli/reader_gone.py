"""Output that nobody reads to its end: ``smartscope show RUN | head -1``."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from collections.abc import Iterator
from typing import Any, TextIO, cast

# a pipe whose reader has gone: of POSIX, and of Windows
_GONE = (errno.EPIPE, errno.EINVAL)


@contextlib.contextmanager
def reader_may_go() -> Iterator[None]:
    """Let standard output be closed by its reader at any moment within the block.

    What is written from then on goes nowhere. The command goes on and ends with its own
    exit code: who reads the first line only still learns from it how a run went.
    """
    stream = sys.stdout
    sys.stdout = cast("TextIO", _Patient(stream))
    try:
        yield
    finally:
        sys.stdout.flush()
        sys.stdout = stream


class _Patient:
    """A stream that does not mind when its reader goes."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        with self._whoever_reads():
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with self._whoever_reads():
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    @contextlib.contextmanager
    def _whoever_reads(self) -> Iterator[None]:
        try:
            yield
        except OSError as e:
            if e.errno not in _GONE:
                raise
            # what is still buffered would fail again when the program ends
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stream.fileno())
            os.close(nowhere)
