"""A burst of channels and planes in a whole run."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from smartscope.loop import run
from smartscope.replay import replay
from smartscope.settings import Experiment
from smartscope.storage import Run


def test_a_burst_of_planes_is_one_image(
    make_experiment: Callable[..., Experiment], tmp_path: Path
) -> None:
    experiment = make_experiment(
        rounds=3,
        analysis={
            "occurrences": {"here": {"kind": "count", "above": 0, "frames": 1, "of": 1}}
        },
        response=[
            {
                "policy": "burst",
                "on": "here",
                "frames": 3,
                "channels": ["FITC", "DAPI"],
                "z_planes": 5,
                "z_step_um": 0.5,
                "cool_down_s": 1e6,
            }
        ],
    )
    result = run(experiment, tmp_path / "run", in_process=True)
    assert (result.outcome, result.exit_code) == ("completed", 0), result.reason
    seen = Run.open(result.folder)
    frames = [f for f in seen.frames if f["image"] == "burst_0001"]
    assert len(frames) == 30
    first = {f["state"]["channel"]: f["state"]["z_um"] for f in frames[::-1]}
    assert set(first) == {"FITC", "DAPI"}
    heights = [f["state"]["z_um"] for f in frames[:5]]
    assert np.diff(heights) == pytest.approx([0.5] * 4)
    array = Path(result.folder) / "raw.ome.zarr" / "burst_0001" / "0" / "zarr.json"
    shape = json.loads(array.read_text(encoding="utf-8"))["shape"]
    assert shape[:3] == [3, 2, 5]
    assert replay(result.folder).identical
