"""A fused pipeline that runs: one call of the runtime a frame."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
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
    SIZE,
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
from smartscope.inference.session import ModelSession, wants_gpu
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

    What goes in and what comes out is read off the graph: each plane is an input whose
    name begins with `FRAME`, in the graph's order; the restored image comes out if the
    graph gives it.

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
    more
        What else `fuse` takes.

    Attributes
    ----------
    session : ModelSession
        Of the one graph.
    planes : tuple of str
        Names of its inputs that are planes, in the order they are given.

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
        **more: Any,
    ) -> None:
        self._stages = tuple(stages)
        self._padding = stages[-1].padding
        self._end = end

        def started(*, static: bool) -> ModelSession:
            asked = {**more, "static": True} if static else more
            return ModelSession(
                fuse(stages, dtype=dtype, end=end, **asked),
                name=" → ".join(s.package.name for s in stages),
                device=device,
                threads=threads,
                fixed=static,
            )

        # on a GPU shapes that are all known are worth an order of all pixels
        self.session = started(static=wants_gpu(device))
        if wants_gpu(device) and self.session.obtained == "cpu":
            self.session = started(static=False)
        if not isinstance(end, str):
            self._outputs, self._health = [*end.names], HEAD_HEALTH
        elif end == "peaks":
            self._outputs, self._health = [POSITIONS, CROSSES], HEALTH
        else:
            self._outputs, self._health = [MAP], MAP_HEALTH
        self._outputs.append(self._health)
        there = self.session.outputs
        self._restored_health = RESTORED_HEALTH in there
        self._outputs += [n for n in (RESTORED, RESTORED_HEALTH) if n in there]
        self.planes = tuple(n for n in self.session.inputs if n.startswith(FRAME))
        # asked of the first image only: all have one shape
        self._sizes = [n for n in there if n.startswith(SIZE)]
        self._proven = False

    @property
    def proven(self) -> bool:
        """True once it has run, and the maps had the sizes that were described."""
        return self._proven

    def run(
        self,
        feeds: Sequence[npt.NDArray[Any]],
        threshold: float,
        scalings: Mapping[str, npt.NDArray[np.float32]] | None = None,
    ) -> Given:
        """Look at the planes ``(Y, X)`` of one moment.

        Parameters
        ----------
        feeds : Sequence of np.ndarray
            Planes of the shape and dtype it was made for, as many as the graph takes,
            in its order.
        threshold : float
            Of the peaks head; others have theirs in the graph.
        scalings : Mapping, optional
            What is subtracted and divided by, ``(2, C)`` float32, by the name of the
            graph's input.

        Raises
        ------
        smartscope.errors.AnalysisFailed
            If the runtime fails on it, or a map has another size than described.
        """
        given = {
            name: np.ascontiguousarray(plane)
            for name, plane in zip(self.planes, feeds, strict=True)
        }
        given.update(scalings or {})
        if self._end == "peaks":
            given[THRESHOLD] = np.array([threshold], np.float32)
        began = time.perf_counter()
        wanted = [*self._outputs, *self._sizes]
        gave = dict(zip(wanted, self.session.run(given, wanted), strict=True))
        graph_ms = (time.perf_counter() - began) * 1e3
        for name in self._sizes:
            stage = self._stages[int(name.removeprefix(SIZE))]
            stage.padding.check_output(gave[name].tolist(), stage.package.name)
        self._sizes, self._proven = [], True
        health: tuple[float, ...] = (float(gave[self._health]),)
        if self._restored_health:
            health = (float(gave[RESTORED_HEALTH]), *health)
        candidates, found = None, {}
        if not isinstance(self._end, str):
            found = {n: gave[n] for n in self._end.names}
        elif self._end == "peaks":
            candidates = Candidates.read(gave[POSITIONS], gave[CROSSES]).inside(
                self._padding.map_offset, self._padding.map_shape
            )
        return Given(
            gave.get(RESTORED), gave.get(MAP), candidates, found, health, graph_ms
        )
