"""Small experiments on the simulated microscope, in virtual time."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from smartscope.settings import Experiment

HERE = Path(__file__).parent


@pytest.fixture
def make_experiment(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Experiment]:
    """Return a maker of experiments; ``faulty_parts`` can be named in them."""
    monkeypatch.syspath_prepend(str(HERE))

    def make(
        *,
        rounds: int = 6,
        interval_s: float = 10,
        places: int = 2,
        detect: Any = "faulty_parts:Center",
        analysis: dict[str, Any] | None = None,
        specimen: dict[str, Any] | None = None,
        **more: Any,
    ) -> Experiment:
        content: dict[str, Any] = {
            "name": "test",
            "microscope": "simulated",
            "specimen": {"time": "virtual", "cells": 20, **(specimen or {})},
            "survey": {
                "axis_order": "tpc",
                "stage_positions": [[300 * i, 0, 0] for i in range(places)],
                "channels": [{"config": "FITC", "exposure": 10}],
                "time_plan": {"interval": interval_s, "loops": rounds},
            },
            "analysis": {"detect": detect, **(analysis or {})},
            "storage": {"reserve_mb": 0},
            "mode": "synchronized",
            **more,
        }
        return Experiment.parse(content)

    return make
