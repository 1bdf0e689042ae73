"""The benches run and say what they promise; how fast is for tests/bench."""

from __future__ import annotations

import pytest

from smartscope.bench import BENCHES, find_bench
from smartscope.bench.acquisition import bench_acquisition
from smartscope.bench.latency import bench_latency
from smartscope.bench.storage import bench_storage

pytest.importorskip("mm_test_adapters")


def test_every_bench_can_be_found() -> None:
    assert {"acquisition", "inference", "latency", "memory", "storage"} <= set(BENCHES)
    for name in BENCHES:
        assert callable(find_bench(name))


def test_acquisition_stores_all_and_kills_what_hangs() -> None:
    said = bench_acquisition(pairs=1, single_frames=40, stream_frames=60)
    assert {"single_ratio", "stream_ratio", "hung_ratio"} <= said.keys()
    assert said["stored"] == "140 of 140"
    assert said["hung_kills"] >= 1


def test_latency_accounts_for_every_frame() -> None:
    said = bench_latency(frames=30, interruptions=2)
    assert {
        "decide_p95_ms",
        "overload_age_p95_ms",
        "overload_ratio",
        "interrupt_p95_ms",
        "frame_period_ms",
        "urgent_ms",
    } <= said.keys()
    assert said["overload_accounted"]
    assert said["interruptions"] >= 1


def test_storage_reads_back_what_it_wrote() -> None:
    said = bench_storage(frames=60, shape=(128, 128), repeats=1)
    assert {"frames_per_s", "rss_growth_mb"} <= said.keys()
    assert said["readable"]
