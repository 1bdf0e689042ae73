"""A fused pipeline that runs: one call of the runtime a frame."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from smartscope.inference.fuse import (
    FRAME,
    MAP,
    MAP_HEALTH,
    RESTORED,
    RESTORED_HEALTH,
    End,
    Stage,
    fuse,
)
from smartscope.inference.heads.head import HEALTH as HEAD_HEALTH
from smartscope.inference.heads.peaks import (
    CROSSES,
    HEALTH,
    POSITIONS,
    THRESHOLD,
    Candidates,
)
from smartscope.inference.session import ModelSession
from smartscope.inference.settings import Device

Map = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Given:
    """What a fused graph gave for one frame.

    Attributes
    ----------
    restored, dense : np.ndarray or None
        As `Inferred` has them.
    candidates : Candidates or None
        Within the frame.
    found : dict
        What a head of another kind found in the padded frame, by its names.
    health : tuple of float
        For each stage a number that is finite if its map is.
    graph_ms : float
        Time in the runtime.
    """

    restored: Map | None
    dense: Map | None
    candidates: Candidates | None
    found: dict[str, npt.NDArray[Any]]
    health: tuple[float, ...]
    graph_ms: float


class FusedPipeline:
    """All stages as one graph, for frames of one shape and dtype.

    Parameters
    ----------
    stages : Sequence of Stage
        The last one detects.
    dtype : numpy dtype
        Of the frames.
    end : {"map", "peaks"} or Head
        What the graph ends in.
    device, threads
        As `ModelSession` takes them.

    Raises
    ------
    CannotFuse
        If no single graph can say it.
    smartscope.errors.Refused
        If the runtime cannot take the graph.
    """

    def __init__(
        self,
        stages: Sequence[Stage],
        *,
        dtype: np.dtype[Any],
        end: End,
        device: Device = "auto",
        threads: int | None = None,
    ) -> None:
        self._padding = stages[-1].padding
        self._end = end
        graph = fuse(stages, shape=stages[0].padding.shape, dtype=dtype, end=end)
        self.session = ModelSession(
            graph,
            name=" → ".join(s.package.name for s in stages),
            device=device,
            threads=threads,
        )
        if not isinstance(end, str):
            self._outputs, self._health = [*end.names], HEAD_HEALTH
        elif end == "peaks":
            self._outputs, self._health = [POSITIONS, CROSSES], HEALTH
        else:
            self._outputs, self._health = [MAP], MAP_HEALTH
        self._outputs.append(self._health)
        self._restores = len(stages) > 1
        if self._restores:
            self._outputs += [RESTORED, RESTORED_HEALTH]

    def run(self, image: npt.NDArray[Any], threshold: float) -> Given:
        """Look at one frame ``(Y, X)`` of the shape and dtype it was made for.

        Raises
        ------
        smartscope.errors.AnalysisFailed
            If the runtime fails on it.
        """
        feeds = {FRAME: np.ascontiguousarray(image)}
        if self._end == "peaks":
            feeds[THRESHOLD] = np.array([threshold], np.float32)
        began = time.perf_counter()
        gave = dict(
            zip(self._outputs, self.session.run(feeds, self._outputs), strict=True)
        )
        graph_ms = (time.perf_counter() - began) * 1e3
        health: tuple[float, ...] = (float(gave[self._health]),)
        if self._restores:
            health = (float(gave[RESTORED_HEALTH]), *health)
        candidates, found = None, {}
        if not isinstance(self._end, str):
            found = {n: gave[n] for n in self._end.names}
        elif self._end == "peaks":
            candidates = Candidates(gave[POSITIONS][:, 2:], gave[CROSSES]).inside(
                self._padding.map_offset, self._padding.map_shape
            )
        return Given(
            gave.get(RESTORED), gave.get(MAP), candidates, found, health, graph_ms
        )
