"""Signals of a run: in order, and a listener that fails changes nothing."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest

from smartscope.loop import run
from smartscope.settings import Experiment
from smartscope.signals import RunSignals


def experiment() -> Experiment:
    return Experiment.parse(
        {
            "name": "signals",
            "specimen": {"time": "virtual", "cells": 10},
            "survey": {
                "stage_positions": [[0, 0]],
                "channels": [{"config": "FITC", "exposure": 10}],
                "time_plan": {"interval": 10, "loops": 3},
            },
            "response": [
                {
                    "policy": "adapt_exposure",
                    "target_snr": 500,
                    "exposure_ms": [1, 100],
                }
            ],
            "mode": "synchronized",
            "storage": {"reserve_mb": 0},
        }
    )


def test_they_say_what_happens(tmp_path: Path) -> None:
    said: list[Any] = []
    signals = RunSignals()
    signals.frameAcquired.connect(lambda frame: said.append(frame.frame_id))
    signals.decisionMade.connect(lambda decision: said.append(decision.verdict))
    signals.outcomeReached.connect(lambda outcome: said.append(outcome.status))
    run(experiment(), tmp_path / "run", in_process=True, signals=signals)
    assert [s for s in said if isinstance(s, int)] == [0, 1, 2]
    assert said.count("granted") == 3
    assert said.count("done") == 2


def test_a_listener_that_fails_is_logged_and_changes_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def planted(_frame: object) -> None:
        raise RuntimeError("planted")

    signals = RunSignals()
    signals.frameAcquired.connect(planted)
    with caplog.at_level(logging.ERROR, logger="smartscope.signals"):
        result = run(experiment(), tmp_path / "run", in_process=True, signals=signals)
    assert result.exit_code == 0
    assert "planted" in caplog.text
