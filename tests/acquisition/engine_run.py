"""An engine that runs events, with everything it said."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from useq import MDAEvent

from smartscope.acquisition import (
    Clock,
    EngineListener,
    Frame,
    LightBudget,
    RealClock,
    SmartEngine,
)


class Run:
    """An engine with everything it said."""

    def __init__(
        self,
        core: Any,
        *,
        clock: Clock | None = None,
        light: LightBudget | None = None,
        on_frame: Callable[[Frame], None] = lambda _frame: None,
        yields: Callable[[], bool] = lambda: False,
    ) -> None:
        self.core = core
        self.frames: list[Frame] = []
        self.done: list[tuple[MDAEvent, int]] = []
        self.left: list[MDAEvent] = []
        self.incomplete: list[tuple[MDAEvent, list[str]]] = []
        self.refused: list[str] = []
        self.told: list[str] = []
        self._on_frame = on_frame

        def take(frame: Frame) -> None:
            self.frames.append(frame)
            self._on_frame(frame)

        self.engine = SmartEngine(
            core,
            EngineListener(
                frame=take,
                done=lambda event, n: self.done.append((event, n)),
                incomplete=lambda event, none: self.incomplete.append(
                    (event, list(none))
                ),
                interrupted=self.left.extend,
                refused=lambda _event, why: self.refused.append(why),
                told=lambda _event, what: self.told.append(what),
                yields=yields,
            ),
            clock or RealClock(),
            light or LightBudget((300, 300)),
        )
        core.mda.set_engine(self.engine)

    def run(self, events: Sequence[MDAEvent]) -> None:
        try:
            self.core.mda.run(iter(events))
        finally:
            assert [f.frame_id for f in self.frames] == list(range(len(self.frames)))
