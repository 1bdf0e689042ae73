"""kill -9 of the acquisition process at any moment: what is called stored is readable.

``SMARTSCOPE_KILLS=20 pytest tests/loop/test_kill.py`` tries more moments.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from smartscope.replay import replay
from smartscope.settings import Experiment
from smartscope.storage import Run, summarise

KILLS = int(os.environ.get("SMARTSCOPE_KILLS", "3"))
CODE = """
import sys
from smartscope import Experiment, run
run(Experiment.parse(__import__("json").load(open(sys.argv[1]))), sys.argv[2])
"""


def acquired(folder: Path) -> bool:
    journal = folder / "journal.jsonl"
    return journal.exists() and b'"kind":"frame"' in journal.read_bytes()


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL is of POSIX")
@pytest.mark.parametrize("moment", range(KILLS))
def test_kill_at_a_random_moment(
    make_experiment: Callable[..., Experiment], tmp_path: Path, moment: int
) -> None:
    experiment = make_experiment(
        rounds=10_000,
        interval_s=1,
        detect="dog",
        specimen={"time": "real", "time_scale": 20},
        mode="free_run",
        response=[{"policy": "faulty_parts:Wishes", "options": {"every": 7}}],
    )
    file = tmp_path / "experiment.json"
    file.write_text(experiment.model_dump_json())
    folder = tmp_path / "run"
    here = str(Path(__file__).parent)
    process = subprocess.Popen(
        [sys.executable, "-c", CODE, str(file), str(folder)],
        env={**os.environ, "PYTHONPATH": here},
    )
    try:
        deadline = time.monotonic() + 40
        while not acquired(folder) and time.monotonic() < deadline:
            assert process.poll() is None
            time.sleep(0.02)
        time.sleep(random.Random(moment).uniform(0, 2))
        children = psutil.Process(process.pid).children(recursive=True)
    finally:
        process.kill()
        process.wait()
    seen = Run.open(folder)
    assert seen.frames
    assert not seen.finished
    for header in seen.frames:
        pixels = seen.read(header["frame_id"])
        assert pixels.shape == tuple(header["shape"])
        assert pixels.any()
    assert summarise(seen)["frames"]["stored"] == len(seen.frames)
    replayed = replay(folder)
    assert replayed.identical, replayed.first_difference
    # the analysis process sees the end of its pipe and goes
    _, alive = psutil.wait_procs(children, timeout=10)
    assert not alive
