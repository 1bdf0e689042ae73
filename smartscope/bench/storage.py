"""How fast frames are recorded, and that a slow disk loses none.

Frames of realistic sensor noise are made beforehand: a constant image compresses to
nothing and would flatter the figure.
"""

from __future__ import annotations

import shutil
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from useq import MDAEvent

from smartscope.acquisition import Frame, FrameState
from smartscope.bench.memory import rss_mb
from smartscope.storage import (
    ImageSpec,
    Journal,
    Recorder,
    Run,
    RunFolder,
    StorageSettings,
)
from smartscope.telemetry import Telemetry

_STAMPED = 8  # first pixels of a frame, which carry its number
_BANK = 64  # different frames


def bench_storage(
    *,
    frames: int = 1500,
    shape: tuple[int, int] = (1024, 1024),
    repeats: int = 3,
    folder: Path | None = None,
) -> dict[str, Any]:
    """Measure the recorder.

    Parameters
    ----------
    frames : int
        Frames a run; the part with the slow disk takes a tenth.
    shape : tuple of int
        Rows, columns of the uint16 frames.
    repeats : int
        Runs of which the fastest counts: other work on the machine only slows.
    folder : Path, optional
        Where to write; default: the system's folder for temporary files.

    Returns
    -------
    dict
        ``frames_per_s`` and ``mb_per_s`` from the first frame until the last one is
        committed and the images are closed; ``rss_growth_mb`` of a run in which each
        frame is memory of its own, as from a camera, with its rate
        (``copied_frames_per_s``: the copying is counted); ``readable`` (each frame of
        all runs read back equal to what was recorded); ``slow_disk``: the same with
        every write delayed, ``disk_waits`` and the most that waited, in MB.
    """
    bank = sensor_noise(_BANK, shape, seed=0)
    with tempfile.TemporaryDirectory(dir=folder, prefix="smartscope_bench_") as base:
        runs = [
            _record(Path(base) / f"fast{n}", bank, frames, StorageSettings())
            for n in range(repeats)
        ]
        copied = _record(
            Path(base) / "copied", bank, frames, StorageSettings(), copy=True
        )
        # a queue of 64 frames, and a disk that takes far longer than the frames come
        queue_mb = max(1, 64 * bank[0].nbytes // 1_000_000)
        slow = _record(
            Path(base) / "slow",
            bank,
            max(frames // 10, 128),
            StorageSettings(queue_mb=queue_mb, slow_disk_ms=5.0),
            copy=True,
        )
    best = max(runs, key=lambda r: float(r["frames_per_s"]))
    return {
        "frames_per_s": best["frames_per_s"],
        "mb_per_s": best["mb_per_s"],
        "rss_growth_mb": max(r["rss_growth_mb"] for r in (*runs, copied)),
        "copied_frames_per_s": copied["frames_per_s"],
        "frames": frames,
        "shape": list(shape),
        "dtype": "uint16",
        "compression": StorageSettings().compression,
        "stored": best["stored"],
        "readable": all(r["readable"] == frames for r in (*runs, copied)),
        "all_frames_per_s": [r["frames_per_s"] for r in runs],
        "append_p99_us": best["append_p99_us"],
        "slow_disk": {
            "slow_disk_ms": 5.0,
            "queue_mb": queue_mb,
            "frames": slow["frames"],
            "stored": slow["stored"],
            "lost": slow["frames"] - slow["readable"],
            "disk_waits": slow["disk_waits"],
            "waiting_max_mb": slow["waiting_max_mb"],
            "rss_growth_mb": slow["rss_growth_mb"],
        },
    }


def sensor_noise(
    n: int, shape: tuple[int, int], seed: int
) -> list[npt.NDArray[np.uint16]]:
    """Return ``n`` frames of a smooth specimen through a noisy camera.

    Counts are 0.5 × Poisson(photons) + N(100, 1.6); photons go from 20 to 400.
    """
    draw = np.random.default_rng(seed)
    y, x = np.mgrid[0 : shape[0], 0 : shape[1]].astype(np.float32)
    photons = 20 + 380 * (np.sin(y / 40) * np.sin(x / 40)) ** 8
    return [
        np.clip(
            0.5 * draw.poisson(photons) + draw.normal(100, 1.6, shape), 0, 65535
        ).astype(np.uint16)
        for _ in range(n)
    ]


def _record(
    path: Path,
    bank: list[npt.NDArray[np.uint16]],
    frames: int,
    settings: StorageSettings,
    *,
    copy: bool = False,
) -> dict[str, Any]:
    run = RunFolder.create(path, "bench", need_mb=frames * bank[0].nbytes / 1e6)
    telemetry = Telemetry()
    state = FrameState(0.0, 0.0, 0.0, 1.0, "", 0.5)
    event = MDAEvent()
    journal = Journal(run.journal)
    before_mb = rss_mb()
    with _PeakRss() as peak:
        began_s = time.perf_counter()
        recorder = Recorder(run, journal, settings, telemetry)
        recorder.declare(ImageSpec("survey_p0"))
        took_us, waiting_mb = [], 0.0
        for i in range(frames):
            pixels = bank[i % len(bank)]
            if copy:
                pixels = pixels.copy()
                pixels[0, :_STAMPED] = i
            frame = Frame(pixels, event, i, i / 1000, time.monotonic(), "p0", state)
            header = frame.encode_header()
            t0 = time.perf_counter()
            recorder.append(frame, header, image="survey_p0", index=(i, 0, 0))
            took_us.append((time.perf_counter() - t0) * 1e6)
            waiting_mb = max(waiting_mb, recorder.waiting_mb)
            del frame, pixels
        recorder.close()
        wall_s = time.perf_counter() - began_s
    journal.close()
    counts = telemetry.counts()
    result = {
        "frames": frames,
        "stored": counts.get("frames_stored", 0),
        "frames_per_s": round(frames / wall_s, 1),
        "mb_per_s": round(frames * bank[0].nbytes / wall_s / 1e6, 1),
        "rss_growth_mb": round(max(0.0, peak.mb - before_mb), 1),
        "disk_waits": counts.get("disk_waits", 0),
        "waiting_max_mb": round(waiting_mb, 1),
        "append_p99_us": round(float(np.percentile(took_us, 99)), 1),
        "readable": _readable(path, bank, stamped=copy),
    }
    shutil.rmtree(path)
    return result


def _readable(path: Path, bank: list[npt.NDArray[np.uint16]], *, stamped: bool) -> int:
    run = Run.open(path)
    good = 0
    for header in run.frames:
        i = header["frame_id"]
        expected = bank[i % len(bank)].copy()
        if stamped:
            expected[0, :_STAMPED] = i
        good += bool(np.array_equal(run.read(i), expected))
    return good


class _PeakRss:
    """Samples the memory of this process every 20 ms."""

    def __init__(self) -> None:
        self.mb = 0.0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._sample, name="peak-rss")

    def _sample(self) -> None:
        while not self._stop.wait(0.02):
            self.mb = max(self.mb, rss_mb())

    def __enter__(self) -> _PeakRss:
        self.mb = rss_mb()
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._stop.set()
        self._thread.join()
        self.mb = max(self.mb, rss_mb())
