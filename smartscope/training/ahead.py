"""Batches drawn beside the network's work, one ahead of it."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Any, Self

import numpy.typing as npt

Batch = Sequence[npt.NDArray[Any]]


class Ahead:
    """Draws batches in one thread of its own, so that a task need not be thread-safe.

    What is drawn depends on what was asked for alone, and never on when: a training is
    the same with it as without it.

    Parameters
    ----------
    draw : Callable
        Returns the batch of a key.
    """

    def __init__(self, draw: Callable[[Any], Batch]) -> None:
        self._draw = draw
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="smartscope-batches")
        self._next: tuple[Hashable, Future[Batch]] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._thread.shutdown(wait=True, cancel_futures=True)

    def get(self, key: Hashable, then: Hashable | None = None) -> Batch:
        """Return the batch of a key.

        Parameters
        ----------
        key : Hashable
            Of what is wanted; drawn now if it was not foretold.
        then : Hashable, optional
            Of what will be wanted next; drawn while the caller works.

        Raises
        ------
        Exception
            What drawing it has raised.
        """
        if self._next is not None and self._next[0] == key:
            drawn, self._next = self._next[1], None
        else:
            drawn = self._thread.submit(self._draw, key)
        if then is not None:
            self._next = (then, self._thread.submit(self._draw, then))
        return drawn.result()
