"""The benches run and say what they promise; how fast is for tests/bench."""

from __future__ import annotations

import pytest

from smartscope.bench import BENCHES, find_bench
from smartscope.bench.acquisition import bench_acquisition
from smartscope.bench.latency import bench_latency
from smartscope.bench.policies import bench_policies
from smartscope.bench.reflex import bench_reflex
from smartscope.bench.storage import bench_storage
from smartscope.errors import Refused

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


def test_bad_policies_are_told() -> None:
    said = bench_policies(rounds=1, frames=30)
    for name in ("none", "raises", "hangs", "floods"):
        assert {"ratio", "ratio_min", "ratio_p25", "ratio_max"} <= said[name].keys()
    assert said["none"]["failed_on"] == 0
    assert said["raises"]["failed_on"] == 10
    assert "10 frames" in said["raises"]["switched_off"]
    assert "no answer" in said["hangs"]["switched_off"]
    assert said["floods"]["not_considered"] >= 9900
    assert said["floods"]["decisions"] % 100 == 0


def test_the_reflex_says_what_is_left_in_memory() -> None:
    said = bench_reflex(places=40, tracks=1_000, frames=3 * 40 * 3)
    assert said["frames"] == 40 * 3
    assert said["tracks"] > 900
    assert {"decide_p95_ms", "marks_mb", "grown_mb"} <= said.keys()


def test_frames_that_cannot_be_are_refused() -> None:
    with pytest.raises(Refused, match="too few"):
        find_bench("reflex", frames=100)()
    with pytest.raises(Refused, match="cannot be told"):
        find_bench("acquisition", frames=100)


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
