"""The bench of the recorder: its figures are made of frames that were checked."""

from __future__ import annotations

from smartscope.bench.storage import bench_storage, sensor_noise


def test_a_small_bench_checks_what_it_measures() -> None:
    told = bench_storage(frames=40, shape=(128, 128), repeats=1)
    assert told["readable"]
    assert told["stored"] == 40
    assert told["frames_per_s"] > 0
    slow = told["slow_disk"]
    assert slow["lost"] == 0
    assert slow["disk_waits"] > 0
    assert slow["waiting_max_mb"] <= slow["queue_mb"]


def test_the_noise_is_that_of_a_sensor() -> None:
    frames = sensor_noise(50, (64, 64), seed=1)
    stack = [f.astype(float) for f in frames]
    mean = sum(stack) / len(stack)
    variance = sum((f - mean) ** 2 for f in stack) / (len(stack) - 1)
    # gain 0.5, offset 100, counts cut to whole ones: half a count less on average
    expected = 0.5 * (mean - 99.5) + 1.6**2 + 1 / 12
    assert abs((variance / expected).mean() - 1) < 0.02
